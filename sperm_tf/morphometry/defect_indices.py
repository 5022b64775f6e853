"""Indices of multiple defects: TZI, SDI and MAI.

World Health Organization 2010, WHO laboratory manual for the examination and processing of human semen, 5th edition,
section 3.1. Sources: MAI, Jouannet et al. 1988 (International Journal of Andrology 11:379-394); SDI, Aziz et al. 1996
(Fertility and Sterility 66:1001-1008); TZI, Menkveld et al. 2001 (Human Reproduction 16:1165-1171).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from sperm_tf.morphometry.defects import Defects


@dataclasses.dataclass(frozen=True)
class DefectIndices:
    """The indices of a number of spermatozoa.

    Attributes:
        num_sperm: spermatozoa whose four categories were all assessed; only these count.
        num_left_out: the others.
        num_abnormal: spermatozoa with at least one defect.
        num_head: spermatozoa with a defect of the head.
        num_midpiece: of neck and midpiece.
        num_tail: of the tail.
        num_cytoplasm: with excess residual cytoplasm.
        tzi: teratozoospermia index, 1-4; NaN without abnormal spermatozoa.
        mai: multiple anomalies index, at least 1; NaN without abnormal spermatozoa.
        sdi: sperm deformity index, at least 0; NaN without spermatozoa.
    """

    num_sperm: int
    num_left_out: int
    num_abnormal: int
    num_head: int
    num_midpiece: int
    num_tail: int
    num_cytoplasm: int
    tzi: float
    mai: float
    sdi: float


def summarize_defects(cells: Iterable[Defects]) -> DefectIndices:
    """Counts the defects of spermatozoa and computes their indices."""
    cells = list(cells)
    assessed = [cell for cell in cells if None not in cell.categories]
    defects = [tuple(len(category or ()) for category in cell.categories) for cell in assessed]
    head, midpiece, tail, cytoplasm = (sum(counts[place] > 0 for counts in defects) for place in range(4))
    num_abnormal = sum(any(counts) for counts in defects)
    return DefectIndices(
        num_sperm=len(defects),
        num_left_out=len(cells) - len(assessed),
        num_abnormal=num_abnormal,
        num_head=head,
        num_midpiece=midpiece,
        num_tail=tail,
        num_cytoplasm=cytoplasm,
        tzi=teratozoospermia_index(head, midpiece, tail, cytoplasm, num_abnormal=num_abnormal),
        mai=multiple_anomalies_index(sum(map(sum, defects)), num_abnormal=num_abnormal),
        sdi=sperm_deformity_index(
            sum(counts[0] for counts in defects), midpiece, tail, cytoplasm, num_sperm=len(defects)
        ),
    )


def teratozoospermia_index(
    num_head: int, num_midpiece: int, num_tail: int, num_cytoplasm: int, *, num_abnormal: int
) -> float:
    """TZI: abnormal categories per abnormal spermatozoon, 1-4; each category of a spermatozoon counts once.

    Args:
        num_head: spermatozoa with any defect of the head.
        num_midpiece: of neck and midpiece.
        num_tail: of the tail.
        num_cytoplasm: with excess residual cytoplasm.
        num_abnormal: spermatozoa with at least one of these.

    Returns:
        The index; NaN for no abnormal spermatozoon.
    """
    return _ratio(num_head + num_midpiece + num_tail + num_cytoplasm, num_abnormal)


def multiple_anomalies_index(num_defects: int, *, num_abnormal: int) -> float:
    """MAI: all defects, several of one category too, per abnormal spermatozoon; NaN for no abnormal one."""
    return _ratio(num_defects, num_abnormal)


def sperm_deformity_index(
    num_head_defects: int, num_midpiece: int, num_tail: int, num_cytoplasm: int, *, num_sperm: int
) -> float:
    """SDI: defects per spermatozoon, normal ones included; NaN for no spermatozoon.

    Args:
        num_head_defects: all defects of heads, several of one head too.
        num_midpiece: spermatozoa with a defect of neck and midpiece; counted once each, as are the next two.
        num_tail: of the tail.
        num_cytoplasm: with excess residual cytoplasm.
        num_sperm: all spermatozoa.
    """
    return _ratio(num_head_defects + num_midpiece + num_tail + num_cytoplasm, num_sperm)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
