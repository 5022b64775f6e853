"""`docs/results.md`: the published metrics of every dataset, in Markdown with a few plots.

The page is made from the content of each `results.json` and from the hand-written `notes.md`, and from nothing else:
the same files give the same bytes. Whatever was not measured is said to be missing.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from sperm_tf.config import NUM_FOLDS
from sperm_tf.report import text
from sperm_tf.report.published import results_plots as plots
from sperm_tf.report.published import results_tables as tables
from sperm_tf.report.published.literature import (
    HONEST,
    RELEASED_MODELS,
    TARGET_REPEATS,
    TARGETS,
    TITLES,
    Published,
    paper,
)
from sperm_tf.schemas.cross_validation import ModelResults, Results

NOTES_FILE = "notes.md"
SIGNIFICANT = 0.05
_WITHOUT_CBAM, _WITH_CBAM = "efficientnet_b0", "efficientnet_b0_cbam"


def write_page(
    results: Mapping[str, Results], *, results_dir: str | os.PathLike[str], page: str | os.PathLike[str]
) -> list[pathlib.Path]:
    """Writes the page and its plots.

    Args:
        results: dataset -> content of its `results.json`: what `cross_validation.analyze` returns, with `fits` in every
            model (`evaluation.fits_file.summarize`) and `relatives` (`evaluation.relatives.summarize`).
        results_dir: folder with one folder a dataset, which receives that dataset's plots, and perhaps `notes.md`.
        page: Markdown file to write.

    Returns:
        Every file written, the page first.
    """
    results_dir, page = pathlib.Path(results_dir), pathlib.Path(page)
    base = pathlib.PurePath(os.path.relpath(results_dir, page.parent)).as_posix()
    sections, literature, written = [], [], []
    order = [*TITLES, *sorted(set(results) - set(TITLES))]
    for dataset in order:
        if dataset not in results:
            sections.append(_nothing(dataset, base))
            continue
        files = _write_plots(dataset, results[dataset], results_dir / dataset)
        links = {path.stem: f"{base}/{dataset}/{path.name}" for path in files}
        sections.append(_dataset(dataset, results[dataset], links))
        literature.append(_literature(dataset, results[dataset], links))
        written += files
    notes = results_dir / NOTES_FILE
    facts = {
        "base": base,
        "notes_file": NOTES_FILE,
        "notes": notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
        "released_models": [(_title(dataset), model) for dataset, model in RELEASED_MODELS.items()],
        "target_repeats": TARGET_REPEATS,
        "comparison": tables.comparison_table(results, {name: _title(name) for name in order}),
        "literature": filter(None, literature),
        "targets": _targets(results),
        "cbam": [(_title(dataset), _cbam_sentence(results.get(dataset, {}))) for dataset in TARGETS],
        "num_folds": NUM_FOLDS,
        "repeats": "; ".join(f"{_title(dataset)} {_repeats(one['models'])}" for dataset, one in results.items())
        or "none",
        "imagenet": _imagenet_sentence(results),
        "sections": sections,
    }
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(environment().get_template("results.md.j2").render(**facts).rstrip() + "\n", encoding="utf-8")
    return [page, *written]


def best_model(results: Mapping[str, Any]) -> str:
    """The model of highest accuracy, mean over folds; the first of equals."""
    return max(results["models"], key=lambda name: results["models"][name]["over_folds"]["accuracy"]["mean"])


def shown_model(dataset: str, results: Mapping[str, Any]) -> str:
    """The model whose errors are shown: the released one, which is not picked by its metrics, or else the best."""
    released = RELEASED_MODELS.get(dataset, "")
    return released if released in results["models"] else best_model(results)


def environment() -> Any:
    """For pages in Markdown: of our own making, with notes that are copied as they are, so nothing is escaped."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("sperm_tf.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _targets(results: Mapping[str, Any]) -> str:
    rows = []
    for dataset, targets in TARGETS.items():
        model = results.get(dataset, {}).get("models", {}).get(RELEASED_MODELS[dataset])
        for target in targets:
            wanted = f"accuracy ≥ {100 * target:.1f} %"
            if model is None:
                rows.append([_title(dataset), wanted, tables.MISSING, text.NOTHING, "open"])
                continue
            measured = model["over_folds"]["accuracy"]
            rows.append(
                [
                    _title(dataset),
                    wanted,
                    tables.mean_and_sd(measured),
                    tables.percent_bounds(model["pooled"]["accuracy"]["bootstrap_95"]),
                    _verdict(measured["mean"], target, model),
                ]
            )
    return tables.markdown_table(["Dataset", "Target", "Measured, % ± SD", "95 % interval", "Outcome"], rows)


