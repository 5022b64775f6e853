"""Drawn fields of view through the whole way: from the fields of a microscope to the report of a slide."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from PIL import Image

from pipelines.bulk_inference import slides
from pipelines.field_analysis import runner
from sperm_tf.synthesis.field_renderer import render_field

_PIXEL_SIZE_UM = 0.1
_SEED = 1  # another than that of the drawn images that the demo trains on
_FIELDS, _CELLS, _REPORT = "fields", "cells", "report"


def analyse_drawn_fields(
    model: str | pathlib.Path, folder: pathlib.Path, num_fields: int, *, report: Callable[[str], None]
) -> pathlib.Path:
    """Draws fields, finds and classifies their cells, and reports on them as on a slide; what is done is reused.

    Args:
        model: as for `pipelines.fields`.
        folder: that fields, cells and report go to.
        num_fields: how many.
        report: receives lines for people.

    Returns:
        The page of the slide.

    Raises:
        ValueError: the folder holds cells of another model.
        OSError: it cannot be written.
        ImportError: a package is missing.
    """
    fields = folder / _FIELDS
    fields.mkdir(parents=True, exist_ok=True)
    for index in range(num_fields):
        path = fields / f"field_{index + 1}.png"
        if not path.is_file():
            field = render_field(index, pixel_size_um=_PIXEL_SIZE_UM, seed=_SEED)
            Image.fromarray(field.image).save(path)
    request = runner.Request(str(model), str(fields), folder / _CELLS, pixel_size_um=_PIXEL_SIZE_UM)
    report(runner.describe(runner.run(request, report=lambda line: None)))
    page, _ = slides.run(slides.Request(folder / _CELLS, folder / _REPORT), report=lambda line: None)
    return page
