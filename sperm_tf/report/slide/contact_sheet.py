"""The contact sheet: the images that a person should look at first, with where the network looked."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.probabilities import write_probability
from sperm_tf.served_names import CONFIDENT, NO_GUARANTEE, NOT_CALIBRATED, OK, UNCERTAIN, UNFAMILIAR

Read = Callable[[str], "bytes | None"]
Explain = Callable[[Sequence[bytes]], np.ndarray]
_SIDE = 160  # pixels; the longest side of a picture
_JPEG_QUALITY = 85
_AT_ONCE = 8  # images held in memory as they are
_REASONS = {
    CONFIDENT: "accepted",
    UNCERTAIN: "not sure enough",
    UNFAMILIAR: "unfamiliar",
    NO_GUARANTEE: "no guarantee",
    NOT_CALIBRATED: "not calibrated",
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """An image of the contact sheet.

    Attributes:
        file: its address.
        predicted: class that the model gave it.
        percent: probability of that class, for people.
        decision: `accept` or `refer`.
        reason: why, for people.
        replicate: its replicate; empty where there is none.
        image: JPEG.
        overlay: JPEG of the image under its map; None without a model.
    """

    file: str
    predicted: str
    percent: str
    decision: str
    reason: str
    replicate: str
    image: bytes
    overlay: bytes | None

    @property
    def image_uri(self) -> str:
        """The image for a page."""
        return _to_uri(self.image)

    @property
    def overlay_uri(self) -> str:
        """The overlay for a page; empty where there is none."""
        return _to_uri(self.overlay) if self.overlay else ""


def order_by_uncertainty(scores: Any, class_names: Sequence[str]) -> Any:
    """The readable images, those first whose answers mean least.

    Unfamiliar images (`unfamiliarity` above 1) lead, the least familiar first, since their probabilities mean little;
    then the others by the probability of the predicted class, the lowest first.

    Args:
        scores: a data frame with the columns of `sperm_tf.evaluation.quantification.scores_file`.
        class_names: in the order of the model.
    """
    readable = scores[scores[scores_file.STATUS] == OK]
    columns = [f"{scores_file.PROBABILITY_PREFIX}{name}" for name in class_names]
    unfamiliarity = readable[scores_file.UNFAMILIARITY].where(readable[scores_file.UNFAMILIARITY] > 1, 0.0)
    keys = readable.assign(_unfamiliar=-unfamiliarity, _sure=readable[columns].max(axis=1))
    return keys.sort_values(["_unfamiliar", "_sure", scores_file.FILE])


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The contact sheet of a slide.

    Attributes:
        cells: its images.
        num_left_out: images that belong among them, and cannot be read or decoded.
    """

    cells: tuple[Cell, ...]
    num_left_out: int


def draw(
    scores: Any,
    class_names: Sequence[str],
    *,
    limit: int,
    read: Read,
    explain: Explain | None,
    replicate_column: str = "",
) -> Sheet:
    """Draws the sheet of one slide; images that are no longer there, or damaged since, are left out.

    Args:
        scores: rows of the slide.
        class_names: in the order of the model.
        limit: most images to show.
        read: address -> the file's bytes; None where it cannot be read, or is no longer the file that was scored.
        explain: files -> float [N, h, w], 0-1, the maps of their predicted classes; None draws no overlays.
        replicate_column: of the scores; empty where there is none.
    """
    rows = order_by_uncertainty(scores, class_names).head(limit)
    cells: list[Cell] = []
    for start in range(0, len(rows), _AT_ONCE):
        contents = [(row, read(row[scores_file.FILE]) or b"") for _, row in rows[start : start + _AT_ONCE].iterrows()]
        found = [(row, content, pixels) for row, content in contents if (pixels := _read_small(content)) is not None]
        maps = explain([content for _, content, _ in found]) if explain and found else [None] * len(found)
        cells += [
            _draw_cell(row, pixels, heat_map, replicate_column)
            for (row, _, pixels), heat_map in zip(found, maps, strict=True)
        ]
    return Sheet(tuple(cells), len(rows) - len(cells))


def _read_small(content: bytes) -> np.ndarray | None:
    from PIL import Image

    from sperm_tf.data.decode import UndecodableImageError, decode_rgb

    try:
        picture = Image.fromarray(decode_rgb(content).pixels)
    except UndecodableImageError:
        return None
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _draw_cell(row: Any, pixels: np.ndarray, heat_map: np.ndarray | None, replicate_column: str) -> Cell:
    from sperm_tf.explain.overlay import draw_overlay

    reason = row[scores_file.REASON]
    return Cell(
        file=row[scores_file.FILE],
        predicted=row[scores_file.PREDICTED],
        percent=write_probability(float(row["_sure"])),
        decision=row[scores_file.DECISION],
        reason=_REASONS.get(reason, reason),
        replicate=str(row[replicate_column]) if replicate_column else "",
        image=_to_jpeg(pixels),
        overlay=None if heat_map is None else _to_jpeg(draw_overlay(pixels, heat_map)),
    )


def _to_jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _to_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
