"""The folder that the cells of fields go to.

Layout: `run.json`, `inputs.parquet` and `shards/` as in `pipelines.bulk_inference.output`; `scale.json`; `crops/` and
`crops.csv`, what is classified; `scores/`, a folder of `pipelines.score`; at the end `cells.parquet`, `cells.csv`,
`cells.xlsx`, `fields.parquet`, `fields.csv`, `cells.geojson`, `geojson/`, `cells.coco.json`, `rois/`, `overlays/`,
`summary.json` and `SHA256SUMS`, with the digests of the tables.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.bulk_inference.output import ScoreFolder, shard_sizes
from pipelines.bulk_inference.shards import ScoreFolderError
from sperm_tf.evaluation.quantification import cells_file
from sperm_tf.evaluation.quantification.scores_file import FIELD_SCORES
from sperm_tf.file_digests import read_record, write_record

if TYPE_CHECKING:
    import pyarrow as pa

SCALE_FILE, CROPS, CROPS_TABLE, ROIS, GEOJSON = "scale.json", "crops", "crops.csv", "rois", "geojson"
SCORES = FIELD_SCORES


@dataclasses.dataclass(frozen=True)
class FieldFolder(ScoreFolder):
    """An output folder of `pipelines.fields`."""

    identity: ClassVar = {
        "inputs_digest": "--input (a file was added, removed or changed, or a column)",
        "model": "--model",
        "overlays": "--overlays",
        "finder": "--finder",
        "stated_pixel_size_um": "--pixel_size_um",
        "crop_per_head": "--crop_per_head",
        "shard_size": "--shard_size",
        "package_version": "the version of sperm_tf",
    }

    tables: ClassVar = tuple(
        f"{name}.{suffix}" for name in (cells_file.CELLS, cells_file.FIELDS) for suffix in ("parquet", "csv")
    )

    def read_scale(self) -> dict[str, Any] | None:
        """The scale that an earlier run found; None where there is none.

        Raises:
            ScoreFolderError: it is not as it was written.
        """
        file = self.path / SCALE_FILE
        try:
            return read_record(file) if file.is_file() else None
        except (TypeError, ValueError) as error:
            raise ScoreFolderError(
                f"the scale must be as it was measured. Received: {file}, which cannot be used ({error}). Delete it "
                f"and {self.shards.folder}, and run the same command again: it is measured anew."
            ) from error

    def write_scale(self, scale: dict[str, Any]) -> None:
        """Keeps the scale, so that a run which goes on has the same."""
        write_record(self.path / SCALE_FILE, scale)

    def read_found(self, record: dict[str, Any]) -> pa.Table:
        """A row a field, in order, with its cells nested; see `columns.shard_schema`."""
        import pyarrow as pa

        return pa.concat_tables([self.shards.read(number) for number in range(len(shard_sizes(record)))])
