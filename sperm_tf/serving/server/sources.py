"""Where models come from: a folder with the layout of TensorFlow Serving, which changes, or a release."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Protocol

from sperm_tf.models.released import Release
from sperm_tf.serving.server.backends import Opened
from sperm_tf.serving.server.opening import is_version, open_folder, open_release
from sperm_tf.serving.sources import find_release


@dataclasses.dataclass(frozen=True)
class Listed:
    """A model that a source offers.

    Attributes:
        versions: version -> opens it; takes seconds.
        labels: label -> version.
    """

    versions: Mapping[int, Callable[[], Opened]]
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Source(Protocol):
    """Says which models there are."""

    def list(self) -> dict[str, Listed]:
        """Model -> what is offered now. Raises ValueError or OSError where it cannot be read."""


class FolderSource:
    """`<serving_base>/<model>/<version>/`, or `<model>/<version>/`, where a push adds versions.

    Args:
        base: the folder.
        runtime: see `sperm_tf.serving.server.opening.open_folder`.
        warm_up: as there.
        labels: file with the labels, see `read_labels`; None for none.
    """

    def __init__(self, base: pathlib.Path, *, runtime: str, warm_up: int, labels: pathlib.Path | None = None):
        self._base, self._runtime, self._warm_up, self._labels = base, runtime, warm_up, labels

    def list(self) -> dict[str, Listed]:
        """The models whose folder holds a version.

        Raises:
            ValueError: there is none, or the file of the labels is damaged.
            OSError: the folder or the file cannot be read.
        """
        labels = read_labels(self._labels) if self._labels else {}
        own = _versions(self._base)
        folders = {self._base.resolve().name: own} if own else self._find_models()
        if not folders:
            raise ValueError(
                f"model must be a released model or a folder <serving_base>/<model>/<version>. Received: "
                f"{str(self._base)!r}, which holds no version. Push a model, or export one: "
                f'sperm_tf.load_model("smids").export("{self._base}/sperm_smids/1").'
            )
        return {
            name: Listed(
                {version: functools.partial(self._open, folder) for version, folder in versions.items()},
                labels.get(name, {}),
            )
            for name, versions in folders.items()
        }

    def _find_models(self) -> dict[str, dict[int, pathlib.Path]]:
        folders = sorted(path for path in self._base.iterdir() if path.is_dir() and not path.name.startswith("."))
        return {folder.name: versions for folder in folders if (versions := _versions(folder))}

    def _open(self, folder: pathlib.Path) -> Opened:
        return open_folder(folder, self._runtime, warm_up=self._warm_up)


class ReleaseSource:
    """A released model, which does not change.

    Args:
        release: the model.
        runtime: see `sperm_tf.serving.server.opening.open_release`.
        warm_up: as there.
    """

    def __init__(self, release: Release, *, runtime: str, warm_up: int):
        self._release, self._runtime, self._warm_up = release, runtime, warm_up

    def list(self) -> dict[str, Listed]:
        """The release, under its name without the version."""
        opens = functools.partial(open_release, self._release, self._runtime, warm_up=self._warm_up)
        return {self._release.name.partition("@")[0]: Listed({self._release.version: opens})}


def find_source(model: str, *, runtime: str, warm_up: int, labels: pathlib.Path | None) -> Source:
    """The source that `--model` names; a folder goes before a release of the same name.

    Raises:
        ValueError: there is no such folder and no such release, or labels are given for a release.
    """
    folder = pathlib.Path(model).expanduser()
    if folder.is_dir():
        return FolderSource(folder, runtime=runtime, warm_up=warm_up, labels=labels)
    release = find_release(model)
    if release is None:
        from sperm_tf.models.released import read_manifest

        raise ValueError(
            f"model must be one of the released models ({', '.join(read_manifest())}) or a folder "
            f"<serving_base>/<model>/<version>. Received: model={model!r}. Look at its spelling."
        )
    if labels is not None:
        raise ValueError(f"labels must be left out for a released model. Received: labels={str(labels)!r}.")
    return ReleaseSource(release, runtime=runtime, warm_up=warm_up)


def read_labels(file: pathlib.Path) -> dict[str, dict[str, int]]:
    """Reads which version a label stands for: `{"sperm_smids": {"stable": 1, "canary": 2}}`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if all(type(version) is int for labels in found.values() for version in labels.values()):
            return found
    except (ValueError, AttributeError):
        pass
    raise ValueError(
        f"labels must be a JSON file of model, label and version. Received: {str(file)!r}. Write it like "
        '{"sperm_smids": {"stable": 1, "canary": 2}}.'
    )


def _versions(folder: pathlib.Path) -> dict[int, pathlib.Path]:
    numbered = (path for path in folder.iterdir() if path.name.isascii() and path.name.isdecimal())
    return {int(path.name): path for path in numbered if is_version(path)}
