"""The fields of view that reviewed cells are in: what the page needs of them, and cells that a person draws there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from sperm_tf.data.decode import encode_png
from sperm_tf.evaluation.fields.matching import match_boxes
from sperm_tf.fields.crops import cut_crop
from sperm_tf.fields.found import FoundHead
from sperm_tf.fields.pixels import ArrayPixels
from sperm_tf.review import records
from sperm_tf.review.items import CHANGED, CellPlace, Item, identify
from sperm_tf.review.records import Review
from sperm_tf.served_names import OK, REFER
from sperm_tf.serving.prediction import Prediction

DRAWN = "drawn"
"""Reason of a drawn cell: no model has seen it."""
MIN_BOX_PX = 4
_LENGTH_TO_WIDTH = 1.5  # median of normal heads: WHO laboratory manual, 5th edition (2010), section 2.15.1
_SIDE_SHARE = 0.85  # of a square box around a head of any direction, by the head's length


@dataclasses.dataclass(frozen=True)
class FoundBox:
    """A head that was found in a field.

    Attributes:
        cell: its number in the field.
        box: x0, y0, x1, y1 in pixels of the field; the latter two lie behind its last column and row.
        is_cut: whether the border cuts it, so that it has no class.
        sha256: of its crop; empty where it is cut.
    """

    cell: int
    box: tuple[int, int, int, int]
    is_cut: bool
    sha256: str


class Fields(Protocol):
    """The fields of a run.

    Attributes:
        names: their addresses, those that could be read, in the order of the run.
        head_length_px: median length of a head in pixels.
        crop_per_head: side of a crop by the length of its head.
    """

    names: Sequence[str]
    head_length_px: float
    crop_per_head: float

    def digest(self, field: str) -> str:
        """SHA-256 of a field's file."""

    def group(self, field: str) -> str:
        """Patient or slide code of a field; may be empty."""

    def list_found(self, field: str) -> Sequence[FoundBox]:
        """The heads that were found in a field."""

    def read(self, field: str) -> np.ndarray:
        """The field, uint8 [H, W, 3].

        Raises:
            ValueError: it is gone, or has changed since; the message says what to do.
        """

    def open_cell(self, field: str, cell: int) -> Item:
        """A cell that was found, with its prediction.

        Raises:
            ValueError: it has none, since the border cuts it.
        """


def cut_cell(fields: Fields, field: str, box: Sequence[float]) -> Item:
    """A cell that a person drew, as an item without a prediction; its crop is cut as those of found cells are.

    An ellipse with the axes L and W has a box whose sides are related by w² + h² = L² + W², whatever its direction: so
    the head's length follows from the box.

    Args:
        fields: of the run.
        field: address of the field.
        box: x0, y0, x1, y1 in pixels of the field, in any order; a box of no size stands for a head around that point.

    Raises:
        ValueError: the box lies outside of the field or is too small, or the field cannot be read.
    """
    pixels = fields.read(field)
    x0, y0, x1, y1 = _find_box(box, fields.head_length_px, pixels.shape[:2])
    length_px = math.hypot(x1 - x0, y1 - y0) / math.hypot(1, 1 / _LENGTH_TO_WIDTH)
    head = FoundHead(x0, y0, x1, y1, np.ones((y1 - y0, x1 - x0), bool), length_px, length_px / _LENGTH_TO_WIDTH)
    prediction = Prediction(f"{field}, drawn at {x0}, {y0}", OK, decision=REFER, reason=DRAWN)
    place = CellPlace(field, fields.digest(field), (x0, y0, x1, y1))
    crop = cut_crop(ArrayPixels(pixels), head, per_head=fields.crop_per_head)
    return identify(Item(encode_png(crop.pixels), prediction, group=fields.group(field), place=place))


def find_same(fields: Fields, item: Item) -> FoundBox | None:
    """The cell that was found where a person drew one: boxes match at an IoU of 0.5; None where there is none.

    Args:
        fields: of the run.
        item: that `cut_cell` returned.
    """
    assert item.place is not None
    whole = [found for found in fields.list_found(item.place.field) if not found.is_cut]
    boxes = np.array([found.box for found in whole], np.float64).reshape(-1, 4)
    pairs = match_boxes(np.array([item.place.box], np.float64), boxes)
    return whole[pairs[0][1]] if pairs else None


def restore_drawn(fields: Fields, reviews: Iterable[Review], read_image: Callable[[Review], bytes]) -> Iterator[Item]:
    """Cells that a person drew in these fields before, and that nobody took out since.

    Args:
        fields: of the run.
        reviews: last reviews of images.
        read_image: the kept copy of a reviewed image.
    """
    for review in reviews:
        box = records.read_box(review.box)
        is_here = review.field in fields.names and fields.digest(review.field) == review.field_sha256
        if review.verdict != records.ADD or len(box) != 4 or not is_here:
            continue
        try:
            content = read_image(review)
        except OSError:
            yield Item(b"", Prediction(review.file, CHANGED))
            continue
        prediction = Prediction(review.file, OK, decision=REFER, reason=DRAWN)
        place = CellPlace(review.field, review.field_sha256, box)
        yield identify(Item(content, prediction, group=review.group, place=place))


def _find_box(box: Sequence[float], head_length_px: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    (x0, x1), (y0, y1) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    if x0 == x1 and y0 == y1:  # a click
        half = _SIDE_SHARE * head_length_px / 2
        x0, x1, y0, y1 = x0 - half, x1 + half, y0 - half, y1 + half
    height, width = shape
    found = max(0, round(x0)), max(0, round(y0)), min(width, round(x1)), min(height, round(y1))
    if found[2] - found[0] < MIN_BOX_PX or found[3] - found[1] < MIN_BOX_PX:
        raise ValueError(
            f"box must be around a head inside the field, {MIN_BOX_PX} pixels or more wide and high. Received: "
            f"{list(map(round, box))}. Draw it again."
        )
    return found
