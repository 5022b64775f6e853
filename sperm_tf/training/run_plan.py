"""Runs many fits in one call on a machine with a GPU, without TensorFlow, Beam or the pipeline.

    KERAS_BACKEND=jax python -m sperm_tf.training.run_plan PLAN_DIR OUTPUT_DIR --time_limit_s=540

`python -m pipelines.cross_validate --plan_dir=PLAN_DIR` writes the plan, `--import_from=OUTPUT_DIR` takes in what comes
back. The recipe and the images of a fit are the same as without a plan; its random numbers are those of the backend,
so its weights are other ones, of the same quality.

Layout of PLAN_DIR: `images.npz` (`sperm_tf.data.image_table`), `plan.json` (a list of fits: `fingerprint`,
`recipe_version`, `name`, `trainer`, `parts`), the files of initial weights that it names. Layout of OUTPUT_DIR:
`<fingerprint>.npz` for each fit: `validation`, `calibration` and `test` (probabilities, float32), `summary` (JSON:
history, best epoch, backend, and a digest of the parts). `.work` there holds the fit at work: after a kill it goes on
from its last finished epoch, where the folder is still the same.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from sperm_tf.config import ModelConfig, TrainerConfig
from sperm_tf.data import image_table
from sperm_tf.data.partitions import Partition, digest_parts
from sperm_tf.training.fit import Fit, run_fit
from sperm_tf.version import RECIPE_VERSION
from sperm_tf.whole_files import replacing

PLAN_FILE, IMAGES_FILE = "plan.json", "images.npz"
PARTS = ("validation", "calibration", "test")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the fits of a plan that have no output yet; returns the exit status: 3 when time ran out, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan_dir", type=pathlib.Path)
    parser.add_argument("output_dir", type=pathlib.Path)
    parser.add_argument("--time_limit_s", type=float, default=float("inf"), help="start no fit that would end later")
    arguments = parser.parse_args(argv)
    start = time.monotonic()
    table = image_table.read_npz(arguments.plan_dir / IMAGES_FILE)
    plan = json.loads((arguments.plan_dir / PLAN_FILE).read_text(encoding="utf-8"))
    versions = {entry.get("recipe_version", 0) for entry in plan}
    if versions != {RECIPE_VERSION} and plan:
        parser.error(
            f"the plan must be for version {RECIPE_VERSION} of the recipes, which this copy of sperm_tf has. Received: "
            f"version {', '.join(map(str, sorted(versions)))}. Write the plan and run it with the same copy."
        )
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    longest: dict[str, float] = {}  # of each model
    for number, entry in enumerate(plan, start=1):
        output = arguments.output_dir / f"{entry['fingerprint']}.npz"
        if output.exists():
            continue
        began, model = time.monotonic(), entry["trainer"]["model"]["name"]
        if began - start + longest.get(model, 0.0) > arguments.time_limit_s:
            print(f"No time is left for fit {number} of {len(plan)}.", flush=True)
            return 3
        distribution = keras.distribution.distribution()
        keras.backend.clear_session()  # forgets the devices, too
        if distribution is not None:
            keras.distribution.set_distribution(distribution)
        work_dir = arguments.output_dir / ".work" / entry["fingerprint"]
        work_dir.mkdir(parents=True, exist_ok=True)
        fit = run_fit(
            table.images,
            table.labels,
            Partition(**{name: np.array(indices, np.int64) for name, indices in entry["parts"].items()}),
            num_classes=len(table.class_names),
            config=read_trainer(entry["trainer"], arguments.plan_dir),
            work_dir=work_dir,
            verbose=0,
        )
        _write(fit, entry["parts"], output)
        shutil.rmtree(work_dir)
        seconds = time.monotonic() - began
        longest[model] = max(longest.get(model, 0.0), seconds)
        accuracy = (fit.probabilities["test"].argmax(1) == table.labels[entry["parts"]["test"]]).mean()
        print(f"[{number}/{len(plan)}] {entry['name']}: {accuracy:.1%} on the test fold, {seconds:.0f} s", flush=True)
    return 0


def read_trainer(fields: Mapping[str, Any], plan_dir: pathlib.Path) -> TrainerConfig:
    """A recipe from its JSON; initial weights that are a file lie in `plan_dir`."""
    model = _tuples(fields["model"])
    if (plan_dir / model["weights"]).is_file():
        model["weights"] = str(plan_dir / model["weights"])
    return TrainerConfig(**{**_tuples(fields), "model": ModelConfig(**model)})


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _write(fit: Fit, parts: Mapping[str, Sequence[int]], path: pathlib.Path) -> None:
    summary = {
        "history": fit.history,
        "best_epoch": fit.best_epoch,
        "backend": keras.config.backend(),
        "parts": digest_parts(parts),
    }
    arrays: dict[str, Any] = {"summary": np.array(json.dumps(summary)), **fit.probabilities}
    with replacing(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)


if __name__ == "__main__":
    sys.exit(main())
