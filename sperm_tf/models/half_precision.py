"""Weights in half the bytes: `.npz` files without pickle, in which every array has a name.

An array is named `<layer>/<variable>`, such as `stem_conv/kernel` or `cbam_top/channel_attention/squeeze/kernel`.
Arrays of two dimensions and more, which hold nearly all of the bytes, are float16; vectors (biases, and the scales and
statistics of normalizations, whose variances may leave the range of float16) are float32.
"""

from __future__ import annotations

import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from sperm_tf.models.errors import WeightsError
from sperm_tf.models.released import RELEASE_SUFFIX
from sperm_tf.whole_files import replacing


def save_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes the weights of a model; equal weights give equal bytes.

    Args:
        model: flat model.
        path: where to; ends in `.npz`. A file that is there is replaced once the new one is complete.

    Raises:
        WeightsError: a weight is not finite, or is beyond the range of float16.
        ValueError: the path has another suffix.
    """
    file = pathlib.Path(path)
    if file.suffix != RELEASE_SUFFIX:
        raise ValueError(f"path must end in {RELEASE_SUFFIX}. Received: path={str(path)!r}.")
    arrays = {key: _shrink(key, array) for key, array in layer_arrays(model.layers).items()}
    with replacing(file) as unfinished:
        np.savez(unfinished, allow_pickle=False, **{key: arrays[key] for key in sorted(arrays)})


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a file by name; those of half precision as float32.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no `.npz` file, is damaged, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file}
    except (zipfile.BadZipFile, zlib.error, EOFError, TypeError, ValueError) as error:
        raise ValueError(
            f"path must be a {RELEASE_SUFFIX} file of sperm_tf. Received: path={str(path)!r}, which cannot be read: "
            f"{error}."
        ) from error
    return {key: array.astype("float32") if array.dtype == np.float16 else array for key, array in arrays.items()}


def layer_arrays(layers: Sequence[keras.layers.Layer]) -> dict[str, np.ndarray]:
    """The weights of layers, named as in a file."""
    return {key: keras.ops.convert_to_numpy(variable) for key, variable in _variables(layers).items()}


def assign_layers(
    layers: Sequence[keras.layers.Layer], arrays: Mapping[str, np.ndarray], *, names: Mapping[str, str] | None = None
) -> None:
    """Gives every variable of the layers its array, or changes none.

    Args:
        layers: of the model to fill.
        arrays: by name, as in a file; may hold more than the layers need.
        names: name of a layer in `layers` -> its name in `arrays`, where the two differ.

    Raises:
        WeightsError: an array is missing or has another shape.
    """
    names = names or {}
    filled = [layer for layer in layers if layer.weights]
    known = {key.partition("/")[0] for key in arrays}
    missing = [name for layer in filled if (name := names.get(layer.name, layer.name)) not in known]
    if missing:
        raise WeightsError(f"it lacks {len(missing)} of {len(filled)} layers, the first is {missing[0]!r}.")
    variables = _variables(filled, rename=lambda name: names.get(name, name))
    for key, variable in variables.items():
        if key not in arrays:
            raise WeightsError(f"it lacks {key!r}.")
        if tuple(arrays[key].shape) != tuple(variable.shape):
            raise WeightsError(f"its {key!r} has shape {arrays[key].shape} instead of {tuple(variable.shape)}.")
    for key, variable in variables.items():
        variable.assign(arrays[key])
    for layer in filled:
        if isinstance(layer, keras.layers.Normalization):
            # It computes with constants of its own, which do not follow its variables.
            layer.finalize_state()


def fits(layer: keras.layers.Layer, arrays: Mapping[str, np.ndarray], *, name: str) -> bool:
    """Whether `arrays` holds a layer `name` with the variables of `layer`, in number and shape."""
    wanted = {key: tuple(variable.shape) for key, variable in _variables([layer], rename=lambda _: name).items()}
    return wanted == {key: tuple(array.shape) for key, array in arrays.items() if key.startswith(f"{name}/")}


def _variables(
    layers: Sequence[keras.layers.Layer], *, rename: Callable[[str], str] = lambda name: name
) -> dict[str, keras.Variable]:
    variables: dict[str, keras.Variable] = {}
    for layer in layers:
        for variable in layer.weights:
            # A variable's path begins with the name that its layer was built under.
            key = f"{rename(layer.name)}/{variable.path.partition('/')[2]}"
            if key in variables:
                raise ValueError(
                    f"names of variables must differ from each other. Received: {key!r} twice. Name the parts of the "
                    f"layer {layer.name!r} differently."
                )
            variables[key] = variable
    return variables


def _shrink(key: str, array: np.ndarray) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        return array.astype(np.int64)  # the count of a Normalization, whose width depends on the backend
    with np.errstate(over="ignore"):
        shrunk = array.astype(np.float16 if array.ndim >= 2 else np.float32)
    if not np.isfinite(shrunk).all():
        raise WeightsError(
            f"weights must be finite and, but for vectors, below 65,504, the range of float16. Received: {key!r} with "
            f"the largest value {np.abs(array).max()}. Train again with a lower learning rate."
        )
    return shrunk
