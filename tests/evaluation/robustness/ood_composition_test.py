"""Images of several cells and of other scales, and whether a rule that knows one cell a crop refers them."""

import numpy as np
import pytest
from skimage.measure import label

from sperm_tf.evaluation.robustness.ood_composition import COMPOSITIONS
from sperm_tf.evaluation.robustness.ood_inputs import KINDS, make_strangers


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global SIDE, Mixture, encode_png, preprocess_batch, render, summarize_composition
    from sperm_tf.data.decode import encode_png
    from sperm_tf.data.preprocess import preprocess_batch
    from sperm_tf.decision.mixture import Mixture
    from sperm_tf.models.composition import SIDE, summarize_composition
    from sperm_tf.synthesis.renderer import render


GROUND, CELL = 200, 40
NUM_OBJECTS = {"two_side_by_side": 2, "two_stacked": 2, "two_diagonal": 2, "three_in_a_row": 3, "four_tiles": 4}


def square_cell(height=48, width=40):
    image = np.full((height, width, 3), GROUND, np.uint8)
    image[height // 2 - 6 : height // 2 + 6, width // 2 - 6 : width // 2 + 6] = CELL
    return image


def make(kind, crops, seed=0):
    return COMPOSITIONS[kind].draw(crops[: COMPOSITIONS[kind].num_crops], np.random.default_rng(seed))


def objects(image):
    return label(image[..., 0] < (GROUND + CELL) / 2, return_num=True)[1]


@pytest.mark.parametrize(("kind", "expected"), NUM_OBJECTS.items())
def test_so_many_cells_are_on_it(kind, expected):
    crops = [square_cell(), square_cell(40, 52), square_cell(), square_cell()]
    assert objects(make(kind, crops)) == expected


def test_a_field_shows_cells_that_are_small_in_it():
    field = make("microscope_field", [square_cell()] * 9)
    assert field.shape == (192, 192, 3) and 3 <= objects(field) <= 9
    assert (field < 100).all(axis=-1).mean() < 9 * 144 / 192**2 + 0.01


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_flat_margin_makes_the_cell_small(factor):
    wide = make(f"flat_margin_{factor}", [square_cell()])
    assert wide.shape == (48 * factor,) * 2 + (3,)
    assert (wide[..., 0] == CELL).sum() == 144 and (wide[..., 0] == GROUND).sum() == wide[..., 0].size - 144


@pytest.mark.parametrize("factor", [2, 4])
def test_a_noisy_margin_has_the_grain_of_the_calmest_corner(factor):
    crop = np.clip(square_cell(60, 60) + np.random.default_rng(0).normal(0, 8, (60, 60, 3)), 0, 255).astype(np.uint8)
    crop[:10, :10] = np.random.default_rng(1).choice([0, 255], (10, 10, 1))
    margin = make(f"noisy_margin_{factor}", [crop])[:20].astype(float)
    assert margin.mean() == pytest.approx(GROUND, abs=4) and margin.std() == pytest.approx(8, abs=3)


@pytest.mark.parametrize("factor", [2, 3])
def test_an_enlarged_cell_is_the_middle_of_the_crop(factor):
    large = make(f"enlarged_{factor}", [square_cell(48, 48)])
    assert large.shape == (48, 48, 3)
    assert (large[..., 0] < 120).sum() == pytest.approx(144 * factor**2, rel=0.1)


def test_the_audit_makes_all_of_them_of_other_crops_than_the_first():
    assert set(COMPOSITIONS) < set(KINDS)
    crops = [np.full((20, 20, 3), value, np.uint8) for value in (10, 60, 110, 160)]
    for stranger in make_strangers("four_tiles", crops, count=8):
        assert len(np.unique(stranger.pixels)) == 4
        assert stranger.pixels[0, 0, 0] == crops[stranger.familiar][0, 0, 0]
    assert make_strangers("microscope_field", crops[:1], count=1)[0].pixels.shape == (80, 80, 3)


@pytest.fixture(scope="module")
def drawn():
    """Crops of drawn cells, and the distance of images from their composition in units of the highest accepted."""
    cells = [render(index, size=64).image for index in range(150)]
    compositions = summarize(cells)
    others = [Mixture.fit(compositions[np.arange(150) % 3 != part]) for part in range(3)]
    measured = np.concatenate([one.distance(compositions[part::3]) for part, one in enumerate(others)])
    mixture, limit = Mixture.fit(compositions), np.quantile(measured, 0.99, method="higher")
    return cells, lambda images: np.asarray(mixture.distance(summarize(images))) / limit


def summarize(images):
    return np.asarray(summarize_composition(preprocess_batch([encode_png(image) for image in images], SIDE)[0]))


@pytest.mark.parametrize("kind", COMPOSITIONS)
def test_each_kind_is_told_from_crops_of_one_cell(kind, drawn):
    cells, measure = drawn
    found = measure([stranger.pixels for stranger in make_strangers(kind, cells, count=12)])
    assert np.mean(found > 1) >= 0.95


def test_new_crops_of_one_cell_are_not(drawn):
    _, measure = drawn
    new = [render(index, size=64, seed=1).image for index in range(40)]
    assert np.mean(measure(new) > 1) <= 0.05
