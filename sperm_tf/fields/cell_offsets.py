"""Offsets that lead from every pixel of a cell toward the centre of its head, along the flagellum."""

from __future__ import annotations

import math

import numpy as np

_GAP_COST = 20.0  # of a pixel outside the mask: tails that are hidden in part stay one way
_MARGIN = 3  # pixels around the mask within which a way may lead


def trace_offsets(mask: np.ndarray, center: tuple[float, float], *, step: int) -> np.ndarray:
    """Offsets of the pixels of one cell.

    Each leads to the pixel that lies `step` pixels nearer to the centre on the shortest way within the mask (Dijkstra,
    eight neighbours), or to the centre where that is nearer.

    Args:
        mask: bool [H, W], all parts of the cell; may be of several pieces.
        center: row and column of the head's centre.
        step: a power of two, pixels.

    Returns:
        float32 [H, W, 2], rows and columns to go; 0 outside the mask.

    Raises:
        ValueError: `step` is no power of two.
    """
    if step < 1 or step & (step - 1):
        raise ValueError(f"step must be a power of two. Received: step={step}.")
    offsets = np.zeros((*mask.shape, 2), np.float32)
    if not mask.any():
        return offsets
    start = [int(np.clip(round(center[axis]), 0, mask.shape[axis] - 1)) for axis in (0, 1)]
    window = _window(mask, start)
    inside = mask[window]
    origin = np.array([window[0].start, window[1].start])
    ahead = _go_back(inside, tuple(np.array(start) - origin))
    for _ in range(int(math.log2(step))):
        ahead = ahead[ahead]
    rows, columns = np.unravel_index(ahead, inside.shape)
    targets = np.stack([rows, columns], axis=-1).reshape(*inside.shape, 2).astype(np.float32)
    is_center = (targets == np.array(start) - origin).all(axis=-1)
    targets[is_center] = np.array(center) - origin  # the centre itself, not its pixel
    places = np.stack(np.indices(inside.shape), axis=-1)
    offsets[window] = np.where(inside[..., None], targets - places, 0)
    return offsets


def follow_offsets(
    points: np.ndarray, offsets: np.ndarray, is_part: np.ndarray, *, rounds: int, reach: int = 3
) -> np.ndarray:
    """Follows offsets repeatedly; a point that leaves all parts goes on from the nearest part within `reach`.

    Args:
        points: float [N, 2], rows and columns.
        offsets: float [H, W, 2], rows and columns to go.
        is_part: bool [H, W], where offsets mean something.
        rounds: how often.
        reach: pixels; a point that is farther from all parts stays where it is.

    Returns:
        float32 [N, 2].
    """
    from scipy import ndimage

    if not is_part.any():
        return points.astype(np.float32)
    distance, nearest = ndimage.distance_transform_edt(~is_part, return_indices=True)
    places = points.astype(np.float32)
    limits = np.array(is_part.shape) - 1
    for _ in range(rounds):
        pixels = np.clip(np.round(places), 0, limits).astype(int)
        rows, columns = pixels.T
        is_near = distance[rows, columns] <= reach
        snapped = nearest[:, rows, columns]
        off_part = (~is_part[rows, columns] & is_near)[:, None]
        places = np.where(off_part, snapped.T, places)
        moved = places + offsets[snapped[0], snapped[1]]
        places = np.where(is_near[:, None], np.clip(moved, 0, limits), places).astype(np.float32)
    return places


def _window(mask: np.ndarray, start: list[int]) -> tuple[slice, slice]:
    """Rows and columns around the mask and the start."""
    slices = []
    for axis in (0, 1):
        found = np.flatnonzero(mask.any(axis=1 - axis))
        low, high = min(found[0], start[axis]), max(found[-1], start[axis])
        slices.append(slice(max(0, int(low) - _MARGIN), int(high) + _MARGIN + 1))
    return slices[0], slices[1]


def _go_back(inside: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """For every pixel the flat index of the next one on its way to the start; the start leads to itself."""
    from skimage.graph import MCP_Geometric

    ways = MCP_Geometric(np.where(inside, 1.0, _GAP_COST))
    _, steps = ways.find_costs([start])
    moves = np.array(ways.offsets)
    places = np.stack(np.indices(inside.shape), axis=-1)
    back = np.where((steps >= 0)[..., None], places - moves[np.maximum(steps, 0)], places)
    return np.ravel_multi_index(tuple(back.reshape(-1, 2).T), inside.shape)
