"""Tails as stretches of a line that go straight on where they cross.

Which way along a tail its head lies is hard to see from a part of it. So stretches between crossings are linked where
one goes on as the other ended, as tracers of crossing fibres do. A chain goes to the cell that nearly all offsets of
its pixels lead to, else to the one whose midpiece it meets; where it meets none, to the one of most offsets.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_GAP = 10.0  # pixels, widest crossing or gap over which stretches are linked
_NEAR_MIDPIECE = 4.0  # pixels between the end of a tail and its midpiece
_REACH = 7.0  # pixels from an end that give its direction
_PER_PIXEL = 0.06  # cost of a gap, in cosines
_SURE = 0.8  # share of the offsets of a chain that lead to one cell, whatever midpiece the chain meets
_MAX_COST = 0.8  # of a link; 0 is straight on without a gap


@dataclasses.dataclass(frozen=True)
class _End:
    stretch: int
    place: np.ndarray  # row and column
    direction: np.ndarray  # out of the stretch, a unit vector


def trace_tails(cells: np.ndarray, is_tail: np.ndarray, is_midpiece: np.ndarray) -> np.ndarray:
    """Gives each tail to one cell.

    Args:
        cells: int [H, W], the cell that the offsets of each pixel lead to, from 1; 0 for none.
        is_tail: bool [H, W].
        is_midpiece: bool [H, W].

    Returns:
        int [H, W], `cells` with other numbers on tails.
    """
    from scipy import ndimage
    from skimage.measure import label
    from skimage.morphology import thin

    line = thin(is_tail)
    neighbours = _count_neighbours(line)
    crossings = ndimage.binary_dilation(line & (neighbours > 2), np.ones((3, 3)))
    stretches = label(line & ~crossings, connectivity=2)
    if not stretches.any():
        return cells
    rows, columns = ndimage.distance_transform_edt(stretches == 0, return_distances=False, return_indices=True)
    numbers = stretches[rows, columns][is_tail]
    votes = np.zeros((stretches.max() + 1, cells.max() + 1), np.int64)
    np.add.at(votes, (numbers, cells[is_tail]), 2)
    votes[:, 0] //= 2  # ways that end nowhere say less than those that end at a centre
    ends = _find_ends(stretches)
    seeds = _find_seeds(ends, np.where(is_midpiece, cells, 0))
    chains = _link([end for place, end in enumerate(ends) if place not in seeds], len(votes))
    owners = _choose_owners(chains, votes, {(ends[place].stretch, cell) for place, cell in seeds.items()})
    traced = cells.copy()
    traced[is_tail] = owners[numbers]
    return traced


def _count_neighbours(line: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.convolve(line.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - line


def _find_ends(stretches: np.ndarray) -> list[_End]:
    from scipy import ndimage

    ends = []
    for number, window in enumerate(ndimage.find_objects(stretches), start=1):
        own = stretches[window] == number
        pixels = np.argwhere(own)
        is_end = (_count_neighbours(own) <= 1)[own]
        for place in pixels[is_end]:
            gaps = np.linalg.norm(pixels - place, axis=1)
            way = place - pixels[gaps <= _REACH].mean(axis=0)
            length = np.linalg.norm(way)
            corner = np.array([part.start for part in window])
            ends.append(_End(number, place + corner, way / length if length else np.zeros(2)))
    return ends


def _find_seeds(ends: list[_End], midpieces: np.ndarray) -> dict[int, int]:
    """Place of an end -> the cell whose midpiece it meets; of each midpiece the nearest end."""
    from scipy import ndimage

    if not ends or not midpieces.any():
        return {}
    distance, nearest = ndimage.distance_transform_edt(midpieces == 0, return_indices=True)
    found: dict[int, tuple[float, int]] = {}
    for place, end in enumerate(ends):
        at = tuple(end.place)
        cell = int(midpieces[tuple(axis[at] for axis in nearest)])
        if distance[at] <= _NEAR_MIDPIECE and distance[at] < found.get(cell, (np.inf, 0))[0]:
            found[cell] = float(distance[at]), place
    return {place: cell for cell, (_, place) in found.items()}


def _link(ends: list[_End], num_stretches: int) -> np.ndarray:
    """The chain of each stretch: pairs of ends that go on as one another are linked, the best first."""
    from scipy.spatial import KDTree

    chains = np.arange(num_stretches)
    if not ends:
        return chains
    pairs = []
    for first, second in KDTree([end.place for end in ends]).query_pairs(_GAP):
        one, other = ends[first], ends[second]
        if one.stretch == other.stretch:
            continue
        gap = other.place - one.place
        width = float(np.linalg.norm(gap))
        bend = 1 - float(-one.direction @ other.direction)
        across = (one.direction - other.direction) @ gap / (2 * max(width, 1e-6)) if width > 2 else 1.0
        pairs.append((bend + 1 - float(across) + _PER_PIXEL * width, first, second))
    free = set(range(len(ends)))
    for cost, first, second in sorted(pairs):
        if cost <= _MAX_COST and first in free and second in free:
            free -= {first, second}
            old, new = chains[ends[second].stretch], chains[ends[first].stretch]
            chains[chains == old] = new
    return chains


def _choose_owners(chains: np.ndarray, votes: np.ndarray, seeds: set[tuple[int, int]]) -> np.ndarray:
    """The cell of each stretch."""
    owners = votes.argmax(axis=1)
    for chain in np.unique(chains[1:]):
        members = chains == chain
        met = {cell for stretch, cell in seeds if members[stretch]}
        total = votes[members].sum(axis=0)
        if not met or total[1:].max(initial=0) >= _SURE * total.sum():
            owners[members] = total.argmax()
        elif len(met) == 1:
            owners[members] = met.pop()
    return owners
