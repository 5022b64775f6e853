"""Everything that is measured of the maps of one network, as rows of a tidy table.

A row has `test`, `method`, `condition`, `row` (number of the image), `figure` and `value`. The tests are

* `faithfulness`, with the figures of `sperm_tf.explain.faithfulness.FIGURES`;
* `sanity`, with the stage whose weights were taken away last as its condition, or `labels` where the map is compared
  with that of a network that was trained on shuffled labels;
* `stability`, with the name of the perturbation as its condition.

Two maps that know where the head is are measured beside the methods. `head`, the mask itself, says whether the answer
depends on the head at all, and `head_coarse`, the mask at the resolution of the layer that is explained, what a class
activation map could reach if it were right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from sperm_tf.explain import faithfulness, sanity
from sperm_tf.explain.methods import ExplainedClassifier, enlarge, explain, methods_for

FAITHFULNESS, SANITY, STABILITY = TESTS = ("faithfulness", "sanity", "stability")
HEAD, HEAD_COARSE = "head", "head_coarse"
_SOFTENING = 0.02  # of the mask, as a share of the side: its middle ranks above its edge

Row = dict[str, Any]


def score_faithfulness(
    classifier: ExplainedClassifier,
    images: np.ndarray,
    masks: Sequence[np.ndarray | None],
    *,
    methods: Sequence[str] | None = None,
) -> Iterator[Row]:
    """Measures the maps of every method for the class that the network predicts.

    Args:
        classifier: the network.
        images: [B, S, S, 3], RGB, 0-255.
        masks: B masks of the head, bool [S, S], or None for an image without one, which has no figure that needs it.
        methods: names of methods that suit the classifier; by default all, `head` and `head_coarse` as well.

    Yields:
        Rows. `mask_area_share` has no method: what an even map would have in `energy_in_head`.
    """
    probabilities = classifier.probabilities(images)
    classes = probabilities.argmax(axis=1)
    with_head = np.array([row for row, mask in enumerate(masks) if mask is not None], int)
    heads = np.array([mask for mask in masks if mask is not None], bool).reshape(-1, *images.shape[1:3])
    for row, mask in zip(with_head, heads, strict=True):
        yield _row(FAITHFULNESS, "", "", row, "mask_area_share", mask.mean())
    for method in methods_for(classifier) if methods is None else methods:
        maps = explain(method, classifier, images, classes)
        yield from _score_maps(classifier, method, images, maps, probabilities)
        yield from _score_places(method, with_head, maps[with_head], heads)
    if methods is not None:
        return
    for method, maps in ((HEAD, soften(heads)), (HEAD_COARSE, coarsen(heads, classifier.grid))) if len(heads) else ():
        chosen = images[with_head], maps, probabilities[with_head]
        for found in _score_maps(classifier, method, *chosen):
            yield found | {"row": int(with_head[found["row"]])}
        yield from _score_places(method, with_head, maps, heads)


def score_sanity(model: keras.Model, images: np.ndarray, *, views: int = 1, seed: int = 0) -> Iterator[Row]:
    """Compares maps with those of the network without what it learnt, stage by stage.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`; it is not changed.
        images: [B, S, S, 3], RGB, 0-255.
        views: what the answer is averaged over, 1 or 8.
        seed: of the random weights.

    Yields:
        Rows with the figures of `sperm_tf.explain.sanity.similarities`. The class explained is the one that the trained
        network predicts.
    """
    trained: Mapping[str, np.ndarray] = {}
    for stage, emptied in sanity.randomise_cascade(model, seed=seed):
        if not trained:
            classifier = ExplainedClassifier(emptied, views=views)
            classes = classifier.probabilities(images).argmax(axis=1)
            trained = {name: explain(name, classifier, images, classes) for name in methods_for(classifier)}
            continue
        for method, before in trained.items():
            after = explain(method, classifier, images, classes)
            yield from _rows(SANITY, method, stage, sanity.similarities(before, after))


def score_rival(trained: ExplainedClassifier, rival: ExplainedClassifier, images: np.ndarray) -> Iterator[Row]:
    """Compares maps of two networks, for the class that the first one predicts.

    Args:
        trained: the network whose maps are questioned.
        rival: of the same architecture, which has learnt something else.
        images: [B, S, S, 3], RGB, 0-255.

    Yields:
        Rows with the figures of `sperm_tf.explain.sanity.similarities`.
    """
    classes = trained.probabilities(images).argmax(axis=1)
    for method in methods_for(trained):
        maps = [explain(method, classifier, images, classes) for classifier in (trained, rival)]
        yield from _rows(SANITY, method, sanity.LABELS, sanity.similarities(*maps))


def score_stability(classifier: ExplainedClassifier, images: np.ndarray) -> Iterator[Row]:
    """Compares maps with those of the images after a small change, turned back.

    Args:
        classifier: the network.
        images: [B, S, S, 3], RGB, 0-255.

    Yields:
        Rows with the figures of `sperm_tf.explain.sanity.similarities`. The class explained is the one that the network
        predicts for the image as it is.
    """
    classes = classifier.probabilities(images).argmax(axis=1)
    images = np.asarray(images, np.float32)
    for method in methods_for(classifier):
        before = explain(method, classifier, images, classes)
        for name, perturbation in sanity.PERTURBATIONS.items():
            after = perturbation.undo(explain(method, classifier, perturbation.apply(images), classes))
            where = perturbation.has_seen(images.shape[1])
            yield from _rows(STABILITY, method, name, sanity.similarities(before, after, where=where))


def likeness_to_others(maps: np.ndarray) -> np.ndarray:
    """Rank correlation of each map with the mean of the others: near 1 where maps are the same whatever the image.

    Args:
        maps: [B, S, S].

    Returns:
        float64 [B]; NaN for a single map.
    """
    if len(maps) < 2:
        return np.full(len(maps), np.nan)
    others = (maps.sum(axis=0) - maps) / (len(maps) - 1)
    return sanity.similarities(maps, others)["rank_correlation"]


def soften(masks: np.ndarray) -> np.ndarray:
    """Masks as maps, float64 [B, S, S], 0-1, highest in their middle."""
    from scipy import ndimage

    deviation = _SOFTENING * masks.shape[1]
    return ndimage.gaussian_filter(masks.astype(np.float64), (0, deviation, deviation))


def coarsen(masks: np.ndarray, grid: int) -> np.ndarray:
    """Masks at the resolution of a feature map: averaged in its cells, then enlarged as maps are.

    Args:
        masks: bool [B, S, S].
        grid: cells along a side.

    Returns:
        float32 [B, S, S], stretched to 0-1.
    """
    edges = np.linspace(0, masks.shape[1], grid + 1).round().astype(int)
    rows = np.add.reduceat(masks.astype(np.float32), edges[:-1], axis=1)
    sums = np.add.reduceat(rows, edges[:-1], axis=2)
    sides = np.diff(edges).astype(np.float32)
    return enlarge(sums / np.outer(sides, sides), masks.shape[1])


def _score_maps(
    classifier: ExplainedClassifier, method: str, images: np.ndarray, maps: np.ndarray, probabilities: np.ndarray
) -> Iterator[Row]:
    classes, fractions = probabilities.argmax(axis=1), faithfulness.default_fractions()
    before = probabilities.max(axis=1)
    after = classifier.probabilities(faithfulness.show_only(images, maps))[np.arange(len(images)), classes]
    arguments = (classifier.probabilities, images, maps, classes)
    deleted = faithfulness.deletion_curves(*arguments, fractions=fractions)
    inserted = faithfulness.insertion_curves(*arguments, fractions=fractions)
    figures = {
        "deletion_auc": faithfulness.area_under(deleted, fractions),
        "insertion_auc": faithfulness.area_under(inserted, fractions),
        "confidence_drop": faithfulness.confidence_drop(before, after),
        "confidence_increase": faithfulness.confidence_increase(before, after),
        "likeness_to_other_maps": likeness_to_others(maps),
    }
    yield from _rows(FAITHFULNESS, method, "", figures)


def _score_places(method: str, numbers: np.ndarray, maps: np.ndarray, heads: np.ndarray) -> Iterator[Row]:
    energy, hits = faithfulness.energy_in_mask(maps, heads), faithfulness.pointing_hits(maps, heads)
    for number, share, hit in zip(numbers, energy, hits, strict=True):
        yield _row(FAITHFULNESS, method, "", number, "energy_in_head", share)
        yield _row(FAITHFULNESS, method, "", number, "pointing_hit", hit)


def _rows(test: str, method: str, condition: str, figures: Mapping[str, np.ndarray]) -> Iterator[Row]:
    for figure, values in figures.items():
        for number, value in enumerate(values):
            yield _row(test, method, condition, number, figure, value)


def _row(test: str, method: str, condition: str, number: int, figure: str, value: float) -> Row:
    return {
        "test": test,
        "method": method,
        "condition": condition,
        "row": int(number),
        "figure": figure,
        "value": float(value),
    }
