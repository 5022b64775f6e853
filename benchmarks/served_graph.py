"""What folding BatchNormalization saves in the served graph, and what chunks of rows cost.

    python -m benchmarks.served_graph
    TF_ENABLE_ONEDNN_OPTS=1 python -m benchmarks.served_graph

Processor time of `serving_default` for each image, of an untrained network: as it is exported, with BatchNormalization
as layers of its own, and with all rows at once, in turn. The preprocessing is part of all three.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import pathlib
import tempfile
import time
from unittest import mock

import tensorflow as tf

from benchmarks.explain_overhead import CLASS_NAMES, make_files
from benchmarks.interleave import time_interleaved
from sperm_tf.config import ModelConfig
from sperm_tf.models.classifier import build_classifier
from sperm_tf.served_names import SERVING_DEFAULT
from sperm_tf.serving.export import export_saved_model

SIGNATURES = "sperm_tf.serving.signatures"
VARIANTS = {
    "as exported": {},
    "BatchNormalization not folded": {"fold_batch_norm": lambda model: model},
    "all rows at once": {"IMAGES_AT_ONCE": 10**6},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientnet_lite0_cbam", help="name of a backbone")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    model = build_classifier(
        ModelConfig(name=options.model), num_classes=len(CLASS_NAMES), image_size=options.image_size
    )
    loaded = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in VARIANTS.items():
            with mock.patch.multiple(SIGNATURES, **changes) if changes else contextlib.nullcontext():
                directory = pathlib.Path(folder, name)
                export_saved_model(model, directory, class_names=CLASS_NAMES, image_size=options.image_size)
            loaded[name] = tf.saved_model.load(str(directory))

    def ask(name: str, files: tf.Tensor) -> object:
        return loaded[name].signatures[SERVING_DEFAULT](image_bytes=files)["probabilities"].numpy()

    for size in options.batch_sizes:
        files = tf.constant(make_files(size))
        rivals = {name: functools.partial(ask, name, files) for name in VARIANTS}
        seconds = time_interleaved(rivals, repeats=options.repeats, clock=time.process_time)
        for name, value in seconds.items():
            ratio = value / seconds["as exported"]
            print(f"batch {size:<3} {name:<32} {1000 * value / size:.2f} ms an image, {ratio:.2f} times", flush=True)


if __name__ == "__main__":
    main()
