#!/usr/bin/env bash
# keras 3.15.1, layers.RandomFlip(mode="horizontal_and_vertical").
# Guess: each direction is drawn by itself, so that a quarter of the images stay, a quarter is flipped left to right, a
# quarter upside down, and a quarter both ways.
# What happens: one draw decides about both. Half of the images stay, half are turned by 180 degrees; no image is
# mirrored in one direction alone. Whoever wants the four cases puts two layers, one a direction.
# Seen: {'both': 212, 'none': 188} of 400.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 numpy==2.3.5 scipy==1.16.3 jax==0.10.2
KERAS_BACKEND=numpy "$folder/venv/bin/python" - <<'PYTHON'
from collections import Counter

import keras
import numpy as np

names = {(0, 1, 2, 3): "none", (1, 0, 3, 2): "horizontal", (2, 3, 0, 1): "vertical", (3, 2, 1, 0): "both"}
image = np.arange(4, dtype="float32").reshape(1, 2, 2, 1)
layer = keras.layers.RandomFlip("horizontal_and_vertical", seed=1)
seen = Counter(names[tuple(np.asarray(layer(image, training=True)).ravel().astype(int))] for _ in range(400))
print(dict(seen))
assert set(seen) == {"none", "both"} and min(seen.values()) > 150, seen
PYTHON
