"""Folds: every group in one of them, classes balanced, the same every time."""

from collections import Counter

import numpy as np
import pytest
from scipy import optimize
from sklearn.model_selection import StratifiedGroupKFold

from sperm_tf.data.folds import NUM_FOLDS, FoldError, assign_folds, check_folds, halve


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


@pytest.mark.parametrize("num_patients", [6, 8, 12])
def test_few_patients_with_several_classes_each(num_patients):
    """An exact solver says which cases have folds with every class; all of those are found."""
    rng = np.random.default_rng(num_patients)
    num_solvable = num_hard = 0
    for _ in range(30):
        images = [
            (label, f"P{patient}")
            for label in "abc"
            for patient in rng.choice(num_patients, rng.integers(5, num_patients + 1), replace=False)
            for _ in range(int(np.exp(rng.normal(2, 1))) + 1)
        ]
        labels, patients = map(list, zip(*images, strict=True))
        if not has_complete_folds(labels, patients):
            with pytest.raises(FoldError, match="none of class"):
                assign_folds(labels, patients)
            continue
        folds = assign_folds(labels, patients)
        check_folds(folds, groups=patients, pixel_hashes=patients)
        assert set(zip(labels, folds.tolist(), strict=True)) == {(c, f) for c in "abc" for f in range(NUM_FOLDS)}
        num_solvable += 1
        dealt = StratifiedGroupKFold(NUM_FOLDS, shuffle=True, random_state=0).split(labels, labels, patients)
        num_hard += any(len({labels[index] for index in members}) < 3 for _, members in dealt)
    assert num_solvable > 20
    assert num_hard > 3, "the cases do not need more than scikit-learn's folds"


def has_complete_folds(labels, groups):
    """Whether any assignment of groups to folds gives every fold every class: an integer program."""
    names = sorted(set(groups))
    pairs = set(zip(labels, groups, strict=True))
    once = np.kron(np.eye(len(names)), np.ones(NUM_FOLDS))
    holds = np.array([[(label, name) in pairs for name in names] for label in sorted(set(labels))], float)
    every = np.kron(holds, np.eye(NUM_FOLDS))
    limits = [optimize.LinearConstraint(once, 1, 1), optimize.LinearConstraint(every, 1, np.inf)]
    size = len(names) * NUM_FOLDS
    return optimize.milp(np.zeros(size), constraints=limits, integrality=np.ones(size), bounds=(0, 1)).status == 0


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


def test_halves_are_stratified_and_keep_groups_whole():
    rng = np.random.default_rng(0)
    groups = [f"group_{number}" for number in rng.integers(60, size=200)]
    labels = [("a", "b", "c")[int(group[6:]) % 7 % 3] for group in groups]
    second = halve(labels, groups)
    halves = [{group for group, found in zip(groups, second, strict=True) if found == half} for half in (False, True)]
    assert not halves[0] & halves[1]
    for label in ("a", "b", "c"):
        of_label = {group for group, own in zip(groups, labels, strict=True) if own == label}
        assert 0 <= len(of_label & halves[0]) - len(of_label & halves[1]) <= 1
    order = rng.permutation(200)
    shuffled = halve([labels[index] for index in order], [groups[index] for index in order])
    np.testing.assert_array_equal(shuffled, second[order])


def test_the_first_half_holds_every_class_of_few_large_groups():
    rng = np.random.default_rng(0)
    for _ in range(300):
        groups = [f"patient_{number}" for number in rng.integers(rng.integers(1, 4), size=60)]
        labels = rng.choice(["a", "b", "c", "d"], size=60, p=[0.6, 0.3, 0.08, 0.02]).tolist()
        second = halve(labels, groups)
        assert {label for label, is_second in zip(labels, second, strict=True) if not is_second} == set(labels)
        assert not {g for g, found in zip(groups, second, strict=True) if found} & {
            g for g, found in zip(groups, second, strict=True) if not found
        }


def test_a_class_of_one_group_stays_in_the_first_half():
    second = halve(["a", "a", "b", "b", "a"], ["x", "x", "y", "z", "x"])
    assert not second[[0, 1, 4]].any() and second[[2, 3]].sum() == 1
    assert not halve(["a", "b", "b", "a"], ["x", "x", "x", "y"]).any()  # the first group counts as one of class b
