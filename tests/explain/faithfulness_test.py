import numpy as np
import pytest
from scipy import stats
from skimage import filters

from sperm_tf.explain import faithfulness

SIDE = 12


def linear_predict(weights):
    """Class 1 has, between 0 and 1, the weighted sum of the red channel; class 0 the rest."""

    def predict(images):
        score = (images[..., 0] * weights).sum(axis=(1, 2))
        return np.stack([1 - score, score], axis=1)

    return predict


def linear_case(seed=0):
    """One image on a slide of zeros: fewer than half of its pixels are stained, so that the median is the slide."""
    rng = np.random.default_rng(seed)
    weights = np.zeros(SIDE * SIDE)
    weights[rng.choice(SIDE * SIDE, 40, replace=False)] = rng.uniform(0.1, 1, 40)
    weights = (weights / weights.sum()).reshape(SIDE, SIDE)
    images = np.zeros((1, SIDE, SIDE, 3), np.float32)
    images[0, ..., 0] = weights > 0
    return linear_predict(weights), images, weights


def test_deletion_of_a_linear_model_is_known_in_closed_form():
    predict, images, weights = linear_case()
    fractions = np.arange(SIDE * SIDE + 1) / (SIDE * SIDE)
    best, worst = (
        faithfulness.deletion_curves(predict, images, values[None], np.array([1]), fractions=fractions)
        for values in (weights, -weights)
    )
    ordered = np.sort(weights.reshape(-1))
    np.testing.assert_allclose(best[0], 1 - np.concatenate([[0], np.cumsum(ordered[::-1])]), atol=1e-6)
    np.testing.assert_allclose(worst[0], 1 - np.concatenate([[0], np.cumsum(ordered)]), atol=1e-6)
    assert faithfulness.area_under(best, fractions) < 0.2 < 0.8 < faithfulness.area_under(worst, fractions)


def slow_curve(predict, start, end, values, label, fractions):
    points = []
    for fraction in fractions:
        image = start.copy()
        ranked = sorted(np.ndindex(*values.shape), key=lambda place: -values[place])
        for place in ranked[: round(fraction * values.size)]:
            image[place] = end[place]
        points.append(predict(image[None])[0, label])
    return points


def test_curves_equal_a_slow_loop():
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 255, (3, SIDE, SIDE, 3)).astype(np.float32)
    maps, labels = rng.uniform(0, 1, (3, SIDE, SIDE)), np.array([1, 0, 1])
    kernel = rng.normal(0, 1e-3, (SIDE, SIDE, 3, 2))

    def predict(batch):
        return 1 / (1 + np.exp(-np.tensordot(batch, kernel, 3)))

    fractions = faithfulness.default_fractions(5)
    slides, blurred = faithfulness.slide_images(images), faithfulness.blur_images(images)
    deletion = faithfulness.deletion_curves(predict, images, maps, labels, fractions=fractions)
    insertion = faithfulness.insertion_curves(predict, images, maps, labels, fractions=fractions)
    for row in range(3):
        case = maps[row], labels[row], fractions
        np.testing.assert_allclose(deletion[row], slow_curve(predict, images[row], slides[row], *case), rtol=1e-5)
        np.testing.assert_allclose(insertion[row], slow_curve(predict, blurred[row], images[row], *case), rtol=1e-5)
    expected = [sum((c[i] + c[i + 1]) / 2 * (fractions[i + 1] - fractions[i]) for i in range(5)) for c in deletion]
    np.testing.assert_allclose(faithfulness.area_under(deletion, fractions), expected)
    assert fractions[0] == 0 and fractions[-1] == 1


def test_a_map_of_zeros_inserts_by_chance_and_not_by_rows():
    images = np.random.default_rng(2).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
    seen = []

    def predict(batch):
        seen.append(batch)
        return np.ones((len(batch), 2))

    faithfulness.insertion_curves(predict, images, np.zeros((1, SIDE, SIDE)), np.array([0]), fractions=np.array([0.5]))
    is_sharp = (seen[0][0] == images[0]).all(axis=2)
    assert is_sharp.sum() == SIDE * SIDE / 2
    assert stats.binomtest(int(is_sharp[: SIDE // 2].sum()), int(is_sharp.sum()), 0.5).pvalue > 0.01


def test_what_stands_for_nothing_to_see_is_the_slide_and_a_blur():
    images = np.full((2, 40, 40, 3), 200, np.float32)
    images[0, 15:25, 15:25] = 10
    images[1] -= 50
    np.testing.assert_array_equal(faithfulness.slide_images(images)[:, 0, 0], [[200] * 3, [150] * 3])
    blurred = faithfulness.blur_images(images)
    reference = filters.gaussian(images[0], 40 / 8, mode="nearest", channel_axis=-1)
    np.testing.assert_allclose(blurred[0], reference, atol=0.1)
    np.testing.assert_allclose(blurred[1], 150)
    halves = np.stack([np.full((40, 40), 0.5), np.ones((40, 40))])
    shown = faithfulness.show_only(images, halves)
    assert shown[0, 20, 20, 0] == 105 and shown[0, 0, 0, 0] == 200
    np.testing.assert_array_equal(shown[1], images[1])


def test_drop_and_increase_by_hand():
    before, after = np.array([0.8, 0.5, 0.4, 0.0]), np.array([0.2, 0.9, 0.4, 0.0])
    np.testing.assert_allclose(faithfulness.confidence_drop(before, after), [0.75, 0, 0, 0])
    np.testing.assert_array_equal(faithfulness.confidence_increase(before, after), [False, True, False, False])


def test_pointing_and_energy_by_hand():
    maps = np.zeros((4, 10, 10))
    maps[0, 5, 5], maps[0, 0, 0] = 3, 1
    maps[1, 0, 5] = 1
    maps[2, 3, 5], maps[2, 9, 9] = 1, 0.5
    masks = np.zeros((4, 10, 10), bool)
    masks[:, 4:7, 4:7] = True
    np.testing.assert_allclose(faithfulness.energy_in_mask(maps, masks), [0.75, 0, 0, np.nan])
    np.testing.assert_array_equal(faithfulness.pointing_hits(maps, masks, tolerance=0), [True, False, False, False])
    np.testing.assert_array_equal(faithfulness.pointing_hits(maps, masks, tolerance=0.1), [True, False, True, False])
    even = np.ones((1, 10, 10))
    assert faithfulness.energy_in_mask(even, masks[:1])[0] == pytest.approx(masks[0].mean())
