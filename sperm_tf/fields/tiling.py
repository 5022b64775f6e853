"""A fully convolutional network on pictures of any size, in tiles, with the same result whatever the tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TILE_PX, HALO_PX, MULTIPLE = 1024, 256, 16
"""Side of a tile; what is seen around it, more than the network's receptive field reaches; and the grid of origins."""


def predict_tiles(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    picture: np.ndarray,
    *,
    stride: int,
    tile_px: int = TILE_PX,
    halo_px: int = HALO_PX,
) -> dict[str, np.ndarray]:
    """Predicts a picture tile by tile.

    Origins of tiles lie on the grid of the network's strides, and each tile is seen with `halo_px` pixels around it,
    or up to the border of the picture. So padding changes nothing within, and every pixel has the prediction that it
    has when the picture is predicted at once.

    Args:
        predict: uint8 [1, H, W, 3], sides multiples of `MULTIPLE` -> name -> float32 [1, H / stride, W / stride, C].
        picture: uint8 [H, W, 3]; its edge is repeated up to multiples of `MULTIPLE`.
        stride: of the output.
        tile_px: a multiple of `MULTIPLE`.
        halo_px: a multiple of `MULTIPLE`, at least the reach of the receptive field.

    Returns:
        Name -> float32 [ceil(H / stride), ceil(W / stride), C].

    Raises:
        ValueError: a size is no multiple of `MULTIPLE`.
    """
    for name, value in (("tile_px", tile_px), ("halo_px", halo_px)):
        if value % MULTIPLE or value < 0 or (name == "tile_px" and not value):
            raise ValueError(f"{name} must be a multiple of {MULTIPLE}. Received: {name}={value}.")
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), mode="edge")
    found: dict[str, np.ndarray] = {}
    rows, columns = _spans(padded.shape[0], tile_px, halo_px), _spans(padded.shape[1], tile_px, halo_px)
    for top, seen_top, bottom, seen_bottom in rows:
        for left, seen_left, right, seen_right in columns:
            outputs = predict(padded[None, seen_top:seen_bottom, seen_left:seen_right])
            for name, values in outputs.items():
                if name not in found:
                    shape = padded.shape[0] // stride, padded.shape[1] // stride, values.shape[-1]
                    found[name] = np.empty(shape, np.float32)
                inner = [(edge - seen) // stride for edge, seen in ((top, seen_top), (bottom, seen_top))]
                across = [(edge - seen) // stride for edge, seen in ((left, seen_left), (right, seen_left))]
                found[name][top // stride : bottom // stride, left // stride : right // stride] = values[
                    0, inner[0] : inner[1], across[0] : across[1]
                ]
    return {name: values[: -(-height // stride), : -(-width // stride)] for name, values in found.items()}


def _spans(side: int, tile: int, halo: int) -> list[tuple[int, int, int, int]]:
    """First pixel of each tile, first that it sees, and the same for what lies behind it."""
    if side <= tile + 2 * halo:
        return [(0, 0, side, side)]
    return [
        (start, max(0, start - halo), min(side, start + tile), min(side, start + tile + halo))
        for start in range(0, side, tile)
    ]
