"""What a camera and a file format do to an image: noise, compression, few pixels, wrong exposure, wrong white balance.

Every function takes an image, float64 [H, W, 3], RGB, 0-1, a strength and a source of randomness, and returns an image
of the same shape, which may leave 0-1. `sperm_tf.evaluation.robustness.corruptions.CORRUPTIONS` has the strengths.
"""

from __future__ import annotations

import io

import numpy as np

# Colour temperature of a lamp in K -> linear red and blue over green of a black body (locus: Kim et al. 2002, US patent
# 7,024,034) seen by a camera that is balanced for one of 6500 K.
_LAMPS = {
    5500: (1.111, 0.844),
    5000: (1.191, 0.755),
    4500: (1.297, 0.657),
    4000: (1.445, 0.549),
    3500: (1.653, 0.431),
}


def add_poisson_noise(image: np.ndarray, photons: int, rng: np.random.Generator) -> np.ndarray:
    """Shot noise of a sensor that counts so many photons where the image is white."""
    return rng.poisson(image * photons) / photons


def add_gaussian_noise(image: np.ndarray, stddev: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of a standard deviation that is a share of the range."""
    return image + stddev * rng.standard_normal(image.shape)


def add_speckle(image: np.ndarray, stddev: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of a standard deviation that is a share of the pixel's own value."""
    return image * (1 + stddev * rng.standard_normal(image.shape))


def compress(image: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    """JPEG of a quality, 1-95, by Pillow."""
    del rng
    from PIL import Image

    buffer = io.BytesIO()
    pixels = np.rint(image * 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as compressed:
        return np.asarray(compressed) / 255


def down_sample(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Fewer pixels: each side reduced to a share, and enlarged again by bicubic interpolation."""
    del rng
    from PIL import Image

    height, width = image.shape[:2]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    pixels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    pixels = pixels.resize(small, Image.Resampling.HAMMING).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(pixels) / 255


def shift_brightness(image: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Raises or lowers the value of HSV, 0-1; which of the two is drawn."""
    from skimage.color import hsv2rgb, rgb2hsv

    hsv = rgb2hsv(image)
    hsv[..., 2] = np.clip(hsv[..., 2] + rng.choice((-1, 1)) * shift, 0, 1)
    return hsv2rgb(hsv)


def reduce_contrast(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Brings every value nearer to its channel's mean: to a share of the distance."""
    del rng
    means = image.mean(axis=(0, 1))
    return means + (image - means) * share


def shift_white_balance(image: np.ndarray, kelvin: int, rng: np.random.Generator) -> np.ndarray:
    """A camera that is balanced for another lamp: for 6500 K, the lamp having one of the temperatures of `_LAMPS`.

    Or the other way round, which makes the image blue instead of orange. Gains of the linear channels (von Kries) that
    keep the luminance of white. That such errors mislead networks: Afifi and Brown 2019 (ICCV), arXiv:1912.06960.

    Raises:
        ValueError: `_LAMPS` has no such temperature.
    """
    from skimage.color import rgb2xyz, xyz2rgb

    if kelvin not in _LAMPS:
        raise ValueError(
            f"kelvin must be one of {', '.join(map(str, _LAMPS))}. Received: kelvin={kelvin!r}. Choose one of them, or "
            "add the lamp's red and blue to _LAMPS in sperm_tf/evaluation/robustness/acquisition.py."
        )
    red, blue = _LAMPS[kelvin]
    gains = np.array([red, 1.0, blue]) ** rng.choice((-1, 1))
    primaries = rgb2xyz(np.eye(3)[None])[0]  # rows: XYZ of pure red, green and blue; [:, 1] is their luminance
    gains /= gains @ primaries[:, 1]
    return xyz2rgb(rgb2xyz(image) @ np.linalg.inv(primaries) * gains @ primaries)
