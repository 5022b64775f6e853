"""Branches of a skeleton joined into curves that go straight on where they cross."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from sperm_tf.morphometry.skeleton_graph import Branch

_MAX_DEFLECTION = np.pi / 2
_MIN_REACH_PX = 6  # pixels of a branch that give its direction at a junction


@dataclasses.dataclass(frozen=True, eq=False)
class _End:
    """One end of a branch at a junction: which one, and the direction in which the branch leaves the junction."""

    branch: int
    is_last: bool
    direction: np.ndarray


def join_branches(branches: list[Branch], radii: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Joins branches at junctions, those first that deflect the least.

    Two thin lines that cross have one junction of four branches or two of three, close together. Junctions whose
    discs of the mask's half width touch count as one; a branch between them is left out.

    Args:
        branches: from `trace_branches`.
        radii: float64 [H, W], distance of every pixel of the mask to its outside.

    Returns:
        Points, int64 [N, 2], of each curve, and whether it is open; the first point of a closed one is repeated.
    """
    junctions, kept = _group_junctions(branches, radii)
    ends: dict[int, list[_End]] = {}
    for number in kept:
        pixels = branches[number].pixels
        for is_last, order in ((False, pixels), (True, pixels[::-1])):
            junction = junctions.get(tuple(order[0]))
            if junction is not None and not branches[number].is_free[int(is_last)]:
                reach = min(max(_MIN_REACH_PX, int(3 * radii[tuple(order[0])])), len(order) - 1)
                ends.setdefault(junction, []).append(_End(number, is_last, order[reach] - order[0]))
    partners: dict[tuple[int, bool], tuple[int, bool]] = {}
    for group in ends.values():
        _pair(group, partners)
    return _follow(branches, kept, partners)


def _group_junctions(branches: list[Branch], radii: np.ndarray) -> tuple[dict[tuple[int, ...], int], list[int]]:
    """Number of the junction at each node pixel, and the branches that are more than a link within a junction."""
    parent: dict[tuple[int, ...], tuple[int, ...]] = {}

    def root(node: tuple[int, ...]) -> tuple[int, ...]:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    kept = []
    for number, branch in enumerate(branches):
        nodes = [tuple(branch.pixels[place].tolist()) for place in (0, -1)]
        for node, is_free in zip(nodes, branch.is_free, strict=True):
            if not is_free:
                root(node)
        width = radii[nodes[0]] + radii[nodes[1]]
        if not any(branch.is_free) and nodes[0] != nodes[1] and len(branch.pixels) - 1 <= width:
            parent[root(nodes[0])] = root(nodes[1])
        else:
            kept.append(number)
    roots = sorted({root(node) for node in list(parent)})
    return {node: roots.index(root(node)) for node in list(parent)}, kept


def _pair(group: list[_End], partners: dict[tuple[int, bool], tuple[int, bool]]) -> None:
    """Pairs the ends at one junction, the straightest pair first."""
    candidates = []
    for first, second in itertools.combinations(group, 2):
        if first.branch == second.branch:
            continue  # a loop is no continuation of itself
        cosine = -np.dot(first.direction, second.direction)
        cosine /= max(np.hypot(*first.direction) * np.hypot(*second.direction), 1e-9)
        candidates.append((float(np.arccos(np.clip(cosine, -1, 1))), first, second))
    for deflection, first, second in sorted(candidates, key=lambda candidate: candidate[0]):
        keys = (first.branch, first.is_last), (second.branch, second.is_last)
        if deflection <= _MAX_DEFLECTION and not any(key in partners for key in keys):
            partners[keys[0]], partners[keys[1]] = keys[1], keys[0]


def _follow(
    branches: list[Branch], kept: list[int], partners: dict[tuple[int, bool], tuple[int, bool]]
) -> list[tuple[np.ndarray, bool]]:
    """Walks from branch to branch: first from ends without a partner, then around what is left."""
    left = set(kept)
    curves = []
    starts = [(number, is_last) for number in kept for is_last in (False, True) if (number, is_last) not in partners]
    for number, is_last in [*starts, *((number, False) for number in kept)]:
        if number not in left:
            continue
        parts, is_open = [], (number, is_last) not in partners
        place: tuple[int, bool] | None = (number, is_last)
        while place is not None and place[0] in left:
            left.discard(place[0])
            pixels = branches[place[0]].pixels
            parts.append(pixels[::-1] if place[1] else pixels)
            place = partners.get((place[0], not place[1]))
        curve = np.concatenate(parts)
        curve = curve[np.append(True, np.any(np.diff(curve, axis=0) != 0, axis=1))]
        is_ring = len(parts) == 1 and len(curve) > 2 and np.array_equal(curve[0], curve[-1])
        if not is_open and not is_ring:
            curve = np.concatenate([curve, curve[:1]])
        curves.append((curve, is_open and not is_ring))
    return curves
