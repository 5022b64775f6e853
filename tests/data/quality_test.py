"""Measured quality, against images whose noise, contrast and blur are known because they were made here."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import ndimage

from sperm_tf.data.quality import BINS, estimate_noise, measure_quality, quality_bin, quality_edges
from sperm_tf.synthesis.renderer import render


def _grey_rgb(values):
    return np.repeat(np.clip(np.round(values), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _disk(side=120, radius=30, inside=80.0, outside=180.0):
    y, x = np.mgrid[:side, :side] - side / 2
    return np.where(np.hypot(y, x) < radius, inside, outside)


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
def test_noise_of_known_strength_is_found_in_spite_of_edges(sigma):
    noisy = _disk() + np.random.default_rng(0).normal(0, sigma, (120, 120))
    assert estimate_noise(_grey_rgb(noisy)) == pytest.approx(sigma, rel=0.05)


def test_snr_and_cnr_are_ratios_to_the_true_noise():
    sigma = 5.0
    quality = measure_quality(_grey_rgb(_disk() + np.random.default_rng(1).normal(0, sigma, (120, 120))))
    assert quality.snr == pytest.approx(_disk().mean() / sigma, rel=0.05)
    assert quality.cnr == pytest.approx(100 / sigma, rel=0.05)


@pytest.mark.parametrize("spread", [3.0, 6.0])
def test_sharpness_is_that_of_a_gaussian_spot_in_theory_and_does_not_follow_the_contrast(spread):
    y, x = np.mgrid[:160, :160] - 80.0
    spot = np.exp(-(x**2 + y**2) / (2 * spread**2))
    expected = 2**0.25 / math.sqrt(spread**2 + 1)
    for contrast in (60, 200):
        assert measure_quality(_grey_rgb(20 + contrast * spot)).sharpness == pytest.approx(expected, rel=0.08)


def test_noise_and_blur_lower_the_figure_that_is_theirs():
    pixels = render(0, size=128).image
    noisy = _grey_rgb(pixels.mean(axis=2) + np.random.default_rng(2).normal(0, 25, (128, 128)))
    blurred = ndimage.gaussian_filter(pixels, (3, 3, 0))
    original = measure_quality(pixels)
    assert measure_quality(noisy).cnr < 0.5 * original.cnr
    assert measure_quality(noisy).snr < 0.5 * original.snr
    assert measure_quality(blurred).sharpness < 0.7 * original.sharpness


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 3), (40, 30)])
def test_everything_is_finite_for_flat_and_tiny_images(shape):
    noise = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    for pixels in (np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 255, np.uint8), noise):
        figures = dataclasses.astuple(measure_quality(pixels))
        assert figures[:2] == shape[::-1]
        assert np.isfinite(figures).all()
        assert min(figures) >= 0


def test_a_dataset_falls_into_equal_thirds():
    values = np.random.default_rng(4).lognormal(size=300)
    edges = quality_edges(values)
    bins = [quality_bin(value, edges) for value in values]
    assert [bins.count(name) for name in BINS] == [100, 100, 100]
    assert [quality_bin(value, (1.0, 2.0)) for value in (0.99, 1.0, 2.0)] == list(BINS)


def test_what_is_no_image_or_no_number_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        measure_quality(np.zeros((20, 20, 3), np.float32))
    with pytest.raises(ValueError, match=r"\[height, width, 3\]"):
        measure_quality(np.zeros((20, 20), np.uint8))
    with pytest.raises(ValueError, match="finite"):
        quality_edges([1.0, float("nan")])


def test_two_colours_of_one_luminance_are_measured():
    """Their luminances differ by rounding alone, for which no histogram has bins."""
    pixels = np.full((40, 40, 3), (0, 55, 0), np.uint8)
    pixels[10:30, 10:30] = (119, 0, 195)
    quality = measure_quality(pixels)
    assert quality.cnr == 0 and all(np.isfinite(dataclasses.astuple(quality)))
