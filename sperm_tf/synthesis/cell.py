"""Draws one spermatozoon: head with acrosome, neck, mid-piece, residual cytoplasm and tail."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.synthesis.canvas import Canvas, PlacedContour
from sperm_tf.synthesis.contour import HeadContour, HeadShape
from sperm_tf.synthesis.morphology import SpermMorphology

TAIL_LENGTH_UM = 45.0  # WHO: the tail is about ten times as long as the head
TAIL_WIDTH_UM = 0.2


@dataclasses.dataclass(frozen=True)
class CellStain:
    """How much dye one cell took up, relative to a typical cell of the slide.

    Attributes:
        nucleus: of the post-acrosomal region.
        acrosome: nuclear dye seen through the acrosome, relative to `nucleus`.
        eosin: pink dye, all over the head.
        softness_um: width of the transition between acrosome and post-acrosomal region.
        rim: additional nuclear dye along the outline.
    tail: of mid-piece and tail.
    """

    nucleus: float
    acrosome: float
    eosin: float
    softness_um: float
    rim: float
    tail: float


def draw_stain(rng: np.random.Generator) -> CellStain:
    """Draws the dye uptake of a cell, whatever its class."""
    return CellStain(
        nucleus=float(rng.uniform(0.75, 1.3)),
        acrosome=float(rng.uniform(0.0, 0.32)),
        eosin=float(rng.uniform(0.75, 1.15)),
        softness_um=float(rng.choice([0.6, 1.8, 3.0]) * rng.uniform(0.7, 1.3)),
        rim=float(rng.uniform(0.0, 0.4)),
        tail=float(rng.uniform(0.45, 1.0)),
    )


def add_sperm(
    canvas: Canvas,
    morphology: SpermMorphology,
    *,
    center_um: np.ndarray,
    angle: float,
    stain: CellStain,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws a spermatozoon whose head is centred at a point.

    Args:
        canvas: receives the stain.
        morphology: what to draw.
        center_um: centre of the head's bounding box.
        angle: direction of the head's tip, radians.
        stain: dye uptake.
        rng: source of the tail's path and of the texture.

    Returns:
        bool [height, width]: pixels whose centre lies within the head's outline (both heads, where there are two).
    """
    placed = PlacedContour(canvas, HeadContour(morphology.head), center_um, angle)
    base_um = placed.to_canvas_um(placed.contour.base_um)
    backward = angle + np.pi + morphology.neck_angle
    add_tail(canvas, base_um, backward, morphology, stain, rng)
    if rng.random() < 0.3:
        _add_remnants(canvas, base_um, backward, rng)
    if morphology.droplet_um > 0:
        _add_droplet(canvas, base_um, backward, morphology.droplet_um, rng)
    add_head(canvas, placed, morphology, stain, rng)
    mask = np.zeros((canvas.height, canvas.width), bool)
    mask[placed.rows, placed.columns] = placed.inside
    if morphology.second_head:
        spread = rng.choice([-1, 1]) * rng.uniform(0.6, 1.1)
        contour = HeadContour(dataclasses.replace(morphology.head, length_um=0.9 * morphology.head.length_um))
        turned = angle + spread
        reach = (contour.center_um - contour.base_um)[0]
        second = PlacedContour(canvas, contour, base_um + reach * np.array([np.cos(turned), np.sin(turned)]), turned)
        add_head(canvas, second, morphology, stain, rng)
        mask[second.rows, second.columns] |= second.inside
    return mask


def add_head(
    canvas: Canvas, placed: PlacedContour, morphology: SpermMorphology, stain: CellStain, rng: np.random.Generator
) -> None:
    """Deposits the stain of a head: pale cap, its border, dark post-acrosomal region, vacuoles."""
    # Every number is drawn before anything depends on the pixels, so that the rest of the scene does not either.
    border_curvature = float(rng.uniform(-0.25, 0.1))
    chromatin, dye = _mottle(placed, rng), _mottle(placed, rng)
    if not placed.inside.any():
        return
    region = (placed.rows, placed.columns)
    cap = acrosome_weight(placed, morphology.acrosome_share, softness_um=stain.softness_um, curvature=border_curvature)
    depth = -placed.distance_um
    thickness = 1 - np.exp(-np.maximum(depth, 0) / 0.22)
    toward_tip = np.clip((placed.along_um - placed.contour.base_um[0]) / morphology.head.length_um, 0, 1)
    nucleus = stain.nucleus * (1.25 - 0.55 * toward_tip)
    nuclear = nucleus * (1 - cap * (1 - stain.acrosome))
    rim = stain.rim * np.exp(-(((depth - 0.12) / 0.16) ** 2))  # the acrosome's own border, and the membrane
    nuclear = (nuclear + rim) * (1 + 0.07 * chromatin)
    eosin = stain.eosin * (1.0 - 0.25 * toward_tip) * (1 + 0.05 * dye)
    for along, across, radius_um in morphology.vacuoles:
        offset = np.hypot(
            placed.along_um - along * morphology.head.length_um / 2 - placed.contour.center_um[0],
            placed.across_um - across * morphology.head.width_um / 2,
        )
        hole = 1 - 0.4 * np.exp(-((offset / radius_um) ** 4))
        nuclear, eosin = nuclear * hole, eosin * hole
    cover = placed.coverage(canvas.pixel_size_um)
    # The head lies on top: whatever runs below it adds little.
    for plane, deposit in ((canvas.nuclear, nuclear), (canvas.eosin, eosin), (canvas.pale, 0.0)):
        plane[region] = plane[region] * (1 - 0.7 * cover) + deposit * (0.35 + 0.65 * thickness) * cover


