import json
import time

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from sperm_tf.evaluation.metrics import predictions, summary

NAMES = ("normal", "tapered", "pyriform", "amorphous")


def make_table(*, num_rows=200, labels=None, unanswered=(), seed=0, images_per_group=2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=num_rows) if labels is None else labels
    rows = []
    for index, label in enumerate(labels):
        probabilities = rng.dirichlet(np.ones(4) + 2 * np.eye(4)[label])
        row = {"image_id": f"{index:05d}", "group_id": f"g{index // images_per_group}", "label": int(label)}
        row |= {"status": "ok", "probabilities": probabilities, "source_format": ("PNG", "BMP")[index % 2]}
        if index in unanswered:
            row |= {"status": "undecodable", "probabilities": np.zeros(4)}
        rows.append(row)
    return predictions.from_rows(rows, class_names=NAMES, split="test", features=["source_format"])


def numbers(content):
    if isinstance(content, dict):
        return [number for value in content.values() for number in numbers(value)]
    if isinstance(content, list):
        return [number for value in content for number in numbers(value)]
    return [content] if isinstance(content, float) else []


def test_values_equal_scikit_learns():
    table = make_table(unanswered=(3, 50))
    figures = summary.summarize(table, bootstrap_samples=50)
    labels, predicted = table.labels, table.predicted
    assert figures["accuracy"]["value"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    macro = sklearn.metrics.f1_score(labels, predicted, labels=range(4), average="macro", zero_division=0)
    assert figures["macro_f1"]["value"] == pytest.approx(macro)
    report = sklearn.metrics.precision_recall_fscore_support(labels, predicted, labels=range(4))
    areas = sklearn.metrics.roc_auc_score(np.eye(4)[labels], table.probabilities, average=None)
    for index, name in enumerate(NAMES):
        found = figures["per_class"][name]
        values = [found[key]["value"] for key in ("precision", "recall", "f1")] + [found["support"]]
        assert values == pytest.approx([column[index] for column in report])
        assert found["auc"]["value"] == pytest.approx(areas[index])
    assert figures["macro_auc"]["value"] == pytest.approx(areas.mean())
    matrix = sklearn.metrics.confusion_matrix(labels, np.where(predicted < 0, 4, predicted), labels=range(5))
    np.testing.assert_array_equal(figures["confusion_matrix"]["counts"], matrix[:4])
    assert [row["image_id"] for row in figures["unanswered"]] == ["00003", "00050"]


def test_intervals_are_wilsons_and_hold_the_value():
    table = make_table()
    figures = summary.summarize(table, bootstrap_samples=500)
    correct = int((table.labels == table.predicted).sum())
    expected = scipy.stats.binomtest(correct, len(table)).proportion_ci(method="wilson")
    assert figures["accuracy"]["wilson_95"] == pytest.approx([expected.low, expected.high])
    for name, found in figures["per_class"].items():
        index = NAMES.index(name)
        hits = int(((table.labels == index) & (table.predicted == index)).sum())
        for figure, total in (
            ("recall", (table.labels == index).sum()),
            ("precision", (table.predicted == index).sum()),
        ):
            expected = scipy.stats.binomtest(hits, int(total)).proportion_ci(method="wilson")
            assert found[figure]["wilson_95"] == pytest.approx([expected.low, expected.high])
        for figure in ("precision", "recall", "f1", "auc"):
            lower, upper = found[figure]["bootstrap_95"]
            assert lower < found[figure]["value"] < upper


def test_groups_widen_the_bootstrap_but_not_wilson():
    table = make_table(num_rows=100, images_per_group=1)
    rows = range(4 * len(table))
    copies = predictions.from_rows(
        [
            {
                "image_id": f"{row:05d}",
                "group_id": table.group_ids[row % 100],
                "label": int(table.labels[row % 100]),
                "status": "ok",
                "probabilities": table.probabilities[row % 100],
            }
            for row in rows
        ],
        class_names=NAMES,
        split="test",
    )
    once, four_times = (summary.summarize(item, bootstrap_samples=2000)["accuracy"] for item in (table, copies))
    assert four_times["value"] == pytest.approx(once["value"])
    assert np.diff(four_times["bootstrap_95"]) == pytest.approx(np.diff(once["bootstrap_95"]), rel=0.15)
    assert np.diff(four_times["wilson_95"]) < 0.6 * np.diff(once["wilson_95"])


def test_a_class_of_a_few_groups_has_no_interval():
    labels = [0] * 60 + [1] * 60 + [2] * 60 + [3] * 8  # 4 groups of 2
    figures = summary.summarize(make_table(labels=labels), bootstrap_samples=100)
    rare, common = figures["per_class"]["amorphous"], figures["per_class"]["normal"]
    for figure in ("recall", "auc"):
        assert rare[figure]["value"] is not None and rare[figure]["bootstrap_95"] is None
        assert common[figure]["bootstrap_95"] is not None
    assert figures["accuracy"]["bootstrap_95"] is not None


@pytest.mark.parametrize("label", [0, 3])
def test_a_single_class_gives_nulls_and_no_nan(label):
    table = make_table(num_rows=20, labels=[label] * 20, unanswered=range(0, 20, 3))
    figures = summary.summarize(table, bootstrap_samples=50, slice_by=("label_name",))
    json.dumps(figures, allow_nan=False)
    other = figures["per_class"][NAMES[1]]
    assert other["recall"] == {"value": None, "wilson_95": None, "bootstrap_95": None}
    assert other["auc"] == {"value": None, "bootstrap_95": None}
    assert figures["macro_auc"]["value"] is None
    assert figures["confusion_matrix"]["shares_of_true_class"][1][0]["value"] is None
    recall = figures["per_class"][NAMES[label]]["recall"]
    assert figures["accuracy"]["value"] == recall["value"]
    assert figures["macro_f1"]["value"] == pytest.approx(figures["per_class"][NAMES[label]]["f1"]["value"] / 4)


def test_one_row_and_no_answer_at_all_are_no_nan():
    for table in (make_table(num_rows=1), make_table(num_rows=5, unanswered=range(5))):
        figures = summary.summarize(table, bootstrap_samples=20, slice_by=("source_format",))
        json.dumps(figures, allow_nan=False)
        assert all(np.isfinite(numbers(figures)))
    assert figures["accuracy"]["value"] == 0
    assert figures["per_class"]["normal"]["precision"]["value"] is None


def test_slices_are_summaries_of_their_rows():
    table = make_table()
    slices = summary.summarize(table, bootstrap_samples=20, slice_by=("label_name", "source_format"))["slices"]
    assert set(slices) == {"label_name", "source_format"}
    assert sum(found["num_examples"] for found in slices["label_name"].values()) == len(table)
    chosen = np.array(table.features["source_format"]) == "BMP"
    expected = sklearn.metrics.accuracy_score(table.labels[chosen], table.predicted[chosen])
    assert slices["source_format"]["BMP"]["accuracy"]["value"] == pytest.approx(expected)


def test_two_thousand_resamples_of_six_hundred_rows_take_seconds():
    table = make_table(num_rows=600)
    summary.summarize(table, bootstrap_samples=2)  # imports
    start = time.thread_time()  # of this process's work, whatever else the machine does
    summary.summarize(table, bootstrap_samples=2000)
    assert time.thread_time() - start < 3
