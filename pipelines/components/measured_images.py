"""The images whose maps are measured, as the network sees them, and what is known of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.components.source_images import SourceImage
from sperm_tf.evaluation.quantification.class_roles import is_no_sperm

if TYPE_CHECKING:
    from sperm_tf.serving.classifier import Classifier


@dataclasses.dataclass(frozen=True)
class MeasuredImages:
    """Images that can be read.

    Attributes:
        sources: where they come from; N of them.
        labels: names of their true classes.
        pixels: float32 [N, S, S, 3], RGB, 0-255.
        heads: the mask of each head, bool [S, S]; None for classes known to be of no sperm, and where no head was
            found.
    """

    sources: list[SourceImage]
    labels: list[str]
    pixels: np.ndarray
    heads: list[np.ndarray | None]

    @property
    def num_heads_not_found(self) -> int:
        """Images of sperm in which no head was found."""
        pairs = zip(self.heads, self.labels, strict=True)
        return sum(head is None and not is_no_sperm(label) for head, label in pairs)

    def name_rows(self, rows: Iterable[Mapping[str, Any]], predicted: Sequence[str]) -> pd.DataFrame:
        """Puts what is known of an image in place of its number.

        Args:
            rows: of `sperm_tf.explain.scorecard`; `row` counts these images.
            predicted: name of the class that the network predicts for each.

        Returns:
            `image_id`, `group_id`, `label`, `predicted`, and the other columns of the rows.
        """
        table = pd.DataFrame([dict(row) for row in rows])
        numbers = table.pop("row").to_numpy()
        known = pd.DataFrame(
            {
                "image_id": [source.image_id for source in self.sources],
                "group_id": [source.group_id for source in self.sources],
                "label": self.labels,
                "predicted": list(predicted),
            }
        )
        return pd.concat([known.iloc[numbers].reset_index(drop=True), table.reset_index(drop=True)], axis=1)


def prepare(sources: Sequence[SourceImage], classifier: Classifier) -> MeasuredImages:
    """Decodes images and finds the heads; an image that cannot be read is left out.

    Args:
        sources: images of the classifier's classes.
        classifier: whose input size they get.
    """
    from sperm_tf.data.preprocess import preprocess_batch
    from sperm_tf.explain.head_mask import find_head
    from sperm_tf.served_names import OK

    images, statuses = preprocess_batch([source.image for source in sources], classifier.image_size)
    is_read = statuses.numpy() == OK.encode()
    readable = [source for source, read in zip(sources, is_read, strict=True) if read]
    labels = [classifier.class_names[source.label] for source in readable]
    pixels = images.numpy()[is_read].astype(np.float32)
    heads = [None if is_no_sperm(label) else find_head(image) for image, label in zip(pixels, labels, strict=True)]
    return MeasuredImages(readable, labels, pixels, heads)
