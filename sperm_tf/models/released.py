"""Which weights there are: the releases of a manifest, and files.

Layout of a folder of released weights: `manifest.json` (name -> the fields of `Release`), and for each name its weights
`<name>.npz` (see `sperm_tf.models.half_precision`), its model card `<name>.md`, and its decision rule in a folder
`<name>` (see `sperm_tf.decision.rule`).

Imports nothing heavy: a wrong name is found in milliseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from sperm_tf.config import ModelConfig
from sperm_tf.models.errors import WeightsError
from sperm_tf.whole_files import write_text

NAMES = ("smids", "hushem", "synthetic", "synthetic_lite0")
"""Released with the package: two classifiers, and two of drawn sperm, whose backbones others start from."""
WITHOUT_FILE = ("none", "imagenet", "imagenet_lite0")
"""Settings of `ModelConfig.weights` that name no file; those of ImageNet are known by a checksum of their own."""
RELEASE_SUFFIX = ".npz"
SUFFIXES = (".weights.h5", ".h5", ".keras", RELEASE_SUFFIX)
DRAWN, DRAWN_SEED = "synthetic_sperm", 0
"""The dataset of drawn images, and the seed of the renderer that every release trained on it has seen."""
_DATASETS = {"synthetic": DRAWN, "synthetic_lite0": DRAWN}  # of releases that are not called like their dataset
MANIFEST = "manifest.json"
RELEASED_DIR = pathlib.Path(__file__).resolve().parents[1] / "released"


@dataclasses.dataclass(frozen=True)
class Release:
    """One entry of a manifest.

    Attributes:
        name: such as `smids`.
        file: name of the weights' file, beside the manifest.
        sha256: of that file.
        num_bytes: of that file.
        model: the architecture; its `weights` say what the training started from.
        class_names: in the order of the logits.
        image_size: side of the model's input in pixels.
        views: what an answer is averaged over, see `sperm_tf.config.TrainerConfig`.
        training: how the weights came about.
        folder: where the manifest lies.
        rule: name -> SHA-256 of the files of the decision rule, in the folder `<name>`; empty for a model without.
        dataset: TFDS name of what it was trained on.
        initial_sha256: of the file that the training started from; empty for none, and where it was not known.
        graph: name -> SHA-256 of the files of its ONNX graph, in the folder `<name>`; empty for a model without.
        version: counts from 1; `<name>@<version>` names it, too, and an earlier one is an entry of that name.
    """

    name: str
    file: str
    sha256: str
    num_bytes: int
    model: ModelConfig
    class_names: tuple[str, ...]
    image_size: int
    views: int
    training: dict[str, Any]
    folder: pathlib.Path
    rule: dict[str, str] = dataclasses.field(default_factory=dict)
    dataset: str = ""
    initial_sha256: str = ""
    graph: dict[str, str] = dataclasses.field(default_factory=dict)
    version: int = 1

    @property
    def path(self) -> pathlib.Path:
        """The weights' file."""
        return self.folder / self.file

    @property
    def card_path(self) -> pathlib.Path:
        """The model card's file."""
        return self.folder / f"{self.name}.md"

    def read_card(self) -> str:
        """Text of the model card; empty where there is none."""
        return self.card_path.read_text(encoding="utf-8") if self.card_path.is_file() else ""

    def verify(self) -> pathlib.Path:
        """The weights' file, once its content is known to be what was released.

        Raises:
            WeightsError: it is missing or damaged.
        """
        remedy = self._remedy(self.file)
        if not self.path.is_file():
            raise WeightsError(
                f"weights {self.name!r} must be in their file. Received: {str(self.path)!r}, which does not exist. "
                f"{remedy}"
            )
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise WeightsError(
                f"weights {self.name!r} must have the SHA-256 {self.sha256} and {self.num_bytes:,} bytes. Received: "
                f"{str(self.path)!r} with {len(content):,} bytes, which is damaged. {remedy}"
            )
        return self.path

    def verify_rule(self) -> pathlib.Path:
        """The folder of the decision rule, once its files are known to be what was released; it may be empty.

        Raises:
            WeightsError: a file is missing or damaged.
        """
        return self._verify_files("decision rule", self.rule)

    def verify_graph(self) -> pathlib.Path:
        """The folder of the ONNX graph, once its files are known to be what was released; others may lie there.

        Raises:
            WeightsError: a file is missing or damaged.
        """
        return self._verify_files("ONNX graph", self.graph)

    def _verify_files(self, what: str, digests: Mapping[str, str]) -> pathlib.Path:
        folder = self.folder / self.name
        for name, digest in digests.items():
            file = folder / name
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                state = "is damaged" if file.is_file() else "does not exist"
                raise WeightsError(
                    f"{what} of {self.name!r} must have the SHA-256 {digest} in {name}. Received: "
                    f"{str(file)!r}, which {state}. {self._remedy(f'{self.name}/{name}')}"
                )
        return folder

    def _remedy(self, file: str) -> str:
        if self.folder == RELEASED_DIR:
            restore = f"git checkout -- sperm_tf/released/{file}"
            return f"Install sperm_tf again, or restore it from the repository: {restore}."
        return "Copy the file and its manifest again from where they were released."


def read_manifest(folder: pathlib.Path | None = None) -> dict[str, Release]:
    """The releases of a folder by name.

    Args:
        folder: holds a manifest; None is that of the package.

    Raises:
        WeightsError: there is no manifest, or it is damaged.
    """
    folder = RELEASED_DIR if folder is None else folder
    file = folder / MANIFEST
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return {name: _parse(name, entry, folder) for name, entry in entries.items()}
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"manifest must be a {MANIFEST} that `python -m pipelines.release` wrote. Received: {str(file)!r}, which "
            f"cannot be read: {error!r}. Restore it, or use the sperm_tf that it belongs to."
        ) from error


