"""The coarse search against loops over all shifts."""

import itertools

import pytest

from sperm_tf.data import coarse_search, local_contrast
from tests.data.shifted import register_by_loops, scenes

SHIFTS = [
    (36, 30),
    (0, 96),
    (96, 0),
    (96, 96),
    (96, -96),
    (0, 140),
    (140, 3),
    (43, 104),
    (101, 47),
    (-45, 103),
    (25, 25),
]


@pytest.mark.parametrize(("down", "right"), SHIFTS)
def test_crops_of_one_field_are_found(down, right):
    first, second = scenes(2, grain=15)
    top, left = 120, 120
    other = first[top + down : top + down + 200, left + right : left + right + 200]
    greys = [first[top : top + 200, left : left + 200], second[:200, :180], other]
    ((pair, found),) = coarse_search.find_coarse_pairs(greys).items()
    assert pair == (0, 2)
    assert found.overlap == pytest.approx((1 - abs(down) / 200) * (1 - abs(right) / 200), abs=0.05)


def test_the_search_against_loops(monkeypatch):
    sizes = [(90, 90), (90, 90), (84, 120), (130, 80), (120, 84), (96, 96)]
    greys = [scene[:height, :width] for scene, (height, width) in zip(scenes(6, grain=15), sizes, strict=True)]
    images = [local_contrast.normalise_contrast(grey, reduction=6, sigma=2.5) for grey in greys]
    expected = {
        (i, j): register_by_loops(images[i], images[j], coarse_search.MIN_PART - 0.01)
        for i, j in itertools.combinations(range(6), 2)
    }
    correlations = sorted(correlation for correlation, _ in expected.values())
    for rank in (0, 7, 13):
        monkeypatch.setattr(coarse_search, "COARSE_THRESHOLD", (correlations[rank] + correlations[rank + 1]) / 2)
        found = coarse_search.find_coarse_pairs(greys)
        assert sorted(found) == [pair for pair, (value, _) in expected.items() if value > correlations[rank]]
        for pair, agreement in found.items():
            assert agreement == pytest.approx(expected[pair], abs=1e-3)


def test_pairs_do_not_depend_on_the_order_of_the_images():
    sizes = [(200, 200), (180, 200), (200, 150), (190, 190), (150, 200)]
    first, second = scenes(2, grain=15)
    greys = [(first, second)[number % 2][40:, 20:][:height, :width] for number, (height, width) in enumerate(sizes)]
    found = coarse_search.find_coarse_pairs(greys)
    assert sorted(found) == [(0, 2), (0, 4), (1, 3), (2, 4)]
    order = [3, 0, 4, 1, 2]
    again = coarse_search.find_coarse_pairs([greys[index] for index in order])
    for (i, j), pair in again.items():
        assert pair == pytest.approx(found[min(order[i], order[j]), max(order[i], order[j])], abs=1e-4)
    assert len(again) == len(found)


def test_one_image_has_no_pair():
    (scene,) = scenes(1)
    assert coarse_search.find_coarse_pairs([]) == coarse_search.find_coarse_pairs([scene]) == {}
