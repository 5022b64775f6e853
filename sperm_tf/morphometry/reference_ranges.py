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

    def contains(self, value: float) -> bool | None:
        """Whether a value lies within the limits; None where it is NaN, or where there are no limits."""
        if math.isnan(value) or (math.isinf(self.low) and math.isinf(self.high)):
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
