"""Draws one spermatozoon of a field, with the exact masks of its parts."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.synthesis.canvas import Canvas, PlacedContour
from sperm_tf.synthesis.cell import acrosome_weight, path_um, smooth_bends
from sperm_tf.synthesis.contour import HeadContour
from sperm_tf.synthesis.field_layers import ACROSOME, MIDPIECE, NUCLEUS, TAIL, VACUOLE, Layers, near_path
from sperm_tf.synthesis.morphology import SpermMorphology

TAIL_RADIUS_UM = 0.21
"""Half of the tail's width in the masks: what annotators outline is the blurred tail, some 0.45 um wide."""
_STEP_UM = 0.04


@dataclasses.dataclass(frozen=True)
class FieldCell:
    """One spermatozoon of a field before it is drawn; lengths in micrometres.

    Attributes:
        morphology: shape of the head, vacuoles, neck.
        center_um: float64 [2], centre of the head (x, y) from the field's centre, y downwards.
        angle: direction of the head's tip, radians.
        path_um: float64 [N, 2], midpiece and tail from the head's base, `_STEP_UM` apart.
        midpiece_um: length of the midpiece along the path.
        nucleus: uptake of nuclear dye, 1 is typical.
        acrosome: nuclear dye seen through the acrosome, relative to `nucleus`.
        eosin: uptake of pink dye.
        softness_um: width of the acrosome's border.
        tail: uptake of midpiece and tail.
    """

    morphology: SpermMorphology
    center_um: np.ndarray
    angle: float
    path_um: np.ndarray
    midpiece_um: float
    nucleus: float
    acrosome: float
    eosin: float
    softness_um: float
    tail: float

    @property
    def tail_um(self) -> float:
        """Length of the tail without the midpiece."""
        return max(len(self.path_um) * _STEP_UM - self.midpiece_um, 0.0)


def plan_cell(morphology: SpermMorphology, center_um: np.ndarray, angle: float, rng: np.random.Generator) -> FieldCell:
    """Draws stain and the course of the tail of a cell."""
    contour = HeadContour(morphology.head)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    base_um = np.asarray(center_um) + turn @ (contour.base_um - contour.center_um)
    length_um = {"short": rng.uniform(5, 12)}.get(morphology.tail, rng.normal(47, 3))
    travelled = np.arange(int(length_um / _STEP_UM)) * _STEP_UM
    # The neck is stiff: the tail bends only behind the midpiece.
    bend = smooth_bends(travelled, rng, strength=rng.uniform(0.02, 0.10))
    bend += rng.uniform(0.0, 0.12) * np.cos(travelled * 2 * np.pi / rng.uniform(3, 9) + rng.uniform(0, 2 * np.pi))
    if rng.random() < 0.25:  # the end piece curls up
        bend += rng.choice([-1, 1]) * rng.uniform(0.1, 0.35) * np.clip((travelled - rng.uniform(15, 38)) / 5, 0, 1)
    bend *= np.clip((travelled - 0.3) / morphology.midpiece_length_um, 0, 1)
    turned = np.cumsum(bend) * _STEP_UM
    if morphology.tail == "coiled":
        behind = np.maximum(travelled - 0.6 * morphology.midpiece_length_um, 0)
        turned = turned + rng.choice([-1, 1]) * behind / rng.uniform(0.9, 1.8) / (1 + 0.03 * travelled)
    elif morphology.tail == "bent":
        turned = turned + rng.choice([-1, 1]) * rng.uniform(1.6, 2.6) * (travelled > rng.uniform(3, 20))
    backward = angle + np.pi + morphology.neck_angle
    return FieldCell(
        morphology=morphology,
        center_um=np.asarray(center_um, np.float64),
        angle=angle,
        path_um=path_um(base_um, backward + turned, _STEP_UM),
        midpiece_um=morphology.midpiece_length_um,
        nucleus=float(rng.uniform(0.8, 1.4)),
        acrosome=float(rng.uniform(0.0, 0.2)),
        eosin=float(rng.uniform(0.7, 1.5)),
        softness_um=float(rng.choice([0.5, 1.2, 2.8]) * rng.uniform(0.7, 1.3)),
        tail=float(rng.uniform(0.7, 1.3)),
    )


def draw_flagellum(canvas: Canvas, layers: Layers, cell: FieldCell, instance: int, rng: np.random.Generator) -> None:
    """Deposits midpiece, tail and residual cytoplasm, and enters them into the layers."""
    path = cell.path_um
    travelled = np.arange(len(path)) * _STEP_UM
    is_middle = travelled < cell.midpiece_um
    left_um = len(path) * _STEP_UM - travelled
    strength = cell.tail * np.clip(left_um / 5, 0.35, 1)
    calibre_um = rng.uniform(0.24, 0.34)
    line = canvas.line_map(path[~is_middle], strength[~is_middle] * _STEP_UM, calibre_um)
    taper = 1.25 - 0.45 * travelled[is_middle] / cell.midpiece_um
    width_um = cell.morphology.midpiece_width_um
    line += canvas.line_map(path[is_middle], 2.0 * (strength[is_middle] * taper) * _STEP_UM, width_um)
    canvas.pale += np.minimum(line, 2.8)
    stride = max(int(0.6 * canvas.pixel_size_um / _STEP_UM), 1)
    radius_um = max(TAIL_RADIUS_UM, 0.55 * canvas.pixel_size_um)
    _enter(canvas, layers, path[~is_middle][::stride], radius_um, TAIL, instance)
    # The blur widens what is seen of the midpiece by about a tenth of a micrometre.
    radius_um = max(width_um / 2 + 0.05, 0.55 * canvas.pixel_size_um)
    _enter(canvas, layers, path[is_middle][::stride], radius_um, MIDPIECE, instance)
    if cell.morphology.droplet_um > 0:
        _draw_droplet(canvas, layers, cell, instance, rng)


