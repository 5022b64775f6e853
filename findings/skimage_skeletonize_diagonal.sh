#!/usr/bin/env bash
# scikit-image 0.26.0, morphology.skeletonize (its default method, Zhang and Suen).
# Guess: the skeleton of a diagonal line is about as long as the line.
# What happens: where the line is two pixels across a row, it is eaten up from one end; `thin` and method="lee" keep it.
# Seen: line of 71 rows; pixels of the skeleton: skeletonize 37, thin 72, lee 70.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.3.5 scipy==1.16.3
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from skimage.morphology import skeletonize, thin

line = np.zeros((91, 96), bool)
for row in range(10, 81):
    line[row, row : row + 2] = True
counts = [int(np.count_nonzero(kind)) for kind in (skeletonize(line), thin(line), skeletonize(line, method="lee"))]
print("skeletonize, thin, lee:", counts)
assert counts[0] < 0.7 * counts[1] and counts[2] > 0.9 * counts[1]
PYTHON
