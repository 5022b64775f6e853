"""Maps laid over the image that they explain, as pictures for people."""

from __future__ import annotations

import functools
import pathlib

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sperm_tf.data.preprocess import padding_before
from sperm_tf.data.served_decoder import decode_served
from sperm_tf.probabilities import write_probability

COLOUR_MAP = "inferno"
"""Perceptually uniform and rising in lightness, so that it survives grey print and colour blindness."""
_OPACITY = 0.65  # of the map where it is 1; where it is 0 the grey image shows through untouched
_TILE_SIDE = 224  # pixels; the longer side of an image in a panel
_MAX_SIDE = 2048  # pixels, of a picture that is kept
_MIN_RANGE = 0.02  # of attention that is stretched to its full range
_MARGIN, _LINE_HEIGHT, _FONT_SIZE = 8, 20, 14
_RIGHT, _WRONG, _INK, _PAPER = (0, 120, 60), (190, 30, 30), (30, 30, 30), (255, 255, 255)


def project_map(heat_map: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Brings a map of the padded square back onto the image, undoing the geometry of preprocessing.

    Args:
        heat_map: [h, w], covers the square that `sperm_tf.data.preprocess` makes of the image.
        height: of the image in pixels.
        width: of the image in pixels.

    Returns:
        float32 [height, width], interpolated bilinearly between the values of the map.
    """
    side = max(height, width)
    square = Image.fromarray(np.asarray(heat_map, np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    top, left = padding_before(height, side), padding_before(width, side)
    return np.asarray(square)[top : top + height, left : left + width]


def draw_overlay(pixels: np.ndarray, heat_map: np.ndarray) -> np.ndarray:
    """Colours the grey version of an image by a map, the more the higher its value.

    Stains are purple, pink and blue, as is half of the colour map: on the grey image every colour is the map's.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255, the image before preprocessing.
        heat_map: [h, w], 0-1, covers the padded square of the image.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ValueError: an argument has another shape or type.
    """
    _check(pixels, heat_map)
    values = np.clip(project_map(heat_map, height=pixels.shape[0], width=pixels.shape[1]), 0, 1)
    colours = matplotlib.colormaps[COLOUR_MAP](values)[:, :, :3] * 255
    opacity = _OPACITY * values[:, :, None]
    grey = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    return np.round(grey * (1 - opacity) + colours * opacity).astype(np.uint8)


def save_overlay(content: bytes, heat_map: np.ndarray, path: pathlib.Path) -> None:
    """Writes a picture: the image, made smaller where a side is over 2,048 pixels, and beside it the same with its map.

    Args:
        content: bytes of an image file.
        heat_map: [h, w], 0-1, covers the padded square of the image.
        path: of the picture, PNG; its folder is made.

    Raises:
        UndecodableImageError: the bytes hold no image that an exported model reads.
        ValueError: the map has another shape.
    """
    pixels = _decode_picture(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack([pixels, draw_overlay(pixels, heat_map)])).save(path)


def overlay_file(content: bytes, heat_map: np.ndarray) -> Image.Image:
    """The picture of an image under its map, made smaller where a side is over 2,048 pixels.

    Args:
        content: bytes of an image file.
        heat_map: [h, w], 0-1, covers the padded square of the image.

    Returns:
        RGB.

    Raises:
        UndecodableImageError: the bytes hold no image that an exported model reads.
        ValueError: the map has another shape.
    """
    return Image.fromarray(draw_overlay(_decode_picture(content), heat_map))


def stretch(attention: np.ndarray) -> np.ndarray:
    """Stretches attention, which rarely fills 0-1, to its own range; one that hardly varies stays nearly even.

    Args:
        attention: [h, w], 0-1.

    Returns:
        float [h, w], 0-1, lowest value 0.
    """
    low, high = float(np.min(attention)), float(np.max(attention))
    return (np.asarray(attention) - low) / max(high - low, _MIN_RANGE)


def draw_panel(
    pixels: np.ndarray,
    *,
    layer_integrated_gradients: np.ndarray,
    grad_cam_plus_plus: np.ndarray,
    attention: np.ndarray | None,
    true_class: str,
    predicted_class: str,
    probability: float,
) -> Image.Image:
    """Draws image, layer integrated gradients, Grad-CAM++ and CBAM attention side by side, under a caption.

    The attention of CBAM is stretched, and its own range is written above it.

    Args:
        pixels: uint8 [H, W, 3], RGB, 0-255, the image before preprocessing.
        layer_integrated_gradients: [h, w], 0-1, the map of the predicted class.
        grad_cam_plus_plus: [h, w], 0-1, the same.
        attention: [h, w], 0-1, the spatial attention of CBAM; None for a model without.
        true_class: name of the true class.
        predicted_class: name of the predicted class.
        probability: of the predicted class, 0-1.

    Returns:
        The panel, RGB.

    Raises:
        ValueError: an argument has another shape or type.
    """
    tiles = [
        ("image", pixels),
        ("integrated gradients", draw_overlay(pixels, layer_integrated_gradients)),
        ("Grad-CAM++", draw_overlay(pixels, grad_cam_plus_plus)),
    ]
    if attention is not None:
        low, high = float(np.min(attention)), float(np.max(attention))
        tiles.append((f"CBAM {low:.2f} to {high:.2f}", draw_overlay(pixels, stretch(attention))))
    pictures = [_to_tile(tile) for _, tile in tiles]
    tile_width, tile_height = pictures[0].size
    column = max(tile_width, 160) + _MARGIN
    panel = Image.new("RGB", (_MARGIN + len(tiles) * column, 2 * _MARGIN + 3 * _LINE_HEIGHT + tile_height), _PAPER)
    draw = ImageDraw.Draw(panel)
    is_right = true_class == predicted_class
    verdict = f"{'✓' if is_right else '✗'} predicted {predicted_class} ({write_probability(probability)})"
    draw.text((_MARGIN, _MARGIN), verdict, fill=_RIGHT if is_right else _WRONG, font=_load_font())
    draw.text((_MARGIN, _MARGIN + _LINE_HEIGHT), f"true {true_class}", fill=_INK, font=_load_font())
    top = _MARGIN + 2 * _LINE_HEIGHT
    for index, ((title, _), picture) in enumerate(zip(tiles, pictures, strict=True)):
        left = _MARGIN + index * column
        draw.text((left, top), title, fill=_INK, font=_load_font())
        panel.paste(picture, (left, top + _LINE_HEIGHT))
    return panel


def _decode_picture(content):
    image = Image.fromarray(decode_served(content).pixels)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _to_tile(pixels):
    height, width = pixels.shape[:2]
    scale = _TILE_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


@functools.cache
def _load_font():
    # Matplotlib brings a font that has the tick and the cross; Pillow's own has neither.
    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), _FONT_SIZE)


def _check(pixels, heat_map):
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"pixels must be uint8 [H, W, 3]. Received: {pixels.dtype} {list(pixels.shape)}. "
            "Pass the decoded image, before preprocessing"
        )
    if np.ndim(heat_map) != 2:
        raise ValueError(
            f"heat_map must be [h, w]. Received: {list(np.shape(heat_map))}. Pass the map of one image and one class"
        )
