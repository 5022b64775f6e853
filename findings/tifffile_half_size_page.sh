#!/usr/bin/env bash
# tifffile 2026.3.3, a TIFF file of two pages, two fields of view: one of 64 x 64 pixels, one of 32 x 32.
# Guess: imread reads two images, or complains; `series` lists two, as it does for a second page of 33 x 32.
# What happens: the second page becomes the lower level of a pyramid of the first one, because it has half its sides. No
# tag marks it as reduced (NewSubfileType is 0). `imread` gives one image, `series` has one entry, nothing is logged.
# Whoever lists fields by `series` has to look at `levels[1:]`, too: a level that is neither marked as reduced nor in a
# sub-IFD is an image.
# Seen: 33 x 32: 2 series; 32 x 32: 1 series, levels [(64, 64), (32, 32)], imread (64, 64), second page marked False.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tifffile==2026.3.3 numpy==2.4.6 pillow==12.3.0
"$folder/venv/bin/python" - "$folder/two.tif" <<'PYTHON'
import sys

import numpy as np
import tifffile
from PIL import Image

path = sys.argv[1]
first = Image.fromarray(np.full((64, 64), 50, np.uint8))
for rows in (33, 32):
    second = Image.fromarray(np.full((rows, 32), 200, np.uint8))
    first.save(path, "TIFF", save_all=True, append_images=[second])  # Pillow writes; it marks nothing
    with tifffile.TiffFile(path) as tif:
        levels = [level.shape for level in tif.series[0].levels]
        print(f"{rows} x 32: {len(tif.series)} series, levels {levels}, imread {tifffile.imread(path).shape}, "
              f"second page marked {tif.pages[1].is_reduced}")
        assert len(tif.pages) == 2 and not tif.pages[1].is_reduced
        assert len(tif.series) == (2 if rows == 33 else 1)
PYTHON
