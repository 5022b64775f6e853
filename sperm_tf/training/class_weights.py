"""Weights that make every class count alike in the loss."""

from __future__ import annotations

import numpy as np


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Inverse class frequencies, as scikit-learn's `balanced`: number of labels / (classes * labels of the class).

    The sample weight of an image is `one_hot_label @ class_weights`, which holds for labels mixed by MixUp, too: so
    compute it behind the augmentation.

    Args:
        labels: integers 0 ... num_classes - 1, shape [N].
        num_classes: number of classes, C.

    Returns:
        float32 [C]; the mean over all labels is 1.

    Raises:
        ValueError: a label is out of range, or a class has no label.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers of shape [N]. Received: dtype={labels.dtype}, shape={labels.shape}.")
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(f"labels must lie in 0 ... {num_classes - 1}. Received: {labels.min()} ... {labels.max()}.")
    counts = np.bincount(labels, minlength=num_classes)
    if not counts.all():
        raise ValueError(
            f"labels must hold every class. Received: none of class {int(np.argmin(counts))}. "
            "Add images of it or switch class_weights off."
        )
    return (labels.size / (num_classes * counts)).astype("float32")
