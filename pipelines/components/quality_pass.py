"""Measures the quality of every image of a split in one Beam pass, and hands the bins to a second one.

What was measured stays in JSON files between the two passes, so neither holds it in memory but for the figures that
the edges of the bins are found from.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from sperm_tf.data import examples


def measure_quality(pipeline: beam.Pipeline, shards: Sequence[pathlib.Path], folder: pathlib.Path) -> list[Any]:
    """Runs the first pass.

    Args:
        pipeline: empty Beam pipeline; it is run here.
        shards: TFRecord files of the split.
        folder: receives one JSON line an image, for `read_bins`; what lies there is removed.

    Returns:
        What `sperm_tf.evaluation.tfma.quality_slices.measure` returned for every image, in no particular order.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    with pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create([str(path) for path in shards])
            | "Spread" >> beam.Reshuffle()
            | "Measure" >> beam.FlatMap(_measure_shard)
            | "WriteQuality" >> beam.io.WriteToText(str(folder / "part"))
        )
    parts = sorted(folder.glob("part*"))
    return [json.loads(line)["measured"] for part in parts for line in part.read_text(encoding="utf-8").splitlines()]


def read_bins(folder: pathlib.Path, edges: Any) -> beam.PTransform:
    """The second pass: from a pipeline to pairs of `image_id` and quality metric -> bin.

    Args:
        folder: that `measure_quality` wrote to.
        edges: from `sperm_tf.evaluation.tfma.quality_slices.find_edges`.
    """
    return beam.io.ReadFromText(str(folder / "part*")) | beam.Map(_bin_line, edges)


def _measure_shard(path: str) -> Iterator[str]:
    """One JSON line an image."""
    from sperm_tf.evaluation.tfma import quality_slices

    for serialized in examples.read_serialized([pathlib.Path(path)]):
        row = examples.from_example(serialized.numpy())
        image_id, image = bytes(row["image_id"]).decode(), bytes(row.get("image", b""))
        yield json.dumps({"image_id": image_id, "measured": quality_slices.measure(image)})


def _bin_line(line: str, edges: Any) -> tuple[str, dict[str, str]]:
    from sperm_tf.evaluation.tfma import quality_slices

    row = json.loads(line)
    return row["image_id"], quality_slices.bin_image(row["measured"], edges)
