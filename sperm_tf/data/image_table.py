"""A whole preprocessed dataset in memory: for cross-validation, and to carry to a machine without TensorFlow."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from typing import Any

import numpy as np
from PIL import Image

from sperm_tf.data import examples


@dataclasses.dataclass(frozen=True)
class ImageTable:
    """N images, ordered by `image_ids`.

    Attributes:
        class_names: C names, by label.
        images: uint8 [N, S, S, 3], RGB, 0-255.
        labels: int64 [N].
        image_ids: str [N].
        group_ids: str [N]; images of one group are near duplicates, or of one patient.
        pixel_hashes: str [N], SHA-256 of the source image's pixels.
        folds: int64 [N], fold 0-4 that the dataset assigned.
    """

    class_names: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    group_ids: np.ndarray
    pixel_hashes: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def identity(self) -> str:
        """SHA-256 hex digest of which images these are and how they are labelled, grouped and folded.

        It knows the images by their source pixels and their size: the resized pixels may differ in a rounding from one
        processor to another.
        """
        digest = hashlib.sha256(repr((self.class_names, self.images.shape[1:])).encode())
        for row in zip(self.image_ids, self.pixel_hashes, self.group_ids, self.labels, self.folds, strict=True):
            digest.update("\0".join(map(str, row)).encode() + b"\n")
        return digest.hexdigest()


def read_examples(folder: str | os.PathLike[str]) -> ImageTable:
    """Reads every split of a Transform artifact.

    Raises:
        ValueError: the folder does not hold one.
    """
    import tensorflow as tf

    rows = [
        examples.from_example(serialized)
        for split in examples.SPLITS
        for serialized in examples.read_serialized(examples.shard_paths(folder, split)).as_numpy_iterator()
    ]
    rows.sort(key=lambda row: row["image_id"])

    def strings(name: str) -> np.ndarray:
        return np.array([bytes(row[name]).decode() for row in rows])

    def integers(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], np.int64)

    return ImageTable(
        class_names=tuple(examples.read_dataset_info(folder)["class_names"]),
        images=np.stack([tf.io.decode_png(row["image"], channels=3).numpy() for row in rows]),
        labels=integers("label"),
        image_ids=strings("image_id"),
        group_ids=strings("group_id"),
        pixel_hashes=strings("pixel_sha256"),
        folds=integers("fold"),
    )


def write_npz(table: ImageTable, path: str | os.PathLike[str]) -> None:
    """Writes the table as one `.npz` file without pickled objects, the images as lossless WebP."""
    encoded = [_encode(image) for image in table.images]
    fields: dict[str, Any] = {name: np.asarray(value) for name, value in vars(table).items() if name != "images"}
    fields["image_bytes"] = np.frombuffer(b"".join(encoded), np.uint8)
    fields["image_sizes"] = np.array([len(image) for image in encoded], np.int64)
    np.savez(path, **fields)


def read_npz(path: str | os.PathLike[str]) -> ImageTable:
    """Reads what `write_npz` wrote; needs NumPy and Pillow alone."""
    with np.load(path, allow_pickle=False) as arrays:
        fields = {name: arrays[name] for name in arrays.files}
    ends = np.cumsum(fields.pop("image_sizes"))
    encoded = np.split(fields.pop("image_bytes"), ends[:-1])
    images = np.stack([np.asarray(Image.open(io.BytesIO(image.tobytes())).convert("RGB")) for image in encoded])
    return ImageTable(**{**fields, "images": images, "class_names": tuple(map(str, fields["class_names"]))})


def _encode(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", lossless=True, quality=50)
    return file.getvalue()
