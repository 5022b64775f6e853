"""Corrupted images against theory, Pillow, scikit-image, and convolutions done by hand."""

import colorsys
import dataclasses
import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from skimage.color import hed2rgb, rgb2hed
from skimage.metrics import peak_signal_noise_ratio

from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt, seed_of
from sperm_tf.synthesis.renderer import render


@pytest.fixture(scope="module")
def pixels():
    return render(0, label_set="quality", size=112).image


def _flat(value, side=200):
    return np.full((side, side, 3), value, np.uint8)


def _point(side):
    """A white point on black, brighter than any blur makes dark: 255 in the middle of a odd side."""
    image = np.zeros((side, side, 3))
    image[side // 2, side // 2] = 1
    return image


def _blurred_point(name, severity, side=225):
    return CORRUPTIONS[name](_point(side), severity, np.random.default_rng(5))[..., 0]


def _spread(kernel):
    """Covariance matrix of a kernel's mass, pixels²."""
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    return np.cov(np.stack([y.ravel(), x.ravel()]), aweights=kernel.ravel().clip(0), ddof=0)


@pytest.mark.parametrize(
    ("name", "severity", "strength"),
    [
        (name, severity, strength)  # of ImageNet-C (Hendrycks and Dietterich 2019)
        for name, strengths in (
            ("gaussian_noise", (0.08, 0.12, 0.18, 0.26, 0.38)),
            ("poisson_noise", (60, 25, 12, 5, 3)),
            ("speckle", (0.15, 0.2, 0.35, 0.45, 0.6)),
        )
        for severity, strength in zip(SEVERITIES, strengths, strict=True)
    ],
)
def test_noises_have_the_moments_of_theory(name, severity, strength):
    grey = 120
    share, levels = grey / 255, (np.arange(100_000) + 0.5) / 100_000
    exact = {
        "gaussian_noise": share + strength * stats.norm.ppf(levels),
        "poisson_noise": stats.poisson.ppf(levels, share * strength) / strength,
        "speckle": share + strength * share * stats.norm.ppf(levels),
    }[name].clip(0, 1)
    values = corrupt(_flat(grey), name, severity, 3).astype(float) / 255
    assert values.std() == pytest.approx(exact.std(), rel=0.02)
    assert values.mean() == pytest.approx(exact.mean(), abs=5 * exact.std() / np.sqrt(values.size) + 0.002)
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < 0.02


def test_poisson_counts_are_whole_photons(pixels):
    counts = corrupt(pixels, "poisson_noise", 5, 0) / 255 * 3
    np.testing.assert_allclose(counts, counts.round(), atol=0.01)


def test_jpeg_is_what_pillow_writes(pixels):
    for severity, quality in zip(SEVERITIES, (25, 18, 15, 10, 7), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        np.testing.assert_array_equal(corrupt(pixels, "jpeg", severity, 0), np.asarray(Image.open(buffer)))


@pytest.mark.parametrize(("severity", "radius"), zip(SEVERITIES, (3, 4, 6, 8, 10), strict=True))
def test_defocus_is_a_disk_of_its_radius(severity, radius):
    kernel = _blurred_point("defocus", severity, side=225)
    np.testing.assert_allclose(_spread(kernel), np.eye(2) * (radius * 225 / 224) ** 2 / 4, rtol=0.06, atol=0.01)
    assert kernel.sum() == pytest.approx(1)


def test_motion_is_a_fading_line():
    for severity, (length, spread) in enumerate(((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)), start=1):
        across, along = np.linalg.eigvalsh(_spread(_blurred_point("motion_blur", severity)))
        expected = stats.truncnorm(0, length / spread, scale=spread).var()
        assert along == pytest.approx(expected * (225 / 224) ** 2 + across, rel=0.05)  # a pixel's width spreads both
        assert across < 0.3


@pytest.mark.parametrize("name", ["defocus", "motion_blur"])
def test_blur_is_a_convolution_that_repeats_the_rim(pixels, name):
    image = pixels / 255
    # From the point, the kernel; from the kernel, single pixels by a sum written out, corners among them.
    kernel = CORRUPTIONS[name](_point(len(image) + 1), 4, np.random.default_rng(5))[..., 0]
    reach, blurred = len(image) // 2, CORRUPTIONS[name](image, 4, np.random.default_rng(5))
    for row, column in ((0, 0), (111, 3), (40, 55), (70, 111)):
        rows = np.clip(row - np.arange(-reach, reach + 1), 0, 111)
        columns = np.clip(column - np.arange(-reach, reach + 1), 0, 111)
        expected = np.tensordot(kernel, image[np.ix_(rows, columns)], axes=2)
        np.testing.assert_allclose(blurred[row, column], expected, atol=4e-3)  # the kernel is that of 113 pixels


def test_down_sampling_takes_the_detail_that_fewer_pixels_cannot_hold():
    columns = np.arange(160)
    for period, is_kept in ((16, True), (2.5, False)):  # severity 1 halves the side: waves under 4 pixels are lost
        wave = np.rint(128 + 60 * np.cos(2 * np.pi * columns / period))[None, :, None]
        image = np.broadcast_to(wave, (160, 160, 3)).astype(np.uint8)
        contrast = corrupt(image, "down_sampling", 1, 0)[20:-20, 20:-20].std() / image[20:-20, 20:-20].std()
        assert contrast > 0.95 if is_kept else contrast < 0.25


def test_down_sampling_is_what_pillow_reduces_and_enlarges(pixels):
    for severity, side in zip(SEVERITIES, (56, 39, 28, 20, 14), strict=True):  # of 112: shares of 0.5 to 0.125
        small = Image.fromarray(pixels).resize((side, side), Image.Resampling.HAMMING)
        expected = small.resize((112, 112), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(corrupt(pixels, "down_sampling", severity, 0), np.asarray(expected))


@pytest.mark.parametrize(("severity", "strength"), zip(SEVERITIES, (0.1, 0.2, 0.3, 0.4, 0.5), strict=True))
def test_brightness_moves_the_value_and_keeps_the_hue(severity, strength):
    rgb = (90, 120, 150)
    signs = set()
    for seed in range(12):
        found = corrupt(np.full((4, 4, 3), rgb, np.uint8), "brightness", severity, seed)[0, 0]
        hue, saturation, value = colorsys.rgb_to_hsv(*np.array(rgb) / 255)
        sign = 1 if found.sum() > sum(rgb) else -1
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + sign * strength, 1))
        np.testing.assert_allclose(found, np.array(expected) * 255, atol=0.51)
        signs.add(sign)
    assert signs == {-1, 1}


@pytest.mark.parametrize(("severity", "share"), zip(SEVERITIES, (0.4, 0.3, 0.2, 0.1, 0.05), strict=True))
def test_contrast_shrinks_deviations_from_the_mean(pixels, severity, share):
    image = pixels / 255
    found = CORRUPTIONS["contrast"](image, severity, np.random.default_rng(0))
    np.testing.assert_allclose(found.mean(axis=(0, 1)), image.mean(axis=(0, 1)))
    np.testing.assert_allclose(found.std(axis=(0, 1)), share * image.std(axis=(0, 1)))


def _black_body(kelvin):
    """Linear sRGB of a black body of luminance 1: the locus of Kim et al. 2002 (US patent 7,024,034)."""
    if kelvin <= 4000:
        x = np.polyval((-0.2661239e9, -0.2343589e6, 0.8776956e3, 0.179910), 1 / kelvin)
        y = np.polyval((-0.9549476, -1.37418593, 2.09137015, -0.16748867), x)
    else:
        x = np.polyval((-3.0258469e9, 2.1070379e6, 0.2226347e3, 0.240390), 1 / kelvin)
        y = np.polyval((3.0817580, -5.87338670, 3.75112997, -0.37001483), x)
    to_rgb = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))  # IEC 61966-2-1
    return np.array(to_rgb) @ (x / y, 1, (1 - x - y) / y)


