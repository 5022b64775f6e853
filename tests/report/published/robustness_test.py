"""The figure and the table of robustness, from figures whose values are known."""

import numpy as np
import pytest
from PIL import Image

from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS
from sperm_tf.report.published import robustness
from tests.report.published.robustness_figures import robustness_figures


@pytest.fixture(scope="module")
def figures():
    return robustness_figures()


def test_every_corruption_has_a_name_for_people():
    assert set(robustness.NAMES) == set(CORRUPTIONS)


def test_the_most_harmful_corruption_stands_first_after_the_clean_images(figures):
    rows = robustness.table_rows(figures)
    assert {len(row) for row in rows} == {len(robustness.HEADER)}
    assert [row[0] for row in rows] == ["None (clean)", *reversed(list(robustness.NAMES.values()))]
    assert rows[0][1] == "100 [94, 100]"  # no resample of right answers holds a wrong one: Wilson's interval
    first = len(CORRUPTIONS) - 1
    mild = 0.8 - 0.1 - 0.01 * first
    assert rows[1][1] == f"{100 * mild:.0f} [{100 * (mild - 0.05):.0f}, {100 * (mild + 0.05):.0f}]"
    assert rows[1][7] == f"{100 * (0.5 - 0.01 * first):.0f}"


def test_a_share_of_nothing_is_a_dash(figures):
    changed = [{**row, "accuracy_of_accepted": {"value": None, "bootstrap_95": None}} for row in figures["corruptions"]]
    assert robustness.table_rows({**figures, "corruptions": changed})[1][7] == "–"


def test_models_stand_side_by_side(figures):
    severities = [dict(row) for row in figures["severities"]]
    for row in severities:
        if row["severity"] == 5 and row["corruption"] == "vignette":
            row["ece"], row["coverage"] = {"value": 0.61}, {"value": 0.07}
    other = {**figures, "severities": severities}
    first, second = robustness.side_by_side_rows({"simple_cnn": figures, "vit_tiny": other})
    assert len(first) == len(second) == len(robustness.SIDE_BY_SIDE_HEADER)
    assert first[:3] == ["`simple_cnn`", "100 [94, 100]", "70 [65, 75]"] and first[6] == "30 [25, 35]"
    least = 0.8 - 0.5 - 0.01 * (len(CORRUPTIONS) - 1)
    assert first[7:] == ["0.900 [0.850, 0.950]", f"{least:.2f}–0.30", f"{100 * least:.0f}–30"]
    assert second[8:] == [f"{least:.2f}–0.61", "7–30"]


@pytest.mark.slow
def test_the_figure_draws_the_values(figures, tmp_path):
    robustness.plot_robustness(tmp_path / "a.png", figures, title="A title", set_coverage=0.9)
    flat = [{**row, "accuracy": figures["severities"][0]["accuracy"]} for row in figures["severities"]]
    robustness.plot_robustness(tmp_path / "b.png", {**figures, "severities": flat}, title="A title", set_coverage=0.9)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    image = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    blue = (np.abs(image - np.array([0x1F, 0x5F, 0x99])).sum(axis=2) < 30).sum()
    assert image.shape[1] > 900 and blue > 500
