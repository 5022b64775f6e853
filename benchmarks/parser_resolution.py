"""What the grid of the parsing network's output costs: annotated masks, averaged to grids and enlarged again.

    python -m benchmarks.parser_resolution --archive=SpermParsing.zip

Prints the Dice coefficient of each part for several grids, over every ninth field of the sessions with even numbers,
and the shares of each part that lie within another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.field_parser_metrics import draw_cell
from benchmarks.fields import DESIGN_SESSIONS
from sperm_tf.fields.annotations import PARTS, AnnotatedFields

GRIDS = (2, 3, 4, 5, 6)
"""Sides of a square of the grid in pixels of the fields, of some 0.05 um."""
SIZE = 1024, 1280
_STEP = 9


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", required=True, help="SpermParsing.zip, or its folder")
    fields = AnnotatedFields(parser.parse_args(arguments).archive)
    records = [record for record in fields if record.session in DESIGN_SESSIONS][::_STEP]
    sums = np.zeros((len(GRIDS), len(PARTS), 2))
    shared = np.zeros((len(PARTS), len(PARTS)))
    for record in records:
        cells = [draw_cell(cell, SIZE) for cell in fields.read_cells(record.image)]
        masks = [np.any([cell[part.lower()] for cell in cells], axis=0) for part in PARTS]
        shared += [[np.count_nonzero(one & other) for other in masks] for one in masks]
        for row, grid in enumerate(GRIDS):
            for column, mask in enumerate(masks):
                coarse = shrink_and_enlarge(mask, grid)
                sums[row, column] += 2 * np.count_nonzero(coarse & mask), coarse.sum() + mask.sum()
    print(f"{len(records)} fields")
    for grid, row in zip(GRIDS, sums[..., 0] / sums[..., 1], strict=True):
        print(f"grid of {0.05 * grid:.2f} um:", {part: round(float(d), 3) for part, d in zip(PARTS, row, strict=True)})
    for part, row in zip(PARTS, shared / np.diag(shared)[:, None], strict=True):
        print(f"{part} lies in:", {name: round(float(share), 3) for name, share in zip(PARTS, row, strict=True)})


def shrink_and_enlarge(mask: np.ndarray, grid: int) -> np.ndarray:
    """A mask, bool [H, W], as a perfect network would give it on a grid: shares, enlarged bilinearly, above a half."""
    from PIL import Image

    height, width = mask.shape
    shares = Image.fromarray(mask.astype(np.float32)).resize(
        (round(width / grid), round(height / grid)), Image.Resampling.BOX
    )
    return np.asarray(shares.resize((width, height), Image.Resampling.BILINEAR)) > 0.5


if __name__ == "__main__":
    main()
