"""From stain to pixels: absorption, illumination, microscope, camera.

A slide appears as light that dyes have absorbed (Beer-Lambert law, per colour channel). Two looks exist: `video`, the
analogue camera and 5-bit frame grabber whose traces HuSHeM's images carry, and `smartphone`, the look of SMIDS's.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from sperm_tf.synthesis.canvas import Canvas

Vector = np.ndarray


@dataclasses.dataclass(frozen=True)
class Look:
    """The slide and the camera of one image.

    Attributes:
        camera: `video` or `smartphone`.
        background: float64 [3], RGB of the empty slide, 0-255; above 255 the camera saturates.
        nuclear: float64 [3], optical density (natural logarithm) of nuclear stain 1.
        eosin: float64 [3], optical density of eosin stain 1.
        pale: float64 [3], optical density of pale matter 1.
        blur_um: standard deviation of the point spread, defocus included.
        halo: strength of the bright fringe (edge enhancement, diffraction).
        halo_um: its width.
        shift_um: float64 [2], shift (x, y) of the red against the green image; the blue one shifts the other way.
        slope: float64 [2], change of the illumination over the field, relative.
        mottle: standard deviation, grey levels, of the unevenness of the slide.
        grain: standard deviation, grey levels, of the sensor's noise.
        corner: (direction in radians, distance in field heights) of the dark edge of the field of view, or none.
    """

    camera: str
    background: Vector
    nuclear: Vector
    eosin: Vector
    pale: Vector
    blur_um: float
    halo: float
    halo_um: float
    shift_um: Vector
    slope: Vector
    mottle: float
    grain: float
    corner: tuple[float, float] | None


def draw_look(camera: str, rng: np.random.Generator) -> Look:
    """Draws the slide and the camera of one image.

    Args:
        camera: `video` or `smartphone`.
        rng: source of randomness.

    Returns:
        The look. It does not depend on what is on the slide.
    """
    return _video_look(rng) if camera == "video" else _smartphone_look(rng)


def _video_look(rng: np.random.Generator) -> Look:
    brightness = rng.uniform(0, 1)
    background = np.array([238, 154, 176.0]) + brightness * np.array([20, 28, 30.0]) + rng.normal(0, (2, 2.5, 5))
    if rng.random() < 0.06:  # another white balance
        background *= (1.04, 0.96, 0.88)
    stain = rng.normal(1, 0.08, (3, 3))
    slate = rng.uniform(0, 1)  # nuclei of some slides are rather grey-blue than purple
    return Look(
        camera="video",
        background=background,
        nuclear=(np.array([0.66, 1.45, 0.62]) + slate * np.array([0.34, -0.15, 0.08])) * stain[0],
        eosin=np.array([0.23, 0.56, 0.27]) * stain[1],
        pale=np.array([0.42, 0.60, 0.40]) * stain[2],
        blur_um=float(rng.uniform(0.055, 0.115) + (rng.random() < 0.1) * rng.uniform(0.05, 0.12)),
        halo=float(rng.uniform(0.4, 1.5)),
        halo_um=float(rng.uniform(0.15, 0.32)),
        shift_um=rng.normal(0, (0.05, 0.03)),
        slope=rng.normal(0, 0.006, 2),
        mottle=float(rng.uniform(0.1, 0.4)),
        grain=float(rng.uniform(2.6, 4.4)),
        corner=None,
    )


def _smartphone_look(rng: np.random.Generator) -> Look:
    warmth = rng.normal(0, 1)
    background = np.array([202, 192.5, 185.0]) + rng.normal(0, 5) + warmth * np.array([2.0, -3.0, 0.5])
    stain = rng.normal(1, 0.09, (3, 3))
    direction, shift_um = rng.uniform(-2.6, -0.6), abs(rng.normal(0.25, 0.07))
    rough = rng.random() < 0.04
    return Look(
        camera="smartphone",
        background=background,
        nuclear=np.array([0.98, 1.25, 0.13]) * stain[0],
        eosin=np.array([0.30, 0.80, 0.10]) * stain[1],
        pale=np.array([0.36, 0.33, 0.20]) * stain[2],
        blur_um=float(rng.uniform(0.12, 0.22) + (rng.random() < 0.12) * rng.uniform(0.05, 0.2)),
        halo=float(rng.uniform(1.2, 2.0) if rough else rng.uniform(0.1, 0.6)),
        halo_um=float(rng.uniform(0.25, 0.45)),
        shift_um=shift_um * np.array([np.cos(direction), np.sin(direction)]),
        slope=rng.normal(0, 0.012, 2),
        mottle=float(rng.uniform(3, 6) if rough else rng.uniform(1.0, 2.2)),
        grain=float(rng.uniform(0.9, 1.5)),
        corner=(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.4, 0.6))) if rng.random() < 0.03 else None,
    )


def expose(canvas: Canvas, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Takes the picture.

    Args:
        canvas: the stained slide.
        look: slide and camera.
        rng: source of the slide's unevenness and of the noise.

    Returns:
        uint8 [height, width, 3], RGB.
    """
    density = canvas.nuclear[..., None] * look.nuclear + canvas.eosin[..., None] * look.eosin
    density += canvas.pale[..., None] * look.pale
    light = np.exp(-density) * _illumination(canvas, look, rng)[..., None]
    image = np.empty_like(light)
    for channel, direction in enumerate((1.0, 0.0, -1.0)):
        shift = direction * look.shift_um[::-1] / canvas.pixel_size_um
        plane = ndimage.shift(light[..., channel], shift, order=1, mode="nearest") if direction else light[..., channel]
        sharp = ndimage.gaussian_filter(plane, look.blur_um / canvas.pixel_size_um, mode="nearest", truncate=3.0)
        soft = ndimage.gaussian_filter(sharp, look.halo_um / canvas.pixel_size_um, mode="nearest", truncate=3.0)
        image[..., channel] = (sharp + look.halo * (sharp - soft)) * look.background[channel]
    return _digitize_video(image, look, rng) if look.camera == "video" else _digitize_smartphone(image, look, rng)


