"""95 % intervals: Wilson's for proportions, and a bootstrap that resamples groups.

Images of one group (near duplicates, one cell photographed twice) are not independent. Wilson's interval takes them to
be, so it is too narrow where groups are large; the group bootstrap draws whole groups, and is the one to quote then.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping

import numpy as np

LEVEL = 0.95
MIN_GROUPS = 5
"""Fewest groups that the bootstrap says anything of: with four, one interval in eight misses whatever it does."""
_MAX_WEIGHTS = 4_000_000  # rows times resamples held in memory at once


def wilson(count: int | float, total: int | float, *, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209-212).

    Returns:
        Lower and upper bound, 0-1; both NaN when `total` is 0.
    """
    from statsmodels.stats.proportion import proportion_confint

    if not total:
        return (float("nan"), float("nan"))
    lower, upper = proportion_confint(count, total, alpha=1 - level, method="wilson")
    return float(lower), float(upper)


def group_bootstrap(
    groups: np.ndarray,
    statistic: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    *,
    samples: int,
    seed: int = 0,
    level: float = LEVEL,
    shifted: Collection[str] = (),
    rows: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Expanded percentile intervals of statistics over groups drawn with replacement.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13. Percentiles of few groups are too
    narrow: they are those of a normal distribution, and of a spread that lacks the factor sqrt(n / (n - 1)). So they
    are taken further out, as Student's t would (Hesterberg 2015, The American Statistician 69:371-386, section 3.2.1).
    Of means over patients, 20 groups then hold the truth 95 times in 100 instead of 91, and 8 groups 93 instead of 88.
    Resamples in which a statistic is undefined are left out of its interval.

    Args:
        groups: [N], the group of every row; any values.
        statistic: receives weights, float64 [S, N]: how often resample s holds row n. Returns arrays [S, ...].
        samples: number of resamples.
        seed: of the draws.
        level: 0-1, how often an interval is to hold the truth.
        shifted: names of statistics, 0 or more, that drawing again makes higher, such as the calibration error, in
            which the noise of each bin becomes error. Their bounds are lowered by the mean excess over the statistic of
            the rows as they are: the interval of a well calibrated model would lie above its own error.
        rows: name of a statistic that not all rows enter -> those that do, bool [N], or [N, ...] where it has further
            axes: the images of a class, for its recall. Their groups are then what there is few or many of.

    Returns:
        Name of the statistic -> lower and upper bound, arrays without the axis S. NaN where no resample defines the
        statistic, and where the rows that enter it are of fewer than `MIN_GROUPS` groups.
    """
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    shares = np.full(len(names), 1 / max(len(names), 1))
    step = max(1, _MAX_WEIGHTS // max(len(members), 1))
    parts = []
    for start in range(0, samples, step):
        draws = rng.multinomial(len(names), shares, size=min(step, samples - start))
        parts.append(statistic(draws[:, members].astype(np.float64)))
    everywhere = np.ones(len(members), bool)
    bounds = {
        name: _percentiles(parts, name, _count_groups(members, rows.get(name, everywhere)), level) for name in parts[0]
    }
    original = statistic(np.ones((1, len(members)))) if shifted else {}
    for name in shifted:
        excess = np.nanmean(np.concatenate([part[name] for part in parts]), axis=0) - original[name][0]
        lower, upper = bounds[name]
        bounds[name] = (np.maximum(lower - excess, 0.0), np.maximum(upper - excess, 0.0))
    return bounds


def _share_outside(num_groups: int, level: float) -> float:
    """Share of the resamples beyond each bound; NaN for too few groups."""
    import scipy.stats

    if num_groups < MIN_GROUPS:
        return float("nan")
    quantile = scipy.stats.t.ppf((1 + level) / 2, num_groups - 1)
    return float(scipy.stats.norm.sf(quantile * np.sqrt(num_groups / (num_groups - 1))))


def _count_groups(members: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of how many groups the rows are: [...] for rows [N, ...]."""
    columns = rows.reshape(len(members), -1).T
    counts = [len(np.unique(members[column])) for column in columns]
    return np.array(counts, np.int64).reshape(rows.shape[1:])


def _percentiles(
    parts: list[Mapping[str, np.ndarray]], name: str, num_groups: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    values = np.concatenate([part[name] for part in parts])
    bounds = np.full((2, *values.shape[1:]), np.nan)
    num_groups = np.broadcast_to(num_groups, values.shape[1:])
    for number in np.unique(num_groups):
        outside = _share_outside(int(number), level)
        chosen = np.isfinite(values).any(axis=0) & (num_groups == number)
        if np.isfinite(outside) and chosen.any():
            bounds[:, chosen] = np.nanquantile(values[:, chosen], [outside, 1 - outside], axis=0)
    return bounds[0], bounds[1]
