import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sperm_tf.fields.scale import ESTIMATED, GIVEN, HEAD_LENGTH_UM, ScaleError, find_scale, measure_head_lengths
from tests.fields.drawn_fields import HEAD_PX, draw_field

HEADS = ((200, 200, 0.3), (600, 250, 1.2), (900, 700, 2.5), (300, 800, -0.7))


@pytest.fixture(scope="module")
def field():
    return draw_field(HEADS, blue=((700, 500, 30),), round_cells=((1000, 300, 200),))[0]


@pytest.mark.parametrize("factor", (0.3, 1.0, 2.0))
def test_the_scale_is_estimated_from_the_heads(field, factor):
    size = round(1280 * factor), round(1024 * factor)
    resized = np.asarray(Image.fromarray(field).resize(size, Image.Resampling.LANCZOS))
    scale = find_scale([measure_head_lengths(resized)])
    # Drawn outlines are sharp, stained ones are soft: lengths come out longer by the factor that makes up for it.
    assert scale.head_length_px == pytest.approx(1.12 * HEAD_PX * factor, rel=0.08)
    assert scale.pixel_size_um == pytest.approx(HEAD_LENGTH_UM / scale.head_length_px)
    assert scale.source == ESTIMATED


def test_a_stated_pixel_size_decides(field):
    scale = find_scale([measure_head_lengths(field)], 0.05)
    assert (scale.pixel_size_um, scale.source) == (0.05, GIVEN)
    assert scale.head_length_px == pytest.approx(82)


@pytest.mark.parametrize("pixel_size_um", (0.02, 0.1))
def test_a_pixel_size_that_disagrees_with_the_heads_stops(field, pixel_size_um):
    with pytest.raises(ScaleError, match=rf"Received: pixel_size_um={pixel_size_um}, at which .* would fit"):
        find_scale([measure_head_lengths(field)], pixel_size_um)


@pytest.mark.parametrize("pixel_size_um", (0.0, -1.0, float("nan"), float("inf")))
def test_an_impossible_pixel_size_is_refused(pixel_size_um):
    with pytest.raises(ScaleError, match="pixel_size_um must be above 0"):
        find_scale([], pixel_size_um)


def test_without_heads_only_a_stated_pixel_size_is_known():
    empty = measure_head_lengths(np.full((200, 300, 3), 220, np.uint8))
    assert len(empty) == 0
    assert find_scale([empty]) is None
    assert find_scale([empty], 0.1).head_length_px == pytest.approx(41)


def test_small_specks_do_not_count(field):
    speck = np.array([[8.0, 0.01]] * 20)
    lengths = np.concatenate([measure_head_lengths(field), speck])
    assert find_scale([lengths]).head_length_px > 80


def test_clouds_and_uneven_light_of_an_empty_field_are_no_heads():
    clouds = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (512, 640)), 6)
    light = 220 + 3 * clouds / clouds.std() + np.linspace(-4, 4, 640)
    empty = np.repeat(np.round(light)[..., None], 3, axis=2).astype(np.uint8)
    assert len(measure_head_lengths(empty)) == 0
    assert find_scale([measure_head_lengths(empty)], 0.1).source == GIVEN


def test_a_pixel_size_is_taken_without_a_check_where_a_person_says_so(field):
    heads = measure_head_lengths(field)
    with pytest.raises(ScaleError, match="--nocheck_pixel_size"):
        find_scale([heads], 0.2)
    assert find_scale([heads], 0.2, check=False).head_length_px == pytest.approx(20.5)
