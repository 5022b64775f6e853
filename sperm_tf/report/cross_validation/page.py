"""Builds the HTML report of one cross-validation: metrics, errors, paired tests, and likely label errors.

One file that loads nothing, as `sperm_tf.report.build` makes of a run: style, plots and pictures are inside it, there
is no script. The same content gives the same bytes.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.config import NUM_FOLDS
from sperm_tf.evaluation.cross_validation import label_quality
from sperm_tf.report import build, text
from sperm_tf.report.cross_validation import figures, glossary, labels
from sperm_tf.report.published import results_page
from sperm_tf.schemas.cross_validation import FitEntry, Results
from sperm_tf.version import __version__

LABEL_ISSUES_FILE = "label_issues.csv"
_TEMPLATE = "cross_validation.html.j2"
_NO_PATIENTS = (
    "The data do not say which images come from one patient, so no split by patient was possible. Cells of one person "
    "may stand in both the training and the test images, so accuracy on new patients can be lower."
)
_ORIGINS = (
    "Images of one patient or slide, as the data name them, stand in one fold. The data come from one source all the "
    "same: accuracy with another laboratory, stain or camera is unknown."
)
_SYNTHETIC = (
    "Every image was drawn by a program. The figures show that the method works; they say nothing about real sperm."
)


def write_report(
    path: str | os.PathLike[str],
    *,
    dataset_info: Mapping[str, Any],
    results: Results,
    label_issues: label_quality.LabelIssues | None,
    read_image: labels.ReadImage | None,
    fits: Sequence[FitEntry],
) -> list[pathlib.Path]:
    """Writes the report, and the whole list of likely wrong labels as `label_issues.csv` beside it.

    Args:
        path: HTML file to write; its folder is made when it is missing.
        dataset_info: `title`, how to call the dataset; and if known `name` (of the TFDS dataset), `config`, `version`,
            `homepage`, `citation` (text), `has_origins` (whether folds keep patients or slides together),
            `is_synthetic`, and `notes`, further sentences about the data.
        results: content of `results.json`: what `sperm_tf.evaluation.cross_validation.analysis.analyze` returns.
        label_issues: from `sperm_tf.evaluation.cross_validation.label_quality`; None leaves the section empty and
            writes no list.
        read_image: `image_id` -> uint8 [H, W, 3], RGB, 0-255; None shows the list without pictures.
        fits: content of `fits.json`, one dictionary a fit; may be empty.

    Returns:
        Every file written, the report first.

    Raises:
        ValueError: `results` holds no model, or `read_image` gives something else.
    """
    path = pathlib.Path(path)
    facts = gather_facts(
        dataset_info=dataset_info, results=results, label_issues=label_issues, read_image=read_image, fits=fits
    )
    rendered = build.make_environment().get_template(_TEMPLATE).render(**facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rendered.rstrip() + "\n", encoding="utf-8")
    written = [path]
    if label_issues is not None:
        label_quality.write_csv(label_issues, path.parent / LABEL_ISSUES_FILE)
        written.append(path.parent / LABEL_ISSUES_FILE)
    return written


def gather_facts(
    *,
    dataset_info: Mapping[str, Any],
    results: Results,
    label_issues: label_quality.LabelIssues | None,
    read_image: labels.ReadImage | None,
    fits: Sequence[FitEntry],
) -> dict[str, Any]:
    """Everything that the template shows, as plain values; arguments as in `write_report`."""
    if not results.get("models"):
        raise ValueError(
            "results must hold at least one model. Received: none. Finish a repeat of one model first, with "
            "python -m pipelines.cross_validate."
        )
    best = results_page.best_model(results)
    models = [figures.describe_model(name, model, results["class_names"]) for name, model in results["models"].items()]
    return {
        "version": __version__,
        "dataset": _describe_dataset(dataset_info, results),
        "summary": _describe_summary(results, best),
        "models": models,
        "best": next(model for model in models if model["name"] == best),
        "plots": figures.plot_models(results["models"]),
        "comparisons": figures.describe_comparisons(results),
        "training": figures.describe_training(fits, results["models"]),
        "labels": labels.describe(label_issues, read_image, file=LABEL_ISSUES_FILE),
        "glossary": glossary.terms(),
        "bootstrap_samples": results.get("method", {}).get("bootstrap_samples"),
        "num_folds": NUM_FOLDS,
    }


def _describe_dataset(info: Mapping[str, Any], results: Results) -> dict[str, Any]:
    name = "/".join(str(info[key]) for key in ("name", "config") if info.get(key))
    total = results["num_images"]
    return {
        "title": str(info["title"]),
        "identity": " ".join(filter(None, [name, str(info.get("version") or "")])),
        "homepage": str(info.get("homepage") or ""),
        "citation": str(info.get("citation") or ""),
        "notes": [str(note) for note in info.get("notes") or ()],
        "is_synthetic": bool(info.get("is_synthetic")),
        "has_origins": bool(info.get("has_origins")),
        "limit": _SYNTHETIC if info.get("is_synthetic") else _ORIGINS if info.get("has_origins") else _NO_PATIENTS,
        "num_images": total,
        "num_groups": results["num_groups"],
        "classes": [
            {"name": label, "count": count, "share": text.percent(count / total, 0)}
            for label, count in results["class_counts"].items()
        ],
    }


def _describe_summary(results: Results, best: str) -> dict[str, Any]:
    """Summary of the page."""
    pooled = results["models"][best]["pooled"]
    majority = max(results["class_counts"].values()) / results["num_images"]
    bounds = pooled["accuracy"]["bootstrap_95"]
    repeats = sorted({model["num_repeats"] for model in results["models"].values()})
    return {
        "best": best,
        "num_models": len(results["models"]),
        "num_fits": sum(model["num_fits"] for model in results["models"].values()),
        "repeats": " to ".join(str(number) for number in dict.fromkeys([repeats[0], repeats[-1]])),
        "has_one_repeat": repeats[-1] == 1,
        "accuracy": results["models"][best]["over_folds"]["accuracy"]["mean"],
        "accuracy_bounds": bounds,
        "wilson": pooled["accuracy"].get("wilson_95"),
        "macro_f1": pooled["macro_f1"]["value"],
        "macro_f1_bounds": pooled["macro_f1"]["bootstrap_95"],
        "majority": majority,
        "is_no_better_than_majority": bounds is not None and bounds[0] <= majority,
        "weakest": _weakest_class(pooled["per_class"]),
    }


def _weakest_class(per_class: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The class of lowest recall, with its interval."""
    known = {name: values["recall"] for name, values in per_class.items() if text.is_finite(values["recall"]["value"])}
    if not known:
        return None
    name = min(known, key=lambda label: known[label]["value"])
    return {"name": name, "recall": known[name]["value"], "bounds": known[name]["bootstrap_95"]}
