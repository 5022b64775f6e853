"""The fits of a cross-validation: which there are, and what the finished ones say."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any, cast

from pipelines.components import graph
from pipelines.cross_validation import fits, recipes
from pipelines.cross_validation.fit import Fit
from pipelines.orchestration import artifacts
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.config import NUM_FOLDS, FitConfig, PipelineConfig, TrainerConfig
from sperm_tf.evaluation.cross_validation import fits_file, oof_file
from sperm_tf.schemas.cross_validation import FitSummary

PUBLISHED = ("smids", "hushem")  # the datasets whose answers are part of this project


@dataclasses.dataclass
class Unit:
    """One fit of the sweep.

    Attributes:
        config: what it is.
        fingerprint: what it is known by, here and in `fits.json`.
        rows: its answers as `sperm_tf.evaluation.cross_validation.oof` has them; None while it is not finished.
        summary: its entry in `fits.json`, without the fingerprint; None while it is not finished.
    """

    config: FitConfig
    fingerprint: str
    rows: Any = None
    summary: FitSummary | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.config.trainer.model.name}, repeat {self.config.repeat}, fold {self.config.fold}"

    def directory(self, context: RunContext) -> pathlib.Path:
        """Where its artifact is, once it was trained here."""
        return context.pipeline_root / Fit.__name__ / self.fingerprint[:16]


def transformed_examples(config: PipelineConfig, context: RunContext) -> Artifact:
    """The preprocessed images of the whole dataset: the pipeline up to Transform."""
    for component in graph.build(with_every_image(config)):
        artifact = component.run(context)
        if component.name == "Transform":
            return artifact
    raise AssertionError("every pipeline has a Transform")


def with_every_image(config: PipelineConfig) -> PipelineConfig:
    """The configuration without a limit of test images: in a cross-validation what is tested once trains elsewhere."""
    return dataclasses.replace(config, example_gen=dataclasses.replace(config.example_gen, max_test_images=0))


def plan(
    trainer: TrainerConfig, models: Sequence[str], repeats: Sequence[int], examples: Artifact, context: RunContext
) -> list[Unit]:
    """All fits of some models and repeats, by model, repeat and fold; none is recalled yet."""
    units = []
    for model in models:
        recipe = recipes.trainer_for(trainer, model)
        for repeat in repeats:
            for fold in range(NUM_FOLDS):
                config = FitConfig(recipe, repeat, fold)
                fields = Fit(config).fingerprint_fields({"examples": examples}, context)
                units.append(Unit(config, artifacts.fingerprint(fields)))
    return units


def recall(units: list[Unit], context: RunContext, results_dir: pathlib.Path) -> None:
    """Fills in the fits that are finished: from their artifacts, else from published predictions."""
    recorded = {fit["fingerprint"]: fit for fit in fits_file.read_json(results_dir / fits_file.FITS_FILE)}
    tables: dict[str, Any] = {}
    for unit in units:
        if unit.rows is not None:
            continue
        directory = unit.directory(context)
        if artifact := artifacts.find(directory):
            if changed := artifact.changed_files():
                raise ValueError(
                    f"a fit must be as it was written. Received: {artifact.describe_change(changed)}. Move {directory} "
                    "away, or restore it from a copy, and run again: this fit is made anew."
                )
            unit.rows = oof_file.read_csv(directory / fits.ANSWERS_FILE, complete=False)
            unit.summary = json.loads((directory / "fit.json").read_text(encoding="utf-8"))
        elif unit.fingerprint in recorded:
            model = unit.config.trainer.model.name
            if model not in tables:
                tables[model] = oof_file.read_csv(results_dir / f"{model}.csv", complete=False)
                # Who publishes another recipe's answers strikes these from the list first.
                listed = {fit["fingerprint"] for fit in fits_file.read_json(results_dir / fits_file.FITS_FILE)}
                recorded = {name: fit for name, fit in recorded.items() if name in listed}
            if unit.fingerprint not in recorded:
                continue
            table = tables[model]
            rows = table[(table["repeat"] == unit.config.repeat) & (table["fold"] == unit.config.fold)]
            unit.rows = rows.reset_index(drop=True)
            entry = dict(recorded[unit.fingerprint])
            del entry["fingerprint"]
            unit.summary = cast(FitSummary, entry)


def default_results_dir(dataset: str, context: RunContext) -> pathlib.Path:
    """Where predictions are published unless another folder is named."""
    return pathlib.Path("docs/results") if dataset in PUBLISHED else context.pipeline_root / "results"
