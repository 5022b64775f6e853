"""What the preset `smids_robust` costs on clean images and gains on corrupted ones, against `smids_b0`.

    python -m benchmarks.robust_training --manual_dir=<folder with SMIDS.zip> --pipeline_root=<folder>

Trains `efficientnet_b0_cbam` by both recipes on the training part of fold 0 (finished fits under the pipeline root are
reused), and asks both about the images of that fold that neither learnt from and that are not tested on: its validation
and calibration parts. So the choice between the recipes needs no test image. One view of each image, severities 1, 3
and 5; the means of a corruption are over these. *Sure and wrong* is the share of all images whose answer is wrong and
more probable than what the network gives the surest 65 % of the clean images: errors that would be accepted.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import numpy as np
import pandas as pd

PRESETS = ("smids_b0", "smids_robust")
SEVERITIES = (1, 3, 5)
SURE_SHARE = 0.65


def train(preset: str, manual_dir: str, pipeline_root: str) -> tuple[Any, list[Any]]:
    """The network of fold 0, and the images (`SourceImage`) that it neither learnt from nor is tested on."""
    import sperm_tf
    from pipelines.cli import flags
    from pipelines.components.example_gen import ExampleGen
    from pipelines.components.source_images import read_images
    from pipelines.cross_validation import fits, jobs
    from pipelines.cross_validation.fit import Fit
    from pipelines.orchestration.component import RunContext

    arguments = ["", f"--preset={preset}", f"--manual_dir={manual_dir}", f"--pipeline_root={pipeline_root}"]
    config = flags.parse(arguments).config
    context = RunContext(pathlib.Path(config.pipeline_root).resolve())
    examples = jobs.transformed_examples(config, context)
    unit = jobs.plan(config.trainer, ["efficientnet_b0_cbam"], [0], examples, context)[0]
    fitted = Fit(unit.config, examples=examples).run(context)
    table = fits.read_table(examples.directory)
    partition = fits.partition_of(table, unit.config)
    asked = set(table.image_ids[np.concatenate([partition.validation, partition.calibration])])
    generated = ExampleGen(jobs.with_every_image(config).example_gen).run(context)
    images = [image for image in read_images(generated) if image.image_id in asked]
    model = sperm_tf.load_model(fitted.directory / "model.keras", class_names=table.class_names).keras_model
    return model, images


def corrupt_all(images: list[Any], image_size: int) -> dict[tuple[str, int], np.ndarray]:
    """Corruption and severity (`clean`, 0 for the originals) -> preprocessed images, uint8 [N, S, S, 3], 0-255."""
    import tensorflow as tf

    from sperm_tf.data.decode import decode_rgb, encode_png
    from sperm_tf.data.preprocess import preprocess_batch
    from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS, corrupt, seed_of

    versions = {("clean", 0): [image.image for image in images]}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            versions[name, severity] = [
                encode_png(corrupt(decode_rgb(image.image).pixels, name, severity, seed_of(image.image_id)))
                for image in images
            ]
    return {key: preprocess_batch(tf.constant(files), image_size)[0].numpy() for key, files in versions.items()}


def ask(model: Any, versions: dict[tuple[str, int], np.ndarray], labels: list[int], groups: list[str]) -> pd.DataFrame:
    """A row for each version of each image: `corruption`, `group_id`, `is_right`, `is_sure_and_wrong`."""
    from sperm_tf.training.fit import predict_probabilities

    parts = []
    for (corruption, _), pixels in versions.items():
        probabilities = predict_probabilities(model, pixels, views=1)
        is_right, confidence = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
        if corruption == "clean":  # it comes first
            limit = np.quantile(confidence, 1 - SURE_SHARE)
        fields = {"corruption": corruption, "group_id": groups, "is_right": is_right}
        parts.append(pd.DataFrame({**fields, "is_sure_and_wrong": ~is_right & (confidence >= limit)}))
    return pd.concat(parts, ignore_index=True)


def describe_change(before: pd.DataFrame, after: pd.DataFrame, column: str) -> str:
    """`70.7 -> 76.7,  +6.1 [+4.3, +7.7]`: percents, and the difference in points with its interval."""
    from sperm_tf.evaluation.metrics.intervals import group_bootstrap

    counts = before.groupby("group_id")[column].count()
    change = after.groupby("group_id")[column].sum() - before.groupby("group_id")[column].sum()
    low, high = group_bootstrap(
        counts.index.to_numpy(),
        lambda weights: {"difference": weights @ change.to_numpy() / (weights @ counts.to_numpy())},
        samples=2000,
    )["difference"]
    shares = [100 * table[column].mean() for table in (before, after)]
    difference = f"{shares[1] - shares[0]:+5.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{shares[0]:5.1f} -> {shares[1]:5.1f}, {difference}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--manual_dir", required=True, help="folder with SMIDS.zip")
    parser.add_argument("--pipeline_root", required=True, help="where the stages are kept")
    options = parser.parse_args()

    models, (images, _) = zip(*(train(preset, **vars(options)) for preset in PRESETS), strict=True)
    versions = corrupt_all(images, models[0].input_shape[1])
    labels, groups = [image.label for image in images], [image.group_id for image in images]
    before, after = (ask(model, versions, labels, groups) for model in models)
    print(
        f"{len(images)} images; percent with {PRESETS[0]} -> with {PRESETS[1]}, and the difference in points with its"
    )
    print("95 % interval (group bootstrap)")
    print(f"{'':20s} {'right':>32s} {'sure and wrong':>32s}")
    every = before["corruption"].unique()
    for title, names in (("clean", every[:1]), ("all corruptions", every[1:]), *((name, [name]) for name in every[1:])):
        tables = [table[table["corruption"].isin(names)] for table in (before, after)]
        cells = [describe_change(*tables, column) for column in ("is_right", "is_sure_and_wrong")]
        print(f"{title:20s} {cells[0]:>32s} {cells[1]:>32s}")


if __name__ == "__main__":
    main()
