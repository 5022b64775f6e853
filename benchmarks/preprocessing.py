"""Preprocessing of crops in the served graph and without TensorFlow, against a plain decode and resize.

    python -m benchmarks.preprocessing --archive=<SMIDS.zip>

Processor time for each crop, in batches of 8, the three in turn. Target: at most 1.5 times the plain one.
"""

import argparse
import io
import pathlib
import time
import zipfile

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.interleave import time_interleaved
from sperm_tf.data.array_preprocess import preprocess_files
from sperm_tf.data.preprocess import preprocess_batch

BATCH, SIZE = 8, 160


def decode_and_resize(contents):
    pictures = (Image.open(io.BytesIO(content)).convert("RGB") for content in contents)
    return np.stack([np.asarray(picture.resize((SIZE, SIZE), Image.BILINEAR)) for picture in pictures])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=pathlib.Path, required=True)
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.archive) as file:
        names = [name for name in sorted(file.namelist()) if name.lower().endswith((".bmp", ".png"))]
        contents = [file.read(name) for name in names[:: len(names) // BATCH][:BATCH]]
    encoded = tf.constant(contents)
    rivals = {
        "plain decode and resize": lambda: decode_and_resize(contents),
        "without TensorFlow": lambda: preprocess_files(contents, SIZE),
        "served graph": lambda: preprocess_batch(encoded, SIZE),
    }
    seconds = time_interleaved(rivals, repeats=arguments.repeats, clock=time.process_time)
    for name, value in seconds.items():
        ratio = value / seconds["plain decode and resize"]
        print(f"{name:<24} {1000 * value / BATCH:.2f} ms per crop, {ratio:.2f} times the plain one")


if __name__ == "__main__":
    main()
