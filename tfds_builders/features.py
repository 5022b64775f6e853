"""What the examples of every dataset look like, and the files beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from sperm_tf.data.catalog import EXCLUDED_FIELDS, NEAR_DUPLICATE_FIELDS, CatalogImage, to_csv
from sperm_tf.data.served_decoder import decode_served

EXCLUDED_FILE = "excluded.csv"
NEAR_DUPLICATES_FILE = "near_duplicates.csv"
SOURCE_FILE = "source.json"
# Beyond zlib's level 4, SMIDS takes more than twice the time for files 5 % smaller.
_PNG_LEVEL = 4


def sperm_features(class_names: Sequence[str]) -> tfds.features.FeaturesDict:
    """Features of an example, `image` as lossless RGB PNG of the original size."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(class_names)),
            "image_id": tfds.features.Text(),
            "pixel_sha256": tfds.features.Text(),
            "group_id": tfds.features.Text(),
            "width": tfds.features.Scalar(np.int32),
            "height": tfds.features.Scalar(np.int32),
            "source_format": tfds.features.Text(),
        }
    )


def encode_png(pixels: np.ndarray) -> io.BytesIO:
    """Encodes uint8 [height, width, 3] RGB pixels; TFDS stores the bytes as they are."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    buffer.seek(0)
    return buffer


class Source(Protocol):
    """Where a dataset's files lie: `sperm_tf.data.archives.ImageSource` and its like."""

    def reader(self) -> AbstractContextManager[Callable[[str], bytes]]:
        """Opens the source; yields a function from a member's path to its bytes."""


def generate_examples(source: Source, images: Sequence[CatalogImage]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and examples of a catalogue's images, for `_generate_examples` of a builder."""
    with source.reader() as read:
        for image in images:
            yield (
                image.file.image_id,
                {
                    "image": encode_png(decode_served(read(image.file.member)).pixels),
                    "label": image.label_name,
                    "image_id": image.file.image_id,
                    "pixel_sha256": image.pixel_sha256,
                    "group_id": image.group_id,
                    "width": image.width,
                    "height": image.height,
                    "source_format": image.source_format,
                },
            )


def write_side_files(
    folder: Any,
    *,
    num_source_images: int,
    num_undecodable: int = 0,
    excluded: Sequence[Mapping[str, str]] = (),
    near_duplicates: Sequence[Mapping[str, str]] = (),
    further: Mapping[str, Any] | None = None,
) -> None:
    """Writes `excluded.csv`, `near_duplicates.csv` and `source.json` beside a dataset.

    Args:
        folder: `epath.Path` of the dataset in preparation; TFDS renames it when the dataset is complete.
        num_source_images: number of files in the release's class folders.
        num_undecodable: number of them that hold no usable image.
        excluded: rows of `excluded.csv`.
        near_duplicates: rows of `near_duplicates.csv`.
        further: further entries of `source.json`.
    """
    source = {"num_source_images": num_source_images, "num_undecodable": num_undecodable, **(further or {})}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXCLUDED_FILE).write_text(to_csv(EXCLUDED_FIELDS, excluded))
    (folder / NEAR_DUPLICATES_FILE).write_text(to_csv(NEAR_DUPLICATE_FIELDS, near_duplicates))
    (folder / SOURCE_FILE).write_text(json.dumps(source, indent=2) + "\n")
