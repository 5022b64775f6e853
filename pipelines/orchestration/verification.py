"""Compares what lies in a pipeline root, and what is served, with the digests that were recorded when it was made."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

from pipelines.orchestration.artifacts import ARTIFACT_FILE, Artifact
from sperm_tf.evaluation.tfma.baseline import PUSH_FILE, PUSHED_SUMS, read_push
from sperm_tf.file_digests import SUMS_FILE, SumsError, changed_files, read_sums

DATASETS = "datasets"
"""Folder of a pipeline root with the datasets as TFDS prepared them."""
FIELDS = "fields"
"""Folder of a pipeline root with the cells that were found in drawn fields."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """A file that is not as it was written, with what to do about it."""

    path: pathlib.Path
    problem: str
    remedy: str


@dataclasses.dataclass
class Report:
    """What was compared.

    Attributes:
        differences: what differs, in the order of the folders.
        num_files: files that were compared.
        unchecked: folders without digests of single files, which an earlier version wrote.
    """

    differences: list[Difference] = dataclasses.field(default_factory=list)
    num_files: int = 0
    unchecked: list[pathlib.Path] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """The result in a line or two."""
        found = f"{len(self.differences):,} differ" if self.differences else "all are as they were written"
        line = f"{self.num_files:,} files were compared with their SHA-256: {found}."
        if not self.unchecked:
            return line
        earlier = f"{len(self.unchecked)} folders of an earlier version have no digest of each file"
        return f"{line}\n{earlier}, such as {self.unchecked[0]}."


def verify(root: pathlib.Path, serving: pathlib.Path) -> Report:
    """Compares every file that has a digest.

    Args:
        root: the pipeline root.
        serving: `serving_base`, with a folder for each model.

    Raises:
        ValueError: there is no such root, or nothing in it.
        OSError: a file cannot be read.
    """
    report = Report()
    num_folders = 0
    for folder in _artifact_folders(root):
        num_folders += 1
        _verify_artifact(folder, report)
    for folder in sorted(path.parent for path in (root / DATASETS).glob("*/**/dataset_info.json")):
        num_folders += 1
        remedy = f"Move {folder} away; the next run that needs the dataset prepares it anew."
        _verify_sums(folder, folder / SUMS_FILE, remedy, report)
    for folder in sorted(path.parent for path in (root / FIELDS).rglob(SUMS_FILE)):
        num_folders += 1
        remedy = f"Move {root / FIELDS} away and run again: the fields are analysed anew."
        _verify_sums(folder, folder / SUMS_FILE, remedy, report)
    for folder in sorted(path for path in serving.glob("*/*") if path.name.isdecimal() and path.is_dir()):
        num_folders += 1
        _verify_pushed(folder, report)
    if not num_folders:
        raise ValueError(
            f"pipeline_root must hold the results of a run. Received: {root}, which holds none. Name the folder of a "
            "run with --pipeline_root."
        )
    return report


def _artifact_folders(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders of finished stages: `<root>/<Stage>/<id>`, not those of work in progress, nor what was put aside."""
    for folder in sorted(root.glob("*/*/")):
        is_stage = folder.parent.name[:1].isupper() and len(folder.name) == 16
        if is_stage and all(letter in "0123456789abcdef" for letter in folder.name):
            yield folder


def _verify_artifact(folder: pathlib.Path, report: Report) -> None:
    remedy = f"Move {folder} away and run again: the stage is made anew."
    try:
        artifact = Artifact.read(folder)
    except ValueError as error:
        report.differences.append(Difference(folder / ARTIFACT_FILE, str(error), remedy))
        return
    report.num_files += len(artifact.files)
    if not artifact.sha256 and artifact.files:
        report.unchecked.append(folder)
    for name in artifact.changed_files():
        report.differences.append(Difference(folder / name, f"missing, or not as {artifact.producer} wrote it", remedy))


def _verify_pushed(folder: pathlib.Path, report: Report) -> None:
    remedy = f"Run the pipeline again: where it is the newest version, its model is pushed anew. Then remove {folder}."
    try:
        read_push(folder)
    except FileNotFoundError:
        if not (folder / PUSHED_SUMS).is_file():
            return  # of another program
        report.differences.append(Difference(folder / PUSH_FILE, "missing", remedy))
    except ValueError as error:
        report.differences.append(Difference(folder / PUSH_FILE, str(error), remedy))
    _verify_sums(folder, folder / PUSHED_SUMS, remedy, report)


def _verify_sums(folder: pathlib.Path, sums_file: pathlib.Path, remedy: str, report: Report) -> None:
    try:
        sums = read_sums(sums_file)
    except SumsError as error:
        report.differences.append(Difference(sums_file, str(error), remedy))
        return
    if sums is None:
        report.unchecked.append(folder)
        return
    report.num_files += len(sums)
    for name in changed_files(folder, sums):
        report.differences.append(Difference(folder / name, "missing, or not as it was written", remedy))
