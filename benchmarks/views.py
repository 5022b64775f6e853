"""One view against the average of eight, out of fold, of the networks that a cross-validation left.

    python -m pipelines.cross_validate --preset=smids --manual_dir=<folder with SMIDS.zip> --repeats=2
    python -m benchmarks.views --preset=smids --manual_dir=<folder with SMIDS.zip>

For the test images of every fit that is in the pipeline's root: accuracy, NLL and the coverage of 90 % prediction sets
(temperature and threshold from the fit's own calibration part, for one view and for eight each), and the paired
differences, one view less eight, with 95 % intervals of the group bootstrap. An image counts once for each repeat.
Target: the lower end of the difference of accuracy above -0.5 points.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import numpy as np

from benchmarks.inner_folds import predict_views

ALPHA, SAMPLES = 0.1, 2000
MEASURES = {"accuracy, %": 100.0, "NLL": 1.0, "coverage of 90 % sets, %": 100.0}
"""What `measure` gives, in its order, and the factor that it is printed with."""


def measure(calibration: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Right, NLL and covered for each test image, float64 [N, 3], from the logits and labels of two parts."""
    import scipy.special

    from sperm_tf.config import LAC
    from sperm_tf.decision import conformal
    from sperm_tf.decision.temperature import fit_temperature

    temperature = fit_temperature(*calibration)
    held_out, found = (scipy.special.softmax(logits / temperature, axis=1) for logits, _ in (calibration, test))
    threshold = conformal.fit(held_out, calibration[1], method=LAC, alpha=ALPHA, class_conditional=False)[0]
    truth = found[np.arange(len(found)), test[1]]
    return np.stack([found.argmax(axis=1) == test[1], -np.log(truth), 1 - truth <= threshold], axis=1)


def measure_fit(unit: Any, directory: pathlib.Path, table: Any) -> np.ndarray:
    """`measure` of one view and of eight, float64 [2, N, 3], of the network of a fit on its test images."""
    import keras

    import sperm_tf.layers  # noqa: F401, the networks hold layers of ours
    from pipelines.cross_validation.fits import partition_of

    partition = partition_of(table, unit.config)
    model = keras.models.load_model(directory / "model.keras", compile=False)
    logits, labels = [], []
    for rows in (partition.calibration, partition.test):
        logits.append(predict_views(model, table.images[rows]).astype(np.float64))
        labels.append(table.labels[rows])
    views = [[part[0] for part in logits], [part.mean(axis=0) for part in logits]]
    return np.stack([measure(*zip(both, labels, strict=True)) for both in views])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--repeats", type=int, default=2)
    arguments, flags_of_run = parser.parse_known_args()
    from pipelines.cli import environment, flags

    environment.set_defaults()
    from pipelines.cross_validation import jobs
    from pipelines.cross_validation.fits import partition_of, read_table
    from pipelines.orchestration import artifacts
    from pipelines.orchestration.component import RunContext
    from sperm_tf.evaluation.metrics.intervals import group_bootstrap

    config = flags.parse(["", *flags_of_run]).config
    context = RunContext(pathlib.Path(config.pipeline_root).resolve(), ())
    examples = jobs.transformed_examples(config, context)
    table = read_table(examples.directory)
    models = [arguments.model or config.trainer.model.name]
    found, groups = [], []
    for unit in jobs.plan(config.trainer, models, range(arguments.repeats), examples, context):
        directory = unit.directory(context)
        if artifacts.find(directory) is None:
            print(f"{unit.name}: not here")
            continue
        found.append(measure_fit(unit, directory, table))
        groups.append(np.asarray(table.group_ids)[partition_of(table, unit.config).test])
        shares = 100 * found[-1][:, :, 0].mean(axis=1)
        print(f"{unit.name}: one view {shares[0]:.1f} %, eight {shares[1]:.1f} %", flush=True)
    values = np.concatenate(found, axis=1)
    differences = values[0] - values[1]
    bounds = group_bootstrap(
        np.concatenate(groups),
        lambda weights: {"difference": weights @ differences / weights.sum(axis=1, keepdims=True)},
        samples=SAMPLES,
    )["difference"]
    for index, (name, factor) in enumerate(MEASURES.items()):
        one, eight = factor * values[:, :, index].mean(axis=1)
        low, high = (factor * bound[index] for bound in bounds)
        print(
            f"{name}: one view {one:.3f}, eight {eight:.3f}, difference {one - eight:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    same = 100 * (values[0, :, 0] == values[1, :, 0]).mean()
    print(f"both right or both wrong: {same:.1f} % of {values.shape[1]} predictions")


if __name__ == "__main__":
    main()
