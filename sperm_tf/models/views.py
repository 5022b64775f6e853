"""Test-time augmentation with the dihedral group D4: eight views of a square image, predictions averaged over them.

A sperm head has no preferred direction on a slide, yet a network answers a rotated image a little differently. The mean
over the eight symmetries of the square (rotations by right angles and their mirror images) answers all of them alike.
No view is interpolated: every one holds the same pixels.

A tensor of all views is in view-major order, [views * B, ...]: first the batch in view 0, which is the image as it is,
then the batch in view 1, and so on. With one view every function here returns what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from sperm_tf.config import VIEWS
from sperm_tf.models.classifier import LOGITS, explained_layer
from sperm_tf.models.composition import summarize_composition
from sperm_tf.models.style import early_maps, summarize_style

FEATURES = "features"
# The symmetries of the square, as bits of a view's number: first the transposition, then the flips.
_FLIP_COLUMNS, _FLIP_ROWS, _TRANSPOSE = 1, 2, 4


def make_views(images: Any, views: int) -> Any:
    """Turns every image into its views.

    Args:
        images: [B, S, S, K]; images, or anything else on a square grid.
        views: 1 or 8.

    Returns:
        [views * B, S, S, K], view-major.

    Raises:
        ValueError: `views` is another number, or the images are not square.
    """
    check_views(views)
    if views == 1:
        return images
    _check_square("images", images.shape[1], images.shape[2], images.shape)
    return ops.concatenate([_turn(images, view, rows=1, columns=2) for view in range(views)], axis=0)


def undo_views(maps: Any) -> Any:
    """Turns the maps of all views back, so that a cell of each lies where it lies in the image.

    Args:
        maps: [views, ..., h, w], with as many views as `make_views` made.

    Returns:
        The same shape, each view as view 0 is.

    Raises:
        ValueError: the number of views is neither 1 nor 8, or the maps are not square.
    """
    views = maps.shape[0]
    check_views(views)
    if views == 1:
        return maps
    rank = len(maps.shape)
    _check_square("maps", maps.shape[-2], maps.shape[-1], maps.shape)
    return ops.stack([_turn_back(maps[view], view, rows=rank - 3, columns=rank - 2) for view in range(views)])


def split_views(tensor: Any, views: int) -> Any:
    """[views * B, ...], view-major -> [views, B, ...]; all sides but the first must be known."""
    return ops.reshape(tensor, (views, -1, *tensor.shape[1:]))


def average_views(tensor: Any, views: int) -> Any:
    """Mean over the views: [views * B, ...], view-major -> [B, ...]."""
    return tensor if views == 1 else ops.mean(split_views(tensor, views), axis=0)


def build_answering_model(model: keras.Model, *, views: int) -> keras.Model:
    """A model that predicts the mean over the views of every image.

    Logits are averaged, not probabilities: their mean is a logit again, which a temperature scales and an explanation
    differentiates, as with one view. Its softmax is the geometric mean of the views' probabilities, brought to sum 1.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`, with which the result shares its weights.
        views: 1 or 8. The views are one batch: views * B images are in memory at once.

    Returns:
        Model images [B, S, S, 3] -> a dict of `logits` [B, C] and `features` [B, D + P], what
        `sperm_tf.models.style.summarize_style` says of the image, then what
        `sperm_tf.models.composition.summarize_composition` does. With eight views all views of an image get the same
        answer, up to rounding.

    Raises:
        ValueError: `views` is another number, or the images are not square.
    """
    check_views(views)
    one_view = keras.Model(model.inputs[0], [model.outputs[0], *early_maps(model)])
    image = keras.Input(model.input_shape[1:], name="image", dtype=model.inputs[0].dtype)
    logits, *early = one_view(make_views(image, views))
    return keras.Model(
        image, {LOGITS: average_views(logits, views), FEATURES: join_features(image, early, views=views)}
    )


def build_style_model(model: keras.Model, *, views: int) -> keras.Model:
    """The `features` of `build_answering_model` alone, which the first layers settle, at a fraction of its cost.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`, with which the result shares its weights.
        views: 1 or 8.

    Returns:
        Model images [B, S, S, 3] -> [B, D + P].

    Raises:
        ValueError: `views` is another number, or the images are not square.
    """
    check_views(views)
    one_view = keras.Model(model.inputs[0], early_maps(model))
    image = keras.Input(model.input_shape[1:], name="image", dtype=model.inputs[0].dtype)
    return keras.Model(image, join_features(image, one_view(make_views(image, views)), views=views))


def join_features(images: Any, early: Sequence[Any], *, views: int) -> Any:
    """What tells whether images are like the training images: their style, then their composition.

    Args:
        images: [B, S, S, 3], 0-255, as they are: the composition is the same in every view.
        early: maps of their views, of the layers `sperm_tf.models.style.early_maps`.
        views: 1 or 8.

    Returns:
        float32 [B, D + P].
    """
    return ops.concatenate([average_views(summarize_style(early), views), summarize_composition(images)], axis=1)


def align_features(features: Any, views: int) -> Any:
    """Turns the feature maps of all views back and lays them on each other, as channels of one map.

    This is the feature map of the averaged classifier: what its answer depends on, cell by cell of the image.

    Args:
        features: [views * B, h, w, K], view-major.
        views: 1 or 8.

    Returns:
        [B, h, w, views * K].

    Raises:
        ValueError: as `make_views`.
    """
    check_views(views)
    if views == 1:
        return features
    _check_square("features", features.shape[1], features.shape[2], features.shape)
    parts = split_views(features, views)
    return ops.concatenate([_turn_back(parts[view], view, rows=1, columns=2) for view in range(views)], axis=-1)


def separate_features(features: Any, views: int) -> Any:
    """The inverse of `align_features`.

    Args:
        features: [B, h, w, views * K].
        views: 1 or 8.

    Returns:
        [views * B, h, w, K], view-major, each as its view has it.
    """
    check_views(views)
    if views == 1:
        return features
    parts = ops.split(features, views, axis=-1)
    return ops.concatenate([_turn(part, view, rows=1, columns=2) for view, part in enumerate(parts)], axis=0)


def build_averaged_classifier(model: keras.Model, *, views: int) -> keras.Model:
    """A model that predicts the mean logits of the views, for `predict` on any backend.

    It shares its weights with `model` and, like it, has a layer `explained_layer(model)`, through which every path to
    the logits leads: that of `align_features`. So it is explained as any classifier is.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`.
        views: 1 or 8; with 1 the answer is the model itself.

    Returns:
        Model image [B, S, S, 3] -> logits [B, C]. It keeps views * B images in memory at once.

    Raises:
        ValueError: `views` is another number, or the model has no such layer that every path leads through.
    """
    check_views(views)
    if views == 1:
        return model
    name = explained_layer(model)
    features = model.get_layer(name).output
    trunk, head = keras.Model(model.inputs[0], features, name="trunk"), keras.Model(features, model.outputs[0])
    image = keras.Input(model.input_shape[1:], name="image", dtype=model.inputs[0].dtype)
    aligned = align_features(trunk(make_views(image, views)), views)
    aligned = keras.layers.Identity(name=name)(aligned)
    logits = ops.mean(split_views(head(separate_features(aligned, views)), views), axis=0)
    logits = keras.layers.Identity(name=LOGITS, dtype="float32")(logits)
    return keras.Model(image, logits, name=model.name)  # by which its backbone's entry is found


def check_views(views: int) -> None:
    """Refuses a number of views that is neither 1 nor 8.

    Raises:
        ValueError: for any other.
    """
    if views not in VIEWS:
        raise ValueError(
            f"views must be one of {', '.join(map(str, VIEWS))}. Received: views={views!r}. Use 1 for the image as it "
            "is, 8 for all its rotations by right angles and their mirror images"
        )


def _turn(grid, view, *, rows, columns):
    """One view of `grid`, whose axes `rows` and `columns` are equally long."""
    if view & _TRANSPOSE:
        grid = ops.swapaxes(grid, rows, columns)
    return _flip(grid, view, rows=rows, columns=columns)


def _turn_back(grid, view, *, rows, columns):
    """The inverse of `_turn`: the same steps from the last to the first, each of which is its own inverse."""
    grid = _flip(grid, view, rows=rows, columns=columns)
    return ops.swapaxes(grid, rows, columns) if view & _TRANSPOSE else grid


def _flip(grid, view, *, rows, columns):
    axes = [axis for axis, bit in ((rows, _FLIP_ROWS), (columns, _FLIP_COLUMNS)) if view & bit]
    return ops.flip(grid, axis=axes) if axes else grid


def _check_square(name, height, width, shape):
    if height is None or height != width:
        raise ValueError(
            f"{name} must be square, of a known side: a right angle turns height into width. Received: "
            f"shape={tuple(shape)}. Preprocess with sperm_tf.data.preprocess, or use views=1"
        )