@pytest.mark.parametrize(("severity", "kelvin"), zip(SEVERITIES, (5500, 5000, 4500, 4000, 3500), strict=True))
def test_white_balance_is_that_of_another_lamp_and_keeps_the_luminance_of_grey(severity, kelvin):
    def linear(value):  # IEC 61966-2-1
        value = np.asarray(value) / 255
        return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)

    lamp = _black_body(kelvin) / _black_body(6500)
    is_warm = set()
    for seed in range(12):
        red, green, blue = linear(corrupt(_flat(110, 4), "white_balance", severity, seed)[0, 0])
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue == pytest.approx(linear(110), rel=0.02)
        is_warm.add(bool(red > blue))
        expected = lamp if red > blue else 1 / lamp
        assert (red / green, blue / green) == pytest.approx((expected / expected[1])[[0, 2]], rel=0.03)
    assert is_warm == {True, False}


def test_a_white_balance_for_which_no_lamp_is_known_is_named_with_those_that_are(monkeypatch):
    changed = dataclasses.replace(CORRUPTIONS["white_balance"], strengths=(6000, 5000, 4500, 4000, 3500))
    monkeypatch.setitem(CORRUPTIONS, "white_balance", changed)
    with pytest.raises(ValueError, match=r"kelvin must be one of 5500, 5000, 4500, 4000, 3500\. Received: kelvin=6000"):
        corrupt(_flat(110, 4), "white_balance", 1, 0)


