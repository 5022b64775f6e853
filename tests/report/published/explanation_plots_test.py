import pytest
from PIL import Image

from sperm_tf.evaluation.attribution.attribution_metrics import describe_explanations
from sperm_tf.report.published.explanation_plots import explanation_figures
from tests.evaluation.attribution.attribution_metrics_test import draw_answers


@pytest.mark.slow
def test_the_same_figures_give_the_same_file_and_missing_ones_a_gap(tmp_path):
    found = describe_explanations(draw_answers())
    for name in ("one.png", "other.png"):
        explanation_figures(tmp_path / name, found, title="Maps")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    found["mask_area_share"] = None
    del found["methods"]["grad_cam"]["energy_in_head"]
    explanation_figures(tmp_path / "less.png", found, title="Maps")
    assert (tmp_path / "less.png").read_bytes() != (tmp_path / "one.png").read_bytes()
    with Image.open(tmp_path / "less.png") as picture:
        assert picture.width > 2 * picture.height
