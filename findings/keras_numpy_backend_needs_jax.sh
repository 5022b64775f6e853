#!/usr/bin/env bash
# keras 3.15.1, KERAS_BACKEND=numpy.
# Guess: the NumPy backend needs NumPy.
# What happens: `import keras` needs scipy and jax, which keras does not depend on: the backend takes its fast Fourier
# transform from the JAX backend. Without jax the import ends with "No module named 'jax'".
# Seen: ModuleNotFoundError: No module named 'jax'; with jax installed the import works.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 numpy==2.3.5 scipy==1.16.3
if message=$(KERAS_BACKEND=numpy "$folder/venv/bin/python" -c "import keras" 2>&1); then
    echo "it imports without jax now"; exit 1
fi
echo "$message" | tail -n 1
echo "$message" | grep -q "No module named 'jax'"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2
KERAS_BACKEND=numpy "$folder/venv/bin/python" -c "import keras; print('with jax:', keras.config.backend())"
