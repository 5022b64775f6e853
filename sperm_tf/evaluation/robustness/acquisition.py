"""What a camera and a file format do to an image: noise, compression, few pixels, wrong exposure, wrong white balance.

Every function takes an image, float64 [H, W, 3], RGB, 0-1, a severity 1-5 and a source of randomness, and returns an
image of the same shape, which may leave 0-1. "H&D" is Hendrycks and Dietterich 2019 (ICLR), arXiv:1903.12261, their
strengths being those of the code that made ImageNet-C, for images of 224 pixels a side.
"""

from __future__ import annotations

import io

import numpy as np

# At 5500, 5000, 4500, 4000 and 3500 K: linear red and blue over green of a black body (locus: Kim et al. 2002, US
# patent 7,024,034) seen by a camera that is balanced for one of 6500 K.
_LAMPS = ((1.111, 0.844), (1.191, 0.755), (1.297, 0.657), (1.445, 0.549), (1.653, 0.431))


def add_poisson_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Shot noise of a sensor that counts 60, 25, 12, 5 or 3 photons where the image is white (H&D)."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return rng.poisson(image * photons) / photons


def add_gaussian_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of a standard deviation of 0.08, 0.12, 0.18, 0.26 or 0.38 of the range (H&D)."""
    return image + (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1] * rng.standard_normal(image.shape)


def add_speckle(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of a standard deviation of 0.15, 0.2, 0.35, 0.45 or 0.6 of the pixel's own value (H&D)."""
    return image * (1 + (0.15, 0.2, 0.35, 0.45, 0.6)[severity - 1] * rng.standard_normal(image.shape))


def compress(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """JPEG of quality 25, 18, 15, 10 or 7, by Pillow (H&D)."""
    del rng
    from PIL import Image

    buffer = io.BytesIO()
    pixels = np.rint(image * 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    with Image.open(buffer) as compressed:
        return np.asarray(compressed) / 255


def down_sample(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Fewer pixels: each side reduced to 0.5, 0.35, 0.25, 0.175 or 0.125, and enlarged again by bicubic interpolation.

    The strengths are chosen here. H&D's (pixelate: 0.6 to 0.25) leave the crops of SMIDS nearly as they are, since they
    were enlarged before they were published.
    """
    del rng
    from PIL import Image

    height, width = image.shape[:2]
    share = (0.5, 0.35, 0.25, 0.175, 0.125)[severity - 1]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    pixels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    pixels = pixels.resize(small, Image.Resampling.HAMMING).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(pixels) / 255


def shift_brightness(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Raises or lowers the value of HSV by 0.1, 0.2, 0.3, 0.4 or 0.5 (H&D, who only raise it)."""
    from skimage.color import hsv2rgb, rgb2hsv

    hsv = rgb2hsv(image)
    hsv[..., 2] = np.clip(hsv[..., 2] + rng.choice((-1, 1)) * (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 0, 1)
    return hsv2rgb(hsv)


def reduce_contrast(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Brings every value nearer to its channel's mean: to 0.4, 0.3, 0.2, 0.1 or 0.05 of the distance (H&D)."""
    del rng
    means = image.mean(axis=(0, 1))
    return means + (image - means) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]


def shift_white_balance(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """A camera that is balanced for another lamp: for 6500 K, the lamp having 5500, 5000, 4500, 4000 or 3500 K.

    Or the other way round, which makes the image blue instead of orange. Gains of the linear channels (von Kries) that
    keep the luminance of white. That such errors mislead networks: Afifi and Brown 2019 (ICCV), arXiv:1912.06960.
    """
    from skimage.color import rgb2xyz, xyz2rgb

    red, blue = _LAMPS[severity - 1]
    gains = np.array([red, 1.0, blue]) ** rng.choice((-1, 1))
    primaries = rgb2xyz(np.eye(3)[None])[0]  # rows: XYZ of pure red, green and blue; [:, 1] is their luminance
    gains /= gains @ primaries[:, 1]
    return xyz2rgb(rgb2xyz(image) @ np.linalg.inv(primaries) * gains @ primaries)
