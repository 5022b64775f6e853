"""Which model the candidate is compared with."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from sperm_tf.file_digests import SUMS_FILE, SumsError, changed_files, read_sums

LATEST_PUSHED = "latest_pushed"
"""The setting that compares with the newest pushed version."""
PUSH_FILE = pathlib.PurePath("assets.extra", "push.json")
"""What a pushed version says of its model."""
PUSHED_SUMS = PUSH_FILE.with_name(SUMS_FILE)
"""SHA-256 of every file of a pushed version."""


class PushedVersionError(ValueError):
    """A pushed version that is damaged; the message names the file and the remedy."""


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

    Raises:
        PushedVersionError: a record cannot be read, or a file of the version to compare with has changed since.
    """
    pushed = [
        (int(path.name), read_push(path))
        for path in (serving_model_dir.iterdir() if serving_model_dir.is_dir() else ())
        if path.name.isdecimal() and (path / PUSH_FILE).is_file()
    ]
    others = sorted((item for item in pushed if item[1].get("model_digest") != model_digest), key=lambda item: item[0])
    comparable = [item for item in others if item[1].get("examples_digest") == examples_digest]
    if comparable:
        version, record = comparable[-1]
        path = serving_model_dir / str(version)
        if changed := changed_in(path):
            raise PushedVersionError(
                f"the pushed version to compare with must be as it was pushed. Received: {path / changed[0]}, which is "
                f"missing or has another SHA-256. Restore it from a copy, or move {path} away, and run again."
            )
        reason = f"version {version} is the newest other pushed version that comes from the same examples"
        return Baseline(path, record.get("model_digest", ""), reason)
    if others:
        reason = "the other pushed versions come from other examples, so they may have been trained on these images"
    else:
        reason = "no other version has been pushed"
    return Baseline(None, "", reason)


def read_push(version: pathlib.Path) -> dict[str, str]:
    """The record of a pushed version: name -> text.

    Args:
        version: its folder.

    Raises:
        FileNotFoundError: there is none.
        PushedVersionError: it cannot be read.
    """
    path = version / PUSH_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
            raise TypeError("it must be an object of texts")
    except (TypeError, ValueError) as error:
        raise PushedVersionError(
            f"a pushed version must say which model it holds. Received: {path}, which cannot be used ({error}). "
            f"Restore it from a copy, or move {version} away, and run again."
        ) from error
    return record


def changed_in(version: pathlib.Path) -> list[str]:
    """Names of the files of a pushed version that are missing or have changed since it was pushed.

    Args:
        version: its folder. One that an earlier version of this package pushed has no digests: then none.
    """
    try:
        return changed_files(version, read_sums(version / PUSHED_SUMS) or {})
    except SumsError:
        return [str(PUSHED_SUMS)]
