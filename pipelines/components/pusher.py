"""Pusher: a model with every blessing becomes the next version under TensorFlow Serving's model base."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.orchestration import locks
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import PusherConfig
from sperm_tf.evaluation.tfma.baseline import (
    LATEST_PUSHED,
    PUSH_FILE,
    PUSHED_SUMS,
    PushedVersionError,
    changed_in,
    newest_pushed,
    read_push,
)
from sperm_tf.file_digests import digest_files, write_sums
from sperm_tf.whole_files import move_into_place

PUSHED_FILE = "pushed.json"
BLESSINGS = {
    "evaluation": ("Evaluator", "BLESSED", "validation.json"),
    "explanation_blessing": ("ExplanationValidator", "EXPLANATION_BLESSED", "validation.json"),
    "infra_blessing": ("InfraValidator", "INFRA_BLESSED", "report.json"),
}
"""Input -> the stage that judges, the file with which it blesses, and the file that says why it did not."""


class NotBlessedError(RuntimeError):
    """The model lacks the blessing of the Evaluator, the ExplanationValidator or the InfraValidator."""


class Pusher(Component):
    """Copies the SavedModel to `<serving_model_dir>/<version>/`, an integer one above the newest.

    The copy is made beside it and renamed, so TensorFlow Serving never sees half a model. Without all blessings
    nothing is pushed: `pushed.json` (`pushed`, `model_name`, `version`, `path`, `reasons`) then says why. A pushed
    version carries `assets.extra/push.json` with the digests of the model, the examples and the evaluation, and
    the graphs that `config.formats` asks for in `assets.extra/<format>`. `pushed.json` then holds `formats`, a list of
    `pipelines.components.graph_formats.GraphFacts`; a graph that predicts otherwise than the SavedModel for any test
    image keeps the model from being pushed. Beside it `SHA256SUMS` has the digests of the version's files; a newest
    version that differs from them is not reused: the model is pushed again, as the next version.
    """

    config: PusherConfig

    def __init__(self, config: PusherConfig, *, serving_model_dir: pathlib.Path, **inputs: Any):
        super().__init__(config, **inputs)
        self.serving_model_dir = serving_model_dir

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies the place that is pushed to."""
        del inputs, context
        return {"serving_model_dir": str(self.serving_model_dir)}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Pushes, or says why not."""
        marker = {
            "model_digest": inputs["model"].digest,
            "examples_digest": inputs["examples"].digest,
            "evaluation_digest": inputs["evaluation"].digest,
        }
        result: dict[str, Any] = {"pushed": False, "model_name": self.serving_model_dir.name, "reasons": []}
        try:
            check_blessings(**{name: inputs[name] for name in ("model", *BLESSINGS)})
            graphs, result["formats"] = self._write_graphs(inputs, context)
            marker |= {"formats": ",".join(self.config.formats)} if graphs else {}
            version = push(
                inputs["model"].directory / "saved_model",
                self.serving_model_dir,
                marker,
                check=lambda: check_baseline(inputs["evaluation"], self.serving_model_dir, marker),
                graphs=graphs,
            )
            result |= {"pushed": True, "version": version, "path": str(self.serving_model_dir / str(version))}
        except NotBlessedError as error:
            result["reasons"] = str(error).splitlines()
        (output / PUSHED_FILE).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        return result

    def _write_graphs(
        self, inputs: Mapping[str, Artifact], context: RunContext
    ) -> tuple[pathlib.Path | None, list[dict[str, Any]]]:
        """The folder of the graphs, None where none are asked for, and what is known of them.

        Raises:
            NotBlessedError: one predicts otherwise than the SavedModel.
        """
        if not self.config.formats:
            return None, []
        from pipelines.components import graph_formats
        from pipelines.components.source_images import read_images

        folder = context.work_dir / "graphs"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        folder.mkdir(parents=True)
        images = [image.image for image in read_images(inputs["examples"], ("test",))]
        facts = graph_formats.write_formats(inputs["model"].directory, images, self.config.formats, folder)
        if unequal := [one for one in facts if not one.is_equal]:
            raise NotBlessedError(
                "\n".join(
                    f"the graph {one.format} differs from the SavedModel: {one.num_different} of {one.num_images} test "
                    f"images are answered otherwise, probabilities by up to {one.max_probability_difference:.2g}"
                    for one in unequal
                )
            )
        return folder, [dataclasses.asdict(one) for one in facts]

    def is_intact(self, artifact: Artifact) -> bool:
        """Whether the pushed model is still the newest version, which is what is served, with every file as pushed."""
        if not artifact.properties["pushed"]:
            return True
        newest = max(pushed_versions(self.serving_model_dir).items(), default=None)
        return newest is not None and _holds(newest[1], artifact.inputs["model"]["digest"], self.config.formats)


def check_blessings(*, model: Artifact, **blessings: Artifact) -> None:
    """Checks that every blessing was given, and to this very model.

    That no file of the model and of the blessings has changed since is checked before any stage works.

    Args:
        model: of the Calibrator.
        **blessings: artifacts by the names of `BLESSINGS`.

    Raises:
        NotBlessedError: when a blessing is missing or another model's; each line of the message names one reason.
    """
    reasons = []
    for name, (judge, file, why) in BLESSINGS.items():
        blessing = blessings[name]
        if file not in blessing.files:
            reasons.append(f"the {judge} did not bless the model: see {blessing.directory / why}")
        elif blessing.inputs["model"]["digest"] != model.digest:
            reasons.append(f"the {judge} blessed another model: {blessing.inputs['model']['directory']}")
    if reasons:
        raise NotBlessedError("\n".join(reasons))


def check_baseline(evaluation: Artifact, serving_model_dir: pathlib.Path, marker: Mapping[str, str]) -> None:
    """Checks that what the model was compared with is still the newest version, where it was to be that.

    Args:
        evaluation: of the Evaluator.
        serving_model_dir: as for `push`.
        marker: as for `push`.

    Raises:
        NotBlessedError: another run has pushed since, and nobody compared the two.
    """
    compared = json.loads((evaluation.directory / "validation.json").read_text(encoding="utf-8"))["baseline"]
    if compared["configured"] != LATEST_PUSHED:
        return
    digests = {name: marker[name] for name in ("model_digest", "examples_digest")}
    if newest_pushed(serving_model_dir, **digests).digest != (compared["model"] or {"digest": ""})["digest"]:
        raise NotBlessedError("another version was pushed since the model was compared with the newest: run again")


def push(
    saved_model: pathlib.Path,
    serving_model_dir: pathlib.Path,
    marker: Mapping[str, str],
    *,
    check: Callable[[], None] = lambda: None,
    graphs: pathlib.Path | None = None,
) -> int:
    """Copies a SavedModel to the next version.

    A model that already is the newest version, because an earlier push was interrupted after its last step or only
    the evaluation was repeated, is not copied again. One that is an older version is: the newest is what is served.

    Args:
        saved_model: directory of the SavedModel.
        serving_model_dir: `<serving_base>/<model_name>`.
        marker: digests to record; `model_digest` identifies the model, with `formats`, the names of its graphs.
        check: raises where nothing is to be copied; it is called while no other run can push.
        graphs: folder whose content goes to the copy's `assets.extra`, too; None for none.

    Returns:
        The version, a positive integer.
    """
    serving_model_dir.mkdir(parents=True, exist_ok=True)
    with locks.held(
        serving_model_dir / ".push.lock",
        waiting=lambda other: f"the push waits for {other} that pushes to {serving_model_dir}",
    ):
        newest, folder = max(pushed_versions(serving_model_dir).items(), default=(0, serving_model_dir))
        if newest and _holds(folder, marker["model_digest"], marker.get("formats", "").split(","), say=True):
            return newest
        check()
        version = newest + 1
        copy = serving_model_dir / ".pushing"  # a name that TensorFlow Serving ignores
        shutil.rmtree(copy, ignore_errors=True)
        _fill(copy, saved_model, marker, graphs)
        move_into_place(copy, serving_model_dir / str(version))
    return version


def _fill(
    copy: pathlib.Path, saved_model: pathlib.Path, marker: Mapping[str, str], graphs: pathlib.Path | None
) -> None:
    """Writes all that a version holds.

    Raises:
        OSError: the copy differs from the SavedModel.
    """
    shutil.copytree(saved_model, copy)
    record = {**marker, "pushed_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    (copy / PUSH_FILE).parent.mkdir(exist_ok=True)
    if graphs is not None:
        shutil.copytree(graphs, (copy / PUSH_FILE).parent, dirs_exist_ok=True)
    (copy / PUSH_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    digests = digest_files(copy)
    if changed := [name for name, digest in digest_files(saved_model).items() if digests.get(name) != digest]:
        raise OSError(
            f"the copy of {saved_model} in {copy} must have the same content. Received: {changed[0]}, which differs. "
            "Check the disk, and run again."
        )
    write_sums(copy / PUSHED_SUMS, digests)


def pushed_versions(serving_model_dir: pathlib.Path) -> dict[int, pathlib.Path]:
    """Version -> directory of every pushed version, oldest first."""
    found = {int(path.name): path for path in serving_model_dir.glob("*") if path.name.isdigit() and path.is_dir()}
    return dict(sorted(found.items()))


def _holds(version: pathlib.Path, model_digest: str, formats: Sequence[str], *, say: bool = False) -> bool:
    """Whether a version holds a model with its graphs, every file as it was pushed.

    Args:
        version: its folder, which may be gone, or not of this pipeline.
        model_digest: of the model.
        formats: names of the graphs.
        say: prints what is damaged to stderr.
    """
    try:
        record = read_push(version)
        if (record.get("model_digest"), record.get("formats", "")) != (model_digest, ",".join(formats)):
            return False
        changed = changed_in(version)
        damage = f"{version / changed[0]} is missing, or not as it was pushed." if changed else ""
    except FileNotFoundError:
        return False
    except PushedVersionError as error:
        damage = str(error)
    if damage and say:
        print(f"Pusher: {damage} The model is pushed again, as the next version.", file=sys.stderr, flush=True)
    return not damage
