"""The contact sheet: the images that a person should look at first, with the attribution maps that scoring drew."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.evaluation.quantification.reviewed import Verdict
from sperm_tf.probabilities import write_probability
from sperm_tf.served_names import CONFIDENT, NO_GUARANTEE, NOT_CALIBRATED, OK, UNCERTAIN, UNFAMILIAR

if TYPE_CHECKING:
    from PIL import Image

Read = Callable[[str], "bytes | None"]
_SIDE = 160  # pixels; the longest side of a picture
_JPEG_QUALITY = 85
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
        reason: why, for people; after review, who named which class.
        replicate: its replicate; empty where there is none.
        image: JPEG.
        overlay: JPEG of the image under its attribution map; None where scoring drew none.
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
    """The readable images, those with the least certain predictions first.

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
    read_overlay: Read,
    replicate_column: str = "",
    verdicts: Mapping[str, Verdict] | None = None,
) -> Sheet:
    """Draws the sheet of one slide; images that are no longer there, or damaged since, are left out.

    Args:
        scores: rows of the slide.
        class_names: in the order of the model.
        limit: most images to show.
        read: address -> the file's bytes; None where it cannot be read, or is no longer the file that was scored.
        read_overlay: name in the column `overlay` -> the picture's bytes; None where it cannot be read.
        replicate_column: of the scores; empty where there is none.
        verdicts: SHA-256 of a file -> the last verdict of a person on it; None without a review.
    """
    rows = order_by_uncertainty(scores, class_names).head(limit)
    cells: list[Cell] = []
    for _, row in rows.iterrows():
        picture = _open(read(row[scores_file.FILE]))
        if picture is not None:
            overlay = _open(read_overlay(row[scores_file.OVERLAY])) if row.get(scores_file.OVERLAY) else None
            verdict = verdicts.get(row[scores_file.IMAGE_DIGEST]) if verdicts else None
            cells.append(_draw_cell(row, picture, overlay, replicate_column, verdict))
    return Sheet(tuple(cells), len(rows) - len(cells))


def _open(content: bytes | None) -> Image.Image | None:
    from PIL import Image

    from sperm_tf.data.decode import UndecodableImageError, decode_rgb

    try:
        return Image.fromarray(decode_rgb(content or b"").pixels)
    except UndecodableImageError:
        return None


def _draw_cell(
    row: Any, picture: Image.Image, overlay: Image.Image | None, replicate_column: str, verdict: Verdict | None
) -> Cell:
    reason = row[scores_file.REASON]
    words = _REASONS.get(reason, reason)
    if verdict is not None:
        words = f"{verdict.reviewer or 'reviewed'}: {verdict.label or 'cannot tell'}"
    if overlay is not None:  # the picture of scoring: the image, and beside it the same under its map
        overlay = overlay.crop((overlay.width // 2, 0, overlay.width, overlay.height))
    return Cell(
        file=row[scores_file.FILE],
        predicted=row[scores_file.PREDICTED],
        percent=write_probability(float(row["_sure"])),
        decision=row[scores_file.DECISION],
        reason=words,
        replicate=str(row[replicate_column]) if replicate_column else "",
        image=_to_jpeg(picture),
        overlay=None if overlay is None else _to_jpeg(overlay),
    )


def _to_jpeg(picture: Image.Image) -> bytes:
    from PIL import Image

    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _to_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
