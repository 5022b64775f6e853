"""Crops that are pasted into drawn slides."""

import numpy as np

from benchmarks.pasted_crops import Crop, draw_slide, paste


def test_the_slide_meets_the_crop_and_keeps_its_middle():
    slide = draw_slide(0, pixel_size_um=0.1, height=200, width=240).astype(np.float64)
    before = slide.copy()
    crop = Crop("a", "normal", np.full((60, 80, 3), (180, 150, 120), np.uint8), np.array([180.0, 150.0, 120.0]))
    paste(slide, crop, 70, 50)
    np.testing.assert_array_equal(slide[60:100, 80:140], crop.pixels[10:50, 10:70])
    assert np.abs(slide[49, 70:150] - crop.background).mean() < 6
    np.testing.assert_array_equal(slide[:, :39], before[:, :39])
    assert np.abs(np.diff(slide, axis=1)).max() < 40
