"""Markdown tables of the results page, from the content of `results.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.models.registry import BACKBONES, DEFAULT_BACKBONES
from sperm_tf.models.released import trace_start
from sperm_tf.report import text
from sperm_tf.report.published.literature import HONEST, Published, paper
from sperm_tf.schemas.cross_validation import ModelResults, Results

_IMAGENET = "imagenet"  # what the names of such weights start with
MISSING = "*not measured yet*"
_MINUS = "\u2212"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is aligned left, the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def model_names(results: Mapping[str, Any]) -> list[str]:
    """The configured models, then any others that were measured."""
    known = [name for name in BACKBONES if name in DEFAULT_BACKBONES or name in results["models"]]
    return [*known, *(name for name in results["models"] if name not in BACKBONES)]


def comparison_table(results: Mapping[str, Results], titles: Mapping[str, str]) -> str:
    """Accuracy and macro F1 of every model on every dataset, with 95 % intervals.

    Args:
        results: dataset -> content of `results.json`.
        titles: dataset -> how it is called, in the order of the columns.
    """
    shown = [name for name in titles if name in results]
    if not shown:
        return MISSING
    names = list(dict.fromkeys(name for dataset in shown for name in model_names(results[dataset])))
    rows = []
    for name in names:
        cells = [results[dataset]["models"].get(name) for dataset in shown]
        label = f"`{name}`, from ImageNet" if any(map(saw_imagenet, cells)) else f"`{name}`"
        rows.append([label, *(cell for model in cells for cell in _compared(model))])
    header = [f"{titles[dataset]}, {metric}" for dataset in shown for metric in ("accuracy, %", "macro F1")]
    return markdown_table(["Model", *header], rows)


def _compared(model: ModelResults | None) -> tuple[str, str]:
    if model is None:
        return MISSING, text.NOTHING
    accuracy = mean_and_sd(model["over_folds"]["accuracy"])
    return f"{accuracy} {percent_bounds(model['pooled']['accuracy']['bootstrap_95'])}", with_bounds(
        model["pooled"]["macro_f1"]
    )


def agreement_table(results: Results) -> str:
    """Accuracy, macro F1, kappa and MCC of every model."""
    header = [
        "Model",
        "Accuracy, %, mean over folds ± SD",
        "Group bootstrap",
        "Wilson, repeat 0",
        "Macro F1",
        "κ",
        "MCC",
        "Repeats",
    ]
    rows = []
    for name in model_names(results):
        if name not in results["models"]:
            rows.append([f"`{name}`", MISSING, *[text.NOTHING] * 6])
            continue
        model = results["models"][name]
        pooled = model["pooled"]
        rows.append(
            [
                f"`{name}`",
                mean_and_sd(model["over_folds"]["accuracy"]),
                percent_bounds(pooled["accuracy"]["bootstrap_95"]),
                percent_bounds(pooled["accuracy"]["wilson_95"]),
                *(with_bounds(pooled[figure]) for figure in ("macro_f1", "kappa", "mcc")),
                str(model["num_repeats"]),
            ]
        )
    return markdown_table(header, rows)


def probability_table(results: Mapping[str, Any]) -> str:
    """NLL, Brier score and ECE of every model."""
    rows = []
    for name in model_names(results):
        pooled = results["models"].get(name, {}).get("pooled")
        figures = [with_bounds(pooled[figure]) for figure in ("nll", "brier", "ece")] if pooled else None
        rows.append([f"`{name}`", *(figures or [MISSING, text.NOTHING, text.NOTHING])])
    return markdown_table(["Model", "NLL, nats", "Brier, 0–2", "ECE, 15 bins"], rows)


def class_table(results: Results, model: str) -> str:
    """Precision, recall and F1 of every class for one model."""
    per_class = results["models"][model]["pooled"]["per_class"]
    rows = [
        [name, text.count(figures["support"]), *(with_bounds(figures[key]) for key in ("precision", "recall", "f1"))]
        for name, figures in per_class.items()
    ]
    return markdown_table(["Class", "Images", "Precision", "Recall", "F1"], rows)


def pairs_table(results: Results) -> str:
    """Differences of all pairs with the corrected t-test."""
    header = ["Difference", "Accuracy, points", "p", "p, Holm", "Macro F1", "p", "p, Holm", "Folds"]
    rows = []
    for pair in results["comparisons"]:
        accuracy, f1 = pair["accuracy"], pair["macro_f1"]
        rows.append(
            [
                f"`{pair['second']}` {_MINUS} `{pair['first']}`",
                difference(accuracy, scale=100, digits=1),
                p_value(accuracy["p_value"]),
                p_value(accuracy["p_value_holm"]),
                difference(f1, scale=1, digits=3),
                p_value(f1["p_value"]),
                p_value(f1["p_value_holm"]),
                str(accuracy["num_differences"]),
            ]
        )
    return markdown_table(header, rows)


def mcnemar_table(results: Results) -> str:
    """McNemar's test of every pair, one column a repeat."""
    num_repeats = max(pair["num_repeats"] for pair in results["comparisons"])
    rows = []
    for pair in results["comparisons"]:
        cells = [
            f"{text.count(test['only_first'])} / {text.count(test['only_second'])}, p {p_value(test['p_value'])}"
            for test in pair["mcnemar"]
        ]
        cells += [text.NOTHING] * (num_repeats - len(cells))
        rows.append([f"`{pair['first']}` / `{pair['second']}`", *cells])
    return markdown_table(["McNemar: only this one right", *(f"Repeat {index}" for index in range(num_repeats))], rows)


