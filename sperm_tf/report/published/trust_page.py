"""`docs/trust.md`: how far the published predictions, and the networks behind them, can be trusted.

The page is made from each dataset's `decisions.json` (`sperm_tf.evaluation.cross_validation.oof_trust.describe`) and
`audits.json` (`pipelines.audit`), and from nothing else. Whatever was not measured is said to be missing.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from sperm_tf.evaluation.quantification.class_roles import is_no_sperm
from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS
from sperm_tf.models.registry import BACKBONES
from sperm_tf.report import text
from sperm_tf.report.published import (
    explanation_plots,
    results_page,
    results_tables,
    robustness,
    trust_plots,
    trust_summary,
    trust_tables,
    trust_targets,
)
from sperm_tf.report.published.literature import RELEASED_MODELS, TITLES
from sperm_tf.schemas.audits import Attributions, Audits
from sperm_tf.schemas.cross_validation import Decisions, Guarantee, ModelDecisions

MIN_KNOWN = 0.9
"""Share of the shuffled labels that a control must have memorised, or the comparison says nothing."""
COMMAND = "python -m pipelines.audit --preset={dataset} --manual_dir=<folder>"


def write_page(
    decisions: Mapping[str, Decisions],
    audits: Mapping[str, Audits],
    *,
    results_dir: str | os.PathLike[str],
    page: str | os.PathLike[str],
) -> list[pathlib.Path]:
    """Writes the page and its plots.

    Args:
        decisions: dataset -> model -> content of `decisions.json`.
        audits: dataset -> model -> audit -> content of `audits.json`; empty where nothing was audited.
        results_dir: folder with one folder a dataset, which receives that dataset's plots.
        page: Markdown file to write.

    Returns:
        Every file written, the page first.
    """
    results_dir, page = pathlib.Path(results_dir), pathlib.Path(page)
    base = pathlib.PurePath(os.path.relpath(results_dir, page.parent)).as_posix()
    sections, written = [], []
    first_screen: dict[str, tuple[str, ModelDecisions, Mapping[str, Any]]] = {}
    for dataset in sorted(decisions, key=lambda name: ([*TITLES, name].index(name), name)):
        models = decisions[dataset]
        plot = results_dir / dataset / "trust.png"
        shown = next((name for name in models if name == RELEASED_MODELS.get(dataset)), next(iter(models)))
        first_screen[_title(dataset)] = (shown, models[shown], audits.get(dataset, {}).get(shown, {}))
        trust_plots.trust(plot, models[shown]["repeats"][0], title=f"{_title(dataset)}, {shown}, repeat 0")
        written.append(plot)
        sections.append(
            {
                "title": _title(dataset),
                "plot": f"{base}/{dataset}/{plot.name}",
                "shown": shown,
                "promise": _promise(models[shown]["promise"]),
                "targets": trust_targets.targets(models, audits.get(dataset, {}), shown) if dataset == "smids" else "",
                "probabilities": trust_tables.probabilities(models),
                "sets": trust_tables.sets(models),
                "selection": trust_tables.selection(models),
                "guarantees": trust_tables.guarantees(models[shown]),
                "slides": trust_tables.slides(models[shown]),
                "accepted_on_slides": trust_tables.accepted_on_slides(models[shown]),
                "transfer": trust_tables.transfer(audits.get(dataset, {})),
                "corruptions": _corruptions(dataset, audits.get(dataset, {}), results_dir, base, written),
                "side_by_side": _side_by_side(audits.get(dataset, {})),
                "explanations": _explanations(dataset, audits.get(dataset, {}), results_dir, base, written),
                "labels": _labels(audits.get(dataset, {})),
                "attacks": trust_tables.attacks(audits.get(dataset, {})),
                "ood": trust_tables.ood_inputs(audits.get(dataset, {})),
                "has_non_sperm": any(map(is_no_sperm, models[shown]["repeats"][0]["sets"]["per_class"])),
                "command": COMMAND.format(dataset=dataset),
            }
        )
    template = results_page.environment().get_template("trust.md.j2")
    page.parent.mkdir(parents=True, exist_ok=True)
    poisson = CORRUPTIONS["poisson_noise"]
    facts = {
        "base": base,
        "sections": sections,
        "summaries": [trust_summary.sentence(title, model, found) for title, (model, found, _) in first_screen.items()],
        "overview": trust_summary.overview({title: found[1:] for title, found in first_screen.items()}),
        "num_corruptions": len(CORRUPTIONS),
        "poisson_strengths": text.listing([str(strength) for strength in poisson.strengths]),
        "poisson_unit": poisson.unit,
    }
    page.write_text(template.render(**facts).rstrip() + "\n", encoding="utf-8")
    return [page, *written]


def _corruptions(
    dataset: str, audits: Audits, results_dir: pathlib.Path, base: str, written: list[pathlib.Path]
) -> list[dict[str, Any]]:
    """A picture and a table for every model that was audited; adds the pictures to `written`."""
    found = []
    for model, figures in ((name, entry["corruptions"]) for name, entry in audits.items() if "corruptions" in entry):
        picture = results_dir / dataset / f"corruptions_{model}.png"
        title = f"{_title(dataset)}, {model}, repeat 0, {text.plural(figures['num_images'], 'image')}"
        robustness.plot_robustness(picture, figures, title=title)
        written.append(picture)
        found.append(
            {
                "model": model,
                "num_images": text.count(figures["num_images"]),
                "plot": f"{base}/{dataset}/{picture.name}",
                "table": results_tables.markdown_table(robustness.HEADER, robustness.table_rows(figures)),
            }
        )
    return found


def _side_by_side(audits: Audits) -> str:
    """All models under corruptions in one table; empty where none was audited."""
    by_model = {name: audits[name]["corruptions"] for name in BACKBONES if "corruptions" in audits.get(name, {})}
    if not by_model:
        return ""
    return results_tables.markdown_table(robustness.SIDE_BY_SIDE_HEADER, robustness.side_by_side_rows(by_model))


def _explanations(
    dataset: str, audits: Audits, results_dir: pathlib.Path, base: str, written: list[pathlib.Path]
) -> list[dict[str, Any]]:
    """A picture and a table for every model whose attribution maps were audited; adds the pictures to `written`."""
    found = []
    for model, figures in ((name, entry["explanations"]) for name, entry in audits.items() if "explanations" in entry):
        area = figures["mask_area_share"]
        picture = results_dir / dataset / f"explanations_{model}.png"
        explanation_plots.explanation_figures(picture, figures, title=f"{_title(dataset)}, {model}, repeat 0")
        written.append(picture)
        found.append(
            {
                "model": model,
                "num_heads": text.count(figures["num_heads"]),
                "area": text.percent(area["value"] if area else None),
                "plot": f"{base}/{dataset}/{picture.name}",
                "table": trust_tables.explanations(figures),
                "sanity": trust_tables.sanity(figures),
                "num_sanity": _num_sanity(figures),
            }
        )
    return found


def _num_sanity(figures: Attributions) -> int:
    """How many images the maps of randomised networks are of."""
    stages = [stage for method in figures["sanity"].values() for stage in method.values()]
    return max((cell["num_images"] for stage in stages for cell in stage.values()), default=0)


def _labels(audits: Audits) -> list[dict[str, Any]]:
    """Label randomisation test of every model for which a control was trained."""
    return [
        {
            "model": model,
            "num_images": text.count(found["num_images"]),
            "known": text.percent(found["train_accuracy"], 0),
            "has_learnt": found["train_accuracy"] >= MIN_KNOWN,
            "table": trust_tables.labels(found),
        }
        for model, found in ((name, entry["labels"]) for name, entry in audits.items() if "labels" in entry)
    ]


def _title(dataset: str) -> str:
    return TITLES.get(dataset, dataset)


def _promise(promise: Guarantee) -> dict[str, str]:
    return {
        "coverage": text.promised_percent(promise["set_coverage"]),
        "max_risk": text.promised_percent(promise["max_risk"]),
        "confidence": text.promised_percent(1 - promise["delta"]),
    }
