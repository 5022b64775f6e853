"""Reads the artifact directories that a report is made of, forgiving whatever is not there.

The pipeline builds a report only at the end of a whole run. But the artifacts may be those of an earlier version or may
have lost files, and `build_report` can be given a part of them; so a missing directory, file or field is an empty
value here and a sentence in the report, never an error.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

# In the order in which the pipeline runs them; the keys are the inputs of the Report component.
STAGES = (
    "example_gen",
    "example_validator",
    "transform",
    "trainer",
    "calibrator",
    "evaluator",
    "explainer",
    "explanation_validator",
    "infra_validator",
    "pusher",
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One artifact directory.

    Attributes:
        name: one of `STAGES`.
        directory: where the payload lies; None when the run has no such artifact.
        record: the content of `artifact.json`; empty when there is none.
    """

    name: str
    directory: pathlib.Path | None
    record: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The stage's part of the configuration."""
        return self.record.get("config") or {}

    def path(self, name: str) -> pathlib.Path | None:
        """The file or folder `name` inside the artifact; None when it is missing or lies outside."""
        if self.directory is None:
            return None
        path = (self.directory / name).resolve()
        return path if path.exists() and path.is_relative_to(self.directory.resolve()) else None

    def has(self, name: str) -> bool:
        """Whether the artifact holds the file `name`."""
        return self.path(name) is not None

    def read_json(self, name: str) -> dict[str, Any]:
        """The object in a JSON file; empty when there is none or it is damaged."""
        path = self.path(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if path else {}
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def read_csv(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV file with a header line; none when it is missing."""
        path = self.path(name)
        if path is None:
            return []
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return list(csv.DictReader(file))


def read_stages(directories: Mapping[str, pathlib.Path | str | None]) -> dict[str, Stage]:
    """Opens every stage of a run.

    Args:
        directories: artifact directories by stage; stages that are left out count as missing.

    Returns:
        One `Stage` for every name in `STAGES`, in that order.

    Raises:
        ValueError: when a name is no stage.
    """
    unknown = sorted(set(directories) - set(STAGES))
    if unknown:
        raise ValueError(
            f"directories must be named after stages of the pipeline. Received: {', '.join(unknown)}. "
            f"Valid names are: {', '.join(STAGES)}."
        )
    return {name: _read_stage(name, directories.get(name)) for name in STAGES}


def _read_stage(name: str, directory: pathlib.Path | str | None) -> Stage:
    if directory is None or not pathlib.Path(directory).is_dir():
        return Stage(name, None, {})
    stage = Stage(name, pathlib.Path(directory), {})
    return dataclasses.replace(stage, record=stage.read_json("artifact.json"))
