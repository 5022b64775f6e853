#!/usr/bin/env bash
# scikit-learn 1.7.2 and 1.8.0, StratifiedGroupKFold(shuffle=True, random_state=0).
# Guess: one random_state gives one partition; a release that changed it would be another parameter, or would warn.
# What happens: the two versions draw different folds from the same data and random_state. A network that was trained
# under one and is tested under the other is tested on images that it was trained on.
# Seen: 1.7.2 and 1.8.0 have different test parts; without shuffle they agree.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
for version in 1.7.2 1.8.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "scikit-learn==$version" numpy==2.3.5 scipy==1.16.3
    "$folder/$version/bin/python" - > "$folder/$version.txt" <<'PYTHON'
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

labels, groups = np.arange(300) % 3, np.arange(300) // 2
for shuffle in (True, False):
    folds = StratifiedGroupKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    print(shuffle, [test[:6].tolist() for _, test in folds.split(labels, labels, groups)][0], flush=True)
PYTHON
done
tail -n +1 "$folder"/1.*.txt
[ "$(sed -n 1p "$folder/1.7.2.txt")" != "$(sed -n 1p "$folder/1.8.0.txt")" ]
[ "$(sed -n 2p "$folder/1.7.2.txt")" = "$(sed -n 2p "$folder/1.8.0.txt")" ]
