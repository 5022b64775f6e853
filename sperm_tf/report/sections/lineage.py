"""Where the model came from: every artifact, by its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sperm_tf.report import text
from sperm_tf.report.stages import Stage

_DIGITS = 12
_TITLES = {
    "example_gen": "ExampleGen",
    "example_validator": "ExampleValidator",
    "transform": "Transform",
    "trainer": "Trainer",
    "calibrator": "Calibrator",
    "evaluator": "Evaluator",
    "explainer": "Explainer",
    "explanation_validator": "ExplanationValidator",
    "infra_validator": "InfraValidator",
    "pusher": "Pusher",
}


def describe_lineage(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Stages with identifiers, digests and durations, and the versions of what computed them."""
    versions: dict[str, set[str]] = {}
    for stage in stages.values():
        for name, version in (stage.record.get("versions") or {}).items():
            versions.setdefault(name, set()).add(str(version))
    seconds = [stage.record.get("duration_s") for stage in stages.values()]
    return {
        "stages": [_describe_stage(stage) for stage in stages.values()],
        "total_duration": text.duration(sum(value for value in seconds if text.is_finite(value))),
        "versions": [(name, ", ".join(sorted(found))) for name, found in sorted(versions.items())],
    }


def _describe_stage(stage: Stage) -> dict[str, Any]:
    record = stage.record
    return {
        "title": _TITLES[stage.name],
        "is_known": bool(record),
        "artifact_id": stage.directory.name if stage.directory else "",
        "digest": str(record.get("digest", ""))[:_DIGITS],
        "full_digest": str(record.get("digest", "")),
        "inputs": [
            {"name": name.replace("_", " "), "digest": str(value.get("digest", ""))[:_DIGITS]}
            for name, value in (record.get("inputs") or {}).items()
            if isinstance(value, dict)
        ],
        "started_at": str(record.get("started_at", ""))[:19].replace("T", " "),
        "duration": text.duration(record.get("duration_s")),
        "config": json.dumps(record["config"], indent=2, sort_keys=True) if record.get("config") else "",
    }
