"""What a fit of a cross-validation is: its seed, its parts, its identity, and the form of its predictions."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipelines.orchestration.artifacts import to_jsonable
from sperm_tf.config import FitConfig, TrainerConfig
from sperm_tf.data.folds import FoldError
from sperm_tf.data.image_table import ImageTable, read_examples
from sperm_tf.data.partitions import Partition, check_partition, make_partition
from sperm_tf.evaluation.cross_validation import oof, oof_file
from sperm_tf.models.released import WITHOUT_FILE, identify_weights
from sperm_tf.schemas.cross_validation import FitSummary

ANSWERS_FILE = "predictions.csv"
LEFT_OUT_OF_FINGERPRINT = {
    "version of the package": "it is raised for much that changes no fit; RECIPE_VERSION is raised where it does",
    "artifacts of the stages before": "the images count (source pixels, size, labels, groups, folds), however prepared",
    "`trainer.model.weights`, name and path": "the SHA-256 of the file counts: a copy under another name is recognised",
    "Keras backend, machine and Beam's flags": "they change last bits and take other times; the recipe is the same",
    "`trainer.view_consistency` and `trainer.frozen_stages` of 0": "they train as before there were any",
}
"""What a fit's fingerprint leaves out, and why: published predictions are recognised by it on every machine.

Every other field of `FitConfig` counts; of `trainer.model.weights`, `none`, `imagenet` and `imagenet_lite0` do as well.
`recipe_of`, `weights_identity` and `Fit.fingerprint_fields` are what does so. A field that is added to `TrainerConfig`
or `ModelConfig` is left out by `recipe_of` where it has the value that means what was done before, and entered here;
otherwise every published fit would have to be trained again.
"""
_NUM_SEEDS = 2**32  # of Keras
read_table = functools.lru_cache(maxsize=2)(read_examples)


def answer_rows(
    table: ImageTable, partition: Partition, config: FitConfig, probabilities: Mapping[str, Any]
) -> pd.DataFrame:
    """The predictions of a fit as rows of `sperm_tf.evaluation.cross_validation.oof`, sorted.

    Args:
        table: the dataset.
        partition: its parts.
        config: which fit it is.
        probabilities: name of a part -> float [N, C].
    """
    return oof.join(
        oof.make_rows(
            repeat=config.repeat,
            fold=config.fold,
            part=part,
            image_ids=table.image_ids[indices],
            group_ids=table.group_ids[indices],
            labels=table.labels[indices],
            probabilities=probabilities[part],
            class_names=table.class_names,
        )
        for part in (oof.TEST, oof.CALIBRATION)
        for indices in [getattr(partition, part)]
    )


def summarize(
    table: ImageTable,
    partition: Partition,
    config: FitConfig,
    probabilities: Mapping[str, Any],
    *,
    history: Mapping[str, list],
    best_epoch: int,
    backend: str,
) -> FitSummary:
    """What `fits.json` says about a fit."""

    def accuracy(part: str) -> float:
        right = probabilities[part].argmax(axis=1) == table.labels[getattr(partition, part)]
        return round(float(right.mean()), 6)

    return {
        "model": config.trainer.model.name,
        "repeat": config.repeat,
        "fold": config.fold,
        "weights": config.trainer.model.weights,
        "num_train": len(partition.train),
        "num_epochs": len(history["val_loss"]),
        "best_epoch": best_epoch,
        "validation_accuracy": accuracy("validation"),
        "test_accuracy": accuracy("test"),
        "seconds": round(sum(history["seconds"])),
        "backend": backend,
    }


def partition_of(table: ImageTable, config: FitConfig) -> Partition:
    """The parts of a fit, checked: no group and no identical pixels in two of them.

    Raises:
        FoldError: they would leak.
    """
    try:
        partition = make_partition(
            table.labels,
            table.group_ids,
            table.folds,
            repeat=config.repeat,
            fold=config.fold,
            inner_folds=config.inner_folds,
        )
    except FoldError as error:  # it knows classes by their numbers
        names = dict(enumerate(table.class_names))
        message = re.sub(r"of class (\d+)", lambda found: f"of class {names[int(found[1])]}", str(error))
        raise FoldError(message) from error
    check_partition(partition, groups=table.group_ids, pixel_hashes=table.pixel_hashes)
    return partition


def check_answered(table: ImageTable, partition: Partition, file: pathlib.Path) -> None:
    """Checks that a finished fit was tested and calibrated on these parts; the others are what it was trained on.

    Raises:
        FoldError: it was not: its parts were drawn in another way.
    """
    answered = oof_file.read_csv(file, complete=False)
    for part in (oof.TEST, oof.CALIBRATION):
        names = set(answered["image_id"][answered["part"] == part])
        expected = set(table.image_ids[getattr(partition, part)])
        if names != expected:
            raise FoldError(
                f"the {part} part must be that of the fit. Received: {len(expected)} images, of which {file} has "
                f"answers to {len(names & expected)}; the others may be training images. It was made with another "
                "version of scikit-learn, which draws other parts: delete that fit and train it again."
            )


def seeded(config: FitConfig) -> TrainerConfig:
    """The recipe with a seed of this fit's own."""
    seed = 1000 * config.trainer.seed + 10 * config.repeat + config.fold
    return dataclasses.replace(config.trainer, seed=seed % _NUM_SEEDS)


def recipe_of(config: FitConfig) -> dict[str, Any]:
    """The configuration as it enters the fingerprint, see `LEFT_OUT_OF_FINGERPRINT`."""
    fields = to_jsonable(config)
    if config.trainer.model.weights not in WITHOUT_FILE:
        fields["trainer"]["model"]["weights"] = "file"
    for name in ("view_consistency", "frozen_stages"):
        if not fields["trainer"][name]:
            del fields["trainer"][name]
    return fields


def weights_identity(trainer: TrainerConfig) -> str:
    """SHA-256 of the file of initial weights; empty for those that name no file."""
    weights = trainer.model.weights
    return "" if weights in WITHOUT_FILE else identify_weights(weights)


def digest_rows(rows: pd.DataFrame) -> str:
    """SHA-256 hex digest of a table, with its index left out."""
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
