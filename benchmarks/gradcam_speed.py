"""Images a second of Grad-CAM++ in the graph over those of tf-keras-vis: python -m benchmarks.gradcam_speed.

tf-keras-vis explains one class of each image of a batch with an untrained efficientnet_b0_cbam; the graph explains
every class of the same images. Target: at least 8. tf-keras-vis rebuilds the model in every call, which a large batch
spreads over more images, so the ratio falls with the batch. The maps are compared, too.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.interleave import time_interleaved

TARGET = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    import tensorflow as tf

    from sperm_tf.config import ModelConfig
    from sperm_tf.explain.activation_maps import ClassActivationMaps
    from sperm_tf.explain.reference import reference_maps
    from sperm_tf.models.classifier import build_classifier

    model = build_classifier(ModelConfig(), num_classes=4, image_size=options.image_size)
    explainer = ClassActivationMaps(model)
    explain = tf.function(lambda batch: explainer(batch).grad_cam_plus_plus, autograph=False, reduce_retracing=True)
    for size in options.batch_sizes:
        shape = (size, options.image_size, options.image_size, 3)
        images = tf.constant(np.random.default_rng(0).uniform(0, 255, shape), tf.float32)
        maps = {}

        def run_graph(images=images, maps=maps):
            maps["graph"] = explain(images).numpy()[:, 0]

        def run_reference(images=images, maps=maps, size=size):
            maps["tf-keras-vis"] = reference_maps("grad_cam_plus_plus", model, images, class_indices=[0] * size)

        seconds = time_interleaved({"graph": run_graph, "tf-keras-vis": run_reference}, repeats=options.repeats)
        ratio = seconds["tf-keras-vis"] / seconds["graph"]
        rates = "  ".join(f"{name} {size / value:.1f} images/s" for name, value in seconds.items())
        difference = np.abs(maps["graph"] - maps["tf-keras-vis"]).max()
        print(
            f"gradcam_speed  batch {size}  ratio {ratio:.1f} (target at least {TARGET})  {rates}  "
            f"largest difference {difference:.1e}"
        )


if __name__ == "__main__":
    main()
