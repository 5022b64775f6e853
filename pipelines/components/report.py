"""Report: what a reader has to know about a run, in one file."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines.artifacts import Artifact
from pipelines.component import Component, RunContext


class Report(Component):
    """Writes `report.html`, self-contained and readable offline, and `model_card.md`.

    Args:
        config: None, there is nothing to set.
        **inputs: the other stages, by the names in `sperm_tf.report.stages.STAGES`; the report says what is missing.
    """

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Builds both files from the artifacts' directories."""
        from sperm_tf.report.build import build_report

        del context
        return build_report({name: artifact.directory for name, artifact in inputs.items()}, output)
