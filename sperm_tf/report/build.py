"""Builds `report.html` and `model_card.md` from the artifact directories of a run.

The report is one file that loads nothing: style, plots and pictures are inside it, there is no script, and its own
content security policy forbids everything else. The same artifacts give the same bytes.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from sperm_tf.report import text
from sperm_tf.report.sections import (
    data,
    evaluation,
    explanations,
    glossary,
    lineage,
    maps,
    model_card,
    serving,
    training,
    trust,
)
from sperm_tf.report.stages import Stage, read_stages
from sperm_tf.version import __version__

REPORT_FILE = "report.html"
MODEL_CARD_FILE = "model_card.md"


def build_report(directories: Mapping[str, pathlib.Path | str | None], output: pathlib.Path | str) -> dict[str, Any]:
    """Writes the report and the model card of one run.

    Args:
        directories: artifact directories by stage (`sperm_tf.report.stages.STAGES`); whatever is missing is said to be.
        output: existing folder that receives both files.

    Returns:
        `title` and `num_explanations`.
    """
    facts = gather_facts(read_stages(directories))
    output = pathlib.Path(output)
    environment = make_environment()
    for template, name in (("report.html.j2", REPORT_FILE), ("model_card.md.j2", MODEL_CARD_FILE)):
        rendered = environment.get_template(template).render(**facts)
        (output / name).write_text(rendered.rstrip() + "\n", encoding="utf-8")
    return {
        "title": facts["title"],
        "num_explanations": sum(len(item["items"]) for item in facts["gallery"]["classes"]),
    }


def gather_facts(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Everything that the templates show, as plain values."""
    facts: dict[str, Any] = {
        "version": __version__,
        "dataset": data.describe_dataset(stages),
        "defects": data.describe_defects(stages),
        "training": training.describe_training(stages),
        "evaluation": evaluation.describe_evaluation(stages),
        "trust": trust.describe_trust(stages),
        "maps": maps.describe_maps(stages),
        "lineage": lineage.describe_lineage(stages),
        "serving": serving.describe_serving(stages),
        "glossary": glossary.GLOSSARY,
    }
    facts["gallery"] = explanations.describe_explanations(stages, facts["dataset"]["class_names"])
    facts["title"] = f"{facts['training']['model_name']} on {facts['dataset']['title']}"
    facts["date"] = max((str(stage.record.get("started_at", ""))[:10] for stage in stages.values()), default="")
    facts["model_card"] = model_card.describe_model_card(facts)
    return facts


def make_environment() -> Any:
    """Jinja with escaping always on: file names and labels come from outside. Markdown may hold HTML, so it too."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sperm_tf.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    helpers = (text.number, text.percent, text.interval, text.percent_interval, text.count, text.plural, text.listing)
    environment.filters.update({helper.__name__: helper for helper in helpers})
    return environment
