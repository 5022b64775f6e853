"""Draws an overview of drawn fields, if wanted beside real ones.

python -m sperm_tf.synthesis.field_montage --output=fields.png --beside=SpermParsing.zip
"""

from __future__ import annotations

import argparse
import io
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sperm_tf.synthesis.field_renderer import render_field

_PART_COLOURS = np.array([[0, 0, 0], [60, 90, 230], [230, 80, 160], [255, 255, 255], [250, 170, 30], [60, 200, 90]])
_MARGIN = 4
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


def build_field_montage(
    *, rows: int = 3, tile_width: int = 480, first: int = 0, beside: pathlib.Path | None = None
) -> Image.Image:
    """Draws `rows` rows: two fields and the parts of the second, or two drawn and two real fields.

    Args:
        rows: number of rows.
        tile_width: width of a field in the overview, pixels.
        first: index of the first field.
        beside: folder or zip of real fields, taken at even distances; None shows masks instead.

    Returns:
        An RGB image.
    """
    real = _read_real(beside, 2 * rows) if beside else []
    tile = tile_width, tile_width * 4 // 5
    columns = 4 if real else 3
    sheet = Image.new(
        "RGB", (columns * (tile[0] + _MARGIN) + _MARGIN, rows * (tile[1] + _MARGIN) + _MARGIN), (255, 255, 255)
    )
    for row in range(rows):
        fields = [
            render_field(first + 2 * row + column, height=1024, width=1280, pixel_size_um=0.05) for column in (0, 1)
        ]
        shown = [Image.fromarray(field.image) for field in fields]
        if real:
            shown += real[2 * row : 2 * row + 2]
        else:
            shown.append(Image.fromarray(_PART_COLOURS[fields[1].parts].astype(np.uint8)))
        for column, image in enumerate(shown):
            place = _MARGIN + column * (tile[0] + _MARGIN), _MARGIN + row * (tile[1] + _MARGIN)
            sheet.paste(image.resize(tile, Image.Resampling.LANCZOS), place)
    return sheet


def _read_real(path: pathlib.Path, count: int) -> list[Image.Image]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
        return [Image.open(file).convert("RGB") for file in _spread(files, count)]
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(_SUFFIXES))
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in _spread(names, count)]


def _spread(items: Sequence, count: int) -> list:
    if not items:
        raise ValueError(
            f"beside must hold images ({', '.join(_SUFFIXES)}). Received: none. Name a folder or a zip of fields."
        )
    return [items[place] for place in np.linspace(0, len(items) - 1, count).round().astype(int)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, draws, writes."""
    parser = argparse.ArgumentParser(description="Draws an overview of drawn fields.")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="file to write; its ending is the format")
    parser.add_argument("--rows", type=int, default=3, help="number of rows")
    parser.add_argument("--tile_width", type=int, default=480, help="width of a field in the overview, pixels")
    parser.add_argument("--first", type=int, default=0, help="index of the first field")
    parser.add_argument("--beside", type=pathlib.Path, help="folder or zip of real fields to show beside")
    flags = parser.parse_args(arguments)
    flags.output.parent.mkdir(parents=True, exist_ok=True)
    build_field_montage(rows=flags.rows, tile_width=flags.tile_width, first=flags.first, beside=flags.beside).save(
        flags.output
    )


if __name__ == "__main__":
    main()
