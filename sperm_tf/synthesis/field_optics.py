"""Light and camera of a drawn field: a stained slide under an oil objective, a digital camera, JPEG-like noise.

Colours, blur and noise were matched by eye, and by medians of optical densities, to stained fields of a public data
set (docs/decisions/synthetic_fields.md); their spread is wider than there.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from sperm_tf.synthesis.canvas import Canvas


@dataclasses.dataclass(frozen=True)
class FieldLook:
    """Slide and camera of one field.

    Attributes:
        background: float64 [3], RGB of the empty slide, 0-255.
        nuclear: float64 [3], optical density (natural logarithm) of nuclear stain 1.
        eosin: float64 [3], of eosin stain 1.
        pale: float64 [3], of pale matter 1.
        blur_um: standard deviation of the point spread.
        defocus_um: further blur of what lies out of focus.
        halo: strength of the bright fringe (sharpening by the camera).
        halo_um: its width.
        shift_um: float64 [2], shift (x, y) of the red against the green image; the blue one shifts the other way.
        slope: float64 [2], change of the illumination from centre to edge, relative.
        vignette: loss of light in the corners, relative.
        clouds: unevenness of the slide, relative.
        noise: standard deviation of the noise, grey levels.
    """

    background: np.ndarray
    nuclear: np.ndarray
    eosin: np.ndarray
    pale: np.ndarray
    blur_um: float
    defocus_um: float
    halo: float
    halo_um: float
    shift_um: np.ndarray
    slope: np.ndarray
    vignette: float
    clouds: float
    noise: float


def draw_field_look(rng: np.random.Generator) -> FieldLook:
    """Draws slide and camera. They do not depend on what is on the slide."""
    stain = rng.normal(1, 0.1, (3, 3))
    lilac = rng.uniform(0, 1)
    tint = rng.normal(0, 1)
    return FieldLook(
        background=np.array([226.0, 227.5, 231.5]) + rng.normal(0, 4) + tint * np.array([3.0, -1.5, 0.5]),
        nuclear=np.array([1.10, 3.0, 0.15]) * stain[0],
        eosin=np.array([0.24, 0.55, 0.035]) * stain[1],
        pale=((1 - lilac) * np.array([0.155, 0.085, 0.005]) + lilac * np.array([0.10, 0.125, 0.005])) * stain[2],
        blur_um=float(rng.uniform(0.09, 0.15) + (rng.random() < 0.15) * rng.uniform(0.05, 0.2)),
        defocus_um=float(rng.uniform(0.2, 0.5)),
        halo=float(rng.uniform(0.6, 1.8)),
        halo_um=float(rng.uniform(0.12, 0.3)),
        shift_um=rng.normal(0, 0.03, 2),
        slope=rng.normal(0, 0.012, 2),
        vignette=float(rng.choice([0.0, 0.02, 0.06], p=[0.5, 0.3, 0.2]) * rng.uniform(0.5, 1.5)),
        clouds=float(rng.choice([0.001, 0.004, 0.01], p=[0.5, 0.35, 0.15])),
        noise=float(rng.uniform(0.5, 1.4)),
    )


def expose_field(canvas: Canvas, blurred: Canvas | None, margin: int, look: FieldLook, seed: int) -> np.ndarray:
    """Takes the picture.

    Args:
        canvas: what lies in focus.
        blurred: what lies out of focus, or None.
        margin: pixels of the canvas around the field, on every side.
        look: slide and camera.
        seed: of noise and unevenness, which take the more numbers the more pixels there are.

    Returns:
        uint8 [height, width, 3], RGB, of the canvas without its margin.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    size = canvas.pixel_size_um
    reach = int(np.ceil(3 * (look.blur_um + look.halo_um) / size)) + 2
    edge = max(margin - reach, 0)
    planes = [_crop(canvas.nuclear, edge), _crop(canvas.eosin, edge), _crop(canvas.pale, edge)]
    if blurred is not None:
        sigma = look.defocus_um / size
        for plane, far in zip(planes, (blurred.nuclear, blurred.eosin, blurred.pale), strict=True):
            if far.any():
                plane += _blur(_crop(far, edge), sigma)
    dyes = np.stack([look.nuclear, look.eosin, look.pale]).astype(np.float32)
    light = _illumination(planes[0].shape, size, look, rng)
    image = np.empty((*planes[0].shape, 3), np.float32)
    for channel, side in enumerate((1.0, 0.0, -1.0)):
        density = sum(plane * dye for plane, dye in zip(planes, dyes[:, channel], strict=True))
        shown = np.exp(-density) * light
        if side:
            shown = ndimage.shift(shown, side * look.shift_um[::-1] / size, order=1, mode="nearest")
        sharp = _blur(shown, look.blur_um / size)
        soft = _blur(sharp, look.halo_um / size)
        image[..., channel] = (sharp + look.halo * (sharp - soft)) * look.background[channel]
    inner = margin - edge
    image = image[inner:-inner, inner:-inner] if inner else image
    grey = _blur(rng.standard_normal(image.shape[:2], np.float32), 0.8) * 2.6
    colour = np.stack([_blur(rng.standard_normal(image.shape[:2], np.float32), 1.6) for _ in range(3)], axis=-1)
    return np.clip(np.round(image + look.noise * (grey[..., None] + 2.0 * colour)), 0, 255).astype(np.uint8)


def _illumination(shape: tuple[int, ...], size: float, look: FieldLook, rng: np.random.Generator) -> np.ndarray:
    """Light on the slide, float32 [H, W], about 1."""
    y, x = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None], np.linspace(-1, 1, shape[1], dtype=np.float32)
    light = 1 + look.slope[0] * x + look.slope[1] * y - look.vignette * (x**2 + y**2) / 2
    step = max(int(0.5 / size), 1)  # clouds are coarse: drawn on a coarse grid, and enlarged
    coarse = rng.standard_normal((shape[0] // step + 3, shape[1] // step + 3))
    clouds = ndimage.gaussian_filter(coarse, 1.6) * 5.7 + ndimage.gaussian_filter(coarse, 8.0) * 28.0
    rows, columns = np.arange(shape[0]) / step + 1, np.arange(shape[1]) / step + 1
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], columns - left
    rough = (1 - right) * clouds[:, left] + right * clouds[:, left + 1]
    rough = (1 - down) * rough[top] + down * rough[top + 1]
    return (light * (1 + look.clouds * 0.5 * rough)).astype(np.float32)


def _crop(plane: np.ndarray, edge: int) -> np.ndarray:
    return plane[edge : plane.shape[0] - edge, edge : plane.shape[1] - edge].astype(np.float32)


def _blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(plane, sigma, mode="nearest", truncate=3.0)
