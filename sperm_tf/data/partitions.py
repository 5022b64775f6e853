"""Which images train, choose, calibrate and test in one fit of a cross-validation.

Every part is stratified by class, and no group stands in two of them: near duplicates on both sides of a split are
what makes published accuracies too good.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from sperm_tf.config import NUM_FOLDS
from sperm_tf.data.folds import FoldError, assign_folds, check_folds

PARTS = ("train", "validation", "calibration", "test")
MIN_INNER_FOLDS = 10
"""Images that are not tested on are divided into at least so many parts: no more than a fifth is set aside."""


@dataclasses.dataclass(frozen=True)
class Partition:
    """Indices of the images of every part, int64, ascending.

    Attributes:
        train: what the weights are fitted to.
        validation: what the training is watched by; the recipe may choose the epoch by it.
        calibration: kept aside for whatever is fitted to the finished model's probabilities.
        test: what is reported, and nothing else.
    """

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray
    test: np.ndarray


def digest_parts(parts: Mapping[str, Sequence[int]]) -> str:
    """SHA-256 hex digest of the indices of every part, by name."""
    listed = {name: [int(index) for index in parts[name]] for name in PARTS}
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def make_partition(
    labels: np.ndarray, groups: np.ndarray, folds: np.ndarray, *, repeat: int, fold: int, inner_folds: int
) -> Partition:
    """Splits a dataset for one fit.

    Repeat 0 tests on the dataset's own folds (`fold_0` ... `fold_4` of its TFDS builder); every further repeat draws
    five others. What is not tested on is split again into `inner_folds` parts, or into `MIN_INNER_FOLDS` and more where
    a class has fewer than two groups for each: the first is the validation part, the second the calibration part, the
    others train.

    Args:
        labels: class of every image, int [N].
        groups: group of every image; a group is never divided.
        folds: fold of every image, 0-4, as the dataset has it.
        repeat: number of the repeat, from 0.
        fold: the fold to test on, 0-4.
        inner_folds: highest number of parts of the remaining images, at least 3.

    Returns:
        The parts; together they hold every image once. Equal arguments give equal parts.

    Raises:
        FoldError: a group stands in two of `folds`, or a class has too few groups to be in every part.
    """
    folds = folds if repeat == 0 else assign_folds(labels.tolist(), groups.tolist(), seed=repeat)
    outer = np.flatnonzero(folds != fold)
    fewest = min(len(np.unique(groups[outer][labels[outer] == label])) for label in np.unique(labels))
    num_parts = min(inner_folds, max(MIN_INNER_FOLDS, fewest // 2))
    try:
        inner = assign_folds(
            labels[outer].tolist(), groups[outer].tolist(), num_folds=num_parts, seed=NUM_FOLDS * repeat + fold
        )
    except FoldError as error:
        raise FoldError(
            f"Outside test fold {fold} of repeat {repeat} the images are parted again, to train, to validate and to "
            f"calibrate: {error}"
        ) from error
    partition = Partition(
        train=outer[inner > 1],
        validation=outer[inner == 0],
        calibration=outer[inner == 1],
        test=np.flatnonzero(folds == fold),
    )
    check_partition(partition, groups=groups, pixel_hashes=groups)
    return partition


def check_partition(partition: Partition, *, groups: np.ndarray, pixel_hashes: np.ndarray) -> None:
    """Checks that the parts are disjoint in images, groups and pixels, and hold every image.

    Args:
        partition: the parts.
        groups: group of every image.
        pixel_hashes: `pixel_sha256` of every image.

    Raises:
        FoldError: names the first group or hash that stands in two parts.
    """
    members = [getattr(partition, name) for name in PARTS]
    indices = np.concatenate(members)
    if sorted(indices.tolist()) != list(range(len(groups))):
        raise FoldError(
            f"partition must hold each of {len(groups)} images once. Received: {len(indices)} indices, "
            f"{len(np.unique(indices))} different ones. Make it with sperm_tf.data.partitions.make_partition"
        )
    part_of = np.empty(len(groups), np.int64)
    for number, part in enumerate(members):
        part_of[part] = number
    check_folds(part_of.tolist(), groups=np.asarray(groups).tolist(), pixel_hashes=np.asarray(pixel_hashes).tolist())