def _verdict(measured: float, target: float, model: ModelResults) -> str:
    if measured < target:
        return f"not met, {100 * (target - measured):.1f} points short"
    if model["num_repeats"] < TARGET_REPEATS:
        return f"reached, but by {text.plural(model['num_repeats'], 'repeat')} only"
    return "**met**"


def _cbam_sentence(results: Mapping[str, Any]) -> str:
    for pair in results.get("comparisons", ()):
        if {pair["first"], pair["second"]} == {_WITHOUT_CBAM, _WITH_CBAM}:
            test = pair["accuracy"]
            shown = tables.difference(test, scale=100, digits=1)
            if test["p_value_holm"] >= SIGNIFICANT:
                outcome = "no difference is shown"
            else:
                outcome = "CBAM is more accurate" if test["difference"] > 0 else "CBAM is less accurate"
            return (
                f"{shown} points, p {tables.p_value(test['p_value'])}, after Holm's correction "
                f"{tables.p_value(test['p_value_holm'])}: {outcome}."
            )
    return "not measured yet."


def _imagenet_sentence(results: Mapping[str, Results]) -> str:
    models = [(dataset, name, model) for dataset, one in results.items() for name, model in one["models"].items()]
    pretrained = [f"`{name}` on {_title(dataset)}" for dataset, name, model in models if tables.saw_imagenet(model)]
    if pretrained:
        return f"**ImageNet weights started** {text.listing(pretrained)}; the others saw no photograph before."
    if models and all(model["fits"]["weights"] for _, _, model in models):
        return "No network started from ImageNet weights."
    return "Not every fit records its initial weights; the presets use no ImageNet weights."


def _repeats(models: Mapping[str, ModelResults]) -> str:
    """`2`, or the number of every model where they differ."""
    numbers = {name: model["num_repeats"] for name, model in models.items()}
    if len(set(numbers.values())) == 1:
        return str(next(iter(numbers.values())))
    return text.listing([f"{number} of `{name}`" for name, number in numbers.items()])


def _nothing(dataset: str, base: str) -> str:
    return (
        f"## {_title(dataset)}\n\nNo predictions yet: `{base}/{dataset}/` holds no model. Make them with "
        f"`python -m pipelines.cross_validate --preset={dataset}`."
    )


def _dataset(dataset: str, results: Results, links: Mapping[str, str]) -> str:
    title, shown = _title(dataset), shown_model(dataset, results)
    missing = [name for name in tables.model_names(results) if name not in results["models"]]
    classes = text.listing([f"{name} {count:,}" for name, count in results["class_counts"].items()])
    absent = f" Not measured yet: {text.listing([f'`{name}`' for name in missing])}." if missing else ""
    parts = [
        f"## {title}",
        f"{results['num_images']:,} images in {results['num_groups']:,} groups: {classes}.{absent}",
        "### Accuracy and agreement",
        tables.agreement_table(results),
        *([] if _has_literature(dataset) else [_accuracy_plot(dataset, links)]),
        "### Probabilities",
        tables.probability_table(results),
        *_per_class(dataset, results),
        *_pairs(results),
        "### Errors and calibration",
        f"`{shown}`{_picked(dataset, shown)}. Counts are summed over "
        f"{text.plural(results['models'][shown]['num_repeats'], 'repeat')}.",
        f"![Confusion matrix of {shown} on {title}]({links['confusion_matrix']})",
        f"![Reliability diagram of {shown} on {title}]({links['reliability']})",
        "### Dataset version and relatives",
        tables.relatives_table(results),
        "### Fits",
        tables.fits_table(results),
    ]
    return "\n\n".join(parts)


