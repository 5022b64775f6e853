"""Joins the shards of scores to one table, and counts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.bulk_inference.output import ScoreFolder
from pipelines.bulk_inference.shards import ScoreFolderError
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.served_names import OK
from sperm_tf.whole_files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTED = (scores_file.STATUS, scores_file.PREDICTED, scores_file.DECISION, scores_file.REASON)
_GROUP_ROWS = 16_384  # at least; what Parquet keeps of every row group until the file is closed adds up


def merge(folder: ScoreFolder, record: dict[str, Any], schema: pa.Schema) -> None:
    """Writes `scores.parquet`, `scores.csv` and the summary, from the shards, in order, some at a time.

    Memory does not grow with the rows, but for eight bytes each (`benchmarks.merge_memory`).

    Args:
        folder: where every shard is finished, or the merged table is whole.
        record: of the run.
        schema: of the scores.

    Raises:
        ScoreFolderError: a row is lost or doubled, or a file is not as it was written.
    """
    import pyarrow.csv
    import pyarrow.parquet as pq

    folder.check_inputs(record)
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
    parquet, csv = (folder.path / name for name in folder.tables)
    num_rows, digests = 0, array("Q")
    with replacing(parquet) as new_parquet, replacing(csv) as new_csv:
        with pq.ParquetWriter(new_parquet, schema) as rows, pyarrow.csv.CSVWriter(new_csv, schema) as lines:
            for table in _join(folder.read_parts(record), schema):
                rows.write_table(table)
                lines.write(table)
                num_rows += table.num_rows
                digests.extend(_short_digests(table))
                for name, counter in counts.items():
                    counter.update(table[name].to_pylist())
        if num_rows != record["num_files"]:
            raise ScoreFolderError(
                f"shards must hold {record['num_files']} rows. Received: {num_rows} in {folder.path}. Delete the "
                "folder shards in it, and run again."
            )
    sorted_counts = {name: dict(sorted(counter.items())) for name, counter in counts.items()}
    sorted_counts[scores_file.PREDICTED].pop("", None)
    folder.conclude({**record, "num_copies": _count_copies(digests), "counts": sorted_counts})


def _join(parts: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows in tables of `_GROUP_ROWS` or more; the last one may have fewer."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part.cast(schema))
        if sum(table.num_rows for table in waiting) >= _GROUP_ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _short_digests(table: pa.Table) -> Iterator[int]:
    """The first 64 bits of the digest of every readable image; in a million images two have equal ones once in 10⁷."""
    import pyarrow.compute as pc

    readable = table.filter(pc.equal(table[scores_file.STATUS], OK))
    return (int(digest[:16], 16) for digest in readable[scores_file.IMAGE_DIGEST].to_pylist())


def _count_copies(digests: array[int]) -> int:
    """How many images are copies of another; sorts the digests."""
    if not digests:
        return 0
    values = np.frombuffer(digests, np.uint64)
    values.sort()
    return int((values[1:] == values[:-1]).sum())
