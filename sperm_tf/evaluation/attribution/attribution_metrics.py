"""Metrics of attribution maps with intervals, and each method against the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.evaluation.metrics import intervals, jsonable
from sperm_tf.explain.faithfulness import BASELINES, FIGURES
from sperm_tf.schemas.audits import Attributions, MapDifference, MapMetric

FAITHFULNESS = "faithfulness"
MASK_AREA = "mask_area_share"
METHOD_LABELS = {
    "layer_integrated_gradients": "layer integrated gradients",
    "layer_cam": "LayerCAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "score_cam": "Score-CAM",
    "cbam_attention": "CBAM attention",
    "integrated_gradients": "integrated gradients",
    "centre": "centre prior",
    "edges": "edge detector",
    "head": "head mask",
    "head_coarse": "head mask, as coarse as the explained layer",
}
"""Methods of the audit in the order of a table; the last four do not use the network."""
_SAMPLES, _SEED = 2000, 0
_KEYS = ["test", "method", "condition", "figure"]


def describe_explanations(answers: pd.DataFrame) -> Attributions:
    """Metrics of one model over the folds of a repeat.

    A figure is the mean over the images; its interval draws groups of images again. Figures of the methods are those of
    images whose head was found: so all are of the same images, and an image of the class `non-sperm`, whose answer an
    empty slide only confirms, does not pass for one whose map missed what mattered. Where no image has a head, they are
    of all images, and none is of a head. A method is compared with a baseline on the same images: the difference is
    method minus baseline, and the method `beats` it where the whole interval lies on the good side of 0. The
    comparisons are not corrected for their number.

    Args:
        answers: rows of ExplanationAudit's `answers.csv` of every fold, with a column `fold`.

    Returns:
        `num_folds`, `num_images` (explained), `num_heads` (of these, whose head was found); `mask_area_share`;
        `methods`: name -> figure -> `value`, `bootstrap_95`, `num_images` and, for what is no baseline, `versus`:
        baseline -> `difference`, `bootstrap_95`, `beats`; `sanity` and `stability`: method -> condition -> figure ->
        `value`, `bootstrap_95`, `num_images`. None stands for what is not defined.
    """
    table, groups = _spread(_with_head(answers))
    differences = {
        (f"versus_{baseline}", method, "", figure): table[FAITHFULNESS, method, "", figure] - other
        for method, figure in _compared(table)
        for baseline in BASELINES
        if (other := table.get((FAITHFULNESS, baseline, "", figure))) is not None
    }
    if differences:
        table = pd.concat([table, pd.DataFrame(differences)], axis=1)
    values, lower, upper = _means(table.to_numpy(np.float64), groups)
    cells: dict[tuple[str, ...], MapMetric] = {
        key: {
            "value": jsonable.number(values[place]),
            "bootstrap_95": jsonable.interval(lower[place], upper[place]),
            "num_images": int(table.iloc[:, place].notna().sum()),
        }
        for place, key in enumerate(_keys(table))
    }
    area = cells.pop((FAITHFULNESS, "", "", MASK_AREA), None)
    found: Attributions = {
        "num_folds": int(answers["fold"].nunique()),
        "num_images": len(answers[["fold", "image_id"]].drop_duplicates()),
        "num_heads": area["num_images"] if area else 0,
        "mask_area_share": area,
        "methods": {},
        "sanity": {},
        "stability": {},
    }
    for (test, method, condition, figure), cell in cells.items():
        if test == FAITHFULNESS:
            found["methods"].setdefault(method, {})[figure] = cell
        elif test == "sanity":
            found["sanity"].setdefault(method, {}).setdefault(condition, {})[figure] = cell
        elif test == "stability":
            found["stability"].setdefault(method, {}).setdefault(condition, {})[figure] = cell
    for (test, method, _, figure), cell in cells.items():
        if test.startswith("versus_"):
            versus = found["methods"][method][figure].setdefault("versus", {})
            versus[test.removeprefix("versus_")] = _compare(cell, FIGURES[figure])
    return found


def rows_for_page(found: Attributions) -> list[dict[str, str]]:
    """The metrics of the methods as text, one row a method, for a table in the documentation.

    Args:
        found: from `describe_explanations`.

    Returns:
        Dictionaries: `method`, and each figure of `FIGURES` as `0.421 (0.380-0.462)`, followed by ` ✓` where the method
        beats both baselines; empty where it is not defined.
    """
    rows = []
    for method in [name for name in METHOD_LABELS if name in found["methods"]]:
        cells = found["methods"][method]
        texts = {figure: _to_text(cells[figure]) if figure in cells else "" for figure in FIGURES}
        rows.append({"method": METHOD_LABELS[method], **texts})
    return rows


def beats_both(cell: Mapping[str, Any]) -> bool:
    """Whether a metric of `describe_explanations` is better than that of every baseline, intervals considered."""
    versus = cell.get("versus") or {}
    return len(versus) == len(BASELINES) and all(entry["beats"] for entry in versus.values())


def _with_head(answers: pd.DataFrame) -> pd.DataFrame:
    """The rows without metrics of methods on images whose head was not found; all, where none was found."""
    if not (answers["figure"] == MASK_AREA).any():
        return answers
    images = pd.MultiIndex.from_frame(answers[["fold", "image_id"]])
    has_head = images.isin(images[answers["figure"] == MASK_AREA])
    return answers[has_head | (answers["test"] != FAITHFULNESS)]


def _spread(answers: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One row an image, one column a metric, in the order of their first appearance; and the group of each image."""
    keyed = answers.assign(method=answers["method"].fillna(""), condition=answers["condition"].fillna(""))
    order = list(dict.fromkeys(map(tuple, keyed[_KEYS].to_numpy().tolist())))
    images = keyed.groupby(["fold", "image_id"], sort=True)["group_id"].first()
    table = keyed.set_index(["fold", "image_id", *_KEYS])["value"].astype(np.float64).unstack(_KEYS)
    return table.reindex(index=images.index, columns=pd.MultiIndex.from_tuples(order)), images.to_numpy()


def _keys(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return [tuple(key) for key in table.columns]


def _compared(table: pd.DataFrame) -> list[tuple[str, str]]:
    return [
        (method, figure)
        for test, method, _, figure in _keys(table)
        if test == FAITHFULNESS and method not in ("", *BASELINES) and figure in FIGURES
    ]


def _means(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of the columns over the rows that have them, and their bounds."""
    is_known = np.isfinite(values)
    filled = np.where(is_known, values, 0.0)

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        total, count = weights @ filled, weights @ is_known.astype(np.float64)
        return {"mean": np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)}

    bounds = intervals.group_bootstrap(groups, statistic, samples=_SAMPLES, seed=_SEED, rows={"mean": is_known})
    lower, upper = bounds["mean"]
    return statistic(np.ones((1, len(values))))["mean"][0], lower, upper


def _compare(cell: MapMetric, good: str) -> MapDifference:
    bounds = cell["bootstrap_95"]
    beats = bounds is not None and (bounds[1] < 0 if good == "low" else bounds[0] > 0)
    return {"difference": cell["value"], "bootstrap_95": bounds, "beats": beats}


def _to_text(cell: MapMetric) -> str:
    if cell["value"] is None:
        return ""
    bounds = cell["bootstrap_95"]
    span = f" ({bounds[0]:.3f}-{bounds[1]:.3f})" if bounds else ""
    return f"{cell['value']:.3f}{span}" + (" ✓" if beats_both(cell) else "")
