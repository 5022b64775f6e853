"""What the examples of all three datasets look like, and the files beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from sperm_tf.data.catalog import EXCLUDED_FIELDS, NEAR_DUPLICATE_FIELDS, to_csv

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


def write_side_files(
    folder: Any,
    *,
    num_source_images: int,
    num_undecodable: int = 0,
    excluded: Sequence[Mapping[str, str]] = (),
    near_duplicates: Sequence[Mapping[str, str]] = (),
) -> None:
    """Writes `excluded.csv`, `near_duplicates.csv` and `source.json` beside a dataset.

    Args:
        folder: `epath.Path` of the dataset in preparation; TFDS renames it when the dataset is complete.
        num_source_images: number of files in the release's class folders.
        num_undecodable: number of them that hold no usable image.
        excluded: rows of `excluded.csv`.
        near_duplicates: rows of `near_duplicates.csv`.
    """
    source = {"num_source_images": num_source_images, "num_undecodable": num_undecodable}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXCLUDED_FILE).write_text(to_csv(EXCLUDED_FIELDS, excluded))
    (folder / NEAR_DUPLICATES_FILE).write_text(to_csv(NEAR_DUPLICATE_FIELDS, near_duplicates))
    (folder / SOURCE_FILE).write_text(json.dumps(source, indent=2) + "\n")
