"""What the preset `smids_robust` costs on clean images and gains on corrupted ones, against `smids`.

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

import numpy as np
import pandas as pd

PRESETS = ("smids", "smids_robust")
SEVERITIES = (1, 3, 5)
SURE_SHARE = 0.65


def ask(preset: str, manual_dir: str, pipeline_root: str) -> pd.DataFrame:
    """Trains, or finds the finished fit; one row for each version of each image: what was answered, and how surely."""
    import keras
    import tensorflow as tf

    from pipelines import fits, flags, units
    from pipelines.component import RunContext
    from pipelines.components.example_gen import ExampleGen
    from pipelines.components.fit import Fit
    from pipelines.source_images import read_images
    from sperm_tf.data.decode import decode_rgb, encode_png
    from sperm_tf.data.preprocess import preprocess_batch
    from sperm_tf.evaluation.corruptions import CORRUPTIONS, corrupt, seed_of
    from sperm_tf.training.fit import predict_probabilities

    parsed = flags.parse(["", f"--preset={preset}", f"--manual_dir={manual_dir}", f"--pipeline_root={pipeline_root}"])
    config = parsed.config
    context = RunContext(pathlib.Path(config.pipeline_root).resolve())
    examples = units.transformed_examples(config, context)
    (unit, *_) = units.plan(config.trainer, ["efficientnet_b0_cbam"], [0], examples, context)
    fitted = Fit(unit.config, examples=examples).run(context)
    table = fits.read_table(examples.directory)
    partition = fits.partition_of(table, unit.config)
    asked = set(table.image_ids[np.concatenate([partition.validation, partition.calibration])])
    generated = ExampleGen(units.with_every_image(config).example_gen).run(context)
    images = [image for image in read_images(generated) if image.image_id in asked]
    model = keras.models.load_model(fitted.directory / "model.keras")
    decoded = [decode_rgb(image.image).pixels for image in images]
    parts = []
    for name, severity in [("clean", 0), *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES)]:
        versions = [
            corrupt(pixels, name, severity, seed_of(image.image_id)) if severity else pixels
            for image, pixels in zip(images, decoded, strict=True)
        ]
        prepared, _ = preprocess_batch(
            tf.constant([encode_png(version) for version in versions]), table.images.shape[1]
        )
        probabilities = predict_probabilities(model, prepared.numpy(), views=1)
        parts.append(
            pd.DataFrame(
                {
                    "corruption": name,
                    "severity": severity,
                    "group_id": [image.group_id for image in images],
                    "is_right": probabilities.argmax(axis=1) == [image.label for image in images],
                    "confidence": probabilities.max(axis=1),
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    limit = rows.loc[rows["corruption"] == "clean", "confidence"].quantile(1 - SURE_SHARE)
    return rows.assign(is_sure_and_wrong=~rows["is_right"] & (rows["confidence"] >= limit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--manual_dir", required=True, help="folder with SMIDS.zip")
    parser.add_argument("--pipeline_root", required=True, help="where the stages are kept")
    options = parser.parse_args()

    from sperm_tf.evaluation.intervals import group_bootstrap

    answers = [ask(preset, options.manual_dir, options.pipeline_root) for preset in PRESETS]
    print(
        f"{len(answers[0]) // answers[0].groupby(['corruption', 'severity']).ngroups} images; in percent, {PRESETS[0]}"
    )
    print(f"-> {PRESETS[1]}, and the difference in points with its 95 % interval (group bootstrap)")
    corrupted = [name for name in answers[0]["corruption"].unique() if name != "clean"]
    print(f"{'':20s} {'right':>32s} {'sure and wrong':>32s}")
    for title, names in (("clean", ["clean"]), ("all corruptions", corrupted), *((name, [name]) for name in corrupted)):
        cells = []
        for column in ("is_right", "is_sure_and_wrong"):
            before, after = (
                table[table["corruption"].isin(names)].groupby(["group_id"])[column].agg(["sum", "count"])
                for table in answers
            )
            shares = [part["sum"].sum() / part["count"].sum() for part in (before, after)]
            change, count = (after["sum"] - before["sum"]).to_numpy(), before["count"].to_numpy()
            low, high = group_bootstrap(
                before.index.to_numpy(),
                lambda weights, change=change, count=count: {"difference": weights @ change / (weights @ count)},
                samples=2000,
            )["difference"]
            cells.append(
                f"{100 * shares[0]:5.1f} -> {100 * shares[1]:5.1f}, {100 * (shares[1] - shares[0]):+5.1f} "
                f"[{100 * low:+.1f}, {100 * high:+.1f}]"
            )
        print(f"{title:20s} {cells[0]:>32s} {cells[1]:>32s}")


if __name__ == "__main__":
    main()