def _illumination(canvas: Canvas, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Light on the background, float64 [height, width], 1 on average."""
    x, y = canvas.coordinates_um(slice(0, canvas.height), slice(0, canvas.width))
    height_um, width_um = canvas.field_um
    light = 1 + look.slope[0] * 2 * x / width_um + look.slope[1] * 2 * y / height_um
    for scale_um, share in ((0.28, 0.8), (0.9, 0.6)):  # fine structure of the smear, and coarse clouds
        sigma = scale_um / canvas.pixel_size_um
        cloud = ndimage.gaussian_filter(rng.standard_normal((canvas.height, canvas.width)), sigma, truncate=2.5)
        light += share * look.mottle / 180 * cloud * sigma * 2 * np.sqrt(np.pi)
    if look.corner is not None:
        direction, distance = look.corner
        ray = x * np.cos(direction) + y * np.sin(direction) - distance * height_um
        light *= 0.02 + 0.98 / (1 + np.exp(np.clip(ray / 0.12, -30, 30)))
    return light


def _digitize_video(image: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Line-wise noise, chroma of a fraction of the horizontal resolution, 5 bits per channel (RGB555)."""
    luma = image @ (0.299, 0.587, 0.114)
    chroma = image - luma[..., None]
    chroma += ndimage.uniform_filter1d(rng.standard_normal(image.shape), 4, axis=1) * (0.9 * look.grain)
    chroma = ndimage.uniform_filter1d(chroma, 4, axis=1, mode="nearest")
    noise = ndimage.correlate1d(rng.standard_normal(luma.shape), (0.15, 1.0, 0.15), axis=1)
    signal = (luma + 1.0 * look.grain * noise)[..., None] + chroma
    return np.round(np.round(np.clip(signal, 0, 255) * (31 / 255)) * (255 / 31)).astype(np.uint8)


def _digitize_smartphone(image: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Noise that a JPEG encoder has smoothed, 8 bits."""
    luma = ndimage.gaussian_filter(rng.standard_normal(image.shape[:2]), 0.75, truncate=3.0) * 2.6
    colour = ndimage.gaussian_filter(rng.standard_normal(image.shape), (1.6, 1.6, 0), truncate=2.5) * 3.0
    return np.clip(np.round(image + look.grain * (luma[..., None] + colour)), 0, 255).astype(np.uint8)
