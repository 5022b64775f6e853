"""What the classes mean: distributions of shape parameters per class, from the definitions of the field.

Sources:
    WHO laboratory manual for the examination and processing of human semen, 6th edition (2021): a
        normal head is smooth, regularly contoured and oval; median length 4.1 um (95 % interval 3.7-4.7), median
        width 2.8 um (2.5-3.2), median ratio 1.5 (1.3-1.8); the acrosome covers 40-70 % of the head; no large
        vacuole, at most two small ones, together at most a fifth of the head; the mid-piece is slender, regular, as
        long as the head, aligned with its axis; residual cytoplasm below a third of the head. Head, neck, mid-piece and
        tail defects (tapered, pyriform, round, small, large, amorphous, no acrosome; bent or thick neck; coiled,
        short, sharply bent tails).
    Shaker, Monadjemi: Human Sperm Head Morphology dataset (HuSHeM), doi:10.17632/tt3yj2pf38.3: normal, tapered (cigar:
        long and narrow), pyriform (pear: the posterior part is drawn out) and amorphous (any other irregular
        outline).

The definitions give no numbers for the abnormal heads. Their ranges are our reading, and they are not independent of
HuSHeM: after a look at labelled HuSHeM images and at the sizes of their heads per class, the ranges of tapered,
pyriform and amorphous heads were moved by hand, by up to a tenth of a length or width, and amorphous heads made less
angular; their smaller acrosome was chosen with the images in view, too. No network's result on real images was used.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.synthesis.contour import HeadShape

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "head_shape": ("normal", "tapered", "pyriform", "amorphous"),
    "quality": ("normal", "abnormal", "non-sperm"),
}

ABNORMAL_KINDS = ("tapered", "pyriform", "amorphous", "round", "small", "large", "thick_neck", "bent_neck", "cytoplasm",
                  "coiled_tail", "short_tail", "bent_tail", "two_heads", "no_acrosome")  # fmt: skip
_ABNORMAL_SHARES = (0.15, 0.17, 0.17, 0.05, 0.05, 0.03, 0.08, 0.08, 0.08, 0.03, 0.03, 0.04, 0.02, 0.02)

NON_SPERM_KINDS = ("clump", "debris_field", "granules", "round_cell", "detached_head", "stain_blob", "fibre", "empty")
_NON_SPERM_SHARES = (0.48, 0.20, 0.08, 0.06, 0.08, 0.05, 0.02, 0.03)


@dataclasses.dataclass(frozen=True)
class SpermMorphology:
    """One spermatozoon.

    Attributes:
        kind: the class, or the defect within the class `abnormal`.
        head: the outline.
        acrosome_share: share, 0-1, of the head's area.
        vacuoles: position relative to the half length and half width, and radius in um, of each vacuole.
        neck_angle: angle in radians between the head's axis and the mid-piece.
        midpiece_length_um: length of the mid-piece.
        midpiece_width_um: its width; WHO: slender, below 1 um.
        droplet_um: radius of the residual cytoplasm at the neck; 0 has none.
        tail: `free`, `coiled`, `short` or `bent`.
        second_head: a second head on the same neck.
    """

    kind: str
    head: HeadShape
    acrosome_share: float
    vacuoles: tuple[tuple[float, float, float], ...]
    neck_angle: float
    midpiece_length_um: float
    midpiece_width_um: float
    droplet_um: float
    tail: str
    second_head: bool


def draw_sperm(kind: str, rng: np.random.Generator) -> SpermMorphology:
    """Draws one spermatozoon of a class of `head_shape`, or with a defect from `ABNORMAL_KINDS`.

    Args:
        kind: `normal` or a name from `ABNORMAL_KINDS`.
        rng: source of randomness.

    Returns:
        The parameters that the renderer needs.

    Raises:
        ValueError: `kind` is unknown.
    """
    if kind not in ("normal", *ABNORMAL_KINDS):
        raise ValueError(
            f"kind must be 'normal' or one of {', '.join(ABNORMAL_KINDS)}. Received: kind={kind!r}. "
            "For a class of the label set 'quality', draw the defect with `draw_kind` first."
        )
    head = _HEADS.get(kind, _normal_head)(rng)
    acrosome = {
        "amorphous": lambda: rng.uniform(0.05, 0.5),
        "no_acrosome": lambda: 0.0,
        "small": lambda: rng.uniform(0.2, 0.6),
    }.get(kind, lambda: rng.uniform(0.42, 0.68))()
    return SpermMorphology(
        kind=kind,
        head=head,
        acrosome_share=float(acrosome),
        vacuoles=_vacuoles(kind, rng),
        neck_angle=float(rng.choice([-1, 1]) * rng.uniform(0.8, 1.8) if kind == "bent_neck" else rng.normal(0, 0.12)),
        midpiece_length_um=float(rng.uniform(2.8, 4.5)),
        midpiece_width_um=float(rng.uniform(1.1, 1.7) if kind == "thick_neck" else rng.uniform(0.32, 0.5)),
        droplet_um=float(_droplet_um(kind, rng)),
        tail={"coiled_tail": "coiled", "short_tail": "short", "bent_tail": "bent"}.get(kind, "free"),
        second_head=kind == "two_heads",
    )


def draw_kind(label_name: str, rng: np.random.Generator) -> str:
    """The kind of object within a class of `quality`: which defect, or which sort of non-sperm object.

    Args:
        label_name: any class name; those of `head_shape` are their own kind.
        rng: source of randomness.

    Returns:
        `normal`, or a name from `ABNORMAL_KINDS` or `NON_SPERM_KINDS`.
    """
    if label_name == "abnormal":
        return ABNORMAL_KINDS[rng.choice(len(ABNORMAL_KINDS), p=_ABNORMAL_SHARES)]
    if label_name == "non-sperm":
        return NON_SPERM_KINDS[rng.choice(len(NON_SPERM_KINDS), p=_NON_SPERM_SHARES)]
    return label_name


def _truncated(rng: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    """A normal variate, drawn again until it lies in the range."""
    while True:
        value = rng.normal(mean, deviation)
        if low <= value <= high:
            return float(value)


def _fine_harmonics(rng: np.random.Generator, scale: float = 0.006) -> tuple[tuple[float, float], ...]:
    """The small unevenness that a smooth, regular head still has."""
    return tuple((float(rng.normal(0, scale)), float(rng.uniform(0, 2 * np.pi))) for _ in range(3))


def _normal_head(rng: np.random.Generator) -> HeadShape:
    while True:
        length, width = _truncated(rng, 4.2, 0.22, 3.7, 4.7), _truncated(rng, 2.85, 0.14, 2.5, 3.2)
        if 1.3 <= length / width <= 1.75:
            break
    taper = rng.uniform(0.02, 0.17)
    return HeadShape(
        length, width, float(taper), pointedness=float(rng.uniform(1.95, 2.3)), harmonics=_fine_harmonics(rng)
    )


def _tapered_head(rng: np.random.Generator) -> HeadShape:
    width = _truncated(rng, 2.3, 0.18, 1.9, 2.65)
    length = width * _truncated(rng, 2.05, 0.17, 1.8, 2.5)
    return HeadShape(
        length,
        width,
        taper=float(rng.uniform(0.0, 0.28)),
        pointedness=float(rng.uniform(1.8, 2.4)),
        harmonics=_fine_harmonics(rng, 0.008),
    )


def _pyriform_head(rng: np.random.Generator) -> HeadShape:
    return HeadShape(
        length_um=_truncated(rng, 5.2, 0.4, 4.4, 6.2),
        width_um=_truncated(rng, 2.75, 0.18, 2.35, 3.2),
        taper=float(rng.uniform(0.2, 0.36)),
        neck=float(rng.uniform(0.35, 0.68)),
        neck_share=float(rng.uniform(0.42, 0.6)),
        pointedness=float(rng.uniform(2.0, 2.4)),
        harmonics=_fine_harmonics(rng, 0.010),
    )


def _amorphous_head(rng: np.random.Generator) -> HeadShape:
    length, width = _truncated(rng, 4.4, 0.45, 3.4, 5.5), _truncated(rng, 2.85, 0.3, 2.2, 3.5)
    scales = rng.uniform(0.5, 1.2) * np.array([0.09, 0.07, 0.04, 0.025])
    harmonics = tuple(
        (float(abs(rng.normal(0.5, 0.5)) * s + 0.2 * s), float(rng.uniform(0, 2 * np.pi))) for s in scales
    )
    cuts = tuple(
        (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.72, 0.95)))
        for _ in range(rng.choice(3, p=[0.35, 0.4, 0.25]))
    )
    return HeadShape(
        length,
        width,
        taper=float(rng.uniform(-0.1, 0.3)),
        neck=float(rng.uniform(0.0, 0.25)),
        pointedness=float(rng.uniform(1.6, 2.4)),
        harmonics=harmonics,
        cuts=cuts,
    )


def _round_head(rng: np.random.Generator) -> HeadShape:
    width = rng.uniform(2.9, 3.6)
    return HeadShape(float(width * rng.uniform(1.0, 1.15)), float(width), harmonics=_fine_harmonics(rng, 0.012))


def _small_head(rng: np.random.Generator) -> HeadShape:
    width = rng.uniform(1.5, 2.1)
    return HeadShape(float(width * rng.uniform(1.3, 1.7)), float(width), 0.1, harmonics=_fine_harmonics(rng, 0.015))


def _large_head(rng: np.random.Generator) -> HeadShape:
    width = rng.uniform(3.6, 4.4)
    return HeadShape(float(width * rng.uniform(1.3, 1.6)), float(width), 0.1, harmonics=_fine_harmonics(rng, 0.015))


_HEADS = {
    "tapered": _tapered_head,
    "pyriform": _pyriform_head,
    "amorphous": _amorphous_head,
    "round": _round_head,
    "small": _small_head,
    "large": _large_head,
}


def _vacuoles(kind: str, rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    """Vacuoles: at most two small ones in a normal head (WHO), more and larger ones elsewhere."""
    share, largest = (0.15, 0.2) if kind == "normal" else (0.3, 0.4)
    if rng.random() > share:
        return ()
    return tuple(
        (float(rng.uniform(-0.3, 0.6)), float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.12, largest)))
        for _ in range(rng.integers(1, 3))
    )


def _droplet_um(kind: str, rng: np.random.Generator) -> float:
    if kind == "cytoplasm":
        return rng.uniform(0.8, 1.4)
    share = 0.06 if kind == "normal" else 0.18
    return rng.uniform(0.35, 0.7) if rng.random() < share else 0.0
