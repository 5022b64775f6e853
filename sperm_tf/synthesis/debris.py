"""Draws what else lies on a slide: tails that cross, specks, fragments, stain, clumps, round cells."""

from __future__ import annotations

import numpy as np

from sperm_tf.synthesis import cell
from sperm_tf.synthesis.canvas import Canvas, PlacedContour
from sperm_tf.synthesis.contour import HeadContour, HeadShape
from sperm_tf.synthesis.morphology import draw_sperm


def add_crossing_tails(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Tails of cells outside the field."""
    height_um, width_um = canvas.field_um
    step = 0.5 * canvas.pixel_size_um
    for _ in range(count):
        travelled = np.arange(int(2 * (height_um + width_um) / step)) * step
        entry = rng.uniform(0, 2 * np.pi)
        start = 0.75 * np.array([width_um * np.cos(entry), height_um * np.sin(entry)])
        aside = rng.uniform(0, 2 * np.pi)  # aims beside the centre: a tail behind a bare head would seem its own
        aim = rng.uniform(3.0, 5.5) * np.array([np.cos(aside), np.sin(aside)]) - start
        headings = np.arctan2(aim[1], aim[0]) + np.cumsum(cell.smooth_bends(travelled, rng, 0.12)) * step
        line = canvas.line_map(
            cell.path_um(start, headings, step),
            np.full(len(travelled), step * rng.uniform(0.15, 0.9)),
            rng.uniform(0.16, 0.32),
        )
        canvas.pale += line


def add_neighbour(canvas: Canvas, rng: np.random.Generator, clear_um: float) -> None:
    """A second spermatozoon whose head is at least partly in the outer field, `clear_um` away from the centre."""
    height_um, width_um = canvas.field_um
    direction = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(clear_um, max(clear_um + 0.5, 0.62 * np.hypot(height_um, width_um)))
    morphology = draw_sperm(str(rng.choice(["normal", "tapered", "pyriform", "amorphous"])), rng)
    cell.add_sperm(
        canvas,
        morphology,
        center_um=reach * np.array([np.cos(direction), np.sin(direction)]),
        angle=rng.uniform(0, 2 * np.pi),
        stain=cell.draw_stain(rng),
        rng=rng,
    )


def add_specks(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Small grains of stain and dust, singly or in short chains."""
    height_um, width_um = canvas.field_um
    for _ in range(count):
        center = rng.uniform(-0.5, 0.5, 2) * (width_um, height_um)
        grains = center + rng.normal(0, 0.22, (rng.integers(1, 5), 2))
        spot = canvas.line_map(grains, np.full(len(grains), rng.uniform(0.05, 0.3)), rng.uniform(0.2, 0.5))
        spot = np.minimum(spot, 1.2)
        canvas.nuclear += rng.uniform(0.2, 1.0) * spot
        canvas.eosin += rng.uniform(0.3, 1.0) * spot


def add_ghosts(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Pale discs and rings: droplets and debris out of focus, swollen cytoplasm."""
    height_um, width_um = canvas.field_um
    for _ in range(count):
        placed = _blob(canvas, rng.uniform(-0.5, 0.5, 2) * (width_um, height_um), rng.uniform(0.3, 1.6), rng, 0.05)
        edge_um = rng.uniform(0.15, 0.7)
        disc = 1 / (1 + np.exp(np.clip(placed.distance_um / (0.5 * edge_um), -30, 30)))
        ring = np.exp(-((placed.distance_um / edge_um) ** 2))
        ghost = rng.uniform(0.0, 0.15) * disc + rng.uniform(0.0, 0.13) * ring
        canvas.pale[placed.rows, placed.columns] += ghost
        canvas.eosin[placed.rows, placed.columns] += rng.uniform(0, 0.5) * ghost


def add_clump(
    canvas: Canvas, center_um: np.ndarray, reach_um: float, rng: np.random.Generator, density: float = 1.0
) -> None:
    """Coagulated matter: a branching, knotty network of stained threads.

    Args:
        canvas: receives the stain.
        center_um: where it begins to grow.
        reach_um: about half of its extent.
        rng: source of randomness.
        density: its stain, relative to a typical clump.
    """
    step = 0.07  # um, not pixels: the number of draws must not depend on the resolution
    starts, points, weights = [np.asarray(center_um, float)], [], []
    for _ in range(int(rng.integers(5, 9) + 2.2 * reach_um)):
        start = starts[rng.integers(len(starts))]
        count = int(rng.uniform(0.3, 1.0) * reach_um / step) + 3
        headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.33, count))
        branch = cell.path_um(start, headings, step)
        points.append(branch)
        knots = 0.55 + 0.8 * np.abs(np.sin(np.arange(count) * rng.uniform(0.1, 0.35) + rng.uniform(0, 6)))
        weights.append(knots * step * rng.uniform(0.4, 1.3))
        starts += [branch[count // 2], branch[-1]]
    path, weight = np.concatenate(points), np.concatenate(weights)
    matter = canvas.line_map(path, weight, rng.uniform(0.35, 0.95))
    core = canvas.line_map(path[::7] + rng.normal(0, 0.25, path[::7].shape), 4 * weight[::7], rng.uniform(0.35, 0.6))
    matter = 1 - np.exp(-0.9 * matter)
    canvas.eosin += density * (0.9 * matter + 0.25 * np.minimum(core, 1.2))
    canvas.nuclear += density * (0.10 * matter + rng.uniform(0.2, 0.8) * np.minimum(core, 1.2))


def add_granules(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A cluster of dark grains: bacteria, precipitated stain."""
    grains = np.asarray(center_um) + rng.normal(0, rng.uniform(0.4, 1.1), (rng.integers(6, 30), 2)) * (1.0, 0.7)
    dark = np.minimum(canvas.line_map(grains, rng.uniform(0.15, 0.5, len(grains)), rng.uniform(0.35, 0.6)), 1.3)
    canvas.nuclear += 0.8 * dark
    canvas.eosin += 0.7 * dark


def add_round_cell(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A leucocyte or a spermatogenic cell: pale cytoplasm, granular nucleus of one to three lobes."""
    radius_um = rng.uniform(2.0, 4.2)
    cytoplasm = _blob(canvas, center_um, radius_um, rng, 0.04)
    cover = cytoplasm.coverage(canvas.pixel_size_um)
    skin = np.exp(-(((cytoplasm.distance_um + 0.1) / 0.2) ** 2))
    canvas.eosin[cytoplasm.rows, cytoplasm.columns] += cover * (rng.uniform(0.1, 0.6) + 0.3 * skin)
    # Chromatin comes in grains, so the nucleus is a cloud of them within the outline of its lobes.
    grains = center_um + rng.normal(0, 0.45 * radius_um, (250, 2))
    chromatin = (
        canvas.line_map(grains, rng.uniform(0.02, 0.2, len(grains)), rng.uniform(0.35, 0.55)) * (radius_um / 3) ** 2
    )
    for _ in range(rng.integers(1, 4)):
        place = center_um + rng.normal(0, 0.3 * radius_um, 2)
        lobe = _blob(canvas, place, radius_um * rng.uniform(0.4, 0.75), rng, 0.06)
        inside = lobe.coverage(canvas.pixel_size_um)
        region = (lobe.rows, lobe.columns)
        stained = inside * (0.55 + 0.6 * np.minimum(chromatin[region], 1.0))
        canvas.nuclear[region] = np.maximum(canvas.nuclear[region], 0.55 * stained)
        canvas.eosin[region] = np.maximum(canvas.eosin[region], 0.95 * stained)


def add_detached_head(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A dark head-like body without any tail."""
    shape = HeadShape(
        rng.uniform(3.0, 4.6),
        rng.uniform(2.0, 3.0),
        taper=rng.uniform(-0.1, 0.3),
        harmonics=tuple((rng.normal(0, 0.03), rng.uniform(0, 6.3)) for _ in range(3)),
    )
    body = cell.outline_only(shape)
    stain = cell.CellStain(rng.uniform(1.0, 1.5), 1.0, rng.uniform(0.8, 1.2), 0.3, 0.1, 0.0)
    cell.add_head(canvas, PlacedContour(canvas, HeadContour(shape), center_um, rng.uniform(0, 6.3)), body, stain, rng)


def add_stain_blob(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A drop of dye with soft edges."""
    for _ in range(rng.integers(1, 4)):
        blob = _blob(canvas, center_um + rng.normal(0, 0.8, 2), rng.uniform(0.6, 1.8), rng, 0.12)
        soft = 1 / (1 + np.exp(np.clip(blob.distance_um / rng.uniform(0.08, 0.3), -30, 30)))
        canvas.nuclear[blob.rows, blob.columns] += rng.uniform(0.2, 0.9) * soft
        canvas.eosin[blob.rows, blob.columns] += rng.uniform(0.4, 0.9) * soft


def add_fibre(canvas: Canvas, center_um: np.ndarray, rng: np.random.Generator) -> None:
    """A thread of mucus or cotton across the field."""
    step = 0.5 * canvas.pixel_size_um
    travelled = np.arange(int(sum(canvas.field_um) / step)) * step
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(cell.smooth_bends(travelled, rng, 0.08)) * step
    path = cell.path_um(np.zeros(2), headings, step)
    path += center_um - path[len(path) // 2]
    thread = canvas.line_map(path, np.full(len(path), step * rng.uniform(0.5, 1.0)), rng.uniform(0.4, 1.1))
    canvas.eosin += rng.uniform(0.1, 0.7) * thread
    canvas.pale += rng.uniform(0.1, 0.7) * thread


def _blob(
    canvas: Canvas, center_um: np.ndarray, radius_um: float, rng: np.random.Generator, unevenness: float
) -> PlacedContour:
    """A roundish outline with random low harmonics."""
    shape = HeadShape(
        2 * radius_um * rng.uniform(0.95, 1.35),
        2 * radius_um,
        harmonics=tuple((rng.normal(0, unevenness), rng.uniform(0, 6.3)) for _ in range(4)),
    )
    return PlacedContour(canvas, HeadContour(shape), center_um, rng.uniform(0, 2 * np.pi))
