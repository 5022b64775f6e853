"""Where the cells of a field lie, and what they are."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.synthesis.contour import HeadContour
from sperm_tf.synthesis.field_cell import FieldCell, plan_cell
from sperm_tf.synthesis.morphology import SpermMorphology, draw_kind, draw_sperm

_OUTSIDE_UM = 2.5  # heads reach this far beyond the border
_VISITORS_UM = 30.0  # cells up to this far outside send their tails in
_CELLS_PER_UM2 = 7.0 / 3300
_HEAD_REACH_UM = 2.6
_TRIES = 30


def plan_cells(field_um: np.ndarray, rng: np.random.Generator) -> tuple[list[FieldCell], list[bool]]:
    """Draws the cells of a field.

    Args:
        field_um: float64 [2], width and height of the field.
        rng: source of randomness.

    Returns:
        The cells, and whether each is out of focus. Cells far outside come first: their tails lie lowest.
    """
    crowding = rng.choice([0.0, 0.5, 0.9, 1.4, 2.5], p=[0.04, 0.25, 0.45, 0.2, 0.06])
    wide = field_um + 2 * _OUTSIDE_UM
    count = int(rng.poisson(_CELLS_PER_UM2 * crowding * wide.prod()))
    visitors = int(rng.poisson(0.6 * _CELLS_PER_UM2 * crowding * ((wide + _VISITORS_UM).prod() - wide.prod())))
    drift, order = rng.uniform(0, 2 * np.pi), rng.choice([0.0, 1.0, 3.0])  # how much the smear has aligned the cells
    cells: list[FieldCell] = []
    places: list[np.ndarray] = []
    for number in range(visitors + count):
        place = _visitor_place(wide, rng) if number < visitors else _place(wide, places, rng)
        if place is None:
            continue
        places.append(place)
        angle = rng.vonmises(drift, order) if order else rng.uniform(0, 2 * np.pi)
        cells.append(plan_cell(draw_morphology(rng), place, float(angle), rng))
    far_share = rng.choice([0.0, 0.1, 0.4], p=[0.6, 0.3, 0.1])
    return cells, (rng.random(len(cells)) < far_share).tolist()


def draw_morphology(rng: np.random.Generator) -> SpermMorphology:
    """Draws a spermatozoon as smears have them: more vacuoles and smaller acrosomes than the WHO manual's normal."""
    kind = "normal" if rng.random() < 0.4 else draw_kind("abnormal", rng)
    morphology = draw_sperm(kind, rng)
    vacuoles = tuple(
        (float(rng.uniform(-0.5, 0.65)), float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.12, 0.42)))
        for _ in range(rng.poisson(1.0))
    )
    share = morphology.acrosome_share * rng.uniform(0.5, 1.0)
    scale, slim = float(rng.normal(1.04, 0.05)), float(rng.normal(0.94, 0.04))
    head = dataclasses.replace(
        morphology.head, length_um=scale * morphology.head.length_um, width_um=scale * slim * morphology.head.width_um
    )
    return dataclasses.replace(
        morphology,
        head=head,
        acrosome_share=float(share),
        vacuoles=vacuoles,
        midpiece_length_um=float(rng.uniform(3.2, 5.4)),
        midpiece_width_um=float(morphology.midpiece_width_um * rng.uniform(0.85, 1.2)),
    )


def _visitor_place(wide: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A place outside of the field."""
    while True:
        place = rng.uniform(-0.5, 0.5, 2) * (wide + _VISITORS_UM)
        if (np.abs(place) > wide / 2 + _HEAD_REACH_UM).any():
            return place


def _place(wide: np.ndarray, places: list[np.ndarray], rng: np.random.Generator) -> np.ndarray | None:
    """A place for a head: anywhere, or close to another; rarely upon another. None where there is no room."""
    near, may_overlap = rng.random() < 0.2, rng.random() < 0.04
    for _ in range(_TRIES):
        place = rng.uniform(-0.5, 0.5, 2) * wide
        if near and places:
            direction = rng.uniform(0, 2 * np.pi)
            place = places[rng.integers(len(places))] + rng.uniform(2.9, 5.0) * np.array(
                [np.cos(direction), np.sin(direction)]
            )
        if (np.abs(place) > wide / 2).any():
            continue
        gap = min((float(np.hypot(*(place - other))) for other in places), default=np.inf)
        if gap > (1.8 if may_overlap else 2.9 if near else 4.4):
            return place
    return None


def head_extent_um(morphology: SpermMorphology) -> tuple[float, float]:
    """Length and width of the head's outline along and across its axis."""
    length, width = np.ptp(HeadContour(morphology.head).points_um, axis=0)
    return float(length), float(width)
