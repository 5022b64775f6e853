"""Whether two replicates of a slide agree: the WHO manual's table of acceptable differences, and an exact test.

The table is that of the 5th edition (World Health Organization 2010, WHO laboratory manual for the examination and
processing of human semen) for two counts of 200 spermatozoa, as a laboratory course reprints it. The reprint begins at
an average of 3 %; the 6th edition's own text was not at hand. The table is not 1.96 sqrt(2 p (1 - p) / n): its limits
are whole percentages, and it accepts 190 pairs of counts that the formula refuses, such as 4 and 12 of 200.
"""

from __future__ import annotations

import dataclasses
import math

TABLE_COUNT = 200
"""Spermatozoa in each replicate that the table is made for."""
TABLE_SOURCE = "WHO manual, 5th edition (2010), as a laboratory course reprints it"
TEST_NAME = "Fisher's exact test"
MIN_P = 0.05
"""Lowest probability of the test at which replicates agree."""
# Highest average of a row, in percent -> acceptable difference, in percentage points; above 50 % it is mirrored.
_LIMITS = ((4, 4), (7, 5), (11, 6), (16, 7), (23, 8), (34, 9), (50, 10))
_FIRST_AVERAGE = 3


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two replicates of a slide.

    Attributes:
        difference: of their shares of normal forms, 0-1, absolute; NaN without spermatozoa.
        average: mean of the two shares, in whole percent, halves rounded up; None without spermatozoa.
        limit: acceptable difference by the table, in percentage points; None where the table has none: for other
            counts than `TABLE_COUNT`, and for averages under 3 or above 97 %.
        p_value: of Fisher's exact test, two-sided, of equal shares; NaN without spermatozoa.
        agrees: by the table where it has a limit, otherwise by the test.
    """

    difference: float
    average: int | None
    limit: int | None
    p_value: float
    agrees: bool


def compare(first: tuple[int, int], second: tuple[int, int]) -> Comparison:
    """Compares the shares of normal forms of two replicates.

    Fisher's test (Fisher 1935, Journal of the Royal Statistical Society 98:39-82) is exact for any counts. It is
    conservative: counting alone makes fewer than 5 of 100 pairs of replicates disagree.

    Args:
        first: normal forms and spermatozoa of one replicate.
        second: of the other.
    """
    from scipy.stats import fisher_exact

    (normal, num), (other_normal, other_num) = first, second
    if not num or not other_num:
        return Comparison(math.nan, None, None, math.nan, agrees=False)
    p_value = float(fisher_exact([[normal, num - normal], [other_normal, other_num - other_normal]]).pvalue)
    shares = normal / num, other_normal / other_num
    average = math.floor(50 * sum(shares) + 0.5)
    limit = None
    if num == other_num == TABLE_COUNT:
        average = (normal + other_normal + 2) // 4  # whole numbers: 2.5 % must not become 2.4999
        limit = find_limit(average)
    agrees = p_value >= MIN_P if limit is None else 100 * abs(normal - other_normal) <= limit * TABLE_COUNT
    return Comparison(abs(shares[0] - shares[1]), average, limit, p_value, agrees)


def find_limit(average: int) -> int | None:
    """The acceptable difference of two counts of 200, in percentage points; None where the table has none.

    Args:
        average: of both counts, in whole percent, 0-100.
    """
    mirrored = min(average, 100 - average)
    if mirrored < _FIRST_AVERAGE:
        return None
    return next(limit for highest, limit in _LIMITS if mirrored <= highest)
