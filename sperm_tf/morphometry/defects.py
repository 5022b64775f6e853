"""Defects of head, midpiece, tail and cytoplasm by rules on the measures.

The categories and the names follow the WHO manual, 5th edition (2010), section 2.15.2. The manual gives limits for few
of them; every limit of `DefectRules` that it does not give is this project's own and says so. Rules find what the
measures see: a pear-shaped head is `irregular` here, and a neck thickened on one side may be found by none.
"""

from __future__ import annotations

import dataclasses
import math

from sperm_tf.morphometry.cell import CellMeasures
from sperm_tf.morphometry.flagellum import MidpieceMeasures, TailMeasures
from sperm_tf.morphometry.head import HeadMeasures
from sperm_tf.morphometry.reference_ranges import REFERENCE_RANGES, ReferenceRange


@dataclasses.dataclass(frozen=True)
class DefectRules:
    """Limits of the rules.

    Attributes:
        margin: relative amount by which a head's measure must lie beyond its reference range: the error of measuring.
            Areas, products of two lengths, get it twice. Ours.
        acrosome_margin: the same for the acrosome's share, absolute. Ours.
        min_regularity: lowest pi L W / (4 A) of a regular outline. Ours.
        max_regularity: highest one. Ours.
        midpiece_margin_um: amount by which a midpiece's width must lie beyond its reference range. Ours.
        max_angle_deg: largest angle between head and midpiece that is no bend. Ours.
        max_offset_share: largest distance of the insertion from the head's axis over the head's width. Ours.
        min_tail_um: shortest tail that is not short: half of the manual's approximate length. Ours.
        max_bend_deg: largest change of the tail's heading within `BEND_WINDOW_UM` that is no sharp bend. Ours.
        coil_turning_deg: turning of a coiled tail: a full turn, less what the gap in a ring's heading takes. Ours.
        coil_width_um: apparent width of a tail whose windings have merged. Ours.
        cytoplasm_share: area of residual cytoplasm over that of the head from which on it is excessive. The manual's.
    """

    margin: float = 0.05
    acrosome_margin: float = 0.05
    min_regularity: float = 0.93
    max_regularity: float = 1.09
    midpiece_margin_um: float = 0.2
    max_angle_deg: float = 45.0
    max_offset_share: float = 0.3
    min_tail_um: float = 22.5
    max_bend_deg: float = 90.0
    coil_turning_deg: float = 340.0
    coil_width_um: float = 1.5
    cytoplasm_share: float = 1 / 3


@dataclasses.dataclass(frozen=True)
class Defects:
    """Names of the defects of one spermatozoon; a category that could not be assessed is None.

    Attributes:
        head: of `small`, `large`, `tapered`, `round`, `irregular`, `no_acrosome`, `small_acrosome`, `large_acrosome`,
            `vacuolated`, `postacrosomal_vacuole`.
        midpiece: of `bent`, `asymmetrical`, `thick`, `thin`.
        tail: of `absent`, `short`, `bent`, `coiled`.
        cytoplasm: `excess`, or nothing.
    """

    head: tuple[str, ...] | None
    midpiece: tuple[str, ...] | None
    tail: tuple[str, ...] | None
    cytoplasm: tuple[str, ...] | None

    @property
    def categories(self) -> tuple[tuple[str, ...] | None, ...]:
        """The four categories: head, midpiece, tail, cytoplasm."""
        return self.head, self.midpiece, self.tail, self.cytoplasm


def find_defects(
    measures: CellMeasures,
    rules: DefectRules = DefectRules(),
    *,
    is_tail_complete: bool = True,
) -> Defects:
    """Applies the rules to the measures of a spermatozoon.

    Args:
        measures: from `measure_cell`.
        rules: limits.
        is_tail_complete: False where the tail leaves the field, or is hidden: then it is neither `absent` nor `short`.

    Returns:
        The defects. A rule whose measure is NaN finds nothing. Without a head nothing but the tail is assessed.
    """
    head, midpiece = measures.head, measures.midpiece
    tail = _tail_defects(measures.tail, rules, is_tail_complete)
    if head is None or midpiece is None:
        return Defects(None if head is None else _head_defects(head, rules), None, tail, None)
    has_excess = midpiece.thick_area_um2 >= rules.cytoplasm_share * head.area_um2
    return Defects(
        head=_head_defects(head, rules),
        midpiece=_midpiece_defects(midpiece, head, rules),
        tail=tail,
        cytoplasm=("excess",) if has_excess else (),
    )


def _head_defects(head: HeadMeasures, rules: DefectRules) -> tuple[str, ...]:
    length, width = REFERENCE_RANGES["head_length_um"], REFERENCE_RANGES["head_width_um"]
    ratio, acrosome = REFERENCE_RANGES["head_ellipticity"], REFERENCE_RANGES["head_acrosome_share"]
    smallest, largest = (math.pi / 4 * one * other for one, other in zip(_limits(length), _limits(width), strict=True))
    found = {
        "small": head.area_um2 < smallest * (1 - 2 * rules.margin),
        "large": head.area_um2 > largest * (1 + 2 * rules.margin),
        "tapered": head.ellipticity > ratio.high * (1 + rules.margin),
        "round": head.ellipticity < ratio.low * (1 - rules.margin),
        "irregular": not rules.min_regularity <= head.regularity <= rules.max_regularity,
        "no_acrosome": head.acrosome_share == 0,
        "small_acrosome": 0 < head.acrosome_share < acrosome.low - rules.acrosome_margin,
        "large_acrosome": head.acrosome_share > acrosome.high + rules.acrosome_margin,
        "vacuolated": head.num_vacuoles > REFERENCE_RANGES["head_num_vacuoles"].high
        or head.vacuole_share > REFERENCE_RANGES["head_vacuole_share"].high,
        "postacrosomal_vacuole": head.num_postacrosomal_vacuoles > 0,
    }
    return tuple(name for name, is_found in found.items() if is_found)


def _limits(reference: ReferenceRange) -> tuple[float, float]:
    return reference.low, reference.high


def _midpiece_defects(midpiece: MidpieceMeasures, head: HeadMeasures, rules: DefectRules) -> tuple[str, ...]:
    width = REFERENCE_RANGES["midpiece_width_um"]
    found = {
        "bent": midpiece.angle_deg > rules.max_angle_deg,
        "asymmetrical": midpiece.offset_um > rules.max_offset_share * head.width_um,
        "thick": midpiece.width_um > width.high + rules.midpiece_margin_um,
        "thin": midpiece.width_um < width.low - rules.midpiece_margin_um,
    }
    return tuple(name for name, is_found in found.items() if is_found)


def _tail_defects(tail: TailMeasures | None, rules: DefectRules, is_complete: bool) -> tuple[str, ...] | None:
    if tail is None:
        return None
    found = {
        "absent": is_complete and tail.length_um == 0,
        "short": is_complete and 0 < tail.length_um < rules.min_tail_um,
        "bent": tail.bend_deg > rules.max_bend_deg and tail.turning_deg < rules.coil_turning_deg,
        "coiled": tail.turning_deg >= rules.coil_turning_deg or tail.width_um >= rules.coil_width_um,
    }
    return tuple(name for name, is_found in found.items() if is_found)
