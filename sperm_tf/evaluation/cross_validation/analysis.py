"""All metrics of a cross-validation from the out-of-fold tables of its models, with intervals and paired tests.

Three ways of taking a mean stand side by side in the result:

* `over_folds`: mean and standard deviation of what each fold of each repeat gives by itself.
* `repeats`: the pooled predictions of one repeat, every image once.
* `pooled`: mean of `repeats`, with intervals. The group bootstrap draws groups of images and takes the mean over the
  repeats in every resample: repeats steady the figure, but they add no images, and are not counted as if they did.
  It holds the trained networks fixed. Wilson's interval is that of repeat 0, its n the number of images.

Figures that are undefined, as the precision of a class that was never predicted, are None; means leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from sperm_tf.evaluation.cross_validation import model_pairs, oof, oof_checks, oof_metrics
from sperm_tf.evaluation.metrics import calibration, classification, intervals
from sperm_tf.models.registry import BACKBONES
from sperm_tf.schemas.cross_validation import FoldMetrics, ModelResults, RepeatMetrics, Results


def analyze(
    tables: Mapping[str, pd.DataFrame], class_names: Sequence[str], *, bootstrap_samples: int = 2000
) -> Results:
    """Every metric of every model, and every pair of models compared.

    Args:
        tables: name of the model -> its out-of-fold table (`sperm_tf.evaluation.cross_validation.oof`); at least one.
        class_names: names by label.
        bootstrap_samples: number of resamples of the group bootstrap.

    Returns:
        A JSON-serializable dictionary: `models` by name, `comparisons` of all pairs (`model_pairs.compare_models`, in
        the order of `sperm_tf.models.registry.BACKBONES`), and what they rest on.

    Raises:
        OofError: a table is unsound, has other classes than `class_names`, or other images or folds than the others.
    """
    if not tables:
        raise oof.OofError("tables must hold at least one model. Received: none. Finish a repeat of one model first.")
    tables = {name: tables[name] for name in sorted(tables, key=_rank)}
    first = next(iter(tables))
    for name, table in tables.items():
        _check_table(name, table, tuple(class_names))
        model_pairs.check_same_folds(first, tables[first], name, table)
    images = oof.select(tables[first], part=oof.TEST, repeat=0)
    support = np.bincount(oof.labels(images), minlength=len(class_names)).tolist()
    results: Results = {
        "class_names": list(class_names),
        "num_images": len(images),
        "num_groups": int(images["group_id"].nunique()),
        "class_counts": dict(zip(class_names, support, strict=True)),
        "models": {name: _describe_model(table, bootstrap_samples) for name, table in tables.items()},
        "comparisons": model_pairs.compare_models(tables),
        "method": {
            "level": intervals.LEVEL,
            "bootstrap_samples": bootstrap_samples,
            "seed": oof_metrics.SEED,
            "ece": f"top label, {calibration.BINS} bins of equal width",
            "brier": "sum over classes, 0-2",
            "wilson_95": "pooled predictions of repeat 0, every image taken as independent",
            "bootstrap_95": "percentiles over resampled groups of the mean over repeats; ECE's are centred",
            "t_test": "corrected resampled t-test; p_value_holm over all pairs, each figure by itself",
            "mcnemar": "exact, pooled predictions of one repeat, not corrected for the number of tests",
        },
    }
    return _to_json(results)


def _rank(model: str) -> tuple[int, str]:
    names = list(BACKBONES)
    return (names.index(model) if model in names else len(names), model)


def _check_table(name: str, table: pd.DataFrame, class_names: tuple[str, ...]) -> None:
    oof_checks.check(table, source=name)
    if oof.class_names(table) != class_names:
        raise oof.OofError(
            f"{name}: classes must be {', '.join(class_names)}. Received: {', '.join(oof.class_names(table))}. Analyse "
            f"each dataset by itself."
        )


def _describe_model(table: pd.DataFrame, bootstrap_samples: int) -> ModelResults:
    class_names = oof.class_names(table)
    test = oof.select(table, part=oof.TEST)
    folds: list[RepeatMetrics] = [
        {"repeat": cast(int, repeat), "fold": cast(int, fold), **_figures_of(rows, class_names)}
        for (repeat, fold), rows in test.groupby(["repeat", "fold"])
    ]
    repeats = [rows.sort_values("image_id") for _, rows in test.groupby("repeat")]
    predicted = classification.predict(oof.probabilities(test))
    counts = classification.count_outcomes(oof.labels(test), predicted, len(class_names))[:, : len(class_names)]
    return {
        "num_repeats": len(repeats),
        "num_fits": len(folds),
        "folds": folds,
        "over_folds": oof_metrics.over_folds(folds, class_names),
        "repeats": [{"repeat": repeat, **_figures_of(rows, class_names)} for repeat, rows in enumerate(repeats)],
        "pooled": oof_metrics.over_repeats(repeats, class_names, bootstrap_samples=bootstrap_samples),
        "confusion_matrix": {
            "rows": "true class",
            "columns": "predicted class, summed over repeats",
            "counts": counts.tolist(),
        },
        "reliability": calibration.reliability(oof.probabilities(test), oof.labels(test)),
    }


def _figures_of(rows: pd.DataFrame, class_names: Sequence[str]) -> FoldMetrics:
    return oof_metrics.figures_of(oof.labels(rows), oof.probabilities(rows), class_names)


def _to_json(value: Any) -> Any:
    """`value` in JSON's own types: None for what is not finite, and for an interval that is undefined."""
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_to_json(item) for item in value]
        return None if items == [None, None] else items
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
