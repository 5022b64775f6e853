"""Report: what a reader has to know about a run, in one file."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf import report

_SOURCES = (".py", ".j2", ".css", ".js")


class Report(Component):
    """Writes `report.html`, self-contained and readable offline, and `model_card.md`.

    Args:
        config: None, there is nothing to set.
        **inputs: the other stages, by the names in `sperm_tf.report.stages.STAGES`; the report says what is missing.
    """

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies the program that writes the page: what it says changes with it, and it takes seconds."""
        del inputs, context
        folder = pathlib.Path(report.__file__).parent
        sources = sorted(path for path in folder.rglob("*") if path.suffix in _SOURCES)
        return {"program": hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Builds both files from the artifacts' directories."""
        from sperm_tf.report.build import build_report

        del context
        return build_report({name: artifact.directory for name, artifact in inputs.items()}, output)
