"""Thirds by measured quality, against pandas' quantiles."""

import numpy as np
import pandas as pd
import pytest

from sperm_tf.config import QUALITY_FIGURES
from sperm_tf.data.decode import encode_png
from sperm_tf.data.quality import measure_quality
from sperm_tf.evaluation.tfma.quality_slices import ALIKE, UNREADABLE, bin_image, find_edges, measure


def draw(index, *, size=40):
    """A disc; contrast, noise and softness follow the number."""
    rng = np.random.default_rng(index)
    rows, columns = np.indices((size, size))
    distance = np.hypot(rows - size / 2, columns - size / 2)
    edge = 1 / (1 + np.exp((distance - size / 4) / (0.5 + index % 5)))
    grey = 200 - (20 + 9 * index) * edge + rng.normal(0, 1 + index % 7, (size, size))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_thirds_are_those_of_pandas():
    pixels = [draw(index, size=60)[: 32 + index] for index in range(18)]
    measured = [measure(encode_png(image)) for image in pixels]
    edges = find_edges(measured)
    for figure in QUALITY_FIGURES:
        quality = [measure_quality(image) for image in pixels]
        values = [min(one.width, one.height) if figure == "resolution" else getattr(one, figure) for one in quality]
        thirds = pd.qcut(values, 3, labels=["low", "medium", "high"])
        assert [bin_image(found, edges)[figure] for found in measured] == list(thirds)
        np.testing.assert_allclose(edges[figure], np.quantile(values, (1 / 3, 2 / 3)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, 7, 7], [ALIKE] * 3),
        ([1, 1, 1, 1, 2, 3, 4, 5, 6], ["low"] * 4 + ["medium"] * 2 + ["high"] * 3),
        ([0] * 35 + [1] * 65, ["low"] * 35 + ["high"] * 65),
        ([80] * 3 + [190] * 7, ["low"] * 3 + ["high"] * 7),
        ([80] * 3 + [190] * 4 + [220] * 3, ["low"] * 3 + ["high"] * 7),
        ([80] * 7 + [190] * 3, ["low"] * 7 + ["high"] * 3),
        ([0, 1], ["low", "high"]),
    ],
)
def test_ties_never_hide_the_lowest(values, expected):
    measured = [{"sharpness": float(value)} for value in values]
    edges = find_edges(measured, ["sharpness"])
    assert [bin_image(found, edges)["sharpness"] for found in measured] == expected


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_a_file_without_an_image_is_in_no_third(data):
    assert measure(data) is None
    edges = find_edges([None, *(measure(encode_png(draw(index))) for index in range(9))], ["snr"])
    assert bin_image(None, edges) == {"snr": UNREADABLE}
    assert edges == find_edges([measure(encode_png(draw(index))) for index in range(9)], ["snr"])


@pytest.mark.parametrize("measured", [[], [None]])
def test_a_split_without_an_image_has_no_edges(measured):
    assert find_edges(measured, ["cnr"]) == {"cnr": None}
