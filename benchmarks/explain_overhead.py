"""Time of the signatures `explain` and `explain_classes` over that of `serving_default`.

    python -m benchmarks.explain_overhead --processor_time

A SavedModel of an untrained network answers the same PNG files through each; target: at most 3 for `explain`. With
`--views 1 8` what the test-time augmentation costs is printed, too.
"""

from __future__ import annotations

import argparse
import functools
import io
import pathlib
import tempfile
import time

import numpy as np
from PIL import Image

from benchmarks.interleave import time_interleaved
from sperm_tf.served_names import EXPLAIN, EXPLAIN_CLASSES, SERVING_DEFAULT

TARGET = 3
CLASS_NAMES = ["normal", "tapered", "pyriform", "amorphous"]


def make_files(count: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((190, 170), Image.Resampling.BICUBIC).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="efficientnet_lite0_cbam", help="name of a backbone")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--views", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--processor_time", action="store_true", help="for a machine that is busy with other work")
    options = parser.parse_args()

    import tensorflow as tf

    from sperm_tf.config import ModelConfig
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.serving.export import export_saved_model

    model = build_classifier(
        ModelConfig(name=options.model), num_classes=len(CLASS_NAMES), image_size=options.image_size
    )
    files = tf.constant(make_files(options.batch_size))
    signatures = {}
    with tempfile.TemporaryDirectory() as folder:
        for views in options.views:
            directory = pathlib.Path(folder, str(views))
            export_saved_model(model, directory, class_names=CLASS_NAMES, image_size=options.image_size, views=views)
            signatures[views] = tf.saved_model.load(str(directory)).signatures

    def ask(views: int, name: str) -> np.ndarray:
        return signatures[views][name](image_bytes=files)["probabilities"].numpy()

    names = (SERVING_DEFAULT, EXPLAIN, EXPLAIN_CLASSES)
    rivals = {(views, name): functools.partial(ask, views, name) for views in options.views for name in names}
    clock = time.process_time if options.processor_time else time.perf_counter
    seconds = time_interleaved(rivals, repeats=options.repeats, clock=clock)
    unit = "s of processor time" if options.processor_time else "s"
    for views in options.views:
        ratio, of_classes = (seconds[views, name] / seconds[views, SERVING_DEFAULT] for name in names[1:])
        rates = "  ".join(f"{name} {options.batch_size / seconds[views, name]:.1f} images/{unit}" for name in names)
        print(f"explain_overhead  views {views}  ratio {ratio:.2f} (target at most {TARGET})  {rates}")
        print(f"explain_overhead  views {views}  {EXPLAIN_CLASSES}: ratio {of_classes:.2f}")
    first, last = options.views[0], options.views[-1]
    if first != last:
        ratio = seconds[last, SERVING_DEFAULT] / seconds[first, SERVING_DEFAULT]
        print(f"explain_overhead  serving_default with {last} views over {first}: ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
