import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from sperm_tf.evaluation.fields.part_metrics import PART_NAMES, count_parts, summarize_parts

SHAPE = (20, 30)


def box(y0, x0, y1, x1):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def cell(x, shift=0):
    return {
        "nucleus": box(2 + shift, x, 8 + shift, x + 6),
        "acrosome": box(8 + shift, x, 11 + shift, x + 6),
        "tail": box(0, x + 2, 2 + shift, x + 4),
    }


def test_dice_and_iou_are_those_of_the_pixels():
    rng = np.random.default_rng(0)
    annotated, found = ([{name: rng.random(SHAPE) < 0.3 for name in PART_NAMES}] for _ in range(2))
    metrics = summarize_parts([count_parts(annotated, found, [0.5])], [0])
    for name in PART_NAMES:
        dice = f1_score(annotated[0][name].ravel(), found[0][name].ravel())
        assert metrics[f"dice_{name}"][0] == pytest.approx(dice)
        assert metrics[f"iou_{name}"][0] == pytest.approx(dice / (2 - dice))
    assert metrics["part_miou"][0] == pytest.approx(np.mean([metrics[f"iou_{name}"][0] for name in PART_NAMES]))


def test_pixels_of_two_cells_count_once():
    same = [cell(0), {"tail": cell(0)["tail"]}]
    count = count_parts(same, [cell(0)], [1.0])
    assert count.shared[4] == count.annotated[4] == count.found[4] == cell(0)["tail"].sum()


def test_perfect_cells_have_1_everywhere_and_missing_parts_are_no_errors():
    metrics = summarize_parts([count_parts([cell(0), cell(12)], [cell(12), cell(0)], [0.9, 0.8])], [0])
    assert [metrics[name][0] for name in ("ap_part_50", "ap_part_vol", "pcp_50", "dice_nucleus")] == [1, 1, 1, 1]


def test_average_precision_is_that_of_scikit_learn_where_every_cell_is_found():
    annotated = [cell(0), cell(8), cell(16)]
    debris = {"nucleus": box(14, 20, 19, 28)}
    found, scores = [cell(0), debris, cell(8), cell(16), cell(16)], [0.9, 0.8, 0.7, 0.6, 0.5]
    metrics = summarize_parts([count_parts(annotated, found, scores)], [0])
    # The envelope of the precision equals the precision here but for the debris, which has no recall of its own.
    expected = average_precision_score([1, 0, 1, 1, 0], scores)
    assert expected == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert metrics["ap_part_50"][0] == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)  # with the envelope


def test_parsed_parts_count_for_cells_that_are_found_alone():
    part_wrong = {**cell(0), "acrosome": box(15, 20, 18, 26)}
    metrics = summarize_parts([count_parts([cell(0), cell(12)], [part_wrong], [0.9])], [0])
    assert metrics["pcp_50"][0] == pytest.approx(2 / 3 / 2)  # two of three parts; the other cell was missed
    assert metrics["ap_part_50"][0] == pytest.approx(0.5)


def test_a_cell_below_the_limit_is_no_hit_at_it():
    shifted = cell(0, shift=3)
    count = count_parts([cell(0)], [shifted], [0.9])
    assert 0 < count.best_iou[0] < 0.5
    metrics = summarize_parts([count], [0])
    assert metrics["ap_part_50"][0] == 0
    assert 0 < metrics["ap_part_vol"][0] < 0.5


def test_fields_without_cells_are_fields():
    counts = [
        count_parts([], [cell(0)], [0.4]),
        count_parts([cell(0)], [], []),
        count_parts([cell(0)], [cell(0)], [0.9]),
    ]
    metrics = summarize_parts(counts, [0, 1, 2])
    assert metrics["ap_part_50"][0] == pytest.approx(0.5)
    assert np.isnan(metrics["ap_part_50"][1])  # three sessions have no interval


def test_intervals_hold_the_value():
    rng = np.random.default_rng(1)
    counts = [count_parts([cell(0)], [cell(0, int(rng.integers(3)))], [rng.random()]) for _ in range(12)]
    value, low, high = summarize_parts(counts, np.arange(12) % 6, samples=200)["dice_nucleus"]
    assert low < value < high
