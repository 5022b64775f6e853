"""Transform: every image goes once through the one preprocessing function."""

from __future__ import annotations

import csv
import json
import pathlib
import shutil
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import apache_beam as beam

from pipelines.orchestration import progress
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import TransformConfig
from sperm_tf.data import examples


class Transform(Component):
    """Preprocesses the images to square PNGs of the network's input size.

    It takes the ExampleValidator as an input so that no image is transformed before the examples have passed.

    Layout: that of ExampleGen, `image` holding the preprocessed image, and `transform.json` (`image_size`).
    The unit of work is a file: images stream through, so memory does not grow with the dataset.
    """

    config: TransformConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Transforms every file of every split."""
        folder = inputs["examples"].directory
        skipped = undecodable_images(inputs["validation"].directory)
        files = [
            (str(path), str(output / path.relative_to(folder)), skipped, self.config.image_size)
            for split in examples.SPLITS
            for path in examples.shard_paths(folder, split)
        ]
        progress.expect(sum(inputs["examples"].properties.get("num_examples", {}).values()), "images")
        with context.beam_pipeline() as pipeline:
            _ = pipeline | beam.Create(files) | beam.Reshuffle() | "TransformFiles" >> beam.MapTuple(transform_file)
        shutil.copyfile(folder / examples.DATASET_FILE, output / examples.DATASET_FILE)
        (output / "transform.json").write_text(
            json.dumps({"image_size": self.config.image_size}) + "\n", encoding="utf-8"
        )
        return {"image_size": self.config.image_size}


def undecodable_images(validation: pathlib.Path) -> frozenset[str]:
    """Ids of the images that ExampleValidator found undecodable, yet few enough to go on without them."""
    with (validation / "undecodable.csv").open(encoding="utf-8", newline="") as file:
        return frozenset(row["image_id"] for row in csv.DictReader(file))


def transform_file(source: str, target: str, skipped: Collection[str], image_size: int) -> int:
    """Transforms one TFRecord file of examples into another.

    Args:
        source: path of the file to read.
        target: path of the file to write; it appears only when complete.
        skipped: ids of images to leave out.
        image_size: side of the square output images, pixels.

    Returns:
        The number of examples written.

    Raises:
        StageError: when an image cannot be preprocessed; the message names it.
    """
    import tensorflow as tf

    from sperm_tf.data.preprocess import preprocess

    def transform(serialized: Any) -> tuple[Any, Any]:
        image = examples.parse(serialized)["image"]
        return serialized, tf.io.encode_png(preprocess(image, image_size))

    def is_wanted(serialized: Any) -> Any:
        return tf.reduce_all(examples.parse(serialized)["image_id"] != tf.constant(sorted(skipped), tf.string))

    def records() -> Iterator[bytes]:
        dataset = examples.read_serialized([pathlib.Path(source)]).filter(is_wanted)
        count = 0
        try:
            transformed = dataset.map(transform, num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)
            for serialized, png in transformed.as_numpy_iterator():
                values = examples.from_example(serialized)
                yield examples.to_example({**values, "image": png}).SerializeToString(deterministic=True)
                count += 1
                progress.advance()
        except tf.errors.InvalidArgumentError as error:
            culprit = examples.from_example(next(dataset.skip(count).take(1).as_numpy_iterator()))
            raise StageError(
                f"every image must be decodable. Received: {culprit['image_id']!r} in {source} ({error.message}). "
                f"Remove or replace that image in the source data, and run again."
            ) from error

    return examples.write_shard(pathlib.Path(target), records())