def acrosome_weight(placed: PlacedContour, share: float, *, softness_um: float, curvature: float) -> np.ndarray:
    """How much of every pixel belongs to the acrosome.

    Args:
        placed: the head.
        share: share, 0-1, of the head's pixels whose weight is above one half.
        softness_um: width of the transition.
        curvature: of the border, 1/um; negative bulges it towards the tip.

    Returns:
        float64 [h, w], 0-1.
    """
    if share <= 0:
        return np.zeros_like(placed.along_um)
    position = placed.along_um - curvature * placed.across_um**2
    border = np.quantile(position[placed.inside], 1 - share)
    return 1 / (1 + np.exp(np.clip((border - position) / (0.25 * softness_um + 0.05), -40, 40)))


def add_tail(
    canvas: Canvas,
    start_um: np.ndarray,
    direction: float,
    morphology: SpermMorphology,
    stain: CellStain,
    rng: np.random.Generator,
) -> None:
    """Deposits mid-piece and tail along a smooth random path."""
    step = 0.5 * canvas.pixel_size_um
    length_um = {"short": rng.uniform(2, 6)}.get(morphology.tail, TAIL_LENGTH_UM)
    count = int(length_um / step)
    travelled = np.arange(count) * step
    bend = smooth_bends(travelled, rng, strength=0.10)
    # The neck is stiff: the tail leaves along the mid-piece and bends only behind it.
    bend *= np.clip((travelled - 0.3) / morphology.midpiece_length_um, 0, 1)
    turn = np.cumsum(bend) * step
    if morphology.tail == "coiled":
        coil_um = rng.uniform(0.9, 1.7)
        turn = turn + rng.choice([-1, 1]) * np.maximum(travelled - 0.6 * morphology.midpiece_length_um, 0) / coil_um * (
            1 / (1 + 0.03 * travelled)
        )
    elif morphology.tail == "bent":
        turn = turn + rng.choice([-1, 1]) * rng.uniform(1.3, 2.6) * (travelled > rng.uniform(1.5, 5.5))
    path = path_um(start_um, direction + turn, step)
    fading = np.clip((length_um - travelled) / 4, 0.3, 1)
    middle = travelled < morphology.midpiece_length_um
    strength = stain.tail * fading
    line = canvas.line_map(path[~middle], 1.1 * strength[~middle] * step, TAIL_WIDTH_UM)
    swelling = (1 + 0.8 * np.exp(-travelled / 0.4)) * (1 - 0.25 * travelled / morphology.midpiece_length_um)
    line += canvas.line_map(path[middle], 0.95 * (strength * swelling)[middle] * step, morphology.midpiece_width_um)
    canvas.pale += np.minimum(line, 1.8)


def smooth_bends(travelled_um: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Curvature (1/um) of a path as a few slow waves; `strength` is its standard deviation."""
    waves = rng.uniform(8, 40, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    return strength * np.sqrt(2 / 3) * np.cos(2 * np.pi * travelled_um[:, None] / waves + phases).sum(axis=1)


def path_um(start_um: np.ndarray, headings: np.ndarray, step_um: float) -> np.ndarray:
    """Points, float64 [N, 2], of a walk with the given headings."""
    return np.asarray(start_um) + step_um * np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)


def outline_only(shape: HeadShape) -> SpermMorphology:
    """A head without acrosome, vacuoles or tail: for cells that are no spermatozoa."""
    return SpermMorphology("other", shape, 0.0, (), 0.0, 1.0, 0.5, 0.0, "free", False)


def _mottle(placed: PlacedContour, rng: np.random.Generator) -> np.ndarray:
    """Uneven chromatin: a sum of plane waves, standard deviation about 1."""
    total = np.zeros_like(placed.along_um)
    for _ in range(5):
        direction, wavelength, phase = rng.uniform(0, np.pi), rng.uniform(0.7, 2.2), rng.uniform(0, 2 * np.pi)
        ray = placed.along_um * np.cos(direction) + placed.across_um * np.sin(direction)
        total += np.cos(2 * np.pi * ray / wavelength + phase)
    return total * np.sqrt(2 / 5)


def _add_remnants(canvas: Canvas, base_um: np.ndarray, backward: float, rng: np.random.Generator) -> None:
    """Shreds of cytoplasm along the neck."""
    count = rng.integers(4, 14)
    along = rng.exponential(0.7, count)
    points = base_um + along[:, None] * (np.cos(backward), np.sin(backward)) + rng.normal(0, 0.18, (count, 2))
    shreds = np.minimum(canvas.line_map(points, rng.uniform(0.02, 0.12, count), rng.uniform(0.3, 0.5)), 1.0)
    canvas.pale += 0.6 * shreds
    canvas.eosin += rng.uniform(0.2, 0.8) * shreds


def _add_droplet(
    canvas: Canvas, base_um: np.ndarray, backward: float, radius_um: float, rng: np.random.Generator
) -> None:
    """Residual cytoplasm at the neck: a pale bag with a darker skin."""
    shape = HeadShape(
        2.4 * radius_um, 2 * radius_um, harmonics=tuple((rng.normal(0, 0.16), rng.uniform(0, 6.3)) for _ in range(4))
    )
    turned = backward + rng.normal(0, 0.6)
    center = base_um + 1.1 * radius_um * np.array([np.cos(turned), np.sin(turned)])
    placed = PlacedContour(canvas, HeadContour(shape), center, turned)
    skin = np.exp(-(((placed.distance_um + 0.12) / 0.16) ** 2))
    cover = placed.coverage(canvas.pixel_size_um)
    filled = rng.uniform(0.1, 0.7)
    canvas.pale[placed.rows, placed.columns] += cover * (0.6 * skin + 0.5 * filled)
    canvas.eosin[placed.rows, placed.columns] += cover * (0.2 * skin + 0.6 * filled)
