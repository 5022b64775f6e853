"""Draws stained human sperm as a bright-field microscope shows them, with the exact mask of the head.

An image is a function of (seed, label set, index) alone: any worker can draw any image, in any order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from sperm_tf.synthesis import cell, debris, optics
from sperm_tf.synthesis.canvas import Canvas
from sperm_tf.synthesis.morphology import CLASS_NAMES, draw_kind, draw_sperm

PIXEL_SIZE_UM = {"head_shape": 0.1, "quality": 0.096}  # a normal head, 2.8 um, is 28-29 px wide in HuSHeM and SMIDS
HEAD_SHAPE_SIDE = 131  # as HuSHeM
_LABEL_SET_KEYS = {"head_shape": 0, "quality": 1}  # part of the seed: never renumber
_CAMERAS = {"head_shape": "video", "quality": "smartphone"}
_MIN_SIZE = 16


@dataclasses.dataclass(frozen=True)
class SyntheticSperm:
    """One drawn crop.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        head_mask: bool [H, W], pixels whose centre lies within the head's outline; all False for `non-sperm`.
        label: index into `CLASS_NAMES[label_set]`.
        label_name: the class name.
        parameters: what was drawn: `kind`, `pixel_size_um`, and for a spermatozoon the fields of `SpermMorphology`
            (`head` is a `HeadShape`), `center_um` (of the head's bounding box along its axis, from the image's centre,
            y downwards) and `angle` (direction of the tip, radians).
    """

    image: np.ndarray
    head_mask: np.ndarray
    label: int
    label_name: str
    parameters: Mapping[str, object]


def render(index: int, *, label_set: str = "head_shape", seed: int = 0, size: int | None = None) -> SyntheticSperm:
    """Draws one image.

    Args:
        index: number of the image, from 0; the label is `index % num_classes`.
        label_set: `head_shape` (normal, tapered, pyriform, amorphous; 131x131 pixels, the head in the centre, as in
            HuSHeM) or `quality` (normal, abnormal, non-sperm; crops of varying size, as in SMIDS).
        seed: any non-negative integer; another seed is another dataset.
        size: side in pixels of a square image whose field of view has the longer side of the label set's own format,
            which `None` keeps.

    Returns:
        The image, its mask and its label. Equal arguments give equal bytes.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(index, label_set, seed, size)
    index, seed = int(index), int(seed)
    label = index % len(CLASS_NAMES[label_set])
    label_name = CLASS_NAMES[label_set][label]
    sequence = np.random.SeedSequence(seed, spawn_key=(_LABEL_SET_KEYS[label_set], index))
    # Two streams: the same cell appears at any size, although the camera's noise takes more numbers for more pixels.
    scene, sensor = (np.random.Generator(np.random.PCG64(child)) for child in sequence.spawn(2))
    canvas = _frame(label_set, size, scene)
    look = optics.draw_look(_CAMERAS[label_set], scene)
    kind = draw_kind(label_name, scene)
    if label_name == "non-sperm":
        mask = np.zeros((canvas.height, canvas.width), bool)
        parameters: dict[str, object] = {"kind": kind}
        _add_surroundings(canvas, label_set, scene)
        _add_non_sperm(canvas, kind, scene)
    else:
        morphology = draw_sperm(kind, scene)
        angle = float(scene.uniform(0, 2 * np.pi))
        spread_um = 0.12 if label_set == "head_shape" else 0.7
        center_um = scene.normal(0, spread_um, 2)
        _add_surroundings(canvas, label_set, scene)
        mask = cell.add_sperm(
            canvas, morphology, center_um=center_um, angle=angle, stain=cell.draw_stain(scene), rng=scene
        )
        fields = {field.name: getattr(morphology, field.name) for field in dataclasses.fields(morphology)}
        parameters = {**fields, "center_um": tuple(center_um.tolist()), "angle": angle}
    parameters["pixel_size_um"] = canvas.pixel_size_um
    return SyntheticSperm(optics.expose(canvas, look, sensor), mask, label, label_name, parameters)


def _check(index: int, label_set: str, seed: int, size: int | None) -> None:
    if label_set not in CLASS_NAMES:
        raise ValueError(
            f"label_set must be one of {', '.join(CLASS_NAMES)}. Received: label_set={label_set!r}. "
            "Use 'head_shape' for HuSHeM's classes, 'quality' for SMIDS's."
        )
    for name, value in (("index", index), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(
                f"{name} must be a non-negative integer. Received: {name}={value!r}. Number the images from 0."
            )
    if size is not None and (not isinstance(size, (int, np.integer)) or size < _MIN_SIZE):
        raise ValueError(
            f"size must be an integer of at least {_MIN_SIZE} pixels, or None. Received: size={size!r}. "
            "A smaller crop does not resolve a head."
        )


def _frame(label_set: str, size: int | None, rng: np.random.Generator) -> Canvas:
    """The field of view: HuSHeM's fixed one, or a crop of SMIDS's range of sizes."""
    height = width = HEAD_SHAPE_SIDE
    pixel_size_um = PIXEL_SIZE_UM[label_set] * float(np.clip(rng.normal(1, 0.02), 0.95, 1.05))
    if label_set == "quality":
        height, width = np.clip(rng.normal((168, 171), 17), 120, 260).astype(int).tolist()
    if size is None:
        return Canvas(height, width, pixel_size_um)
    return Canvas(size, size, pixel_size_um * max(height, width) / size)


def _add_surroundings(canvas: Canvas, label_set: str, rng: np.random.Generator) -> None:
    """What lies around, drawn alike for every class so that it cannot give the class away."""
    smear = label_set == "quality"
    debris.add_ghosts(canvas, int(rng.poisson(1.2 if smear else 0.9)), rng)
    debris.add_crossing_tails(canvas, int(rng.choice(4, p=[0.45, 0.3, 0.17, 0.08])), rng)
    debris.add_specks(canvas, int(rng.poisson(1.0 if smear else 1.3)), rng)
    if rng.random() < (0.18 if smear else 0.22):
        debris.add_neighbour(canvas, rng, clear_um=5.8)
    if rng.random() < (0.35 if smear else 0.05):
        direction = rng.uniform(0, 2 * np.pi)
        reach = 0.55 * np.array(canvas.field_um[::-1]) * (np.cos(direction), np.sin(direction))
        debris.add_clump(canvas, reach, rng.uniform(1.0, 3.0), rng, rng.uniform(0.4, 1.0))


def _add_non_sperm(canvas: Canvas, kind: str, rng: np.random.Generator) -> None:
    center = rng.normal(0, 0.6, 2)
    if kind == "clump":
        debris.add_clump(canvas, center, rng.uniform(1.5, 5.5), rng, rng.uniform(0.6, 1.2))
    elif kind == "debris_field":
        for _ in range(rng.integers(3, 7)):
            place = rng.uniform(-0.45, 0.45, 2) * canvas.field_um[::-1]
            debris.add_clump(canvas, place, rng.uniform(2.0, 4.5), rng, rng.uniform(0.5, 1.0))
    elif kind == "granules":
        debris.add_granules(canvas, center, rng)
    elif kind == "round_cell":
        debris.add_round_cell(canvas, center, rng)
    elif kind == "detached_head":
        debris.add_detached_head(canvas, center, rng)
    elif kind == "stain_blob":
        debris.add_stain_blob(canvas, center, rng)
    elif kind == "fibre":
        debris.add_fibre(canvas, center, rng)
