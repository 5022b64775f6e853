"""Joins the shards of scores to one table, and counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pipelines.bulk_inference.output import ScoreFolder
from pipelines.bulk_inference.shards import ScoreFolderError
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.served_names import OK
from sperm_tf.whole_files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTED = (scores_file.STATUS, scores_file.PREDICTED, scores_file.DECISION, scores_file.REASON)


def merge(folder: ScoreFolder, record: dict[str, Any], schema: pa.Schema) -> None:
    """Writes `scores.parquet`, `scores.csv` and the summary, from the shards, in order, one at a time.

    Args:
        folder: where every shard is finished, or the merged table is whole.
        record: of the run.
        schema: of the scores.

    Raises:
        ScoreFolderError: a row is lost or doubled, or a file is not as it was written.
    """
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet as pq

    folder.check_inputs(record)
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
    parquet, csv = (folder.path / name for name in folder.tables)
    num_rows, num_copies, seen = 0, 0, set[bytes]()
    with replacing(parquet) as new_parquet, replacing(csv) as new_csv:
        with pq.ParquetWriter(new_parquet, schema) as rows, pyarrow.csv.CSVWriter(new_csv, schema) as lines:
            for part in folder.read_parts(record):
                table = part.cast(schema)
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
                f"shards must hold {record['num_files']} rows. Received: {num_rows} in {folder.path}. Delete the "
                "folder shards in it, and run again."
            )
    sorted_counts = {name: dict(sorted(counter.items())) for name, counter in counts.items()}
    sorted_counts[scores_file.PREDICTED].pop("", None)
    folder.conclude({**record, "num_copies": num_copies, "counts": sorted_counts})
