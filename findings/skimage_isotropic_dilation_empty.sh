#!/usr/bin/env bash
# scikit-image 0.26.0, morphology.isotropic_dilation and isotropic_opening.
# Guess: an empty mask stays empty.
# What happens: pixels appear near the first corner: the distance transform of an image without background is one to a
# point outside of it.
# Seen: 20 pixels of a 20 x 20 mask, by dilation and by opening with radius 5.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.3.5 scipy==1.16.3
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from skimage.morphology import isotropic_dilation, isotropic_opening

empty = np.zeros((20, 20), bool)
counts = int(isotropic_dilation(empty, 5).sum()), int(isotropic_opening(empty, 5).sum())
print("pixels of an empty mask after dilation and opening:", *counts)
assert min(counts) > 0
PYTHON
