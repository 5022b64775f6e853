"""ExplanationValidator: faithfulness of the attribution maps that a model serves."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.components import measured_images
from pipelines.components.predictions_file import ANSWERS_FILE, read_answers
from pipelines.components.source_images import read_images, sample
from pipelines.orchestration import progress
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import ExplanationValidatorConfig
from sperm_tf.schemas.audits import Attributions
from sperm_tf.served_names import SERVED_MAPS, SHOWN_MAP

if TYPE_CHECKING:
    from pipelines.components.measured_images import MeasuredImages
    from sperm_tf.serving.classifier import Classifier

SPLIT = "test"


class ExplanationValidator(Component):
    """Measures the maps that the model serves against a centre prior and an edge detector.

    The maps are layer integrated gradients, Grad-CAM++ and the attention of CBAM, of the answer averaged over the
    views.

    Layout: `answers.csv` (as of ExplanationAudit), `figures.json` (of
    `sperm_tf.evaluation.attribution.attribution_metrics.describe_explanations`), `validation.json` (`blessed` and
    `checks`, each with `figure`, `value`, `versus` and `passed`), and an empty file `EXPLANATION_BLESSED` or
    `EXPLANATION_NOT_BLESSED`. Where no test image can be read, nothing is measured: there are no `answers.csv` and no
    figures. Maps that fail are no error here; the Pusher refuses the model.

    Args:
        config: how many images, and what the map that is shown must be better in.
        **inputs: `model` from Calibrator and `examples` from ExampleGen.
    """

    config: ExplanationValidatorConfig
    version = 3  # intervals know how few images have a figure

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Chooses the images, explains, measures, and judges."""
        import sperm_tf

        del context
        served = sperm_tf.load_model(inputs["model"].directory)
        sources = sample(read_images(inputs["examples"], [SPLIT]), self.config.num_images)
        measured = measured_images.prepare(sources, served)
        figures: Mapping[str, Any]
        figures = _measure(served, measured, output / ANSWERS_FILE) if measured.sources else {"methods": {}}
        _write_json(output / "figures.json", figures)
        verdict = judge(figures, self.config)
        _write_json(output / "validation.json", verdict)
        (output / ("EXPLANATION_BLESSED" if verdict["blessed"] else "EXPLANATION_NOT_BLESSED")).touch()
        return {
            "blessed": verdict["blessed"],
            "num_images": len(measured.sources),
            "num_heads_not_found": measured.num_heads_not_found,
        }


def _measure(served: Classifier, measured: MeasuredImages, answers_file: pathlib.Path) -> Attributions:
    """Writes the rows of every map, and describes them."""
    from sperm_tf.evaluation.attribution.attribution_metrics import describe_explanations
    from sperm_tf.explain.faithfulness import BASELINES
    from sperm_tf.explain.methods import ExplainedClassifier
    from sperm_tf.explain.scorecard import score_faithfulness

    classifier = ExplainedClassifier(served.keras_model, views=served.views)
    attention = ["cbam_attention"] if classifier.has_attention else []
    methods = [*SERVED_MAPS, *attention, *BASELINES]
    rows = score_faithfulness(classifier, measured.pixels, measured.heads, methods=methods)
    predicted = classifier.probabilities(measured.pixels).argmax(axis=1)
    table = measured.name_rows(_counted(rows, methods), [served.class_names[label] for label in predicted])
    table.to_csv(answers_file, index=False, float_format="%.6g")
    return describe_explanations(read_answers(answers_file).assign(fold=0))


def _counted(rows: Iterable[dict[str, Any]], methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows as they are; a method is done when the next one begins."""
    progress.expect(len(methods), "methods")
    seen: set[str] = set()
    for row in rows:
        if row["method"] and row["method"] not in seen:
            progress.advance(1 if seen else 0)
            seen.add(row["method"])
        yield row


def judge(figures: Mapping[str, Any], config: ExplanationValidatorConfig) -> dict[str, Any]:
    """Compares the map that is shown with both baselines.

    Args:
        figures: of `sperm_tf.evaluation.attribution.attribution_metrics.describe_explanations`.
        config: `must_beat_baselines` names what is checked.

    Returns:
        `blessed`, whether every check passed, and `checks`: `figure`, `value`, `versus` and `passed`. What could not be
        measured has not passed.
    """
    from sperm_tf.evaluation.attribution.attribution_metrics import beats_both

    cells = figures["methods"].get(SHOWN_MAP, {})
    checks = []
    for name in config.must_beat_baselines:
        cell = cells.get(name, {})
        checks.append(
            {
                "figure": name,
                "value": cell.get("value"),
                "versus": cell.get("versus"),
                "passed": beats_both(cell),
            }
        )
    return {"blessed": all(check["passed"] for check in checks), "checks": checks}


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
