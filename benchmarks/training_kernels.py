"""What the fused kernels gain in training on a CPU: python -m benchmarks.training_kernels.

The same training step of efficientnet_b0_cbam with Keras' own kernels and with those of `sperm_tf.kernels`, in turns,
so that a busy machine slows both. Target: at least 1.3 times the images a second.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time

TARGET = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()

    import keras
    import numpy as np

    from sperm_tf import kernels
    from sperm_tf.config import ModelConfig
    from sperm_tf.models.classifier import build_classifier

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (options.batch_size, options.image_size, options.image_size, 3)).astype("float32")
    labels = np.eye(4, dtype="float32")[np.arange(options.batch_size) % 4]
    steps = {}
    for name in ("keras", "fused"):
        model = build_classifier(ModelConfig(), num_classes=4, image_size=options.image_size)
        with kernels.fused(model) if name == "fused" else contextlib.nullcontext():
            model.compile("adamw", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
            model.train_on_batch(images, labels)  # traces with the kernels in place
        steps[name] = model
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.steps):
        for name, model in steps.items():
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            times[name].append(time.perf_counter() - start)
    rates = {name: options.batch_size / statistics.median(values) for name, values in times.items()}
    for name, rate in rates.items():
        print(f"{name:<6} {rate:6.1f} images/s")
    print(f"fused / keras: {rates['fused'] / rates['keras']:.2f} (target {TARGET})")


if __name__ == "__main__":
    main()
