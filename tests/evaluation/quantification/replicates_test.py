import math

import pytest
from scipy.stats import hypergeom

from sperm_tf.evaluation.quantification import replicates

# The rows as they are printed: averages in percent, from and to, and the acceptable difference.
PRINTED = [(3, 4, 4), (5, 7, 5), (8, 11, 6), (12, 16, 7), (17, 23, 8), (24, 34, 9), (35, 65, 10),
           (66, 76, 9), (77, 83, 8), (84, 88, 7), (89, 92, 6), (93, 95, 5), (96, 97, 4)]  # fmt: skip


def _p_value(first, second):
    """Fisher's exact test, two-sided: all tables with these margins that are at most as probable."""
    (normal, num), (other, other_num) = first, second
    table = hypergeom(num + other_num, normal + other, num)
    return sum(
        table.pmf(value) for value in range(normal + other + 1) if table.pmf(value) <= table.pmf(normal) * (1 + 1e-7)
    )


def test_limits_are_those_of_the_printed_table():
    for lowest, highest, limit in PRINTED:
        assert {replicates.find_limit(average) for average in range(lowest, highest + 1)} == {limit}
    assert [replicates.find_limit(average) for average in (0, 1, 2, 98, 99, 100)] == [None] * 6


def test_counts_of_200_follow_the_table_and_not_the_formula():
    """190 pairs agree by the table alone, and none by 1.96 sqrt(2 p (1 - p) / n) alone."""
    by_table, by_formula = [], []
    for first in range(201):
        for second in range(first, 201):
            average = math.floor((first + second) / 4 + 0.5)
            limit = next((most for low, high, most in PRINTED if low <= average <= high), None)
            if limit is None:
                continue
            share, difference = (first + second) / 400, (second - first) / 200
            formula = difference <= 1.96 * math.sqrt(2 * share * (1 - share) / 200)
            table = second - first <= 2 * limit
            by_table += [(first, second)] * (table and not formula)
            by_formula += [(first, second)] * (formula and not table)
    assert len(by_table) == 190 and (4, 12) in by_table and not by_formula
    compared = [replicates.compare((first, 200), (second, 200)) for first, second in by_table]
    assert all(found.agrees and found.limit for found in compared)


def test_a_difference_over_the_limit_is_no_agreement():
    agreeing, apart = replicates.compare((10, 200), (22, 200)), replicates.compare((9, 200), (22, 200))
    assert (agreeing.average, agreeing.limit, agreeing.agrees) == (8, 6, True)
    assert agreeing.difference == pytest.approx(0.06)
    assert (apart.average, apart.limit, apart.agrees) == (8, 6, False)
    assert replicates.compare((5, 200), (5, 200)).average == 3, "2.5 % is rounded up"
    high = replicates.compare((196, 200), (188, 200))
    assert (high.average, high.limit, high.agrees) == (96, 4, True)


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 200), (5, 200)), ((0, 200), (6, 200)), ((10, 201), (22, 200)), ((30, 400), (11, 210)), ((5, 250), (20, 230)),
     ((40, 1000), (62, 1000)), ((0, 300), (0, 250)), ((1, 300), (7, 300))],
)  # fmt: skip
def test_other_counts_follow_fishers_exact_test(first, second):
    found = replicates.compare(first, second)
    assert found.limit is None and found.p_value == pytest.approx(_p_value(first, second))
    assert found.agrees == (found.p_value >= 0.05)


def test_nothing_counted_is_no_agreement():
    found = replicates.compare((0, 0), (1, 10))
    assert not found.agrees and math.isnan(found.p_value) and found.average is None
