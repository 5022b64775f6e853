#!/usr/bin/env bash
# keras 3.15.1 with jax 0.10.2, keras.distribution.set_distribution and keras.backend.clear_session.
# Guess: clear_session frees names, seeds and graphs between two trainings; that training runs on all devices is a
# setting of the process, as backend and float type are, and stays.
# What happens: the distribution is dropped without a word. What is built afterwards lies on one device and trains
# there, with the same losses, so nothing but the clock shows it. Whoever trains several models in one process sets the
# distribution again after each clear_session.
# Seen, devices that hold a new weight: 2 before, 1 after; distribution() is None.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 numpy==2.3.5 jax==0.10.2
KERAS_BACKEND=jax JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=2 "$folder/venv/bin/python" - <<'PYTHON'
import keras


def count_devices():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    return len(model.weights[0].value.sharding.device_set)


devices = keras.distribution.list_devices("cpu")
keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
before = count_devices()
keras.backend.clear_session()
after, kept = count_devices(), keras.distribution.distribution()
print({"before": before, "after": after, "distribution": kept})
assert (before, after, kept) == (2, 1, None)
PYTHON
