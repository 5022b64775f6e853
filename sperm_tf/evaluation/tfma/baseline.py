"""Which model the candidate is compared with."""

from __future__ import annotations

import dataclasses
import json
import pathlib

LATEST_PUSHED = "latest_pushed"
"""The setting that compares with the newest pushed version."""
PUSH_FILE = pathlib.PurePath("assets.extra", "push.json")


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A SavedModel to compare with, or the reason why there is none.

    Attributes:
        path: SavedModel directory; None for no baseline.
        digest: identifies the model; empty for no baseline.
        reason: why this one, or why none, in a sentence for `validation.json`.
    """

    path: pathlib.Path | None
    digest: str
    reason: str


def newest_pushed(serving_model_dir: pathlib.Path, *, model_digest: str, examples_digest: str) -> Baseline:
    """The newest pushed version that may be compared with the candidate.

    Left out are the candidate itself, pushed by an earlier run of the same configuration, and versions that come from
    other examples: their training may have seen this run's test images.

    Args:
        serving_model_dir: TensorFlow Serving's directory of the model, which holds one directory a version.
        model_digest: of the candidate.
        examples_digest: of this run's examples.
    """
    pushed = [
        (int(path.name), json.loads((path / PUSH_FILE).read_text(encoding="utf-8")))
        for path in (serving_model_dir.iterdir() if serving_model_dir.is_dir() else ())
        if path.name.isdecimal() and (path / PUSH_FILE).is_file()
    ]
    others = sorted((item for item in pushed if item[1].get("model_digest") != model_digest), key=lambda item: item[0])
    comparable = [item for item in others if item[1].get("examples_digest") == examples_digest]
    if comparable:
        version, record = comparable[-1]
        reason = f"version {version} is the newest other pushed version that comes from the same examples"
        return Baseline(serving_model_dir / str(version), record.get("model_digest", ""), reason)
    if others:
        reason = "the other pushed versions come from other examples, so they may have been trained on these images"
    else:
        reason = "no other version has been pushed"
    return Baseline(None, "", reason)
