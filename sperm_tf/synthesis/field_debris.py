"""Draws what else lies in a field, unlabelled: grains, bacteria, smears, droplets, pinheads, round cells."""

from __future__ import annotations

import numpy as np

from sperm_tf.synthesis import debris
from sperm_tf.synthesis.canvas import Canvas, PlacedContour
from sperm_tf.synthesis.contour import HeadContour, HeadShape


def add_field_debris(canvas: Canvas, amount: float, rng: np.random.Generator) -> None:
    """Draws a field's debris.

    Args:
        canvas: receives the stain.
        amount: 0 is a clean slide, 1 a typical one.
        rng: source of randomness.
    """
    area = float(np.prod(canvas.field_um)) / 3000  # of a typical field of 64 x 51 um
    if rng.random() < 0.3 * amount:
        add_film(canvas, rng)
    add_grains(canvas, int(rng.poisson(250 * amount * area)), rng)
    add_pale_spots(canvas, int(rng.poisson(16 * amount * area)), rng)
    debris.add_ghosts(canvas, int(rng.poisson(5 * amount * area)), rng)
    if rng.random() < 0.45:
        for _ in range(rng.poisson(5 * amount * area)):
            add_bacteria(canvas, _place(canvas, rng), int(rng.choice([1, 1, 2, 2, 3, 8])), rng)
    if rng.random() < 0.5:
        for _ in range(rng.poisson(2.5 * amount * area)):
            add_smear(canvas, _place(canvas, rng), rng)
    for _ in range(rng.poisson(0.8 * amount * area)):
        add_ring(canvas, _place(canvas, rng), rng)
    for _ in range(rng.poisson(0.15 * area)):
        add_pinhead(canvas, _place(canvas, rng), rng)
    for _ in range(rng.poisson(0.2 * area)):
        add_leukocyte(canvas, _place(canvas, rng), rng)
    if rng.random() < 0.1 * amount:
        debris.add_clump(canvas, _place(canvas, rng), rng.uniform(1.5, 4.0), rng, rng.uniform(0.3, 0.8))
    if rng.random() < 0.05 * amount:
        debris.add_fibre(canvas, _place(canvas, rng), rng)


