"""Puts a packed model into the folder of the releases; whenever it is killed, no release is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Iterator

from pipelines.orchestration import locks
from sperm_tf.models import released
from sperm_tf.whole_files import move_into_place, write_text

Describe = Callable[[released.Release], str]
"""From a release to the text of its model card."""
_UNFINISHED, _LOCK = ".unfinished", ".release.lock"


@contextlib.contextmanager
def prepared(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Keeps other runs out of the folder of the releases.

    Args:
        folder: of the releases; made if absent.

    Yields:
        An empty folder in it for what is to be published, which is removed afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / _LOCK, waiting=lambda other: f"the release waits for {other} that writes to {folder}"):
        unfinished = folder / _UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir()
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def publish(
    packed: released.Release, folder: pathlib.Path, *, new_version: bool, describe: Describe, cards_dir: pathlib.Path
) -> released.Release:
    """Replaces the release of a name.

    An earlier one that is to be kept is in the manifest as `<name>@<version>` before any of its files is replaced, and
    the manifest that names the new one is written last. The same call after a kill at any moment has the result of one
    that was not killed.

    Args:
        packed: with its files in the folder that `prepared` yields.
        folder: of the releases.
        new_version: whether the earlier release is kept; one of the same weights and decision rule is replaced.
        describe: writes a model card.
        cards_dir: where the model cards go, too.

    Returns:
        The release.

    Raises:
        WeightsError: the earlier release is to be kept, and a file of it is missing or damaged.
    """
    releases = released.read_manifest(folder) if (folder / released.MANIFEST).is_file() else {}
    before = releases.get(packed.name)
    if before is not None and new_version and not _is_same(before, packed) and _kept_name(before) not in releases:
        kept = _keep(before, packed.folder)
        write_card(kept, describe(kept), cards_dir)
        releases[kept.name] = kept
        released.write_manifest(releases, folder)
    version = 1 if before is None else before.version + int(_kept_name(before) in releases)
    release = dataclasses.replace(packed, folder=folder, version=version)
    card = describe(release)
    move_into_place(packed.path, release.path)
    _replace_folder(packed.folder / release.name if release.rule else None, folder / release.name)
    write_card(release, card, cards_dir)
    released.write_manifest({**releases, release.name: release}, folder)
    return release


def write_card(release: released.Release, card: str, cards_dir: pathlib.Path) -> pathlib.Path:
    """Writes a model card beside the weights and for readers; returns where these find it."""
    cards_dir.mkdir(parents=True, exist_ok=True)
    for path in (release.card_path, cards_dir / release.card_path.name):
        write_text(path, card)
    return cards_dir / release.card_path.name


def _kept_name(release: released.Release) -> str:
    return f"{release.name}@{release.version}"


def _is_same(release: released.Release, other: released.Release) -> bool:
    return (release.sha256, release.rule) == (other.sha256, other.rule)


def _keep(release: released.Release, unfinished: pathlib.Path) -> released.Release:
    """Copies the files of a release to `<name>@<version>`, so that another can take its name."""
    name = _kept_name(release)
    kept = dataclasses.replace(release, name=name, file=f"{name}{released.RELEASE_SUFFIX}")
    shutil.copyfile(release.verify(), unfinished / kept.file)
    move_into_place(unfinished / kept.file, kept.path)
    release.verify_graph()
    if release.rule:
        shutil.copytree(release.verify_rule(), unfinished / name)
        _replace_folder(unfinished / name, release.folder / name)
    return kept


def _replace_folder(source: pathlib.Path | None, target: pathlib.Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if source is not None:
        move_into_place(source, target)
