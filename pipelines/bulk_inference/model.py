"""The model that scores: whatever was named becomes a SavedModel, the same one that would be served, or a graph.

A graph is what `Classifier.export` writes for other runtimes than TensorFlow; they predict the same, faster.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any, cast

from pipelines.bulk_inference import progress
from pipelines.orchestration.artifacts import ARTIFACT_FILE, Artifact, digest_directory
from sperm_tf.evaluation.tfma.baseline import changed_in
from sperm_tf.file_digests import SUMS_FILE, changed_files, digest_file, digest_files, read_sums, write_sums
from sperm_tf.models.released import Release
from sperm_tf.runtimes.model import graph_format, is_exported
from sperm_tf.runtimes.registry import GRAPH_FILES, INFO_FILE, RUNTIMES, TENSORFLOW, check_runtime, runtime_for
from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import ANSWER_OUTPUTS, EXPLAIN, SERVING_DEFAULT, SHOWN_MAP
from sperm_tf.serving.export_cache import copy_export
from sperm_tf.serving.sources import EXTRA, find_release, is_trained_model
from sperm_tf.whole_files import move_into_place, set_aside

SAVED_MODEL, CARD_FILE = "saved_model", "model_card.md"
NETWORK_BATCH = 32  # images, or views of images, in one pass of the network: bounds memory
_RULE_FILES = ("decision.json", "familiarity.npz")


@dataclasses.dataclass(frozen=True)
class ScoringModel:
    """A model that has been found, and what is known of it.

    Attributes:
        name: how a report calls it.
        digest: SHA-256 of its weights: those of the release, `model.keras`, or the files of the SavedModel.
        rule_digest: SHA-256 of its decision rule; empty where it has none, or it is inside the SavedModel.
        saved_model: where its SavedModel lies; None while it has to be exported.
        views: what an answer is averaged over; 1 where it is not known.
        folder: that holds the rule; None for a bare SavedModel.
        export: writes the SavedModel to the folder that it is given; None where there is one.
        release: the released model, whose SavedModel is kept for the next time; None for others.
        card: text of the model card; empty where there is none.
        graph: folder of a graph that lies ready; None where there is none.
        export_graph: writes a graph, to the folder and in the format that it is given; None for a bare SavedModel.
    """

    name: str
    digest: str
    rule_digest: str
    saved_model: pathlib.Path | None
    views: int
    folder: pathlib.Path | None
    export: Callable[[pathlib.Path], None] | None = None
    release: Release | None = None
    card: str = ""
    graph: pathlib.Path | None = None
    export_graph: Callable[[pathlib.Path, str], None] | None = None

    @property
    def batch_size(self) -> int:
        """Files in one pass."""
        return max(1, NETWORK_BATCH // self.views)

    def fastest_runtime(self) -> str:
        """The first installed runtime that opens the graph that lies ready; `tensorflow` where there is none."""
        if self.graph is None:
            return TENSORFLOW
        return runtime_for(graph_format(self.graph)) or TENSORFLOW

    def check_runtime(self, runtime: str) -> None:
        """Checks that the model can be opened in a runtime.

        Raises:
            ValueError: it cannot; the message says why.
            ImportError: the runtime is not installed.
        """
        if runtime == TENSORFLOW:
            self.check_saved_model()
            return
        formats = check_runtime(runtime).formats
        is_ready = self.graph is not None and graph_format(self.graph) in formats
        if not is_ready and self.export_graph is None:
            raise ValueError(
                f"runtime must be {TENSORFLOW!r} for a bare SavedModel. Received: runtime={runtime!r} for {self.name}. "
                "Name the folder that the Calibrator wrote, or push with --config.pusher.formats=onnx."
            )

    def check_saved_model(self) -> None:
        """Checks that there is a SavedModel of this package, or that one can be exported.

        Raises:
            ValueError: there is neither.
        """
        if self.saved_model is not None:
            _check_signature(self.saved_model)
        elif self.export is None:
            format = graph_format(cast(pathlib.Path, self.graph))
            raise ValueError(
                f"model must be one that TensorFlow opens, which overlays need, too. Received: {self.name}, a graph in "
                f"the format {format!r}. Name a runtime that is installed and opens it, or the folder that the "
                "Calibrator wrote."
            )

    def prepare_graph(self, folder: pathlib.Path, runtime: str) -> pathlib.Path:
        """Puts a graph for a runtime, and what reports need, into a folder; one that lies ready is copied.

        Args:
            folder: made when it is missing; what an earlier call left there is used again.
            runtime: that `check_runtime` accepts.

        Returns:
            The folder of the graph.
        """
        folder.mkdir(exist_ok=True)
        formats = RUNTIMES[runtime].formats
        target = folder / formats[0]
        if not _is_whole(target):
            unfinished = folder / f".{formats[0]}.tmp"
            shutil.rmtree(unfinished, ignore_errors=True)
            if self.graph is not None and graph_format(self.graph) in formats:
                shutil.copytree(self.graph, unfinished)
            else:
                assert self.export_graph is not None
                with progress.step(f"Converting {self.name} for {runtime}"):
                    self._convert(unfinished, formats[0])
            _keep(unfinished, target)
        self._write_facts(folder)
        return target

    def _convert(self, target: pathlib.Path, format: str) -> None:
        export = functools.partial(cast(Callable, self.export_graph), format=format)
        if self.release is None:
            export(target)
        else:
            copy_export(self.release, target, export, format=format)

    def prepare(self, folder: pathlib.Path) -> pathlib.Path:
        """Puts what scoring and reports need of the model into a folder.

        Args:
            folder: made when it is missing; what an earlier call left there is used again.

        Returns:
            The SavedModel.
        """
        folder.mkdir(exist_ok=True)
        target = folder / SAVED_MODEL
        if self.export is not None and not _is_whole(target):
            unfinished = folder / f".{SAVED_MODEL}.tmp"
            shutil.rmtree(unfinished, ignore_errors=True)
            with progress.step(f"Preparing the SavedModel of {self.name}"):
                if self.release is None:
                    self.export(unfinished)
                else:
                    copy_export(self.release, unfinished, self.export)
            _keep(unfinished, target)
        self._write_facts(folder)
        return self.saved_model or target

    def _write_facts(self, folder: pathlib.Path) -> None:
        """The rule and the card, for reports."""
        for name in _RULE_FILES:
            if self.folder is not None and (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)
        if self.card:
            (folder / CARD_FILE).write_text(self.card, encoding="utf-8")


def _is_whole(folder: pathlib.Path) -> bool:
    """Whether an export is there, with every file as `_keep` found it; one of an earlier version has no digests."""
    return folder.is_dir() and not changed_files(folder, read_sums(folder / SUMS_FILE) or {})


def _keep(unfinished: pathlib.Path, target: pathlib.Path) -> None:
    """Puts an export into its place, with the digests of its files; one that is damaged is kept under another name."""
    write_sums(unfinished / SUMS_FILE, digest_files(unfinished))
    if target.exists():
        set_aside(target)
    move_into_place(unfinished, target)


def find(source: str) -> ScoringModel:
    """Finds a model.

    Args:
        source: name of a released model; a folder that the Calibrator or the Trainer wrote, or `Classifier.export`; a
            SavedModel's folder; or anything else that `sperm_tf.load_model` opens.

    Raises:
        ValueError: there is no such model, or a file of it has changed since it was pushed or calibrated.
    """
    path = pathlib.Path(source).expanduser()
    _check_unchanged(path)
    if is_exported(path):
        return _describe_graph(path.resolve())
    for saved_model in (path, path / SAVED_MODEL):
        if (saved_model / "saved_model.pb").is_file():
            return _describe(saved_model.resolve(), path.resolve())
    return _find_classifier(source, path)


def _check_unchanged(folder: pathlib.Path) -> None:
    """Compares a pushed version, or what a stage wrote, with its digests.

    Raises:
        ValueError: they differ.
    """
    changed = changed_in(folder)
    if not changed and (folder / ARTIFACT_FILE).is_file():
        changed = Artifact.read(folder).changed_files()
    if changed:
        raise ValueError(
            f"model must be as it was written. Received: {folder / changed[0]}, which is missing or has another "
            "SHA-256. Restore it from a copy, or run the pipeline that made it again."
        )


def _check_signature(saved_model: pathlib.Path) -> None:
    signature = load(str(saved_model)).signatures.get(SERVING_DEFAULT)
    inputs = [] if signature is None else sorted(signature.structured_input_signature[1])
    outputs = {} if signature is None else signature.structured_outputs
    missing = sorted(set(ANSWER_OUTPUTS) - set(outputs))
    if inputs != ["image_bytes"] or missing:
        raise ValueError(
            "model must be a SavedModel that sperm_tf exported. Received: "
            f"{str(saved_model)!r}, whose signature serving_default has the inputs {', '.join(inputs) or '(none)'} and "
            f"lacks {', '.join(missing) or 'nothing'}. Export it with sperm_tf, or name another."
        )


def _describe_graph(graph: pathlib.Path) -> ScoringModel:
    info = json.loads((graph / INFO_FILE).read_text(encoding="utf-8"))
    return ScoringModel(_call(graph), digest_directory(graph), "", None, info["views"], graph, graph=graph)


def _describe(saved_model: pathlib.Path, folder: pathlib.Path) -> ScoringModel:
    extra = saved_model / EXTRA  # only models of earlier versions are without
    info = extra / INFO_FILE
    views = json.loads(info.read_text(encoding="utf-8"))["views"] if info.is_file() else 1
    rule_folder = extra if (extra / _RULE_FILES[0]).is_file() else None
    graphs = [extra / format for format in GRAPH_FILES if is_exported(extra / format)]
    return ScoringModel(
        _call(folder),
        digest_directory(saved_model),
        "",
        saved_model,
        views,
        rule_folder,
        graph=graphs[0] if graphs else None,
        export_graph=_export_of(folder) if is_trained_model(folder) else None,
    )


def _export_of(source: str | pathlib.Path) -> Callable[[pathlib.Path, str], None]:
    def export(target: pathlib.Path, format: str) -> None:
        from sperm_tf.serving.loading import load_model

        load_model(source).export(target, format=format)

    return export


def _find_classifier(source: str, path: pathlib.Path) -> ScoringModel:
    from sperm_tf.serving.loading import load_model

    release = None if is_trained_model(source) else find_release(source)
    if release is not None:
        return _describe_release(release)
    classifier = load_model(source)
    weights = path / "model.keras" if path.is_dir() else path
    folder = weights.resolve().parent
    rule = _digest_rule(folder) if classifier.rule else ""
    return ScoringModel(
        _call(folder),
        digest_file(weights),
        rule,
        None,
        classifier.views,
        folder,
        classifier.export,
        card=classifier.card,
        export_graph=_export_of(source),
    )


def _describe_release(release: Release) -> ScoringModel:
    """Without building the network, which only an export needs."""
    from sperm_tf.serving.loading import load_model

    release.verify()
    folder = release.verify_rule()
    return ScoringModel(
        release.name,
        release.sha256,
        _digest_rule(folder) if release.rule else "",
        None,
        release.views,
        folder,
        export=lambda target: load_model(release.path).export(target),
        release=release,
        card=release.read_card(),
        graph=release.verify_graph() if release.graph else None,
        export_graph=_export_of(release.path),
    )


def _digest_rule(folder: pathlib.Path) -> str:
    return "-".join(digest_file(folder / file) for file in _RULE_FILES if (folder / file).is_file())


@functools.lru_cache(maxsize=2)
def load(saved_model: str) -> Any:
    """A SavedModel, opened once in each process."""
    import tensorflow as tf

    return tf.saved_model.load(saved_model)


def serves_maps(saved_model: str) -> bool:
    """Whether the SavedModel explains itself with the map that people are shown."""
    return SHOWN_MAP in load(saved_model).signatures[EXPLAIN].structured_outputs


def ask(saved_model: str, encoded: Sequence[bytes], *, explain: bool = False) -> ServedAnswer:
    """Outputs of the SavedModel for files.

    Args:
        saved_model: its folder.
        encoded: their bytes.
        explain: ask for maps, too.

    Returns:
        Arrays.
    """
    import tensorflow as tf

    signature = load(saved_model).signatures[EXPLAIN if explain else SERVING_DEFAULT]
    answer = signature(image_bytes=tf.constant(list(encoded), tf.string))
    return cast(ServedAnswer, {name: value.numpy() for name, value in answer.items()})


def _call(folder: pathlib.Path) -> str:
    """The last two names of a path: `Calibrator/1c2d3e4f`, `sperm_smids/3`."""
    return "/".join(folder.parts[-2:])
