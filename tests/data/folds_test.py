"""Folds: every group in one of them, classes balanced, the same every time."""

from collections import Counter

import numpy as np
import pytest

from sperm_tf.data.folds import NUM_FOLDS, FoldError, assign_folds, check_folds


def example(num_images: int = 600):
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], size=num_images, p=[0.5, 0.3, 0.2]).tolist()
    groups = [f"g{group}" for group in rng.integers(0, num_images * 3 // 4, size=num_images)]
    return labels, groups


def test_no_group_in_two_folds():
    labels, groups = example()
    folds = assign_folds(labels, groups)
    assert set(folds.tolist()) == set(range(NUM_FOLDS))
    assert all(len({fold for fold, other in zip(folds, groups, strict=True) if other == g}) == 1 for g in set(groups))


def test_stratified():
    labels, groups = example()
    counts = Counter(zip(labels, assign_folds(labels, groups).tolist(), strict=True))
    for label, total in Counter(labels).items():
        assert all(abs(counts[label, fold] - total / NUM_FOLDS) <= 2 for fold in range(NUM_FOLDS))


def test_deterministic():
    labels, groups = example()
    np.testing.assert_array_equal(assign_folds(labels, groups), assign_folds(labels, groups))


def test_too_few_groups_of_a_class():
    labels, groups = ["a"] * 10 + ["b"] * 5, [f"g{i}" for i in range(10)] + ["x", "x", "y", "z", "w"]
    with pytest.raises(FoldError, match="Received: 4 groups of class b"):
        assign_folds(labels, groups)


def test_check_accepts_sound_folds():
    labels, groups = example()
    check_folds(assign_folds(labels, groups), groups=groups, pixel_hashes=groups)


@pytest.mark.parametrize(
    ("groups", "pixel_hashes", "name"),
    [("xxy", "abc", "groups"), ("xyz", "aba", "pixel_hashes")],
    ids=["group", "hash"],
)
def test_check_finds_a_leak(groups, pixel_hashes, name):
    with pytest.raises(FoldError, match=f"{name} must each stand in one fold. Received: '[xa]' in folds 0 and [12]"):
        check_folds([0, 1, 2], groups=list(groups), pixel_hashes=list(pixel_hashes))
