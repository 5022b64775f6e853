"""What initial weights learnt from, as far as releases and the artifacts behind a file say."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

from pipelines.artifacts import Artifact
from sperm_tf.config import ExampleGenConfig


def check_unseen(weights: str, source: ExampleGenConfig) -> None:
    """Refuses initial weights that learnt from the images that are to be tested on.

    Follows releases, see `sperm_tf.models.released.check_unseen`, and for a file that a stage wrote the artifacts
    behind it, whichever folds it was trained on. What was moved away from its artifact, or lost it, tells nothing.

    Args:
        weights: as `ModelConfig.weights`.
        source: of the images to be tested on.

    Raises:
        WeightsError: they did.
    """
    from sperm_tf.models import released
    from sperm_tf.models.errors import WeightsError

    released.check_unseen(weights, source.dataset)
    if weights in (*released.WITHOUT_FILE, *released.NAMES):
        return
    for artifact in _behind(pathlib.Path(weights).expanduser().parent):
        if artifact.producer == "ExampleGen" and _is_same(artifact.config, source):
            raise WeightsError(
                f"weights must not have seen the test images. Received: weights={weights!r}, which learnt from images "
                f"of {source.data_dir or source.dataset} ({artifact.directory}). Start from others, such as 'none'."
            )
        start = artifact.config.get("trainer", artifact.config).get("model", {}).get("weights", "")
        if start in released.NAMES or pathlib.Path(start).expanduser().is_file():
            check_unseen(start, source)


def _behind(directory: pathlib.Path) -> Iterator[Artifact]:
    """The artifact in a folder and those that it was made of, as far as they are still there."""
    try:
        artifact = Artifact.read(directory)
    except ValueError:
        return
    yield artifact
    for source in artifact.inputs.values():
        yield from _behind(pathlib.Path(source["directory"]))


def _is_same(config: dict[str, Any], source: ExampleGenConfig) -> bool:
    known, asked = (pathlib.Path(folder).expanduser().resolve() for folder in (config["data_dir"], source.data_dir))
    return config["dataset"] == source.dataset and known == asked
