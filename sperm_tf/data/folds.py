"""Five folds, assigned once: deterministic, stratified by class, no group in two of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from sperm_tf.config import NUM_FOLDS

# Part of the datasets' identity: another seed makes other folds, and figures that cannot be compared.
FOLD_SEED = 0
_NUM_DEALS = 200


class FoldError(ValueError):
    """Folds that would leak, or that cannot be made."""


def assign_folds(
    labels: Sequence[str], groups: Sequence[str], *, num_folds: int = NUM_FOLDS, seed: int = FOLD_SEED
) -> np.ndarray:
    """Assigns every image to one of the folds.

    Args:
        labels: class of every image.
        groups: group of every image; a group goes into one fold as a whole.
        num_folds: number of folds.
        seed: of the order in which equal groups are dealt out.

    Returns:
        int64 [num_images], 0 to `num_folds` - 1; every fold holds every class. The same input gives the same folds;
        sort it by a stable key first.

    Raises:
        FoldError: a class has fewer groups than there are folds, or no assignment was found that has it in every fold.
    """
    groups_of_class = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    for label, num_groups in sorted(groups_of_class.items()):
        if num_groups < num_folds:
            raise FoldError(
                f"labels must hold at least {num_folds} groups of every class. "
                f"Received: {num_groups} groups of class {label}. Add images of that class that are no "
                "near duplicates, of further patients or slides where these are known, or leave the class out"
            )
    splitter = StratifiedGroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    folds = np.full(len(labels), -1, dtype=np.int64)
    for fold, (_, members) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
        folds[members] = fold
    if not _missing(labels, folds, num_folds):
        return folds
    folds = _deal_large_groups(labels, groups, num_folds=num_folds, seed=seed)
    if missing := _missing(labels, folds, num_folds):
        label, fold = missing[0]
        raise FoldError(
            f"every fold must hold images of every class. Received: none of class {label} in fold {fold}, because its "
            f"{groups_of_class[label]} groups hold other classes too. Add images of that class of further patients or "
            "slides, or leave the class out"
        )
    return folds


def halve(labels: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """Divides images into two halves by whole groups, stratified by class.

    The groups of each class, in the order of the SHA-256 of their names, go to the first and the second half in turn. A
    group of several classes counts as one of its most frequent one. A class that the first half then lacks brings the
    group with most of its images there.

    Args:
        labels: class of every image.
        groups: group of every image.

    Returns:
        bool [num_images], True for the second half; the first one holds every class.
    """
    counts: dict[str, Counter[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        counts.setdefault(group, Counter())[label] += 1
    by_class: dict[str, list[str]] = {}
    for group in sorted(counts, key=lambda name: hashlib.sha256(name.encode()).digest()):
        most_frequent = min(counts[group], key=lambda label: (-counts[group][label], label))
        by_class.setdefault(most_frequent, []).append(group)
    second = {group for members in by_class.values() for group in members[1::2]}
    for label in sorted(set(labels)):
        holders = [group for group in counts if label in counts[group]]
        if second.issuperset(holders):
            second.remove(max(holders, key=lambda group: (counts[group][label], group)))
    return np.array([group in second for group in groups], bool)


def _missing(labels: Sequence[str], folds: np.ndarray, num_folds: int) -> list[tuple[str, int]]:
    """Every class with each fold that does not hold it."""
    present = set(zip(labels, folds.tolist(), strict=True))
    return [(label, fold) for label in sorted(set(labels)) for fold in range(num_folds) if (label, fold) not in present]


def _deal_large_groups(labels: Sequence[str], groups: Sequence[str], *, num_folds: int, seed: int) -> np.ndarray:
    """Folds of groups that are few and large, such as a dozen patients with several classes each.

    `StratifiedGroupKFold` deals the most uneven groups out first and never looks whether a fold lacks a class: with 8
    patients and three classes that goes wrong in half of all cases, though nearly always there are folds without a
    gap. Here groups are dealt out in many random orders, each to the fold where it fills most gaps and leaves the
    classes most even; the best result counts.
    """
    _, class_codes = np.unique(labels, return_inverse=True)
    names, group_codes = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), class_codes.max() + 1))
    np.add.at(counts, (group_codes, class_codes), 1)
    shares = counts / counts.sum(axis=0)
    rng = np.random.default_rng(seed)
    best: tuple[tuple[int, float], np.ndarray] | None = None
    for _ in range(_NUM_DEALS):
        loads = np.zeros((num_folds, shares.shape[1]))
        fold_of = np.empty(len(names), np.int64)
        for group in rng.permutation(len(names)):
            num_filled = ((loads == 0) & (shares[group] > 0)).sum(axis=1)
            growth = ((loads + shares[group]) ** 2 - loads**2).sum(axis=1)
            fold_of[group] = np.lexsort((growth, -num_filled))[0]
            loads[fold_of[group]] += shares[group]
        quality = (int((loads == 0).sum()), float(np.abs(loads - 1 / num_folds).max()))
        if best is None or quality < best[0]:
            best = quality, fold_of
    assert best is not None
    return best[1][group_codes]


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
