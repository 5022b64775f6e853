"""Peak memory of reading a tiled TIFF by regions, whatever its size.

    python -m benchmarks.microscopy_regions

Writes RGB images of 5,000 and of 20,000 pixels a side (tiles of 512, Deflate), reads each in squares of 1,000 pixels in
a process of its own, and prints time and peak memory of that process; target: the second at most 1.3 times the first.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from sperm_tf.microscopy import open_image

SIDES = (5_000, 20_000)
TILE, STEP = 512, 1_000
TARGET = 1.3


def write(path: pathlib.Path, side: int) -> None:
    import tifffile

    tile = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8), np.ones((64, 64, 1), np.uint8))
    tiles = itertools.repeat(tile, (-(-side // TILE)) ** 2)
    options = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(path, tiles, shape=(side, side, 3), dtype=np.uint8, **options)


def read(path: str) -> None:
    start = time.perf_counter()
    with open_image(path) as reader:
        height, width = reader.shape
        for y0, x0 in itertools.product(range(0, height, STEP), range(0, width, STEP)):
            reader.read_region(y0, x0, min(STEP, height - y0), min(STEP, width - x0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{time.perf_counter() - start:.1f} {peak}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read)
        return
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            path = pathlib.Path(folder) / f"{side}.tif"
            write(path, side)
            command = [sys.executable, "-m", "benchmarks.microscopy_regions", f"--read={path}"]
            seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            peaks.append(int(peak))
            print(f"{side:,} x {side:,}: {seconds} s, peak {peak} MB")
    print(f"ratio {peaks[1] / peaks[0]:.2f}, target at most {TARGET}")


if __name__ == "__main__":
    main()