@pytest.mark.parametrize(("severity", "size"), zip(SEVERITIES, (0.05, 0.1, 0.15, 0.2, 0.3), strict=True))
def test_stain_shift_is_that_of_scikit_image_where_a_mixture_of_stains_makes_the_colour(severity, size):
    amounts = np.random.default_rng(0).uniform(0.08, 0.12, (6, 6, 3))  # scikit-image's unit is six densities
    image = hed2rgb(amounts)
    strength = size * np.random.default_rng(9).choice((-1, 1), 3)
    expected = hed2rgb(np.maximum(rgb2hed(image) * (1 + strength) + strength / 6, 0))
    found = CORRUPTIONS["stain_shift"](image, severity, np.random.default_rng(9))
    np.testing.assert_allclose(found.clip(0, 1), expected.clip(0, 1), atol=2e-3)


@pytest.mark.parametrize(("severity", "at_one"), zip(SEVERITIES, (0.8, 0.65, 0.5, 0.35, 0.2), strict=True))
def test_vignette_darkens_around_its_centre_as_stated(severity, at_one):
    found = corrupt(_flat(250, 201), "vignette", severity, 1)[..., 0] / 250
    y, x = np.argwhere(found == found.max()).mean(axis=0)
    assert abs(y - 100) <= 51 and abs(x - 100) <= 51
    distances = np.hypot(*(np.mgrid[:201, :201] - np.array([[[y]], [[x]]]))) / (201 / np.sqrt(2))
    for distance, share in ((0.5, 1 / (1 + 0.25 * (at_one**-0.5 - 1)) ** 2), (1, at_one)):
        assert found[np.abs(distances - distance) < 0.01].mean() == pytest.approx(share, abs=0.01)


def test_debris_covers_its_share_and_grows_with_severity():
    covered = [corrupt(_flat(200, 140), "debris", severity, 2) for severity in SEVERITIES]
    shares = [(image.mean(axis=2) < 0.8 * 200).mean() for image in covered]
    np.testing.assert_allclose(shares, (0.05, 0.1, 0.2, 0.3, 0.4), atol=0.05)
    for milder, harder in itertools.pairwise(covered):
        assert (harder <= milder).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_severity_is_farther_from_the_original(name):
    images = [
        render(index, label_set=label_set, size=112).image
        for index in range(3)
        for label_set in ("quality", "head_shape")
    ]
    ratios = np.array(
        [
            [peak_signal_noise_ratio(image, corrupt(image, name, severity, seed)) for severity in SEVERITIES]
            for seed, image in enumerate(images)
        ]
    )
    assert (np.diff(ratios.mean(axis=0)) < 0).all()
    assert ratios.mean(axis=0)[0] < 45
    assert (np.diff(ratios) < 1).all()  # of no single image does more corruption leave much more


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_seed_repeats_itself_and_shape_and_type_stay(name):
    image = render(1, label_set="quality", size=64).image[:50]
    before = image.copy()
    first, again = (corrupt(image, name, 3, seed_of("cell_7")) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(image, before)
    assert first.dtype == np.uint8 and first.shape == (50, 64, 3)
    tiny = corrupt(image[:1, :2], name, 5, 0)
    assert tiny.shape == (1, 2, 3)


def test_what_is_drawn_differs_between_images():
    image = render(1, label_set="quality", size=64).image
    for name in ("gaussian_noise", "motion_blur", "vignette", "debris"):
        assert (corrupt(image, name, 3, seed_of("a")) != corrupt(image, name, 3, seed_of("b"))).any(), name


def test_the_seed_of_an_image_is_the_start_of_its_names_sha256():
    assert seed_of("SMIDS/Normal_12.bmp") == 0x9B3AA25C42EBDB09  # printf 'SMIDS/Normal_12.bmp' | sha256sum


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "fog"}, "name must be one of poisson_noise"),
        ({"severity": 0}, "severity must be an integer from 1 to 5"),
        ({"severity": 2.5}, "severity must be"),
        ({"seed": -1}, "seed must not be negative"),
        ({"pixels": np.zeros((8, 8), np.uint8)}, "pixels must be uint8"),
        ({"pixels": np.zeros((8, 8, 3))}, "pixels must be uint8"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    arguments = {"pixels": _flat(1, 8), "name": "jpeg", "severity": 1, "seed": 0} | changed
    with pytest.raises(ValueError, match=message):
        corrupt(**arguments)