def write_manifest(releases: Mapping[str, Release], folder: pathlib.Path) -> None:
    """Replaces the manifest of a folder, at once."""
    entries = {}
    for name in sorted(releases):
        entry = dataclasses.asdict(releases[name])
        del entry["name"], entry["folder"]
        entries[name] = entry
    write_text(folder / MANIFEST, json.dumps(entries, indent=2) + "\n")


def look_up(name: str, folder: pathlib.Path | None = None) -> Release | None:
    """The release of a name, which may end in the number of its version (`smids@1`); None where there is none.

    Raises:
        WeightsError: the manifest is damaged.
    """
    releases = read_manifest(folder)
    plain, _, version = name.partition("@")
    if name not in releases and version and plain in releases and str(releases[plain].version) == version:
        return releases[plain]
    return releases.get(name)


def find_release(name: str, folder: pathlib.Path | None = None) -> Release:
    """As `look_up`.

    Raises:
        WeightsError: there is none, or the manifest is damaged.
    """
    release = look_up(name, folder)
    if release is None:
        raise WeightsError(
            f"name must be one of the released weights: {', '.join(read_manifest(folder)) or 'none so far'}. Received: "
            f"name={name!r}. Use one of them, or make it with `python -m pipelines.release --name={name}`."
        )
    return release


def identify_weights(weights: str) -> str:
    """What initial weights are known by: the SHA-256 of their file, or those of `WITHOUT_FILE` as they are.

    Args:
        weights: as for `find_weights_file`, which says what is refused.
    """
    file = find_weights_file(weights)
    return weights if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def find_weights_file(weights: str) -> pathlib.Path | None:
    """The file of `ModelConfig.weights`.

    Args:
        weights: of `WITHOUT_FILE`, the name of a release of this package, or a path.

    Returns:
        The file; None for those of `WITHOUT_FILE`.

    Raises:
        WeightsError: there is no such release or file, it is damaged, or its name has none of `SUFFIXES`.
    """
    if weights in WITHOUT_FILE:
        return None
    if is_name(weights):
        return find_release(weights).verify()
    file = pathlib.Path(weights).expanduser()
    named = ", ".join(map(repr, (*WITHOUT_FILE, *NAMES)))
    choices = f"one of {named}, or the path of a file that ends in {', '.join(SUFFIXES)}"
    if not file.is_file():
        raise WeightsError(f"weights must be {choices}. Received: weights={weights!r}, and no such file exists.")
    if not file.name.endswith(SUFFIXES):
        raise WeightsError(f"weights must be {choices}. Received: weights={weights!r}.")
    return file


def is_name(weights: str) -> bool:
    """Whether `ModelConfig.weights` names a release of this package: one of `NAMES`, or a version of it (`smids@1`)."""
    return weights.partition("@")[0] in NAMES and "/" not in weights


def default_dataset(name: str) -> str:
    """What a release was trained on that does not say so: what it is called by."""
    return _DATASETS.get(name, name)


def check_unseen(weights: str, dataset: str, *, seed: int = 0) -> None:
    """Refuses initial weights that were trained on the dataset that is to be tested on, directly or a release earlier.

    Args:
        weights: as `ModelConfig.weights`; a file is known by its content.
        dataset: TFDS name, such as `smids`.
        seed: of the renderer, for drawn images; those of another seed are other images.

    Raises:
        WeightsError: these weights have seen the test images; or as `find_weights_file`.
    """
    if weights in WITHOUT_FILE:
        return
    known = list(read_manifest().values()) if (RELEASED_DIR / MANIFEST).is_file() else []
    if not is_name(weights):
        with contextlib.suppress(WeightsError):  # no manifest beside the file, or one of another program
            known += read_manifest(pathlib.Path(weights).expanduser().parent).values()
    by_digest = {release.sha256: release for release in known}
    by_name = {release.name: release for release in known}
    release = by_digest.pop(identify_weights(weights), None)
    while release is not None:
        if release.dataset == dataset and (dataset != DRAWN or seed == DRAWN_SEED):
            raise WeightsError(
                f"weights must not have seen the test images. Received: weights={weights!r}, which were trained on all "
                f"images of {dataset}. Start from others, such as 'none'."
            )
        start = by_name.get(release.model.weights)
        release = by_digest.pop(release.initial_sha256 or (start.sha256 if start else ""), None)


def find_release_of_file(path: pathlib.Path) -> Release:
    """The release whose weights a file holds, from the manifest beside it.

    Raises:
        WeightsError: there is no manifest, or it does not name the file.
    """
    for release in read_manifest(path.parent).values():
        if release.path == path:
            return release
    raise WeightsError(
        f"path must be a file that the {MANIFEST} beside it names. Received: path={str(path)!r}. "
        "Copy the manifest along with the weights."
    )


def parse_model_config(fields: Mapping[str, Any]) -> ModelConfig:
    """The configuration that was written as JSON, which has lists for tuples.

    Raises:
        TypeError: a field is unknown.
        ValueError: a value is invalid.
    """
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return ModelConfig(**values)


def _parse(name: str, entry: dict[str, Any], folder: pathlib.Path) -> Release:
    fields = {"dataset": default_dataset(name), **entry}
    fields |= {"model": parse_model_config(entry["model"]), "class_names": tuple(entry["class_names"])}
    return Release(name=name, folder=folder, **fields)
