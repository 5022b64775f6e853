"""Fits that another machine runs: the plan, and its predictions. See `sperm_tf.training.run_plan`."""

from __future__ import annotations

import json
import pathlib
import shutil
import zipfile
from collections.abc import Sequence

import numpy as np

from pipelines.cross_validation import fits
from pipelines.cross_validation.jobs import Unit
from pipelines.orchestration.artifacts import to_jsonable
from sperm_tf.data import image_table
from sperm_tf.data.image_table import ImageTable
from sperm_tf.data.partitions import digest_parts
from sperm_tf.models.released import find_weights_file
from sperm_tf.training.run_plan import IMAGES_FILE, PARTS, PLAN_FILE
from sperm_tf.version import RECIPE_VERSION


def write_plan(folder: pathlib.Path, units: Sequence[Unit], table: ImageTable) -> None:
    """Writes images, initial weights and the list of fits into a folder.

    Args:
        folder: made if absent.
        units: the fits to run.
        table: the dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image_table.write_npz(table, folder / IMAGES_FILE)
    plan = []
    for unit in units:
        trainer = to_jsonable(fits.seeded(unit.config))
        weights = find_weights_file(unit.config.trainer.model.weights)
        if weights is not None:
            shutil.copyfile(weights, folder / weights.name)
            trainer["model"]["weights"] = weights.name
        partition = fits.partition_of(table, unit.config)
        parts = {name: indices.tolist() for name, indices in vars(partition).items()}
        plan.append(
            {
                "fingerprint": unit.fingerprint,
                "recipe_version": RECIPE_VERSION,
                "name": unit.name,
                "trainer": trainer,
                "parts": parts,
            }
        )
    (folder / PLAN_FILE).write_text(json.dumps(plan), encoding="utf-8")


def take_in(folder: pathlib.Path, units: Sequence[Unit], table: ImageTable) -> int:
    """Fills in the jobs whose predictions lie in a folder that `run_plan` wrote.

    Returns:
        How many.

    Raises:
        ValueError: there is no such folder, or a file does not hold answers to this fit's images.
    """
    if not folder.is_dir():
        raise ValueError(
            f"import_from must be a folder that run_plan wrote. Received: {str(folder)!r}, which does not exist."
        )
    num_taken = 0
    for unit in units:
        path = folder / f"{unit.fingerprint}.npz"
        if unit.rows is not None or not path.is_file():
            continue
        try:
            with np.load(path, allow_pickle=False) as arrays:
                probabilities = {name: arrays[name] for name in PARTS}
                answer = json.loads(str(arrays["summary"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"import_from must hold whole files that run_plan wrote. Received: {path} ({error!r}). Copy it again."
            ) from error
        partition = fits.partition_of(table, unit.config)
        sizes = {name: len(getattr(partition, name)) for name in probabilities}
        is_other = answer.pop("parts", "") != digest_parts(vars(partition))
        if is_other or any(len(rows) != sizes[name] for name, rows in probabilities.items()):
            raise ValueError(
                f"import_from must hold the answers to this plan. Received: {path}, with "
                f"{ {name: len(rows) for name, rows in probabilities.items()} } rows for {sizes}"
                f"{', of parts that were drawn in another way' if is_other else ''}. Delete it, write the plan anew, "
                "and run it again."
            )
        unit.rows = fits.answer_rows(table, partition, unit.config, probabilities)
        unit.summary = fits.summarize(table, partition, unit.config, probabilities, **answer)
        num_taken += 1
    return num_taken
