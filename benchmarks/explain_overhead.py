"""Time of the signature `explain` over that of `serving_default`: python -m benchmarks.explain_overhead.

The SavedModel of an untrained efficientnet_b0_cbam answers the same PNG files through both; target: at most 1.2.
"""

from __future__ import annotations

import argparse
import io
import tempfile

import numpy as np
from PIL import Image

from benchmarks.interleave import time_interleaved

TARGET = 1.2
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
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()

    import tensorflow as tf

    from sperm_tf.config import ModelConfig
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.serving.export import export_saved_model

    model = build_classifier(ModelConfig(), num_classes=len(CLASS_NAMES), image_size=options.image_size)
    files = tf.constant(make_files(options.batch_size))
    with tempfile.TemporaryDirectory() as directory:
        export_saved_model(model, directory, class_names=CLASS_NAMES, image_size=options.image_size)
        signatures = tf.saved_model.load(directory).signatures
        seconds = time_interleaved(
            {
                name: lambda name=name: signatures[name](image_bytes=files)["probabilities"].numpy()
                for name in ("serving_default", "explain")
            },
            repeats=options.repeats,
        )
    ratio = seconds["explain"] / seconds["serving_default"]
    rates = "  ".join(f"{name} {options.batch_size / value:.1f} images/s" for name, value in seconds.items())
    print(f"explain_overhead  ratio {ratio:.3f} (target at most {TARGET})  {rates}")


if __name__ == "__main__":
    main()
