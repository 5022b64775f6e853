#!/usr/bin/env bash
# keras 3.15.1, layers.Normalization.
# Guess: after `new.set_weights(adapted.get_weights())` both layers normalize alike, as any other layer would.
# What happens: the new layer goes on with mean 0 and variance 1 until `finalize_state()` is called, without a word;
# `get_weights()` shows the new numbers all the while. Copying weights layer by layer loses the normalization.
# Seen: before [[1. 1. 1.]], after finalize_state() equal to the adapted layer.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 numpy==2.3.5 scipy==1.16.3 jax==0.10.2
KERAS_BACKEND=numpy "$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np

adapted, new = keras.layers.Normalization(axis=-1), keras.layers.Normalization(axis=-1)
adapted.adapt(9 * np.random.default_rng(0).random((50, 3)))
new.build((None, 3))
new.set_weights(adapted.get_weights())
ones = np.ones((1, 3), "float32")
expected, before = np.asarray(adapted(ones)), np.asarray(new(ones))
new.finalize_state()
after = np.asarray(new(ones))
print("before", before, "after", after, "expected", expected)
assert all(np.array_equal(a, b) for a, b in zip(adapted.get_weights(), new.get_weights()))
assert np.array_equal(before, ones) and np.allclose(after, expected) and not np.allclose(before, expected)
PYTHON
