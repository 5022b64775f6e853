"""What a finder finds in a field of view."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.morphometry.masks import CellMasks

CUT_BY_BORDER, TOUCHING, OUT_OF_FOCUS, NO_TAIL_SEEN = FLAGS = (
    "cut_by_border",
    "touching",
    "out_of_focus",
    "no_tail_seen",
)
"""A head that reaches the edge of the field; one that was parted from another which it touches or overlaps; one whose
outline is blurred (`sperm_tf.fields.focus`); one without a tail, where the finder looks for tails."""


@dataclasses.dataclass(frozen=True, eq=False)
class FoundHead:
    """The head of a spermatozoon in a field.

    Attributes:
        head_x0: first column of its box, in pixels of the field.
        head_y0: first row.
        head_x1: column behind its last.
        head_y1: row behind its last.
        mask: bool [head_y1 - head_y0, head_x1 - head_x0], True on the head.
        length_px: major axis of the ellipse with the mask's second moments.
        width_px: minor axis of that ellipse.
        flags: of `FLAGS`.
        parts: masks of the cell's parts, the head among them, in one window of the field; None where the finder looks
            for heads alone.
        parts_origin: x and y of the first pixel of that window.
        score: 0-1, how sure the finder is that it is a head; None where it does not say.
    """

    head_x0: int
    head_y0: int
    head_x1: int
    head_y1: int
    mask: np.ndarray
    length_px: float
    width_px: float
    flags: tuple[str, ...] = ()
    parts: CellMasks | None = None
    parts_origin: tuple[int, int] = (0, 0)
    score: float | None = None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """`head_x0`, `head_y0`, `head_x1`, `head_y1`."""
        return self.head_x0, self.head_y0, self.head_x1, self.head_y1


@dataclasses.dataclass(frozen=True, eq=False)
class FoundField:
    """The heads of a field.

    Attributes:
        heads: from top to bottom.
        head_length_px: length of a head that was looked for.
        background: red, green and blue of the empty slide, 0-255.
        coverage: 0-1, share of the field that is stained, whatever it is.
    """

    heads: tuple[FoundHead, ...]
    head_length_px: float
    background: tuple[float, float, float]
    coverage: float


def boxes_of(heads: tuple[FoundHead, ...]) -> np.ndarray:
    """Boxes of heads, float64 [N, 4]: x0, y0, x1, y1."""
    return np.array([head.box for head in heads], np.float64).reshape(-1, 4)
