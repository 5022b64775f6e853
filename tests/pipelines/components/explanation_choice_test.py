import numpy as np
import pytest

from pipelines.components import explanation_choice
from sperm_tf.evaluation.metrics import predictions


def make_table(*rows):
    """Rows of (label, predicted class, probability of it); a predicted class of -1 is no answer."""
    columns = []
    for number, (label, predicted, probability) in enumerate(rows):
        values = np.full(3, (1 - probability) / 2)
        values[predicted] = probability
        columns.append(
            {
                "image_id": f"{number:03d}",
                "group_id": str(number),
                "label": label,
                "status": "ok" if predicted >= 0 else "undecodable",
                "probabilities": np.zeros(3) if predicted < 0 else values,
            }
        )
    return predictions.from_rows(columns, class_names=("a", "b", "c"), split="test")


def test_half_are_mistakes_the_surest_first_then_right_answers_over_the_whole_range():
    right = [(0, 0, probability) for probability in (0.5, 0.9, 0.6, 0.8, 0.7)]
    wrong = [(0, 1, probability) for probability in (0.5, 0.9, 0.7)]
    assert explanation_choice.choose_images(make_table(*right, *wrong), 5) == [6, 7, 1, 4, 0]


def test_one_kind_fills_up_where_the_other_is_short():
    only_wrong = make_table(*[(0, 1, 0.5 + number / 10) for number in range(4)])
    assert explanation_choice.choose_images(only_wrong, 3) == [3, 2, 1]
    only_right = make_table(*[(0, 0, 0.5 + number / 10) for number in range(4)])
    assert explanation_choice.choose_images(only_right, 3) == [3, 1, 0]
    assert explanation_choice.choose_images(only_right, 9) == [3, 2, 1, 0]


def test_every_class_has_its_turn_and_rows_without_an_answer_have_none():
    table = make_table((2, 2, 0.9), (0, -1, 0.9), (1, 0, 0.8), (0, 0, 0.7), (2, -1, 0.9))
    assert explanation_choice.choose_images(table, 2) == [3, 2, 0]


def test_equal_probabilities_are_ordered_by_name():
    table = make_table(*[(0, 1, 0.75)] * 4)
    assert explanation_choice.choose_images(table, 2) == [0, 1]


def test_single_image_of_a_class_is_a_right_one_where_there_is_one():
    assert explanation_choice.choose_images(make_table((0, 1, 0.9), (0, 0, 0.8)), 1) == [1]


def test_summary_of_an_even_map():
    summary = explanation_choice.summarize_map(np.full((7, 7), 0.5))
    assert summary["centre_share"] == pytest.approx(0.25, abs=1e-6)
    assert (summary["mean"], summary["min"], summary["max"]) == (0.5, 0.5, 0.5)


def test_summary_finds_the_peak_and_the_centre():
    values = np.zeros((4, 8))
    values[3, 0] = 1
    assert explanation_choice.summarize_map(values) | {"mean": 0} == {
        "mean": 0,
        "min": 0.0,
        "max": 1.0,
        "peak": [0.0625, 0.875],
        "centre_share": 0.0,
    }
    values[3, 0], values[1, 3] = 0, 1
    assert explanation_choice.summarize_map(values)["centre_share"] == 1.0
    assert explanation_choice.summarize_map(np.zeros((2, 2)))["centre_share"] is None


def test_difference_of_maps_is_relative_to_each_maps_highest_value():
    reference = np.stack([np.full((2, 2), 0.5), np.zeros((2, 2)), np.eye(2)])
    served = reference.copy()
    served[0, 0, 0] += 0.1
    served[1, 1, 1] = 0.3
    found = explanation_choice.compare_maps(reference, served)
    assert found["num_images"] == 3
    assert found["max_relative_difference"] == pytest.approx(0.3)
    assert found["median_relative_difference"] == pytest.approx(0.2)
