"""Crops in drawn fields are found and classified as themselves; fields without cells yield no accepted one."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import pasted_crops
from benchmarks.pasted_crops import SMIDS, Crop, draw_slide, paste
from tests.helpers import real_data_dir


def test_the_slide_meets_the_crop_and_keeps_its_middle():
    slide = draw_slide(0, pixel_size_um=0.1, height=200, width=240).astype(np.float64)
    before = slide.copy()
    crop = Crop("a", "normal", np.full((60, 80, 3), (180, 150, 120), np.uint8), np.array([180.0, 150.0, 120.0]))
    paste(slide, crop, 70, 50)
    np.testing.assert_array_equal(slide[60:100, 80:140], crop.pixels[10:50, 10:70])
    assert np.abs(slide[49, 70:150] - crop.background).mean() < 6
    np.testing.assert_array_equal(slide[:, :39], before[:, :39])
    assert np.abs(np.diff(slide, axis=1)).max() < 40


def analyse(fields, tmp_path):
    from pipelines.field_analysis import runner

    folder = tmp_path / "fields"
    folder.mkdir()
    for name, pixels in fields.items():
        pasted_crops.write_png(folder / name, pixels)
    output = tmp_path / "cells"
    size = {"pixel_size_um": SMIDS.pixel_size_um, "check_pixel_size": False}
    lines = []
    summary = runner.run(runner.Request(SMIDS.model, str(folder), output, **size), report=lines.append)
    assert not summary["compared_with_heads"]
    assert f"Pixel size: {SMIDS.pixel_size_um} um as stated, not compared with the heads." in lines
    return pd.read_parquet(output / "cells.parquet")


@pytest.mark.integration
def test_crops_are_found_and_keep_their_class_while_debris_is_not_accepted(tmp_path):
    import sperm_tf

    crops = [crop for crop in pasted_crops.read_crops(real_data_dir() / "SMIDS.zip", 2) if "Non" not in crop.label]
    colour = np.median([crop.background for crop in crops], axis=0)
    size = {"pixel_size_um": SMIDS.pixel_size_um, "background": colour}
    field = draw_slide(0, height=512, width=560, **size).astype(np.float64)
    places = []
    for number, crop in enumerate(crops):
        x0, y0 = 40 + 260 * (number % 2), 20 + 250 * (number // 2)
        paste(field, crop, x0, y0)
        places.append(pasted_crops.Place(crop, "cells.png", x0, y0))
    slides = {f"debris_{index}.png": draw_slide(index, debris=1.8, height=400, width=480, **size) for index in (1, 2)}
    cells = analyse({"cells.png": field, **slides}, tmp_path)
    found = pasted_crops.match(places, cells)
    expected = sperm_tf.load_model(SMIDS.model, runtime="onnxruntime").predict([crop.pixels for crop in crops])
    assert len(found) >= 3
    for place, prediction in zip(places, expected, strict=True):
        if place in found:
            assert cells.loc[found[place], "predicted_class"] == prediction.predicted_class, place.crop.name
    debris = cells[cells["field"] != "cells.png"]
    assert (debris["decision"].fillna("refer") == "refer").all()
