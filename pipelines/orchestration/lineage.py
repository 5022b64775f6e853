"""What initial weights learnt from, as far as releases and the artifacts behind a file say."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

from pipelines.orchestration.artifacts import Artifact
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

    released.check_unseen(weights, source.dataset, seed=source.seed)
    if weights in (*released.WITHOUT_FILE, *released.NAMES):
        return
    for artifact in _behind(pathlib.Path(weights)):
        if artifact.producer == "ExampleGen" and _is_same(artifact.config, source):
            raise WeightsError(
                f"weights must not have seen the test images. Received: weights={weights!r}, which learnt from images "
                f"of {source.data_dir or source.dataset} ({artifact.directory}). Start from others, such as 'none'."
            )
        start = _initial_weights(artifact)
        if start in released.NAMES or pathlib.Path(start).expanduser().is_file():
            released.check_unseen(start, source.dataset, seed=source.seed)


def _behind(weights: pathlib.Path) -> Iterator[Artifact]:
    """The artifact of a file of weights and all that it was made of, as far as they are still there; each once."""
    pending, known = [weights.expanduser().parent], set()
    while pending:
        directory = pending.pop().resolve()
        if directory in known:  # a file may have replaced the one that it started from
            continue
        known.add(directory)
        try:
            artifact = Artifact.read(directory)
        except ValueError:
            continue
        yield artifact
        pending += [pathlib.Path(source["directory"]) for source in artifact.inputs.values()]
        start = pathlib.Path(_initial_weights(artifact)).expanduser()
        if start.is_file():
            pending.append(start.parent)


def _initial_weights(artifact: Artifact) -> str:
    """As `ModelConfig.weights`; empty where the artifact is no training."""
    config = artifact.config or {}
    return config.get("trainer", config).get("model", {}).get("weights", "")


def _is_same(config: dict[str, Any], source: ExampleGenConfig) -> bool:
    from sperm_tf.models import released

    known, asked = (pathlib.Path(folder).expanduser().resolve() for folder in (config["data_dir"], source.data_dir))
    if config["dataset"] == released.DRAWN and config["seed"] != source.seed:
        return False
    return config["dataset"] == source.dataset and known == asked
