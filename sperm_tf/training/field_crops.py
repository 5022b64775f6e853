"""Random crops of fields for training: turned, mirrored, with other stains, blur, noise and compression."""

from __future__ import annotations

import io
from collections.abc import Sequence

import keras
import numpy as np

from sperm_tf.fields.parsing import CENTERS, OFFSETS, PART_NAMES, PARTS, STEP, STRIDE, VACUOLES
from sperm_tf.training.field_samples import FieldSample, draw_centers

_NEAR_HEAD = 0.8  # share of the crops that show a head for sure


class FieldCrops(keras.utils.PyDataset):
    """One epoch of random crops; it depends on the arguments and nothing else.

    Args:
        samples: what is cropped, all at least `crop_px` pixels high and wide.
        num_batches: of the epoch.
        batch_size: crops in a batch.
        crop_px: side, a multiple of 16.
        seed: of the crops.
        augment: whether colours, sharpness and noise vary; crops are turned and mirrored in any case.
        shares: how often each sample is drawn, relative to the others; None draws all equally often.
    """

    def __init__(
        self,
        samples: Sequence[FieldSample],
        *,
        num_batches: int,
        batch_size: int,
        crop_px: int,
        seed: int,
        augment: bool = True,
        shares: Sequence[float] | None = None,
    ):
        super().__init__()
        self._samples, self._num_batches, self._batch_size = samples, num_batches, batch_size
        self._crop_px, self._seed, self._augment = crop_px, seed, augment
        self._shares = np.ones(len(samples)) if shares is None else np.asarray(shares, np.float64)
        self._shares /= self._shares.sum()

    def __len__(self) -> int:
        return self._num_batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Images float32 [B, S, S, 3], 0-255, and the targets of `sperm_tf.training.field_losses`."""
        rng = np.random.default_rng([self._seed, index])
        chosen = rng.choice(len(self._samples), self._batch_size, p=self._shares)
        crops = [cut(self._samples[number], self._crop_px, rng) for number in chosen]
        images = [change_look(image, rng) if self._augment else image.astype(np.float32) for image, _ in crops]
        targets = {name: np.stack([target[name] for _, target in crops]) for name in crops[0][1]}
        return np.stack(images), targets


def cut(sample: FieldSample, side: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A crop, turned and mirrored at random.

    Args:
        sample: a field.
        side: pixels.
        rng: source of randomness.

    Returns:
        uint8 [side, side, 3], and the targets by output, float32 on the grid.
    """
    limits = (np.array(sample.parts.shape) - side) // STRIDE
    corner = rng.integers(0, limits + 1)
    grid = side // STRIDE
    if len(sample.centers) and rng.random() < _NEAR_HEAD:
        center = sample.centers[rng.integers(len(sample.centers))]
        corner = np.clip(np.round(center - rng.uniform(0.15, 0.85, 2) * grid), 0, limits).astype(int)
    top, left = corner
    pixels = np.s_[STRIDE * top : STRIDE * top + side, STRIDE * left : STRIDE * left + side]
    squares = np.s_[top : top + grid, left : left + grid]
    classes = np.eye(len(PART_NAMES), dtype=np.float32)[sample.parts[pixels]]
    known = sample.has_offset[squares][..., None]
    ways = np.concatenate([sample.offsets[squares].astype(np.float32) / STEP, known], axis=-1)
    arrays = {
        PARTS: _shares(classes),
        VACUOLES: _shares(sample.vacuoles[pixels][..., None].astype(np.float32)),
        CENTERS: draw_centers(sample.centers - corner, grid)[..., None],
        OFFSETS: ways.astype(np.float32),
    }
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    image = turn(sample.image[pixels], turns, mirror)
    arrays = {name: turn(array, turns, mirror) for name, array in arrays.items()}
    arrays[OFFSETS] = turn_vectors(arrays[OFFSETS], turns, mirror)
    return image, arrays


def turn(array: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    """Turns an array [H, W, ...] by quarters, then mirrors its columns."""
    turned = np.rot90(array, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirror else turned)


def turn_vectors(offsets: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    """Turns the first two values of each pixel, rows and columns to go, as `turn` turns the pixels."""
    rows, columns = offsets[..., 0], offsets[..., 1]
    for _ in range(turns):
        rows, columns = -columns, rows
    return np.concatenate([np.stack([rows, -columns if mirror else columns], -1), offsets[..., 2:]], axis=-1)


def change_look(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another stain, lamp, focus, camera and file of the same field.

    Args:
        pixels: uint8 [S, S, 3], RGB.
        rng: source of randomness.

    Returns:
        float32 [S, S, 3], 0-255.
    """
    from scipy import ndimage

    image = _change_stain(pixels, rng)
    if rng.random() < 0.5:
        image = ndimage.gaussian_filter(image, (*[rng.uniform(0.2, 1.1)] * 2, 0))
    elif rng.random() < 0.4:
        soft = ndimage.gaussian_filter(image, (1.2, 1.2, 0))
        image = image + rng.uniform(0.2, 1.0) * (image - soft)
    noise = rng.standard_normal((*image.shape[:2], 1), np.float32) + 0.5 * rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.5:
        noise = 2 * ndimage.uniform_filter(noise, (2, 2, 1))
    image = np.clip(image + rng.exponential(1.5) * noise, 0, 255)
    if rng.random() < 0.5:
        image = _compress(image, int(rng.integers(40, 95)))
    return image.astype(np.float32)


def _change_stain(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other dyes and another lamp, by optical densities (Tellez et al. 2019, arXiv:1902.06543); sometimes grey."""
    density = -np.log((pixels.astype(np.float32) + 2) / 257)
    mixing = np.eye(3) * rng.uniform(0.65, 1.4) * rng.normal(1, 0.12, 3) + rng.normal(0, 0.07, (3, 3))
    side = np.linspace(-1, 1, pixels.shape[0], dtype=np.float32)
    shade = rng.normal(0, 0.03) * side[:, None] + rng.normal(0, 0.03) * side[None]
    lamp = rng.normal(0, 0.06) + rng.normal(0, 0.05, 3)
    density = density @ mixing.astype(np.float32) + shade[..., None] + lamp.astype(np.float32)
    image = np.clip(257 * np.exp(-density) - 2, 0, 255)
    if rng.random() < 0.08:
        image = np.repeat(image @ rng.dirichlet([2, 4, 2]).astype(np.float32)[:, None], 3, axis=2)
    return image.astype(np.float32)


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.round(image).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(np.float32)


def _shares(values: np.ndarray) -> np.ndarray:
    """Mean of each square of `STRIDE` x `STRIDE` pixels."""
    height, width, channels = values.shape
    squares = values.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE, channels)
    return squares.mean(axis=(1, 3), dtype=np.float32)
