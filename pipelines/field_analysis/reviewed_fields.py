"""A finished run of `pipelines.fields` for the review page: its cells with their predictions, each in its field."""

from __future__ import annotations

import pathlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import CropReader
from pipelines.bulk_inference.scored_images import ScoredRun, find_group_column
from pipelines.field_analysis import columns
from pipelines.field_analysis.field_reader import FieldImage, open_field
from sperm_tf.data.decode import MAX_PIXELS
from sperm_tf.evaluation.fields.matching import match_boxes
from sperm_tf.evaluation.quantification import cells_file, scores_file
from sperm_tf.fields.classical import ClassicalFinder
from sperm_tf.fields.crops import CROP_PER_HEAD
from sperm_tf.fields.found import boxes_of
from sperm_tf.fields.head_shapes import ANY_SHAPE
from sperm_tf.fields.outlines import trace_outline
from sperm_tf.report.text import plural
from sperm_tf.review.fields import FoundBox
from sperm_tf.review.items import CellPlace, Item
from sperm_tf.served_names import OK

_MAX_KEPT = 4  # fields in memory


class FieldRun(ScoredRun):
    """A finished run of `pipelines.fields`; a `sperm_tf.review.items.Predictor` whose images are cells of fields.

    Args:
        folder: with the scores, inside that of the run.
        images: folder that the addresses of the fields start from; empty for the one of then.
        shows_all: show accepted cells, too.

    Raises:
        ValueError: as `ScoredRun`, or the folder is of no run of `pipelines.fields`.
    """

    def __init__(self, folder: pathlib.Path, *, images: str = "", shows_all: bool = False):
        scores = scores_file.read(folder)
        found = cells_file.find(scores)
        if found is None:
            raise ValueError(
                f"folder must be one that python -m pipelines.fields wrote. Received: {str(folder)!r}. Name its output."
            )
        super().__init__(scores.path.parent, images=str(found.folder), shows_all=shows_all)
        self.found = found
        self.fields = RunFields(self, images)
        # The scores are in a folder of the run, which has the same name in every run.
        where = f"{plural(len(self.fields.names), 'field')}, folder {found.folder.resolve().name}"
        self.scope = f"{self._shown} scored cells in {where}"

    def find_place(self, row: Mapping[Any, Any]) -> CellPlace:
        """Where the cell of a row is in its field."""
        x0, y0, x1, y1 = (int(row[name]) for name in cells_file.BOX)
        field = row[cells_file.FIELD]
        return CellPlace(field, self.fields.digest(field), (x0, y0, x1, y1), int(row[cells_file.CELL]))


class RunFields:
    """The fields of a run; a `sperm_tf.review.fields.Fields`.

    Args:
        run: whose they are.
        images: folder that their addresses start from; empty for the one of then.
    """

    def __init__(self, run: FieldRun, images: str):
        self._run, found = run, run.found
        self._root = pathlib.Path(images or found.root).expanduser()
        table = found.fields[found.fields[columns.STATUS].isin((OK, columns.NO_HEADS))]
        self._rows = {row[scores_file.FILE]: row for row in table.to_dict("records")}
        self.names = tuple(self._rows)
        self.head_length_px = float(np.median(found.cells[columns.SIZES[0]])) if len(found.cells) else 0.0
        self.crop_per_head = found.crop_per_head or CROP_PER_HEAD
        self._found: dict[str, list[FoundBox]] = {}
        for row in found.cells.to_dict("records"):
            self._found.setdefault(row[cells_file.FIELD], []).append(_to_box(row))
        self._pixels: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def digest(self, field: str) -> str:
        """SHA-256 of a field's file."""
        return self._rows[field][scores_file.IMAGE_DIGEST]

    def group(self, field: str) -> str:
        """Patient or slide code of a field; may be empty."""
        column = find_group_column([str(name) for name in self._rows[field]])
        return str(self._rows[field][column]) if column else ""

    def list_found(self, field: str) -> list[FoundBox]:
        """The heads that were found in a field."""
        return self._found.get(field, [])

    def read(self, field: str) -> np.ndarray:
        """The field, uint8 [H, W, 3]; the last ones stay in memory.

        Raises:
            ValueError: it is gone, or has changed since.
        """
        with self._lock:
            if field not in self._pixels:
                reader = CropReader(self._root)
                try:
                    with open_field(reader, Crop(field)) as image:
                        self._pixels[field] = self._read_whole(field, image)
                finally:
                    reader.close()
            self._pixels.move_to_end(field)
            while len(self._pixels) > _MAX_KEPT:
                self._pixels.popitem(last=False)
            return self._pixels[field]

    def _read_whole(self, field: str, image: FieldImage) -> np.ndarray:
        if image.pixels is None or image.sha256 != self.digest(field):
            raise ValueError(
                f"{field} is no longer in {self._root} as it was when its cells were found. Name the folder of "
                "the fields with --images."
            )
        height, width = image.pixels.shape
        if height * width > MAX_PIXELS:
            raise ValueError(
                f"a field must have at most {MAX_PIXELS:,} pixels to be shown here. Received: {field}, "
                f"{width}x{height}. Review its cells as crops; its overlay is in {self._run.found.folder}."
            )
        return image.pixels.read_region(0, 0, height, width)

    def find_outline(self, field: str, box: tuple[int, ...]) -> np.ndarray | None:
        """The outline of the region of stain in a box that a person drew, whatever its form.

        Args:
            field: address.
            box: x0, y0, x1, y1 in pixels of the field.

        Returns:
            As `trace_outline`; None where no region fits the box at an IoU of 0.5, or the field is gone.
        """
        try:
            pixels = self.read(field)
        except (ValueError, OSError):
            return None
        if not self.head_length_px:
            return None
        heads = ClassicalFinder().prepare(pixels, head_length_px=self.head_length_px)(ANY_SHAPE).heads
        pairs = match_boxes(np.array([box], np.float64), boxes_of(heads))
        return trace_outline(heads[pairs[0][1]]) if pairs else None

    def open_cell(self, field: str, cell: int) -> Item:
        """A cell that was found, with its prediction.

        Raises:
            ValueError: the border cuts it, so that it has none.
        """
        table = self._run.scores.table
        rows = table[(table[cells_file.FIELD] == field) & (table[cells_file.CELL] == str(cell))].to_dict("records")
        if not rows:
            raise ValueError(f"cell {cell} of {field} is cut by the border, and has no class to review.")
        reader = CropReader(self._run.found.folder)
        try:
            return self._run.read_row(rows[0], reader)
        finally:
            reader.close()


def _to_box(row: Mapping[Any, Any]) -> FoundBox:
    x0, y0, x1, y1 = (int(row[name]) for name in cells_file.BOX)
    digest = row.get(scores_file.IMAGE_DIGEST) or ""
    return FoundBox(int(row[cells_file.CELL]), (x0, y0, x1, y1), not row[scores_file.FILE], digest)
