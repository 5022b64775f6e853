import json

import numpy as np
import pandas as pd
import pytest

from sperm_tf.evaluation.attribution import attribution_metrics


def draw_answers(seed=0):
    """Two methods and both baselines on 60 images in 30 groups; `good` deletes better, `poor` does not."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(60):
        ease = rng.normal(0, 0.5)
        levels = {"grad_cam": 0.2, "score_cam": 0.5, "centre": 0.45, "edges": 0.5}
        for method, level in levels.items():
            value = level + ease + rng.normal(0, 0.02)
            rows.append(("faithfulness", method, None, number, "deletion_auc", value))
            energy = np.nan if number % 3 == 0 else 1 - level
            rows.append(("faithfulness", method, None, number, "energy_in_head", energy))
        if number % 3:
            rows.append(("faithfulness", None, None, number, "mask_area_share", 0.04))
        if number < 10:
            rows.append(("sanity", "edges", "logits", number, "rank_correlation", 1.0))
            rows.append(("stability", "grad_cam", "noise", number, "rank_correlation", 0.9))
    table = pd.DataFrame(rows, columns=["test", "method", "condition", "row", "figure", "value"])
    number = table.pop("row")
    return table.assign(fold=number % 2, image_id=number.map("image_{}".format), group_id=(number // 2).map(str))


@pytest.fixture(scope="module")
def found():
    return attribution_metrics.describe_explanations(draw_answers())


def test_figures_are_means_over_the_images_with_a_head(found):
    answers = draw_answers()
    has_head = answers["image_id"].isin(answers[answers["figure"] == "mask_area_share"]["image_id"])
    for method in ("grad_cam", "centre"):
        for figure in ("deletion_auc", "energy_in_head"):
            rows = answers[has_head & (answers["method"] == method) & (answers["figure"] == figure)]
            cell = found["methods"][method][figure]
            assert cell["value"] == pytest.approx(rows["value"].mean())
            assert cell["num_images"] == len(rows) == 40
    assert found["num_folds"] == 2 and found["num_images"] == 60 and found["num_heads"] == 40
    assert found["mask_area_share"]["value"] == pytest.approx(0.04)
    assert found["sanity"]["edges"]["logits"]["rank_correlation"]["value"] == 1
    assert found["stability"]["grad_cam"]["noise"]["rank_correlation"]["num_images"] == 10
    json.dumps(found, allow_nan=False)


def test_without_a_head_in_any_image_all_are_described():
    answers = draw_answers()
    answers = answers[(answers["figure"] == "deletion_auc") & (answers["test"] == "faithfulness")]
    found = attribution_metrics.describe_explanations(answers)
    assert found["num_heads"] == 0 and found["mask_area_share"] is None
    cell = found["methods"]["grad_cam"]["deletion_auc"]
    assert cell["num_images"] == 60 and attribution_metrics.beats_both(cell)
    assert "energy_in_head" not in found["methods"]["grad_cam"]


def test_methods_are_compared_on_the_same_images(found):
    """How hard an image is moves all methods alike: only a paired comparison sees the difference of 0.05."""
    cell = found["methods"]["score_cam"]["deletion_auc"]
    low, high = cell["bootstrap_95"]
    assert low < found["methods"]["centre"]["deletion_auc"]["value"] < high
    versus = cell["versus"]["centre"]
    assert versus["difference"] == pytest.approx(0.05, abs=0.01) and versus["bootstrap_95"][0] > 0.03
    assert not versus["beats"] and not attribution_metrics.beats_both(cell)
    assert attribution_metrics.beats_both(found["methods"]["grad_cam"]["deletion_auc"])
    assert attribution_metrics.beats_both(found["methods"]["grad_cam"]["energy_in_head"])
    assert "versus" not in found["methods"]["edges"]["deletion_auc"]


def test_intervals_draw_groups(found):
    answers = draw_answers()
    alone = attribution_metrics.describe_explanations(answers.assign(group_id=answers["image_id"]))
    copies = pd.concat([answers, answers.assign(image_id=answers["image_id"] + "_again")], ignore_index=True)
    doubled = attribution_metrics.describe_explanations(
        copies.assign(group_id=copies["image_id"].str.split("_").str[1])
    )

    def width(result):
        return np.ptp(result["methods"]["grad_cam"]["deletion_auc"]["bootstrap_95"])

    assert width(doubled) == pytest.approx(width(alone), rel=0.1)  # copies are no new images


def test_the_rows_of_the_page_mark_what_beats_both_baselines(found):
    rows = {row["method"]: row for row in attribution_metrics.rows_for_page(found)}
    assert list(rows) == ["Grad-CAM", "Score-CAM", "centre prior", "edge detector"]
    assert rows["Grad-CAM"]["deletion_auc"].endswith(" ✓") and not rows["Score-CAM"]["deletion_auc"].endswith("✓")
    value, low, high = (
        found["methods"]["edges"]["deletion_auc"]["value"],
        *found["methods"]["edges"]["deletion_auc"]["bootstrap_95"],
    )
    assert rows["edge detector"]["deletion_auc"] == f"{value:.3f} ({low:.3f}-{high:.3f})"
    assert rows["Grad-CAM"]["pointing_hit"] == ""


def test_two_images_with_a_head_beat_nothing_however_many_others_there_are():
    answers = draw_answers()
    with_head = answers["image_id"].isin(["image_1", "image_4"]) | (answers["test"] != "faithfulness")
    found = attribution_metrics.describe_explanations(answers[with_head])
    cell = found["methods"]["grad_cam"]["deletion_auc"]
    assert cell["num_images"] == 2 and cell["bootstrap_95"] is None
    assert not attribution_metrics.beats_both(cell)
    assert found["stability"]["grad_cam"]["noise"]["rank_correlation"]["bootstrap_95"] is not None
