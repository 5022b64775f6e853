"""Thirds by measured quality, against pandas' quantiles."""

import numpy as np
import pandas as pd
import pytest

from sperm_tf.config import QUALITY_FIGURES
from sperm_tf.data.decode import encode_png
from sperm_tf.data.quality import measure_quality
from sperm_tf.evaluation.quality_slices import ALIKE, UNREADABLE, bin_by_quality


def draw(index, *, size=40):
    """A disc; contrast, noise and softness follow the number."""
    rng = np.random.default_rng(index)
    rows, columns = np.indices((size, size))
    distance = np.hypot(rows - size / 2, columns - size / 2)
    edge = 1 / (1 + np.exp((distance - size / 4) / (0.5 + index % 5)))
    grey = 200 - (20 + 9 * index) * edge + rng.normal(0, 1 + index % 7, (size, size))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_thirds_are_those_of_pandas():
    pixels = {f"image_{index}": draw(index, size=60)[: 32 + index] for index in range(18)}
    found = bin_by_quality((name, encode_png(image)) for name, image in pixels.items())
    for figure in QUALITY_FIGURES:
        quality = [measure_quality(image) for image in pixels.values()]
        values = [min(one.width, one.height) if figure == "resolution" else getattr(one, figure) for one in quality]
        thirds = pd.qcut(values, 3, labels=["low", "medium", "high"])
        assert [found.values[name][figure] for name in pixels] == list(thirds)
        np.testing.assert_allclose(found.edges[figure], np.quantile(values, (1 / 3, 2 / 3)))


def test_a_figure_that_all_images_share_makes_no_thirds():
    found = bin_by_quality(((str(index), encode_png(draw(index))) for index in range(9)), ["resolution"])
    assert found.edges == {"resolution": None}
    assert {row["resolution"] for row in found.values.values()} == {ALIKE}


def test_a_file_without_an_image_is_in_no_third():
    files = [("bad", b"no image"), ("empty", b""), *((str(index), encode_png(draw(index))) for index in range(9))]
    found = bin_by_quality(files, ["snr"])
    assert found.values["bad"] == found.values["empty"] == {"snr": UNREADABLE}
    assert sorted(row["snr"] for row in found.values.values()).count("low") == 3


@pytest.mark.parametrize("files", [[], [("bad", b"no image")]])
def test_a_split_without_an_image_has_no_edges(files):
    found = bin_by_quality(files, ["cnr"])
    assert found.edges == {"cnr": None}
    assert len(found.values) == len(files)
