"""What the WHO manual says about the measures of a normal spermatozoon.

Source: World Health Organization 2010, WHO laboratory manual for the examination and processing of human semen, 5th
edition, section 2.15.1 (classification of normal sperm morphology). The dimensions are medians and 95 % intervals of
Papanicolaou-stained spermatozoa that were classified as normal, 77 heads and 74 midpieces, measured by a computerized
system whose repeated measurements vary by 2-7 %. Other stains and fixations give other sizes. The text of the 6th
edition (2021) was not at hand, so nothing is cited from it. What the manual gives no number for has no range here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

_MANUAL = "WHO manual, 5th edition (2010), section 2.15.1"


@dataclasses.dataclass(frozen=True)
class ReferenceRange:
    """The range of one measure.

    Attributes:
        low: lower limit; -inf without one.
        high: upper limit; inf without one.
        typical: median, or the value that the manual calls approximate; None without one.
        meaning: what the limits are.
        source: edition and section.
    """

    low: float
    high: float
    typical: float | None
    meaning: str
    source: str = _MANUAL

    @property
    def has_limits(self) -> bool:
        """Whether there is a lower or an upper limit."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def contains(self, value: float) -> bool | None:
        """Whether a value lies within the limits; None where it is NaN, or where there are no limits."""
        if math.isnan(value) or not self.has_limits:
            return None
        return self.low <= value <= self.high


_INTERVAL = "95 % interval of normal spermatozoa"
_DEFINITION = "definition of a normal spermatozoon"

REFERENCE_RANGES: dict[str, ReferenceRange] = {
    "head_length_um": ReferenceRange(3.7, 4.7, 4.1, _INTERVAL),
    "head_width_um": ReferenceRange(2.5, 3.2, 2.8, _INTERVAL),
    "head_ellipticity": ReferenceRange(1.3, 1.8, 1.5, _INTERVAL),
    "head_acrosome_share": ReferenceRange(0.4, 0.7, None, _DEFINITION),
    "head_num_vacuoles": ReferenceRange(0, 2, None, _DEFINITION + ": not more than two small ones"),
    "head_vacuole_share": ReferenceRange(0, 0.2, None, _DEFINITION),
    "head_num_postacrosomal_vacuoles": ReferenceRange(0, 0, None, _DEFINITION),
    "midpiece_length_um": ReferenceRange(3.3, 5.2, 4.0, _INTERVAL),
    "midpiece_width_um": ReferenceRange(0.5, 0.7, 0.6, _INTERVAL),
    "tail_length_um": ReferenceRange(-math.inf, math.inf, 45.0, "principal piece, approximate, without limits"),
}
"""Name of a measure in `MEASURE_NAMES` -> its range."""
RANGED_MEASURES = tuple(name for name, reference in REFERENCE_RANGES.items() if reference.has_limits)
"""Measures that have a range with limits."""
_UNITS = ("_um", "_um2")


def in_range_column(name: str) -> str:
    """Column that says of a measure whether it lies within its range."""
    return f"{name}_in_range"


def find_in_range(measures: Mapping[str, float], *, is_scale_estimated: bool) -> dict[str, bool | None]:
    """Compares measures with their ranges.

    Args:
        measures: name in `MEASURE_NAMES` -> value, NaN where there is none.
        is_scale_estimated: whether the pixel size was estimated from the heads, taken to be as long as the manual says.
            Lengths and areas are then not compared: their comparison with the manual would be circular.

    Returns:
        Column -> whether the value lies within its range; None where nothing can be compared.
    """
    return {
        in_range_column(name): None
        if is_scale_estimated and name.endswith(_UNITS)
        else REFERENCE_RANGES[name].contains(measures[name])
        for name in RANGED_MEASURES
    }