def literature_table(dataset: str, results: Results) -> str:
    """This project's models and the works of a comparable protocol."""
    header = ["Work", "Accuracy, % ± SD", "95 % interval", "Pretraining", "Protocol"]
    rows = []
    for name in model_names(results):
        if name not in results["models"]:
            rows.append([f"**here:** `{name}`", MISSING, *[text.NOTHING] * 3])
            continue
        model = results["models"][name]
        rows.append(
            [
                f"**here:** `{name}`",
                mean_and_sd(model["over_folds"]["accuracy"]),
                percent_bounds(model["pooled"]["accuracy"]["bootstrap_95"]),
                pretraining(model),
                f"duplicates removed, groups, {text.plural(model['num_repeats'], 'repeat')} of 5 folds",
            ]
        )
    rows += [_published_row(row) for row in HONEST.get(dataset, ())]
    return markdown_table(header, rows)


def paper_table(dataset: str) -> str:
    """The paper's own row, with macro F1; empty for a dataset that is not in it."""
    row = paper(dataset)
    if row is None:
        return ""
    cells = _published_row(row)
    header = ["Work", "Accuracy, %", "95 % interval", "Macro F1", "Pretraining", "Protocol"]
    return markdown_table(header, [[*cells[:3], text.number(row.macro_f1), *cells[3:]]])


def relatives_table(results: Results) -> str:
    """The dataset version that each model stands on, and its test images with a near duplicate in another fold."""
    rows = []
    for name, model in results["models"].items():
        known = model["relatives"]
        numbers = known["num_with_relative_elsewhere"]
        listed = ", ".join(text.count(number) for number in numbers) if numbers is not None else "not searched"
        version = known["dataset_version"] or "not recorded"
        rows.append([f"`{name}`", version, listed, text.count(results["num_images"])])
    header = ["Model", "Dataset version", "Test images with a relative in another fold, each repeat", "Test images"]
    return markdown_table(header, rows)


def fits_table(results: Results) -> str:
    """Epochs and time of the fits."""
    header = ["Model", "Repeats", "Fits recorded", "Epochs, mean", "Epoch kept, mean", "Time, all fits", "Backend"]
    rows = []
    for name, model in results["models"].items():
        fits = model["fits"]
        rows.append(
            [
                f"`{name}`",
                str(model["num_repeats"]),
                f"{fits['num_fits']} of {model['num_fits']}",
                text.number(fits["mean_epochs"], 1),
                text.number(fits["mean_best_epoch"], 1),
                text.duration(fits["seconds"]) if fits["num_fits"] else text.NOTHING,
                ", ".join(fits["backends"]) or text.NOTHING,
            ]
        )
    return markdown_table(header, rows)


def mean_and_sd(figure: Mapping[str, Any]) -> str:
    """`88.4 ± 1.2` of shares, 0-1, in percent."""
    spread = f" ± {100 * figure['sd']:.1f}" if text.is_finite(figure["sd"]) else ""
    return f"{100 * figure['mean']:.1f}{spread}" if text.is_finite(figure["mean"]) else text.NOTHING


def pretraining(model: ModelResults) -> str:
    """What the fits of a model started from: `ImageNet`, or the names of the weights, the first start first."""
    starts = [start for name in model["fits"]["weights"] for start in trace_start(name)]
    names = ("ImageNet" if name.startswith(_IMAGENET) else name for name in starts)
    return ", ".join(dict.fromkeys(names)) or "not recorded"


def saw_imagenet(model: ModelResults | None) -> bool:
    """Whether a fit of the model started from weights that were trained on ImageNet, directly or a release earlier."""
    return model is not None and any(trace_start(name)[0].startswith(_IMAGENET) for name in model["fits"]["weights"])


def percent_bounds(bounds: Any) -> str:
    """`[86.6, 89.0]` of two shares, 0-1, in percent."""
    return f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if text.is_interval(bounds) else text.NOTHING


def bounds_of(figure: Mapping[str, Any]) -> Any:
    """The bootstrap's; Wilson's, where it is known, for a share of which resamples know no spread: all, or none."""
    bootstrap, wilson = figure.get("bootstrap_95"), figure.get("wilson_95")
    return wilson if wilson and (not bootstrap or bootstrap[0] == bootstrap[1]) else bootstrap


def with_bounds(figure: Mapping[str, Any]) -> str:
    """`0.873 [0.861, 0.884]`."""
    bounds = bounds_of(figure)
    interval = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if text.is_interval(bounds) else ""
    return text.number(figure["value"]) + interval


def difference(test: Mapping[str, Any], *, scale: float, digits: int) -> str:
    """`+1.2 [−0.3, +2.7]`."""
    values = [_signed(scale * value, digits) for value in (test["difference"], *test["interval"])]
    return f"{values[0]} [{values[1]}, {values[2]}]"


def p_value(value: Any) -> str:
    """`0.031`, `< 0.001`."""
    if not text.is_finite(value):
        return text.NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _signed(value: float, digits: int) -> str:
    shown = f"{abs(value):.{digits}f}"
    if float(shown) == 0:
        return shown
    return (_MINUS if value < 0 else "+") + shown


def _published_row(row: Published) -> list[str]:
    return [
        row.work,
        mean_and_sd({"mean": row.accuracy, "sd": row.sd}),
        percent_bounds(row.interval),
        row.pretraining,
        row.protocol,
    ]
