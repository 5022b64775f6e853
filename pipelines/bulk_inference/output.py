"""The folder that scores go to: whose they are, which shards are finished, and the merged files.

Layout: `run.json` (what is scored by what), `inputs.parquet` (the images, one row group a shard), `shards/` while the
run goes on, `model/` (the SavedModel or the graph, where it had to be
exported, its rule and card), `overlays/` where asked for; at
the end `scores.parquet`, `scores.csv` and `summary.json`. A file appears under its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.bulk_inference.inputs import INPUTS_FILE, RUN_FILE, Crop, CropList
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.runtimes.registry import TENSORFLOW
from sperm_tf.served_names import OK
from sperm_tf.whole_files import replacing, write_text

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
_COUNTED = (scores_file.STATUS, scores_file.PREDICTED, scores_file.DECISION, scores_file.REASON)


class ScoreFolderError(ValueError):
    """A folder that scores may not go to; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class ScoreFolder:
    """An output folder of `pipelines.score`.

    Attributes:
        path: the folder.
    """

    path: pathlib.Path
    identity: ClassVar[Mapping[str, str]] = _IDENTITY

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run out; the operating system frees the lock of a run that is killed.

        Raises:
            ScoreFolderError: another run is at work.
        """
        import filelock

        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self.path / _LOCK, timeout=0):
                yield
        except filelock.Timeout as error:
            raise ScoreFolderError(
                f"output must not be in use. Received: {self.path}, where another run is at work. Wait for it."
            ) from error

    def earlier_runtime(self) -> str:
        """The runtime of the run that is there; empty where there is none. Earlier versions had TensorFlow alone."""
        file = self.path / RUN_FILE
        return json.loads(file.read_text(encoding="utf-8")).get("runtime", TENSORFLOW) if file.is_file() else ""

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
            earlier = {"runtime": TENSORFLOW} | json.loads(file.read_text(encoding="utf-8"))
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
        write_text(file, json.dumps(record, indent=2, sort_keys=True) + "\n")
        if not self.is_finished():
            self._write_inputs(crops, record["shard_size"])
            shards = self.path / SHARDS
            shards.mkdir(exist_ok=True)
            for leftover in (*shards.glob("*.progress"), *shards.glob(".unfinished.*")):
                leftover.unlink()
        return record

    def shard_path(self, number: int) -> pathlib.Path:
        """Where the scores of a shard go."""
        return self.path / SHARDS / f"{number:06d}.parquet"

    def progress_path(self, number: int) -> pathlib.Path:
        """A file that grows by a byte for every file of the shard that is scored; gone once the shard is finished."""
        return self.path / SHARDS / f"{number:06d}.progress"

    def read_shard_inputs(self, number: int) -> list[Crop]:
        """The images of a shard."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path / INPUTS_FILE) as file:
            return _to_crops(file.read_row_group(number))

    def missing_shards(self, record: dict[str, Any]) -> list[int]:
        """Numbers of the shards that are not finished."""
        return [number for number in range(len(shard_sizes(record))) if not self.has_shard(number, record)]

    def has_shard(self, number: int, record: dict[str, Any]) -> bool:
        """Whether a shard is finished."""
        size = record["shard_size"]
        return self._rows_of(number) == min(size, record["num_files"] - number * size)

    def is_finished(self) -> bool:
        """Whether the merged files are there."""
        return (self.path / SUMMARY_FILE).is_file()

    def finish(self) -> dict[str, Any]:
        """Removes what a finished run no longer needs; returns the content of `summary.json`."""
        shutil.rmtree(self.path / SHARDS, ignore_errors=True)
        return json.loads((self.path / SUMMARY_FILE).read_text(encoding="utf-8"))

    def merge(self, record: dict[str, Any], schema: pa.Schema) -> None:
        """Joins the shards, in order, one at a time, and writes the summary.

        Raises:
            ScoreFolderError: a row is lost or doubled.
        """
        import pyarrow.compute as pc
        import pyarrow.csv
        import pyarrow.parquet as pq

        counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
        parquet, csv = (self.path / name for name in (scores_file.PARQUET_FILE, scores_file.CSV_FILE))
        num_rows, num_copies, seen = 0, 0, set[bytes]()
        with replacing(parquet) as new_parquet, replacing(csv) as new_csv:
            with pq.ParquetWriter(new_parquet, schema) as rows, pyarrow.csv.CSVWriter(new_csv, schema) as lines:
                for number in range(len(shard_sizes(record))):
                    table = pq.read_table(self.shard_path(number)).cast(schema)
                    rows.write_table(table)
                    lines.write(table)
                    num_rows += table.num_rows
                    readable = table.filter(pc.equal(table[scores_file.STATUS], OK))
                    for digest in map(bytes.fromhex, readable[scores_file.IMAGE_DIGEST].to_pylist()):
                        num_copies += digest in seen
                        seen.add(digest)
                    for name, counter in counts.items():
                        counter.update(table[name].to_pylist())
            if num_rows != record["num_files"]:
                raise ScoreFolderError(
                    f"shards must hold {record['num_files']} rows. Received: {num_rows} in {self.path / SHARDS}. "
                    "Delete that folder's content and run again."
                )
        sorted_counts = {name: dict(sorted(counter.items())) for name, counter in counts.items()}
        summary = {**record, "num_copies": num_copies, "counts": sorted_counts}
        summary["counts"][scores_file.PREDICTED].pop("", None)
        write_text(self.path / SUMMARY_FILE, json.dumps(summary, indent=2, sort_keys=True) + "\n")

    def _rows_of(self, number: int) -> int | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(self.shard_path(number)).num_rows
        except (OSError, pa.ArrowException):  # missing, or damaged by a power cut
            return None

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
