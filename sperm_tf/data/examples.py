"""The `tf.train.Example` files that the stages hand to each other.

Layout of a folder of examples: `Split-<split>/data_tfrecord-00000-of-00003`, uncompressed TFRecord. Features of one
example: `image` (encoded bytes), `label` (int64), `label_name`, `image_id`, `pixel_sha256`, `group_id`,
`source_format` (bytes), `width`, `height` (of the source image, pixels), `fold` (int64).
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SPLITS = ("train", "validation", "calibration", "test")
BYTES_FEATURES = ("image", "label_name", "image_id", "pixel_sha256", "group_id", "source_format")
INT_FEATURES = ("label", "width", "height", "fold")
DATASET_FILE = "dataset.json"


def shard_path(folder: str | os.PathLike[str], split: str, index: int, count: int) -> pathlib.Path:
    """Path of one TFRecord file of a split."""
    return pathlib.Path(folder) / f"Split-{split}" / f"data_tfrecord-{index:05d}-of-{count:05d}"


def shard_paths(folder: str | os.PathLike[str], split: str) -> list[pathlib.Path]:
    """All TFRecord files of a split, in order.

    Raises:
        ValueError: when there is none, or not all that the file names announce.
    """
    paths = sorted((pathlib.Path(folder) / f"Split-{split}").glob("data_tfrecord-?????-of-?????"))
    announced = int(paths[0].name[-5:]) if paths else 0
    if not paths or len(paths) != announced:
        raise ValueError(
            f"folder must hold the TFRecord files of split {split!r}. Received: folder={folder} with {len(paths)} of "
            f"{announced or 'at least 1'} files. Run ExampleGen again, or name the folder of an Examples artifact."
        )
    return paths


def read_dataset_info(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """`dataset.json` of a folder of examples: name, version, class names, licence, citation."""
    return json.loads((pathlib.Path(folder) / DATASET_FILE).read_text(encoding="utf-8"))


def to_example(features: Mapping[str, bytes | int]) -> Any:
    """A `tf.train.Example` with all of the features above."""
    import tensorflow as tf

    fields = {name: tf.train.Feature(bytes_list={"value": [features[name]]}) for name in BYTES_FEATURES}
    fields |= {name: tf.train.Feature(int64_list={"value": [features[name]]}) for name in INT_FEATURES}
    return tf.train.Example(features=tf.train.Features(feature=fields))


def from_example(serialized: bytes) -> dict[str, bytes | int]:
    """The features of one serialized `tf.train.Example`; a missing one is left out."""
    import tensorflow as tf

    feature = tf.train.Example.FromString(serialized).features.feature
    values: dict[str, bytes | int] = {}
    for name in BYTES_FEATURES:
        if feature[name].bytes_list.value:
            values[name] = feature[name].bytes_list.value[0]
    for name in INT_FEATURES:
        if feature[name].int64_list.value:
            values[name] = feature[name].int64_list.value[0]
    return values


def write_shard(path: pathlib.Path, serialized: Iterable[bytes]) -> int:
    """Writes serialized examples to one TFRecord file, under its final name only when complete.

    A worker that is killed or retried therefore never leaves a short file under that name.

    Returns:
        The number of examples written.
    """
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for record in serialized:
            writer.write(record)
            count += 1
    temporary.rename(path)
    return count


def read_serialized(paths: Sequence[pathlib.Path]) -> Any:
    """A `tf.data.Dataset` of the serialized examples of TFRecord files, in order."""
    import tensorflow as tf

    return tf.data.TFRecordDataset([str(path) for path in paths])


def count(folder: str | os.PathLike[str], split: str) -> int:
    """Number of examples of a split."""
    return sum(1 for _ in read_serialized(shard_paths(folder, split)).as_numpy_iterator())


def parse(serialized: Any) -> dict[str, Any]:
    """Parses a serialized example (scalar string tensor) to scalar tensors of the features above."""
    import tensorflow as tf

    spec: dict[str, Any] = {name: tf.io.FixedLenFeature([], tf.string) for name in BYTES_FEATURES}
    spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in INT_FEATURES}
    return tf.io.parse_single_example(serialized, spec)
