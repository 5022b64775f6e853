"""Training recipes of EfficientNet-Lite0 with CBAM, compared on inner folds of the training images of fold 0.

    python -m pipelines.cross_validate --preset=smids --manual_dir=<folder with SMIDS.zip> --plan_dir=<plan>
    python -m benchmarks.inner_folds --images=<plan>/images.npz full_epochs=12 batch_size=16 view_consistency=4

The images of fold 0, which are tested on, are left out; the others are divided into five inner folds by whole groups,
and the network is trained on four of them for each one named by `--inner`. Arguments are fields of
`sperm_tf.config.TrainerConfig` over the preset's recipe. Another image size comes with `--config.transform.image_size`
of the first command. Accuracy and NLL (uncalibrated) of one view and of the average of eight, and how often their
classes agree. `TF_ENABLE_ONEDNN_OPTS=1` trains faster on AMD processors, where TensorFlow leaves it off.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import pathlib
import tempfile
from typing import Any

import numpy as np

INNER_FOLDS, INNER_SEED = 5, 1234
ROWS = 16


def predict_views(model: Any, images: np.ndarray) -> np.ndarray:
    """Logits of the eight views, float32 [8, N, C]."""
    import keras

    from sperm_tf.models.views import make_views

    parts = []
    for start in range(0, len(images), ROWS):
        batch = images[start : start + ROWS].astype(np.float32)
        logits = model(make_views(keras.ops.convert_to_tensor(batch), 8), training=False)
        parts.append(keras.ops.convert_to_numpy(logits).reshape(8, len(batch), -1))
    return np.concatenate(parts, axis=1)


def describe(logits: np.ndarray, labels: np.ndarray) -> str:
    import scipy.special

    likelihood = scipy.special.log_softmax(logits.astype(np.float64), axis=1)
    accuracy = (logits.argmax(axis=1) == labels).mean()
    return f"accuracy {100 * accuracy:.2f} %, NLL {-likelihood[np.arange(len(labels)), labels].mean():.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="FIELD=VALUE")
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--preset", default="smids")
    parser.add_argument("--model", default="efficientnet_lite0_cbam")
    parser.add_argument("--weights", default="imagenet_lite0")
    parser.add_argument("--inner", type=int, nargs="+", default=[0], choices=range(INNER_FOLDS))
    parser.add_argument("--save", type=pathlib.Path, help="folder for the models and the logits of all views")
    arguments = parser.parse_args()
    import keras

    from pipelines.cli import flags
    from sperm_tf.data import image_table
    from sperm_tf.data.folds import assign_folds
    from sperm_tf.training.fit import train_on_arrays

    table = image_table.read_npz(arguments.images)
    others = np.flatnonzero(table.folds != 0)
    labels, groups = table.labels[others], list(table.group_ids[others])
    inner = assign_folds([str(label) for label in labels], groups, num_folds=INNER_FOLDS, seed=INNER_SEED)
    recipe = flags.parse(["", f"--preset={arguments.preset}"]).config.trainer
    model_config = dataclasses.replace(recipe.model, name=arguments.model, weights=arguments.weights)
    settings = {name: ast.literal_eval(value) for name, _, value in (one.partition("=") for one in arguments.settings)}
    for fold in arguments.inner:
        config = dataclasses.replace(recipe, model=model_config, deterministic=False, seed=fold, **settings)
        train, validation = (
            (table.images[rows], table.labels[rows]) for rows in (others[inner != fold], others[inner == fold])
        )
        with tempfile.TemporaryDirectory() as work:
            result = train_on_arrays(
                train, validation, num_classes=len(table.class_names), config=config, work_dir=work
            )
        logits = predict_views(result.model, validation[0])
        average = logits.mean(axis=0)
        agreement = (logits[0].argmax(axis=1) == average.argmax(axis=1)).mean()
        print(f"inner fold {fold}, {len(validation[1])} images")
        print(f"one view: {describe(logits[0], validation[1])}")
        print(f"eight views: {describe(average, validation[1])}; agree on {100 * agreement:.1f} %", flush=True)
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            result.model.save(arguments.save / f"{fold}.keras")
            np.savez(arguments.save / f"{fold}.npz", logits=logits, labels=validation[1], ids=others[inner == fold])
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
