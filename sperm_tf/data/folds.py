"""Five folds, assigned once: deterministic, stratified by class, no group in two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from sperm_tf.config import NUM_FOLDS

# Part of the datasets' identity: another seed makes other folds, and figures that cannot be compared.
FOLD_SEED = 0


class FoldError(ValueError):
    """Folds that would leak, or that cannot be made."""


def assign_folds(labels: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """Assigns every image to one of five folds.

    Args:
        labels: class of every image.
        groups: group of every image; a group goes into one fold as a whole.

    Returns:
        int64 [num_images], 0-4. The same input gives the same folds; sort it by a stable key first.

    Raises:
        FoldError: a class has fewer groups than there are folds.
    """
    groups_of_class = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    for label, num_groups in sorted(groups_of_class.items()):
        if num_groups < NUM_FOLDS:
            raise FoldError(
                f"labels must hold at least {NUM_FOLDS} groups of every class. "
                f"Received: {num_groups} groups of class {label}. Add images of that class"
            )
    splitter = StratifiedGroupKFold(n_splits=NUM_FOLDS, shuffle=True, random_state=FOLD_SEED)
    folds = np.full(len(labels), -1, dtype=np.int64)
    for fold, (_, members) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
        folds[members] = fold
    return folds


def check_folds(folds: Sequence[int], *, groups: Sequence[str], pixel_hashes: Sequence[str]) -> None:
    """Checks that no group and no image stands in two folds.

    Args:
        folds: fold of every image.
        groups: group of every image.
        pixel_hashes: `pixel_sha256` of every image.

    Raises:
        FoldError: names the first group or pixel hash that stands in two folds.
    """
    for name, keys in (("groups", groups), ("pixel_hashes", pixel_hashes)):
        fold_of: dict[str, int] = {}
        for key, fold in zip(keys, folds, strict=True):
            if fold_of.setdefault(key, fold) != fold:
                raise FoldError(
                    f"{name} must each stand in one fold. Received: {key!r} in folds {fold_of[key]} and {fold}. "
                    "Assign folds with sperm_tf.data.folds.assign_folds"
                )
