"""The model that scores: whatever was named becomes a SavedModel, the same one that would be served."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any, cast

from pipelines.bulk_inference import progress
from pipelines.orchestration.artifacts import digest_directory, digest_file
from sperm_tf.models.released import Release
from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import ANSWER_OUTPUTS, EXPLAIN, SERVING_DEFAULT, SHOWN_MAP
from sperm_tf.serving.export_cache import copy_export

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

    @property
    def batch_size(self) -> int:
        """Files in one pass."""
        return max(1, NETWORK_BATCH // self.views)

    def prepare(self, folder: pathlib.Path) -> pathlib.Path:
        """Puts what scoring and reports need of the model into a folder.

        Args:
            folder: made when it is missing; what an earlier call left there is used again.

        Returns:
            The SavedModel.
        """
        folder.mkdir(exist_ok=True)
        target = folder / SAVED_MODEL
        if self.export is not None and not target.is_dir():
            unfinished = folder / f".{SAVED_MODEL}.tmp"
            shutil.rmtree(unfinished, ignore_errors=True)
            with progress.step(f"Preparing the SavedModel of {self.name}"):
                if self.release is None:
                    self.export(unfinished)
                else:
                    copy_export(self.release, unfinished, self.export)
            unfinished.rename(target)
        for name in _RULE_FILES:
            if self.folder is not None and (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)
        if self.card:
            (folder / CARD_FILE).write_text(self.card, encoding="utf-8")
        return self.saved_model or target


def find(source: str) -> ScoringModel:
    """Finds a model.

    Args:
        source: name of a released model; a folder that the Calibrator or the Trainer wrote; a SavedModel's folder; or
            anything else that `sperm_tf.load_model` opens.

    Raises:
        ValueError: there is no such model, or the SavedModel is of another program.
    """
    path = pathlib.Path(source).expanduser()
    for saved_model in (path, path / SAVED_MODEL):
        if (saved_model / "saved_model.pb").is_file():
            _check_signature(saved_model.resolve())
            return _describe(saved_model.resolve(), _call(path.resolve()))
    return _find_classifier(source, path)


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


def _describe(saved_model: pathlib.Path, name: str) -> ScoringModel:
    from sperm_tf.serving.export import EXTRA, INFO_FILE

    extra = saved_model / EXTRA  # only models of earlier versions are without
    info = extra / INFO_FILE
    views = json.loads(info.read_text(encoding="utf-8"))["views"] if info.is_file() else 1
    rule_folder = extra if (extra / _RULE_FILES[0]).is_file() else None
    return ScoringModel(name, digest_directory(saved_model), "", saved_model, views, rule_folder)


def _find_classifier(source: str, path: pathlib.Path) -> ScoringModel:
    from sperm_tf.serving.loading import find_release, is_trained_model, load_model

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
    )


def _describe_release(release: Release) -> ScoringModel:
    """Without building the network, which only an export needs."""
    from sperm_tf.serving.loading import load_model

    release.verify()
    folder = release.verify_rule()
    card = release.card_path.read_text(encoding="utf-8") if release.card_path.is_file() else ""
    return ScoringModel(
        release.name,
        release.sha256,
        _digest_rule(folder) if release.rule else "",
        None,
        release.views,
        folder,
        export=lambda target: load_model(release.path).export(target),
        release=release,
        card=card,
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


def class_names(saved_model: str) -> tuple[str, ...]:
    """The names of the classes, in the order of the probabilities."""
    return tuple(name.decode() for name in ask(saved_model, [b""])["class_names"][0])


def _call(folder: pathlib.Path) -> str:
    """The last two names of a path: `Calibrator/1c2d3e4f`, `sperm_smids/3`."""
    return "/".join(folder.parts[-2:])
