"""A skeleton of one-pixel width as branches between its ends and junctions."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Branch:
    """A run of skeleton pixels.

    Attributes:
        pixels: int64 [N, 2], rows and columns in order, the pixels at both ends included.
        is_free: whether the first and the last pixel are ends of the skeleton, and no junctions.
    """

    pixels: np.ndarray
    is_free: tuple[bool, bool]


def trace_branches(skeleton: np.ndarray) -> list[Branch]:
    """Finds the branches.

    Pixels are joined by mixed adjacency (Gonzalez and Woods, Digital Image Processing, section 2.5): diagonal
    neighbours only where they share no neighbour at an edge. So a staircase has no false junctions.

    Args:
        skeleton: bool [H, W], one pixel wide.

    Returns:
        The branches. A closed ring without junction is one branch whose first pixel is repeated at its end; a single
        pixel is a branch of one.
    """
    pixels, neighbours = _join_pixels(skeleton)
    is_node = np.array([len(joined) != 2 for joined in neighbours], bool)
    seen: set[tuple[int, int]] = set()
    left = set(range(len(pixels)))
    branches = []
    for start in np.flatnonzero(is_node).tolist():
        left.discard(start)
        if not neighbours[start]:
            branches.append(Branch(pixels[[start]], (True, True)))
        for step in neighbours[start]:
            if (start, step) not in seen:
                run = _walk(start, step, neighbours, is_node)
                left.difference_update(run)
                seen |= {(run[0], run[1]), (run[-1], run[-2])}
                free = len(neighbours[run[0]]) == 1, len(neighbours[run[-1]]) == 1
                branches.append(Branch(pixels[run], free))
    while left:  # rings
        start = min(left)
        run = _walk(start, neighbours[start][0], neighbours, is_node)
        left.difference_update(run)
        branches.append(Branch(pixels[run], (False, False)))
    return branches


def _join_pixels(skeleton: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """The skeleton's pixels, int64 [N, 2], and the indices of each one's neighbours."""
    padded = np.pad(skeleton, 1)
    pixels = np.argwhere(padded)
    index = np.full(padded.shape, -1)
    index[tuple(pixels.T)] = np.arange(len(pixels))
    neighbours: list[list[int]] = [[] for _ in pixels]
    rows, columns = pixels.T
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        there = padded[rows + down, columns + right]
        if down and right:
            there = there & ~padded[rows + down, columns] & ~padded[rows, columns + right]
        for first in np.flatnonzero(there):
            second = int(index[rows[first] + down, columns[first] + right])
            neighbours[first].append(second)
            neighbours[second].append(int(first))
    return pixels - 1, neighbours


def _walk(start: int, step: int, neighbours: list[list[int]], is_node: np.ndarray) -> list[int]:
    """Indices from `start` by way of `step` to the next node, or around a ring back to the start."""
    run = [start, step]
    while not is_node[run[-1]] and run[-1] != start:
        first, second = neighbours[run[-1]]
        run.append(second if first == run[-2] else first)
    return run