def draw_head(canvas: Canvas, layers: Layers, cell: FieldCell, instance: int, rng: np.random.Generator) -> None:
    """Deposits the head, and the second one where there are two, and enters them into the layers."""
    placed = PlacedContour(canvas, HeadContour(cell.morphology.head), cell.center_um, cell.angle)
    _draw_outline(canvas, layers, placed, cell, instance, rng)
    if cell.morphology.second_head:
        contour = HeadContour(dataclasses.replace(cell.morphology.head, length_um=0.9 * cell.morphology.head.length_um))
        turned = cell.angle + rng.choice([-1, 1]) * rng.uniform(0.6, 1.1)
        reach = (contour.center_um - contour.base_um)[0]
        center = cell.path_um[0] + reach * np.array([np.cos(turned), np.sin(turned)])
        _draw_outline(canvas, layers, PlacedContour(canvas, contour, center, turned), cell, instance, rng)


def _draw_outline(
    canvas: Canvas, layers: Layers, placed: PlacedContour, cell: FieldCell, instance: int, rng: np.random.Generator
) -> None:
    curvature = float(rng.uniform(-0.2, 0.15))
    waves = rng.uniform(0, 2 * np.pi, (4, 2)), rng.uniform(0.8, 2.2, 4)
    if not placed.inside.any():
        return
    head = cell.morphology.head
    cap = acrosome_weight(placed, cell.morphology.acrosome_share, softness_um=cell.softness_um, curvature=curvature)
    toward_tip = np.clip((placed.along_um - placed.contour.base_um[0]) / head.length_um, 0, 1)
    depth = np.maximum(-placed.distance_um, 0)
    nuclear = cell.nucleus * (1.45 - 0.8 * toward_tip) * (1 - cap * (1 - cell.acrosome))
    eosin = cell.eosin * (1.15 - 0.4 * toward_tip)
    texture = sum(
        np.cos((placed.along_um * np.cos(ray) + placed.across_um * np.sin(ray)) * 2 * np.pi / wavelength + phase)
        for (ray, phase), wavelength in zip(*waves, strict=True)
    )
    nuclear = nuclear * (1 + 0.05 * texture)
    inside = placed.inside
    parts = np.where(inside, NUCLEUS, 0).astype(np.uint8)
    parts[inside & (cap > 0.5)] = ACROSOME
    for along, across, radius_um in cell.morphology.vacuoles:
        offset = np.hypot(
            placed.along_um - along * head.length_um / 2 - placed.contour.center_um[0],
            placed.across_um - across * head.width_um / 2,
        )
        hole = 1 - 0.65 * np.exp(-((offset / radius_um) ** 4))
        nuclear, eosin = nuclear * hole, eosin * hole
        parts[inside & (offset < radius_um)] = VACUOLE
    cover = placed.coverage(canvas.pixel_size_um) * (0.55 + 0.45 * (1 - np.exp(-depth / 0.3)))
    region = (placed.rows, placed.columns)
    for plane, deposit in ((canvas.nuclear, nuclear), (canvas.eosin, eosin), (canvas.pale, 0.0)):
        plane[region] = plane[region] * (1 - 0.75 * cover) + deposit * cover
    layers.add(parts, placed.rows, placed.columns, instance)


def _draw_droplet(canvas: Canvas, layers: Layers, cell: FieldCell, instance: int, rng: np.random.Generator) -> None:
    """Residual cytoplasm beside the neck: a pale bag, darker at its skin. It counts to the midpiece."""
    radius_um = cell.morphology.droplet_um
    place = cell.path_um[min(int(0.8 * radius_um / _STEP_UM), len(cell.path_um) - 1)]
    spread = rng.normal(0, 0.2 * radius_um, 2)
    points = place + spread + radius_um * rng.uniform(-0.4, 0.4, (1, 2)) * np.linspace(-1, 1, 12)[:, None]
    mask, rows, columns = near_path(canvas, points, np.full(len(points), radius_um))
    if not mask.any():
        return
    from scipy import ndimage

    depth_um = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] * canvas.pixel_size_um
    skin = np.exp(-(((depth_um - 0.2) / 0.2) ** 2))
    canvas.pale[rows, columns] += mask * (rng.uniform(0.6, 1.3) * skin + rng.uniform(0.1, 0.9))
    layers.add(np.where(mask, MIDPIECE, 0).astype(np.uint8), rows, columns, instance)


def _enter(canvas: Canvas, layers: Layers, points_um: np.ndarray, radius_um: float, part: int, instance: int) -> None:
    mask, rows, columns = near_path(canvas, points_um, np.full(len(points_um), radius_um))
    layers.add(np.where(mask, part, 0).astype(np.uint8), rows, columns, instance)
