import dataclasses

import numpy as np
import pytest

from sperm_tf.data.folds import FoldError, assign_folds
from sperm_tf.data.partitions import PARTS, check_partition, digest_parts, make_partition

LABELS = np.arange(300) % 3
GROUPS = np.array([f"g{index // 2 if index < 60 else index}" for index in range(300)])  # 30 pairs across classes


def _make(repeat=0, fold=2, **changes):
    folds = assign_folds(LABELS.tolist(), GROUPS.tolist())
    arguments = {"repeat": repeat, "fold": fold, "inner_folds": 20, **changes}
    return make_partition(LABELS, GROUPS, folds, **arguments), folds


@pytest.mark.slow
@pytest.mark.parametrize("repeat", (0, 1))
def test_parts_are_disjoint_stratified_and_whole(repeat):
    tested = []
    for fold in range(5):
        partition, _ = _make(repeat, fold)
        members = {name: set(getattr(partition, name).tolist()) for name in PARTS}
        assert sum(map(len, members.values())) == 300 and set.union(*members.values()) == set(range(300))
        groups = [set(GROUPS[sorted(part)]) for part in members.values()]
        assert sum(map(len, groups)) == len(set(GROUPS))
        for name, share in (("train", 0.72), ("validation", 0.04), ("calibration", 0.04), ("test", 0.2)):
            counts = np.bincount(LABELS[getattr(partition, name)], minlength=3)
            assert np.abs(counts - 100 * share).max() <= 3, (name, counts)
        tested += sorted(members["test"])
    assert sorted(tested) == list(range(300)), "every image is tested once in a repeat"


@pytest.mark.parametrize(
    ("repeat", "fold", "digest"),
    [
        (0, 2, "3ea9e6849b9e063978b5304d3b3e017d01ac7a515697c5291223da912e1f7183"),
        (1, 0, "3df5c63a6eae99110ea8c37cf611efc7318e014d5e3c471058eadd4c90a6267e"),
    ],
)
def test_parts_are_those_that_the_published_networks_were_trained_on(repeat, fold, digest):
    """scikit-learn before 1.8 draws others, and a later one may again: networks would be tested on what they saw."""
    assert digest_parts(vars(_make(repeat, fold)[0])) == digest


def test_repeat_0_tests_on_the_datasets_own_folds():
    partition, folds = _make(repeat=0, fold=3)
    np.testing.assert_array_equal(partition.test, np.flatnonzero(folds == 3))


@pytest.mark.slow
def test_repeats_and_folds_differ_and_repeat_themselves():
    first = _make(1, 2)[0]
    for name in PARTS:
        np.testing.assert_array_equal(getattr(first, name), getattr(_make(1, 2)[0], name))
    assert not np.array_equal(first.test, _make(2, 2)[0].test)
    assert not np.array_equal(first.validation, _make(1, 1)[0].validation)


def test_a_near_duplicate_across_folds_is_refused():
    folds = assign_folds(LABELS.tolist(), GROUPS.tolist())
    folds[0] = (folds[1] + 1) % 5  # images 0 and 1 are one group
    with pytest.raises(FoldError, match="'g0' in folds"):
        for fold in range(5):
            make_partition(LABELS, GROUPS, folds, repeat=0, fold=fold, inner_folds=20)


def test_identical_pixels_in_two_parts_are_refused():
    partition, _ = _make()
    hashes = [f"sha{index}" for index in range(300)]
    check_partition(partition, groups=GROUPS, pixel_hashes=hashes)
    hashes[partition.test[0]] = hashes[partition.train[0]]
    with pytest.raises(FoldError, match="pixel_hashes must each stand in one fold"):
        check_partition(partition, groups=GROUPS, pixel_hashes=hashes)


def test_a_lost_or_doubled_image_is_refused():
    partition, _ = _make()
    for train in (partition.train[1:], np.append(partition.train, partition.test[0])):
        with pytest.raises(FoldError, match="each of 300 images once"):
            check_partition(dataclasses.replace(partition, train=train), groups=GROUPS, pixel_hashes=GROUPS)


@pytest.mark.parametrize(("num_groups", "num_parts"), ((13, 10), (20, 10), (30, 12), (60, 20)))
def test_a_part_has_two_groups_of_each_class_where_more_than_ten_parts_are_made(num_groups, num_parts):
    labels, groups = np.arange(3 * num_groups) % 3, np.array([f"g{index}" for index in range(3 * num_groups)])
    folds = assign_folds(labels.tolist(), groups.tolist())
    partition = make_partition(labels, groups, folds, repeat=0, fold=0, inner_folds=20)
    outer = len(labels) - len(partition.test)
    for part in (partition.validation, partition.calibration):
        assert set(labels[part]) == {0, 1, 2} and abs(len(part) - outer / num_parts) < 3


def test_too_few_groups_are_refused():
    labels, groups = np.arange(36) % 3, np.array([f"g{index}" for index in range(36)])
    folds = assign_folds(labels.tolist(), groups.tolist())
    with pytest.raises(FoldError, match="at least 10 groups of every class"):
        make_partition(labels, groups, folds, repeat=0, fold=0, inner_folds=20)
