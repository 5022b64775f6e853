"""Draws an overview of the synthetic images: `python -m sperm_tf.synthesis.montage --output=montage.png`."""

from __future__ import annotations

import argparse
import pathlib

from PIL import Image, ImageDraw

from sperm_tf.synthesis.morphology import CLASS_NAMES
from sperm_tf.synthesis.renderer import render

_MARGIN = 4
_TEXT_WIDTH = 96
_INK = (30, 30, 30)
_PAPER = (255, 255, 255)


def build_montage(*, num_columns: int = 8, cell: int = 112, seed: int = 0) -> Image.Image:
    """Draws one row per class of both label sets.

    Args:
        num_columns: images in a row.
        cell: side in pixels of the square that an image is fitted into.
        seed: of the renderer.

    Returns:
        An RGB image with the class names at the left.
    """
    rows = [(label_set, name) for label_set, names in CLASS_NAMES.items() for name in names]
    pitch = cell + _MARGIN
    sheet = Image.new("RGB", (_TEXT_WIDTH + num_columns * pitch, len(rows) * pitch + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, (label_set, name) in enumerate(rows):
        top = _MARGIN + row * pitch
        pen.text((8, top + cell / 2 - 14), f"{label_set}\n{name}", fill=_INK, font_size=13)
        names = CLASS_NAMES[label_set]
        for column in range(num_columns):
            sample = render(column * len(names) + names.index(name), label_set=label_set, seed=seed)
            image = Image.fromarray(sample.image)
            image.thumbnail((cell, cell), Image.Resampling.LANCZOS)
            sheet.paste(image, (_TEXT_WIDTH + column * pitch, top))
    return sheet


def main() -> None:
    """Reads the flags, draws, writes."""
    parser = argparse.ArgumentParser(description="Draws an overview of the synthetic images, one row per class.")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="file to write; its ending is the format")
    parser.add_argument("--columns", type=int, default=8, help="images per class")
    parser.add_argument("--seed", type=int, default=0, help="seed of the renderer")
    flags = parser.parse_args()
    flags.output.parent.mkdir(parents=True, exist_ok=True)
    sheet = build_montage(num_columns=flags.columns, seed=flags.seed)
    sheet.quantize(224, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(
        flags.output, optimize=True
    )


if __name__ == "__main__":
    main()
