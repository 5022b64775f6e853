"""Peak memory of `pipelines.fields` on one large image, whatever its size.

    python -m benchmarks.whole_slide
    python -m benchmarks.whole_slide --sides=5000,10000 --folder=slides

Draws a field of 1,024 x 1,024 pixels, 0.1 µm each, and lays it out, turned and mirrored, in tiled TIFFs (Deflate) of
5,000 and of 20,000 pixels a side, which are written tile by tile. Runs the command on each in a process of its own, and
prints its heads, time and peak memory; target: the second at most 1.3 times the first. With `--folder` images and cells
are kept there. Some half an hour on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np

from sperm_tf.synthesis.field_renderer import render_field

SIDES = (5_000, 20_000)
TILE, PIXEL_SIZE_UM = 1_024, 0.1
TARGET = 1.3


def write(path: pathlib.Path, side: int) -> None:
    """Writes a slide of this side in pixels."""
    import tifffile

    across = -(-side // TILE)
    options = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "zlib", "resolutionunit": "CENTIMETER"}
    resolution = (1e4 / PIXEL_SIZE_UM,) * 2
    tiles = itertools.islice(_turned(), across**2)
    tifffile.imwrite(path, tiles, shape=(side, side, 3), dtype=np.uint8, resolution=resolution, **options)


def _turned() -> Iterator[np.ndarray]:
    field = render_field(2, height=TILE, width=TILE, pixel_size_um=PIXEL_SIZE_UM).image
    mirrored = (field, field[:, ::-1])
    return itertools.cycle([np.ascontiguousarray(np.rot90(one, turns)) for turns in range(4) for one in mirrored])


def analyse(slide: pathlib.Path, output: pathlib.Path, model: str) -> tuple[float, int, int]:
    """Runs the command on a slide: seconds, peak memory in MB, and heads that were found."""
    command = [sys.executable, "-m", "pipelines.fields", f"--model={model}", f"--input={slide}", f"--output={output}"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return time.perf_counter() - start, usage.ru_maxrss // 1024, summary["num_cells"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default=",".join(map(str, SIDES)), help="sides in pixels, the smallest first")
    parser.add_argument("--model", default="smids", help="as for pipelines.fields")
    parser.add_argument("--folder", type=pathlib.Path, help="where images and cells are kept")
    flags = parser.parse_args(arguments)
    peaks = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = flags.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for side in map(int, flags.sides.split(",")):
            slide = folder / f"{side}.tif"
            write(slide, side)
            seconds, peak, num_heads = analyse(slide, folder / f"cells_{side}", flags.model)
            peaks.append(peak)
            print(f"{side:,} x {side:,}: {num_heads:,} heads, {seconds:.0f} s, peak {peak:,} MB", flush=True)
    print(f"ratio {peaks[-1] / peaks[0]:.2f}, target at most {TARGET}")


if __name__ == "__main__":
    main()
