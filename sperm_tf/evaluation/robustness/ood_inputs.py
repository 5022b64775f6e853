"""Out-of-distribution inputs: noise, photographs, other stains, several cells, other scales, made of the test images.

They are what an unfamiliarity score is measured with. None of them is used to fit one.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sperm_tf.evaluation.robustness.ood_composition import COMPOSITIONS, Composition


class Stranger(NamedTuple):
    """An out-of-distribution input.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        familiar: index of the familiar image that its content, or the first of several, is taken from; None where only
            its size is.
        picture: file name of the stock picture that it is cut out of; empty where there is none.
    """

    pixels: np.ndarray
    familiar: int | None = None
    picture: str = ""


_PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "chelsea.png", "clock_motion.png", "coffee.png", "grass.png", "gravel.png"),
    *("hubble_deep_field.jpg", "motorcycle_left.png", "rocket.jpg"),
)
_OTHER_TISSUE = ("ihc.png", "retina.jpg", "cell.png")
_PRINT = ("page.png", "text.png")
_BORDER_SHARE = 6  # the uppermost sixth of a crop rarely holds the head
_CROP_SIDES = (60, 400)  # pixels of a stock picture that become one stranger


def make_strangers(kind: str, familiar: Sequence[np.ndarray], *, count: int, seed: int = 0) -> list[Stranger]:
    """Draws out-of-distribution inputs, of the size of an in-distribution image but for `ood_composition.COMPOSITIONS`.

    Args:
        kind: of `KINDS`.
        familiar: uint8 [H, W, 3], RGB, images of the kind that the classifier knows; what some strangers are made of.
        count: how many.
        seed: equal arguments give equal images.

    Returns:
        `count` strangers; those of one familiar image, or of one picture, are not independent.

    Raises:
        ValueError: there is no such kind, or `familiar` is empty.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}. Received: kind={kind!r}.")
    if not len(familiar):
        raise ValueError("familiar must hold an image. Received: none. Pass images of the test part.")
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    chosen = rng.choice(len(familiar), size=count, replace=count > len(familiar))
    return [KINDS[kind](familiar, index, rng) for index in chosen.tolist()]


def _uniform_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, image.shape, np.uint8)


def _gaussian_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _to_uint8(rng.normal(rng.uniform(60, 220, 3), rng.uniform(5, 60), image.shape))


def _blank(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, np.uint8), image.shape).copy()


def _empty_field(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The ground's colour, with noise as faint as a camera's."""
    corner = image[: max(1, image.shape[0] // 8), : max(1, image.shape[1] // 8)]
    return _to_uint8(np.median(corner, axis=(0, 1)) + rng.normal(0, 3, image.shape))


def _stretched_border(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Real ground, without what stands on it."""
    del rng
    return _resize(image[: max(1, image.shape[0] // _BORDER_SHARE)], image.shape)


def _turn_hue(image: np.ndarray, rng: np.random.Generator, *, turn: float) -> np.ndarray:
    from skimage.color import hsv2rgb, rgb2hsv

    del rng
    hsv = rgb2hsv(image)
    hsv[..., 0] = (hsv[..., 0] + turn) % 1
    return _to_uint8(hsv2rgb(hsv) * 255)


def _grey(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from skimage.color import rgb2gray

    del rng
    return np.repeat(_to_uint8(rgb2gray(image) * 255)[..., None], 3, axis=-1)


def _inverted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    del rng
    return 255 - image


def _swapped_channels(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    del rng
    return np.ascontiguousarray(image[..., ::-1])


def _drawn_sperm(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the initial weights were trained on, and no photograph."""
    from sperm_tf.synthesis.renderer import render

    drawn = render(int(rng.integers(1_000_000)), label_set="quality", seed=1)
    return _resize(drawn.image, image.shape)


def _stock(familiar: Sequence[np.ndarray], index: int, rng: np.random.Generator, *, names: tuple[str, ...]) -> Stranger:
    """A square out of a picture that comes with scikit-image."""
    shape = np.shape(familiar[index])
    name = str(rng.choice(names))
    picture = _read_stock(name)
    side = int(rng.integers(_CROP_SIDES[0], min(_CROP_SIDES[1], *picture.shape[:2])))
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    return Stranger(_resize(picture[top : top + side, left : left + side], shape), picture=name)


@functools.cache
def _read_stock(name: str) -> np.ndarray:
    from PIL import Image
    from skimage import data

    return np.asarray(Image.open(pathlib.Path(data.__file__).parent / name).convert("RGB"))


def _resize(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image

    height, width = shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


_Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_Make = Callable[[Sequence[np.ndarray], int, np.random.Generator], Stranger]


def _new(draw: _Draw) -> _Make:
    """Of nothing but the size of the familiar image."""
    return lambda familiar, index, rng: Stranger(draw(np.asarray(familiar[index]), rng))


def _changed(draw: _Draw) -> _Make:
    """Of the familiar image."""
    return lambda familiar, index, rng: Stranger(draw(np.asarray(familiar[index]), rng), familiar=index)


def _composed(composition: Composition) -> _Make:
    """Of the familiar image and, where there are enough, others."""

    def make(familiar: Sequence[np.ndarray], index: int, rng: np.random.Generator) -> Stranger:
        others = [other for other in range(len(familiar)) if other != index] or [index]
        needed = composition.num_crops - 1
        drawn = rng.choice(others, size=needed, replace=needed > len(others)).tolist()
        return Stranger(composition.draw([np.asarray(familiar[one]) for one in (index, *drawn)], rng), familiar=index)

    return make


KINDS: dict[str, _Make] = {
    "uniform_noise": _new(_uniform_noise),
    "gaussian_noise": _new(_gaussian_noise),
    "blank": _new(_blank),
    "empty_field": _changed(_empty_field),
    "stretched_border": _changed(_stretched_border),
    "photograph": functools.partial(_stock, names=_PHOTOGRAPHS),
    "other_tissue": functools.partial(_stock, names=_OTHER_TISSUE),
    "print": functools.partial(_stock, names=_PRINT),
    "drawn_sperm": _new(_drawn_sperm),
    "hue_quarter_turn": _changed(functools.partial(_turn_hue, turn=0.25)),
    "hue_half_turn": _changed(functools.partial(_turn_hue, turn=0.5)),
    "grey": _changed(_grey),
    "inverted": _changed(_inverted),
    "swapped_channels": _changed(_swapped_channels),
    **{name: _composed(composition) for name, composition in COMPOSITIONS.items()},
}
"""Name -> what makes one stranger of familiar images, uint8 [H, W, 3], the index of one, and a generator."""
