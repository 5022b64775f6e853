#!/usr/bin/env bash
# keras 3.15.1, layers.RandomSaturation(value_range=(0, 255)).
# Guess: images of 0-255 stay within 0-255, as its argument says.
# What happens: pixels fall far below zero; with the same images and value_range=(0, 1), divided by 255 before, they stay
# within 0-1.
# Seen: lowest value of 0-255 images -136.9; of 0-1 images 0.0.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 numpy==2.3.5 scipy==1.16.3 jax==0.10.2
KERAS_BACKEND=numpy "$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np

images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
wide = np.asarray(keras.layers.RandomSaturation(1.0, value_range=(0, 255), seed=2)(images, training=True))
unit = np.asarray(keras.layers.RandomSaturation(1.0, value_range=(0, 1), seed=2)(images / 255, training=True))
print("0-255:", wide.min(), wide.max(), " 0-1:", unit.min(), unit.max())
assert wide.min() < -10 and unit.min() >= 0 and unit.max() <= 1
PYTHON
