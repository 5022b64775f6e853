"""One image as the page knows it, and what the page needs of whoever predicted its class."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, Protocol

import numpy as np

from sperm_tf.data.identity import pixel_sha256
from sperm_tf.data.served_decoder import decode_served
from sperm_tf.decision.rule import DecisionRule
from sperm_tf.review import pictures
from sperm_tf.served_names import OK
from sperm_tf.serving.prediction import Prediction

CHANGED = "changed"
"""Status of an image that was scored and is gone since, or whose file has other bytes now."""
_THUMBNAIL_SIDE = 64  # pixels


@dataclasses.dataclass(frozen=True)
class CellPlace:
    """Where a cell is in its field.

    Attributes:
        field: address of the field.
        field_sha256: of its file.
        box: of the head: x0, y0, x1, y1 in pixels of the field; the latter two lie behind its last column and row.
        cell: its number in the field; 0 for a cell that a person drew.
    """

    field: str
    field_sha256: str
    box: tuple[int, int, int, int]
    cell: int = 0


@dataclasses.dataclass(frozen=True)
class Item:
    """One file and its prediction.

    Attributes:
        data: its content, of a microscope's file a PNG; empty where it could not be opened.
        prediction: of `Classifier.predict`, or of scores; its `file` is the name of the file, or its address there.
        pixel_sha256: of the decoded image; empty where the status of the prediction is not ok.
        source_format: of `sperm_tf.data.decode.FORMATS`; empty likewise.
        group: patient or slide code; may be empty.
        thumbnail: JPEG; empty likewise.
        sha256: of the file, hex digest; empty likewise.
        place: in its field; None for a crop that comes from no field.
    """

    data: bytes
    prediction: Prediction
    pixel_sha256: str = ""
    source_format: str = ""
    group: str = ""
    thumbnail: bytes = b""
    sha256: str = ""
    place: CellPlace | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether a person drew the cell: then it has no prediction."""
        return self.place is not None and not self.place.cell

    @property
    def name(self) -> str:
        """Of the file."""
        return self.prediction.file

    @property
    def is_readable(self) -> bool:
        """Whether there is a prediction."""
        return self.prediction.status == OK


class Predictor(Protocol):
    """What predicted the classes of the images: a model, or a run of `pipelines.score`.

    Attributes:
        name: of the model, for people.
        digest: SHA-256 hex digest of what determines its predictions.
        class_names: in the order of the logits.
        rule: when it refers an image; None where that is not known.
        scope: what the page shows, in a line below its title; empty for images that are dropped in.
        fields: the fields that the images are cells of, a `sperm_tf.review.fields.Fields`; None where they are of none.
    """

    name: str
    digest: str
    scope: str
    fields: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the logits."""

    @property
    def rule(self) -> DecisionRule | None:
        """When the model refers an image."""

    def explain(self, item: Item) -> np.ndarray:
        """The attribution map of the predicted class, float32 [h, w], 0-1; zeros where nothing speaks for it.

        Raises:
            ValueError: there is no map; the message says why.
            OSError: the model cannot be read.
        """


def identify(item: Item, content: bytes | None = None) -> Item:
    """Adds what the training data know an image by; the dataset builders decode like the model.

    Args:
        item: an image that is readable.
        content: of the file, where `item.data` was made from it (`sperm_tf.microscopy.to_served`).
    """
    image = decode_served(item.data)
    return dataclasses.replace(
        item,
        pixel_sha256=pixel_sha256(image.pixels),
        source_format=image.source_format,
        thumbnail=pictures.encode(image.pixels, max_side=_THUMBNAIL_SIDE, image_format="JPEG"),
        sha256=hashlib.sha256(item.data if content is None else content).hexdigest(),
    )
