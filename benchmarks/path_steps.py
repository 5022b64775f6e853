"""Faithfulness of attribution maps by the layer that is explained and the steps of the path.

    python -m benchmarks.path_steps --model=<.keras> --images=<.npz of sperm_tf.data.image_table> --rows=<.npz>

The model did not see the images of `ids`, an array in the file of rows. They are measured as by ExplanationValidator,
those with a head alone: layer integrated gradients of each layer with each number of steps, Grad-CAM++ of each layer,
and both baselines. ✓ says that a figure is better than both baselines, whole bootstrap intervals considered. With
--sanity, layer integrated gradients are compared with those of partly random weights, too (rank correlation by stage).
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import Any
from unittest import mock

import numpy as np

FIGURES = ("deletion_auc", "insertion_auc", "energy_in_head", "confidence_drop")
STEPS = (1, 2, 4, 16)


def describe(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures with intervals; every image is its own group."""
    import pandas as pd

    from sperm_tf.evaluation.attribution.attribution_metrics import describe_explanations

    table = pd.DataFrame(rows)
    names = table.pop("row").astype(str)
    return describe_explanations(table.assign(image_id=names, group_id=names, fold=0))["methods"]


def print_figures(name: str, cells: dict[str, Any]) -> None:
    from sperm_tf.evaluation.attribution.attribution_metrics import beats_both

    texts = [f"{cells[figure]['value']:.3f}{' ✓' if beats_both(cells[figure]) else '  '}" for figure in FIGURES]
    print(f"{name:<52}", "  ".join(texts), flush=True)


def print_sanity(model: Any, images: np.ndarray) -> None:
    """Rank correlation of the maps with those of the network without what it learnt, stage by stage from the head."""
    from sperm_tf.explain import sanity
    from sperm_tf.explain.methods import ExplainedClassifier, explain
    from sperm_tf.served_names import SHOWN_MAP

    before: Any = None
    for stage, emptied in sanity.randomise_cascade(model):
        if before is None:
            classifier = ExplainedClassifier(emptied)
            classes = classifier.probabilities(images).argmax(axis=1)
            before = explain(SHOWN_MAP, classifier, images, classes)
            continue
        found = sanity.similarities(before, explain(SHOWN_MAP, classifier, images, classes))
        print(f"    random down to {stage}: {found['rank_correlation'].mean():.2f}", flush=True)


def choose(table: Any, rows: np.ndarray, count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The first of the rows in which a head is found: images, float32 [B, S, S, 3], and the masks of their heads."""
    from sperm_tf.evaluation.quantification.class_roles import is_no_sperm
    from sperm_tf.explain.head_mask import find_head

    heads: dict[int, np.ndarray] = {}
    for row in rows:
        if not is_no_sperm(table.class_names[table.labels[row]]) and len(heads) < count:
            head = find_head(table.images[row])
            if head is not None:
                heads[row] = head
    return table.images[list(heads)].astype(np.float32), list(heads.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=pathlib.Path, required=True)
    parser.add_argument("--layers", nargs="+", help="by default that of the backbone's entry")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--num_images", type=int, default=64)
    parser.add_argument("--sanity", action="store_true")
    options = parser.parse_args()

    import keras

    import sperm_tf.models.weights  # noqa: F401  (registers the layers of the model)
    from sperm_tf.data.image_table import read_npz
    from sperm_tf.explain.faithfulness import BASELINES
    from sperm_tf.explain.methods import ExplainedClassifier
    from sperm_tf.explain.scorecard import score_faithfulness
    from sperm_tf.models.batch_norm_folding import fold_batch_norm
    from sperm_tf.models.registry import BACKBONES
    from sperm_tf.served_names import GRAD_CAM_PLUS_PLUS, SHOWN_MAP

    trained = keras.models.load_model(options.model, compile=False)
    model = fold_batch_norm(trained)
    rows = np.random.default_rng(0).permutation(np.load(options.rows)["ids"])
    images, heads = choose(read_npz(options.images), rows, options.num_images)
    classifier = ExplainedClassifier(model)
    baselines = list(score_faithfulness(classifier, images, heads, methods=BASELINES))
    print(f"{len(images)} images; deletion AUC, insertion AUC, share on the head, average drop")
    for name in BASELINES:
        print_figures(name, describe(baselines)[name])
    for layer in options.layers or [BACKBONES[model.name].explained_layer]:
        for steps in options.steps:
            methods = [SHOWN_MAP, *([GRAD_CAM_PLUS_PLUS] if steps == options.steps[0] else [])]
            entry = dataclasses.replace(BACKBONES[model.name], explained_layer=layer, path_steps=steps)
            with mock.patch.dict(BACKBONES, {model.name: entry}):
                found = list(score_faithfulness(ExplainedClassifier(model), images, heads, methods=methods))
                cells = describe([*baselines, *(row for row in found if row["method"])])
                for name in methods:
                    print_figures(f"{layer}: {name}" + (f", {steps} steps" if name == SHOWN_MAP else ""), cells[name])
                if options.sanity:
                    print_sanity(trained, images)


if __name__ == "__main__":
    main()