def add_grains(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Fine grains of precipitate all over the slide."""
    for width_um in (0.25, 0.5):
        places = np.stack([_place(canvas, rng) for _ in range(count)]) if count else np.zeros((0, 2))
        weights = rng.exponential(0.02 / width_um, count)
        canvas.pale += canvas.line_map(places, weights, width_um)
        canvas.eosin += rng.uniform(0, 0.3) * canvas.line_map(places, weights[::-1], 1.6 * width_um)


def add_film(canvas: Canvas, rng: np.random.Generator) -> None:
    """Dried plasma: a thin, uneven film over parts of the slide, with edges."""
    from scipy import ndimage

    pitch_um = 0.8  # drawn on a coarse grid, so that the numbers do not depend on the resolution
    height, width = (int(side / pitch_um) + 4 for side in canvas.field_um)
    coarse = rng.standard_normal((height, width))
    sheet = ndimage.gaussian_filter(coarse, rng.uniform(5, 9)) * 20 + rng.uniform(-0.8, 0.4)
    ripple = 1 + 0.8 * ndimage.gaussian_filter(rng.standard_normal((height, width)), 1.0)
    film = np.maximum(ripple, 0) / (1 + np.exp(np.clip(-6 * sheet, -30, 30)))
    rows = (np.arange(canvas.height) + 0.5) * canvas.pixel_size_um / pitch_um + 1
    columns = (np.arange(canvas.width) + 0.5) * canvas.pixel_size_um / pitch_um + 1
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], columns - left
    film = (1 - right) * film[:, left] + right * film[:, left + 1]
    film = (1 - down) * film[top] + down * film[top + 1]
    canvas.pale += rng.uniform(0.1, 0.8) * film
    canvas.eosin += rng.uniform(0.0, 0.18) * film


def add_pale_spots(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Small droplets of plasma, evenly pale with soft edges."""
    for _ in range(count):
        placed = _outline(canvas, _place(canvas, rng), rng.uniform(0.2, 0.75), 0.06, rng)
        soft = 1 / (1 + np.exp(np.clip(placed.distance_um / rng.uniform(0.05, 0.15), -30, 30)))
        canvas.pale[placed.rows, placed.columns] += rng.uniform(0.3, 2.0) * soft


def add_bacteria(canvas: Canvas, center_um: np.ndarray, count: int, rng: np.random.Generator) -> None:
    """Dark rods, singly, in pairs or in a heap."""
    place, angle = np.asarray(center_um, float), rng.uniform(0, 2 * np.pi)
    for _ in range(count):
        half_um = rng.uniform(0.25, 0.6)
        along = np.array([np.cos(angle), np.sin(angle)])
        points = place + np.linspace(-half_um, half_um, 24)[:, None] * along
        rod = canvas.line_map(points, np.full(24, 2 * half_um / 24 * 1.5), rng.uniform(0.35, 0.5))
        rod = np.minimum(rod, 1.1)
        canvas.nuclear += rng.uniform(0.3, 0.6) * rod
        canvas.pale += rng.uniform(5, 9) * rod
        place = place + (2 * half_um + 0.15) * along + rng.normal(0, 0.25 if count < 4 else 0.9, 2)
        angle += rng.normal(0, 0.4 if count < 4 else 2.0)


def add_smear(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A pink, grainy patch of dried plasma."""
    reach_um = rng.uniform(0.8, 4.0) * np.array([1.0, rng.uniform(0.3, 1.0)])
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    count = int(60 + 120 * reach_um.prod())
    clusters = rng.normal(0, 0.45, (rng.integers(4, 12), 2))  # patchy, without a middle
    spots = clusters[rng.integers(len(clusters), size=count)] + rng.normal(0, 0.16, (count, 2))
    points = np.asarray(center_um) + (spots * reach_um) @ turn.T
    weights = rng.exponential(1.0, count) * rng.uniform(0.01, 0.05)
    matter = 1 - np.exp(-2 * canvas.line_map(points, weights, rng.uniform(0.35, 0.8)))
    canvas.eosin += rng.uniform(0.15, 0.7) * matter
    if rng.random() < 0.3:
        canvas.nuclear += rng.uniform(0.02, 0.15) * matter


def add_ring(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A hollow loop: an empty membrane, a torn cytoplasmic droplet."""
    placed = _outline(canvas, center_um, rng.uniform(0.4, 1.3), 0.05, rng)
    skin = np.exp(-((placed.distance_um / rng.uniform(0.1, 0.2)) ** 2))
    canvas.pale[placed.rows, placed.columns] += rng.uniform(0.8, 2.2) * skin


def add_pinhead(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A dark ball without acrosome, too small for a head."""
    placed = _outline(canvas, center_um, rng.uniform(0.5, 0.95), 0.03, rng)
    cover = placed.coverage(canvas.pixel_size_um)
    canvas.nuclear[placed.rows, placed.columns] += rng.uniform(0.6, 1.3) * cover
    canvas.eosin[placed.rows, placed.columns] += rng.uniform(0.5, 1.0) * cover


def add_leukocyte(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A round cell of 6-11 um: bluish cytoplasm, a grainy nucleus of one to four lobes."""
    radius_um = rng.uniform(2.2, 5.0)
    body = _outline(canvas, center_um, radius_um, 0.03, rng)
    cover = body.coverage(canvas.pixel_size_um)
    canvas.pale[body.rows, body.columns] += rng.uniform(0.5, 3.5) * cover
    canvas.eosin[body.rows, body.columns] += rng.uniform(0.0, 0.5) * cover
    tint, depth = rng.uniform(0.05, 0.7), rng.uniform(0.3, 1.0)
    for _ in range(rng.integers(1, 5)):
        place = np.asarray(center_um) + rng.normal(0, 0.3 * radius_um, 2)
        lobe = _outline(canvas, place, radius_um * rng.uniform(0.25, 0.6), 0.06, rng)
        inside = lobe.coverage(canvas.pixel_size_um)
        grains = canvas.line_map(place + rng.normal(0, 0.3 * radius_um, (80, 2)), rng.uniform(0.01, 0.06, 80), 0.5)
        region = (lobe.rows, lobe.columns)
        stained = inside * (0.6 + np.minimum(grains[region], 0.8))
        canvas.eosin[region] = np.maximum(canvas.eosin[region], depth * stained)
        canvas.nuclear[region] = np.maximum(canvas.nuclear[region], tint * depth * stained)


def _place(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, 2) * canvas.field_um[::-1]


def _outline(
    canvas: Canvas, center_um: np.ndarray, radius_um: float, unevenness: float, rng: np.random.Generator
) -> PlacedContour:
    shape = HeadShape(
        2 * radius_um * rng.uniform(0.95, 1.3),
        2 * radius_um,
        harmonics=tuple((rng.normal(0, unevenness), rng.uniform(0, 6.3)) for _ in range(3)),
    )
    return PlacedContour(canvas, HeadContour(shape), center_um, rng.uniform(0, 2 * np.pi))
