"""Offsets that lead from every pixel of a cell toward the centre of its head, along the flagellum."""

from __future__ import annotations

import itertools
import math

import numpy as np

_GAP_COST = 20.0  # of a pixel outside the mask: tails that are hidden in part stay one way
_MARGIN = 3  # pixels around the mask within which a way may lead
_REACH = 6  # pixels around the goal of an offset where the way may go on
_PER_PIXEL = 0.12  # of distance from there, in cosines of the angle between two offsets
_MAX_AGREEMENT = 1.0 + 1e-5  # of two directions, in single precision
_SHORT = 2.0  # pixels; shorter offsets are those of a head's middle, and have every direction


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
    places = np.moveaxis(np.indices(inside.shape), 0, -1)
    offsets[window] = np.where(inside[..., None], targets - places, 0)
    return offsets


def follow_offsets(offsets: np.ndarray, is_part: np.ndarray, *, rounds: int = 5) -> np.ndarray:
    """Where offsets lead that are followed repeatedly.

    The pixel that an offset leads to may belong to another cell that crosses there. So the way goes on from a part
    nearby whose own offset has the same direction, unless that is short, as within heads.

    Args:
        offsets: float [H, W, 2], rows and columns to go.
        is_part: bool [H, W], where offsets mean something.
        rounds: offsets are followed 2 ** `rounds` times.

    Returns:
        float32 [N, 2], rows and columns where the ways of the N parts end, in the order of `np.argwhere(is_part)`.
    """
    points = np.argwhere(is_part)
    if not len(points):
        return np.zeros((0, 2), np.float32)
    own = offsets[is_part].astype(np.float32)
    ahead = _find_next(points, own, is_part)
    for _ in range(rounds):
        ahead = ahead[ahead]
    return (points + own)[ahead].astype(np.float32)


def _find_next(points: np.ndarray, own: np.ndarray, is_part: np.ndarray) -> np.ndarray:
    """For every point the number of the point that its way goes on from; itself where none is near."""
    height, width = is_part.shape
    numbers = np.full((height + 2 * _REACH, width + 2 * _REACH), -1)
    numbers[_REACH : _REACH + height, _REACH : _REACH + width][is_part] = np.arange(len(points))
    lengths = np.linalg.norm(own, axis=1)
    directions = own / np.maximum(lengths, 1e-6)[:, None]
    goals = np.clip(np.round(points + own), 0, (height - 1, width - 1)).astype(int)
    best, found = np.full(len(points), -np.inf, np.float32), np.arange(len(points))
    reach = range(-_REACH, _REACH + 1)
    for down, right in sorted(itertools.product(reach, reach), key=lambda shift: math.hypot(*shift)):
        cost = _PER_PIXEL * math.hypot(down, right)
        open_points = np.flatnonzero(best < _MAX_AGREEMENT - cost)  # of the others no place so far away is better
        if not len(open_points):
            break
        candidates = numbers[goals[open_points, 0] + down + _REACH, goals[open_points, 1] + right + _REACH]
        agreement = (directions[open_points] * directions[candidates]).sum(axis=1)
        agreement[lengths[candidates] < _SHORT] = 1.0
        value = np.where(candidates >= 0, agreement - cost, -np.inf)
        is_better = value > best[open_points]
        best[open_points[is_better]], found[open_points[is_better]] = value[is_better], candidates[is_better]
    return found


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
    places = np.moveaxis(np.indices(inside.shape), 0, -1)
    back = np.where((steps >= 0)[..., None], places - moves[np.maximum(steps, 0)], places)
    return back[..., 0].ravel() * inside.shape[1] + back[..., 1].ravel()
