"""The folder that scores go to: whose they are, which shards are finished, and the merged files.

Layout: `run.json` (what is scored by what), `inputs.parquet` (the images, one row group a shard), `shards/` while the
run goes on, `model/` (the SavedModel or the graph, where it had to be exported, its rule and card), `overlays/` where
asked for; at the end `scores.parquet`, `scores.csv`, `summary.json`, and `SHA256SUMS` with the digests of these and of
`inputs.parquet`. A file appears under its name only when it is complete; one that differs from its digest counts as
missing, and is kept as `<name>.bak`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.bulk_inference.inputs import INPUTS_FILE, RUN_FILE, Crop, CropList
from pipelines.bulk_inference.shards import ScoreFolderError, Shards
from pipelines.orchestration import locks
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.file_digests import (
    SUMS_FILE,
    SumsError,
    changed_files,
    digest_file,
    digest_files,
    read_record,
    read_sums,
    write_record,
    write_sums,
)
from sperm_tf.runtimes.registry import TENSORFLOW
from sperm_tf.whole_files import replacing, set_aside

if TYPE_CHECKING:
    import pyarrow as pa

SUMMARY_FILE = "summary.json"
REVIEWS_FOLDER = "reviews"
"""Where the review page keeps verdicts on the scores of a folder."""
SHARDS, MODEL, OVERLAYS = "shards", "model", "overlays"
_LOCK = ".lock"
# Fields of the record that settle every row; a change of any other, such as a moved folder, is none of the scores.
_IDENTITY = {
    "model_digest": "--model",
    "rule_digest": "--model (its decision rule)",
    "inputs_digest": "--input (a file was added, removed or changed, or a column)",
    "runtime": "--runtime",
    "overlays": "--overlays",
    "shard_size": "--shard_size",
    "package_version": "the version of sperm_tf",
}
_MAY_CHANGE = ("root", "saved_model")  # places, which the rest of the run needs as they are now
_INPUTS_DIGEST = "inputs_sha256"


@dataclasses.dataclass(frozen=True)
class ScoreFolder:
    """An output folder of `pipelines.score`.

    Attributes:
        path: the folder.
    """

    path: pathlib.Path
    identity: ClassVar[Mapping[str, str]] = _IDENTITY
    tables: ClassVar[tuple[str, ...]] = (scores_file.PARQUET_FILE, scores_file.CSV_FILE)

    @property
    def shards(self) -> Shards:
        """What is done while the run goes on."""
        return Shards(self.path / SHARDS)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run out; the operating system frees the lock of a run that is killed.

        Raises:
            ScoreFolderError: another run is at work.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locks.held(self.path / _LOCK):
                yield
        except locks.LockedError as error:
            raise ScoreFolderError(
                f"output must not be in use. Received: {self.path}, where {error} is at work. Wait for it."
            ) from error

    def earlier_runtime(self) -> str:
        """The runtime of the run that is there; empty where there is none. Earlier versions had TensorFlow alone."""
        return self._read_record().get("runtime", TENSORFLOW) if (self.path / RUN_FILE).is_file() else ""

    def claim(self, record: dict[str, Any], crops: CropList) -> dict[str, Any]:
        """Starts a run, or takes up the one that is there.

        Args:
            record: what is scored by what.
            crops: the images.

        Returns:
            The record of the run: the one given, or that of the run which goes on.

        Raises:
            ScoreFolderError: the folder holds something else, and is left as it is.
        """
        file = self.path / RUN_FILE
        if file.is_file():
            earlier = {"runtime": TENSORFLOW} | self._read_record()
            changed = [text for key, text in self.identity.items() if earlier.get(key) != record[key]]
            if changed:
                raise ScoreFolderError(
                    f"output must hold scores of the same model and input, or nothing. Received: {self.path}, whose "
                    f"scores differ in: {'; '.join(changed)}. Nothing there was touched. Choose another --output, or "
                    "delete that folder."
                )
            record = earlier | {key: record[key] for key in _MAY_CHANGE if key in record}
        elif others := [entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")]:
            raise ScoreFolderError(
                f"output must be new or empty, or hold a run to go on with. Received: {self.path}, which holds other "
                f"files ({others[0]}). Nothing there was touched. Choose another --output."
            )
        write_record(file, record)  # before any other file, by which nobody would know whose the folder is
        if not self.is_finished():
            self._set_changed_aside()
            self._write_inputs(crops, record["shard_size"])
            record = {**record, _INPUTS_DIGEST: digest_file(self.path / INPUTS_FILE)}
            write_record(file, record)
            self.shards.begin()
        return record

    def read_parts(self, record: dict[str, Any]) -> Iterator[pa.Table]:
        """The rows, in order: of the merged table where that is whole, else of the shards."""
        import pyarrow.parquet as pq

        if not self.has_whole_table():
            yield from map(self.shards.read, range(len(shard_sizes(record))))
            return
        with pq.ParquetFile(self.path / self.tables[0]) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def read_shard_inputs(self, number: int) -> list[Crop]:
        """The images of a shard."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path / INPUTS_FILE) as file:
            return _to_crops(file.read_row_group(number))

    def missing_shards(self, record: dict[str, Any]) -> list[int]:
        """Numbers of the shards that are not finished."""
        return [number for number in range(len(shard_sizes(record))) if not self.shards.is_whole(number)]

    def check_inputs(self, record: dict[str, Any]) -> None:
        """Checks that the list of images is the one that the run began with.

        Raises:
            ScoreFolderError: it has changed since.
        """
        if changed_files(self.path, {INPUTS_FILE: record[_INPUTS_DIGEST]}):
            raise ScoreFolderError(
                f"the list of images must stay as it is during a run. Received: {self.path / INPUTS_FILE}, which is "
                f"missing or has another SHA-256. Delete {self.path / SHARDS}, and run the same command again."
            )

    def is_finished(self) -> bool:
        """Whether tables and summary are there, as they were written."""
        return not self._changed() and all((self.path / name).is_file() for name in (*self.tables, SUMMARY_FILE))

    def has_whole_table(self) -> bool:
        """Whether the first of the merged tables is there, as it was written."""
        return self.tables[0] in self._sums() and self.tables[0] not in self._changed()

    def conclude(self, summary: Mapping[str, Any]) -> None:
        """Writes the summary and the list of digests; the tables are there."""
        with replacing(self.path / SUMMARY_FILE) as unfinished:
            unfinished.write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            digests = digest_files(self.path, [INPUTS_FILE, *self.tables]) | {SUMMARY_FILE: digest_file(unfinished)}
            write_sums(self.path / SUMS_FILE, digests)

    def finish(self) -> dict[str, Any]:
        """Removes what a finished run no longer needs; returns the content of `summary.json`."""
        shutil.rmtree(self.path / SHARDS, ignore_errors=True)
        return json.loads((self.path / SUMMARY_FILE).read_text(encoding="utf-8"))

    def _read_record(self) -> dict[str, Any]:
        file = self.path / RUN_FILE
        try:
            return read_record(file)
        except (TypeError, ValueError) as error:
            raise ScoreFolderError(
                f"output must say what is scored there. Received: {file}, which cannot be used ({error}). Nothing "
                "there was touched. Restore that file from a copy, or choose another --output."
            ) from error

    def _sums(self) -> dict[str, str]:
        """Empty in folders of earlier versions."""
        try:
            return read_sums(self.path / SUMS_FILE) or {}
        except SumsError as error:
            raise ScoreFolderError(str(error)) from error

    def _changed(self) -> list[str]:
        return changed_files(self.path, self._sums())

    def _set_changed_aside(self) -> None:
        for name in self._changed():
            if (self.path / name).exists():
                kept = set_aside(self.path / name)
                print(f"{self.path / name} is not as it was written: kept as {kept.name}.", file=sys.stderr, flush=True)

    def _write_inputs(self, crops: CropList, shard_size: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = dict(zip(Crop._fields, zip(*crops.crops, strict=True), strict=True))
        whole = {name: pa.int64() for name in ("size", "state", "offset")}
        types = {"file": pa.string(), **whole, "further": pa.list_(pa.string())}
        table = pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})
        with replacing(self.path / INPUTS_FILE) as unfinished:
            pq.write_table(table, unfinished, row_group_size=shard_size)


def _to_crops(table: pa.Table) -> list[Crop]:
    return [Crop(**{**row, "further": tuple(row["further"])}) for row in table.to_pylist()]


def shard_sizes(record: dict[str, Any]) -> list[int]:
    """Number of images in every shard."""
    whole, rest = divmod(record["num_files"], record["shard_size"])
    return [record["shard_size"]] * whole + ([rest] if rest else [])