def _picked(dataset: str, shown: str) -> str:
    if shown == RELEASED_MODELS.get(dataset):
        return ""
    return ", the most accurate model so far; it was picked on these metrics, so they are slightly optimistic"


def _per_class(dataset: str, results: Results) -> list[str]:
    released = RELEASED_MODELS.get(dataset, best_model(results))
    heading = f"### Classes, `{released}`"
    if released not in results["models"]:
        return [heading, "Not measured yet."]
    return [heading, tables.class_table(results, released)]


def _pairs(results: Results) -> list[str]:
    if not results["comparisons"]:
        return ["### Paired tests", "A comparison needs two models; so far there is one."]
    return ["### Paired tests", tables.pairs_table(results), tables.mcnemar_table(results)]


def _accuracy_plot(dataset: str, links: Mapping[str, str]) -> str:
    return f"![Accuracy on {_title(dataset)} with intervals]({links['accuracy']})"


def _has_literature(dataset: str) -> bool:
    return bool(HONEST.get(dataset) or paper(dataset))


def _literature(dataset: str, results: Results, links: Mapping[str, str]) -> str:
    """This project's models with published ones; empty for a dataset that no work reports on."""
    if not _has_literature(dataset):
        return ""
    parts = [f"### Literature, {_title(dataset)}", _accuracy_plot(dataset, links)]
    if HONEST.get(dataset):
        parts += [
            "Works that looked for duplicates, kept related images in one fold and report the uncertainty. A "
            "comparison of bytes misses identical pixels that are stored differently. Their images and folds are not "
            "exactly those used here.",
            tables.literature_table(dataset, results),
        ]
    if published := tables.paper_table(dataset):
        parts += ["**Published, protocol not comparable:**", published]
    return "\n\n".join(parts)


def _write_plots(dataset: str, results: Results, folder: pathlib.Path) -> list[pathlib.Path]:
    folder.mkdir(parents=True, exist_ok=True)
    shown, title = shown_model(dataset, results), _title(dataset)
    files = [folder / f"{name}.png" for name in ("accuracy", "confusion_matrix", "reliability")]
    published = paper(dataset)
    groups = [
        ("this project", [_our_row(name, model) for name, model in results["models"].items()]),
        ("published, comparable protocol", [_published_row(row) for row in HONEST.get(dataset, ())]),
        ("published, protocol not comparable", [_published_row(published)] if published else []),
    ]
    groups = [(heading, rows) for heading, rows in groups if rows]
    plots.accuracies(files[0], groups, title=f"Accuracy on {title}", targets=TARGETS.get(dataset, ()))
    model = results["models"][shown]
    counts = model["confusion_matrix"]["counts"]
    caption, num_repeats = f"{shown} on {title}", model["num_repeats"]
    plots.confusion_matrix(files[1], counts, results["class_names"], title=caption, num_repeats=num_repeats)
    plots.reliability(files[2], model["reliability"], title=caption)
    return files


def _our_row(name: str, model: ModelResults) -> dict[str, Any]:
    accuracy = model["over_folds"]["accuracy"]
    return {
        "label": f"{name}, ImageNet" if tables.saw_imagenet(model) else name,
        "value": accuracy["mean"],
        "interval": model["pooled"]["accuracy"]["bootstrap_95"],
        "sd": accuracy["sd"],
    }


def _published_row(row: Published) -> dict[str, Any]:
    work = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", row.work)  # a plot has no links
    label = f"{work}, {row.pretraining}" if row.pretraining != "none" else f"{work}, no pretraining"
    return {"label": label, "value": row.accuracy, "interval": row.interval, "sd": row.sd}


def _title(dataset: str) -> str:
    return TITLES.get(dataset, dataset)
