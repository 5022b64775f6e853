"""How good an image is, measured from its pixels: size, signal to noise, contrast to noise, sharpness.

No reference image is needed. The figures compare images of one kind of object at one magnification; between two
microscopes they also tell what is in the field. All of them are taken from the luminance (ITU-R BT.709, scikit-image's
`rgb2gray`, in grey levels 0-255), and all of them are finite for every image, flat or tiny ones included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

BINS = ("low", "medium", "high")
"""Names of the thirds into which `quality_edges` parts a dataset."""

# The mask of Immerkær 1996: the difference of two Laplacians, blind to edges and slopes; its weights square to 36.
_NOISE_WEIGHTS = np.array([1.0, -2.0, 1.0])
_NOISE_GAIN = 6.0
_MAD_OF_NORMAL = 0.6744897501960817  # median of |x| for a standard normal x
_ROUNDING = 1 / np.sqrt(12)  # standard deviation, in grey levels, of what rounding to 8 bits takes away
_SAME_GREY = 1e-6  # grey levels; two colours of one luminance differ by their rounding, which no histogram can part
_SMOOTHING = 1.0  # pixels; tames the noise before the Laplacian, which would multiply its variance by 20
_SMOOTH_GAIN, _LAPLACIAN_GAIN = 0.0796, 0.1119  # variance that smoothing, and the Laplacian after it, leave of noise


@dataclasses.dataclass(frozen=True)
class ImageQuality:
    """Measured quality of one image.

    Attributes:
        width: pixels.
        height: pixels.
        snr: mean luminance over the standard deviation of the noise (see `estimate_noise`); no unit, 0 for a black
            image, at most 883 (white, without noise).
        cnr: difference of the mean luminances of foreground and background over the standard deviation of the noise.
            Otsu's threshold parts the two, whichever of them is the darker. No unit; 0 for a flat image, and about
            1.6 for one of nothing but Gaussian noise, which Otsu parts at its mean.
        sharpness: effective spatial frequency of what is seen, radians per pixel: the fourth root of the variance of
            the Laplacian over the variance of the luminance, both after a Gaussian of one pixel, and the noise's share
            taken off. The variance of the Laplacian is the focus measure of Pech-Pacheco et al. 2000 (ICPR 3:314-317);
            over the variance it no longer follows the contrast. A round Gaussian spot of s pixels has
            1.19 / sqrt(s² + 1). 0 where nothing rises above the noise.
    """

    width: int
    height: int
    snr: float
    cnr: float
    sharpness: float


def measure_quality(pixels: np.ndarray) -> ImageQuality:
    """Measures an image as it is stored, before any padding or resizing.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255; H and W at least 1.

    Raises:
        ValueError: `pixels` is of another shape or type.
    """
    from skimage.filters import gaussian, laplace, threshold_otsu

    grey = _luminance(pixels)
    noise = estimate_noise(pixels)
    is_bright = grey > threshold_otsu(grey) if np.ptp(grey) > _SAME_GREY else np.zeros(grey.shape, bool)
    difference = grey[is_bright].mean() - grey[~is_bright].mean() if is_bright.any() else 0.0
    smooth = gaussian(grey, _SMOOTHING)
    white = noise**2 - _ROUNDING**2  # rounding alone is no white noise: it leaves flat areas flat
    variance = float(smooth.var()) - _SMOOTH_GAIN * white
    detail = max(float(laplace(smooth).var()) - _LAPLACIAN_GAIN * white, 0.0)
    return ImageQuality(
        width=int(grey.shape[1]),
        height=int(grey.shape[0]),
        snr=float(grey.mean() / noise),
        cnr=float(difference / noise),
        sharpness=float((detail / variance) ** 0.25) if variance > _SMOOTH_GAIN * white else 0.0,
    )


def estimate_noise(pixels: np.ndarray) -> float:
    """Standard deviation of the noise in the luminance, in grey levels.

    The image is filtered with the mask of Immerkær 1996 (Computer Vision and Image Understanding 64:300-302), to which
    edges and slopes are nothing, and the spread of the result is taken from its median absolute value (Donoho and
    Johnstone 1994, Biometrika 81:425-455), to which the few pixels of fine texture are nothing. It presumes noise that
    differs from pixel to pixel: of enlarged or strongly compressed images it sees little. It is never less than
    the rounding to 8 bits, 0.29.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255.

    Raises:
        ValueError: `pixels` is of another shape or type.
    """
    padded = np.pad(_luminance(pixels), 1, mode="edge")
    rows = sum(weight * padded[i : padded.shape[0] - 2 + i] for i, weight in enumerate(_NOISE_WEIGHTS))
    filtered = sum(weight * rows[:, i : rows.shape[1] - 2 + i] for i, weight in enumerate(_NOISE_WEIGHTS))
    inner = filtered[1:-1, 1:-1] if min(filtered.shape) > 2 else filtered  # the repeated edge would damp the estimate
    return float(max(np.median(np.abs(inner)) / (_NOISE_GAIN * _MAD_OF_NORMAL), _ROUNDING))


def quality_edges(values: Sequence[float]) -> tuple[float, float]:
    """Where a dataset's thirds meet: its 1/3 and 2/3 quantiles.

    Args:
        values: one figure of `ImageQuality` for every image of the dataset, such as its `cnr`.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    finite = np.isfinite(np.asarray(values, np.float64))
    if not finite.size or not finite.all():
        raise ValueError(
            f"values must be finite numbers, at least one. Received: {finite.size} values, "
            f"{int((~finite).sum())} of them not finite. Pass one figure of measure_quality an image."
        )
    low, high = np.quantile(values, (1 / 3, 2 / 3))
    return float(low), float(high)


def quality_bin(value: float, edges: tuple[float, float]) -> str:
    """The third, of `BINS`, that a value falls into; a value on an edge belongs to the upper one.

    Args:
        value: a figure of `ImageQuality`, of an image of that dataset or of another.
        edges: from `quality_edges`.
    """
    return BINS[int(np.searchsorted(edges, value, side="right"))]


def _luminance(pixels: np.ndarray) -> np.ndarray:
    """float64 [H, W], 0-255."""
    from skimage.color import rgb2gray

    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"pixels must be uint8 [height, width, 3]. Received: {pixels.dtype} {list(pixels.shape)}. "
            f"Decode the file with sperm_tf.data.decode.decode_rgb."
        )
    return rgb2gray(pixels) * 255
