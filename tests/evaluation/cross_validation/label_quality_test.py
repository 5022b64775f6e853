import csv
import json

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from sklearn.datasets import make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from sperm_tf.evaluation.cross_validation import label_quality, oof

NAMES = ("normal", "abnormal", "non-sperm")


def make_table(labels, probabilities, *, groups=None, part="test"):
    """Tidy out-of-fold predictions; `probabilities` is [repeats, N, C]."""
    image_ids = [f"image_{index:04d}" for index in range(len(labels))]
    groups = image_ids if groups is None else groups
    folds = {group: index % 5 for index, group in enumerate(dict.fromkeys(groups))}
    return oof.join(
        oof.make_rows(
            repeat=repeat, fold=fold, part=part, class_names=NAMES,
            image_ids=[image_ids[index] for index in members], group_ids=[groups[index] for index in members],
            labels=np.asarray(labels)[members], probabilities=np.asarray(values)[members],
        )
        for repeat, values in enumerate(probabilities)
        for fold in range(5)
        if len(members := np.flatnonzero([folds[group] == fold for group in groups]))
    )  # fmt: skip


def separated(num_images=300, num_flips=12, repeats=2, seed=0):
    """Well-separated probabilities, and labels of which `num_flips` are wrong."""
    rng = np.random.default_rng(seed)
    true = np.arange(num_images) % 3
    share = rng.random((repeats, num_images, 1))
    others = share * np.eye(3)[(true + 1) % 3] + (1 - share) * np.eye(3)[(true + 2) % 3]
    probabilities = 0.96 * np.eye(3)[true] + 0.04 * others
    flipped = rng.choice(num_images, num_flips, replace=False)
    labels = true.copy()
    labels[flipped] = (labels[flipped] + rng.integers(1, 3, num_flips)) % 3
    return true, labels, probabilities, {f"image_{index:04d}" for index in flipped}


def trained(*, num_images, separation, share_flipped, seed):
    """Out-of-fold probabilities of a classifier that was itself trained on the wrong labels."""
    rng = np.random.default_rng(seed)
    features, true = make_classification(
        num_images, 20, n_informative=8, n_redundant=0, n_classes=3, n_clusters_per_class=1,
        class_sep=separation, flip_y=0, random_state=seed,
    )  # fmt: skip
    flipped = rng.choice(num_images, int(share_flipped * num_images), replace=False)
    labels = true.copy()
    labels[flipped] = (labels[flipped] + rng.integers(1, 3, len(flipped))) % 3
    with threadpoolctl.threadpool_limits(1):  # threads make such small matrices slower
        probabilities = [
            cross_val_predict(
                LinearDiscriminantAnalysis(), features, labels, method="predict_proba",
                cv=StratifiedKFold(5, shuffle=True, random_state=repeat),
            )
            for repeat in range(2)
        ]  # fmt: skip
    accuracy = np.mean(np.mean(probabilities, axis=0).argmax(axis=1) == true)
    return labels, probabilities, {f"image_{index:04d}" for index in flipped}, accuracy


def reference(labels, probabilities, num_classes=3):
    """Confident learning with filter `both`, written as loops (Northcutt et al. 2021, sections 3.1 and 3.2)."""
    count = len(labels)
    thresholds = [np.mean([probabilities[i, k] for i in range(count) if labels[i] == k]) for k in range(num_classes)]
    joint = np.zeros((num_classes, num_classes))
    for i in range(count):
        above = [k for k in range(num_classes) if probabilities[i, k] >= thresholds[k] - 1e-6]
        if above:
            joint[labels[i], max(above, key=lambda k: probabilities[i, k])] += 1
    sizes = np.bincount(labels, minlength=num_classes)
    joint = joint / joint.sum(axis=1, keepdims=True) * sizes[:, None]
    by_class, by_rate = set(), set()
    for given in range(num_classes):
        members = np.flatnonzero(labels == given)
        by_class |= set(members[np.argsort(probabilities[members, given])][: round(sizes[given] - joint[given, given])])
        for other in range(num_classes):
            if other != given:
                margin = probabilities[members, other] - probabilities[members, given]
                by_rate |= set(members[np.argsort(-margin)][: round(joint[given, other])])
    wrong = {i for i in range(count) if probabilities[i].argmax() != labels[i]}
    return joint, sorted(by_class & by_rate & wrong, key=lambda i: probabilities[i, labels[i]])


def quality_of(found, flipped):
    listed = {row.image_id for row in found.rows}
    return len(listed & flipped) / max(len(listed), 1), len(listed & flipped) / len(flipped)


def test_flips_among_well_separated_images_are_all_found_and_nothing_else():
    true, labels, probabilities, flipped = separated()
    found = label_quality.find_label_issues(make_table(labels, probabilities))
    assert {row.image_id for row in found.rows} == flipped
    for row in found.rows:
        index = int(row.image_id.removeprefix("image_"))
        assert (row.given_label, row.suggested_label) == (NAMES[labels[index]], NAMES[true[index]])
        assert row.num_repeats_disagreeing == row.num_repeats == 2


def test_no_flips_no_list():
    true, _, probabilities, _ = separated(num_flips=0)
    found = label_quality.find_label_issues(make_table(true, probabilities))
    assert found.rows == ()
    assert found.summarize()["expected_errors"] == 0
    labels, probabilities, _, accuracy = trained(num_images=1000, separation=1.5, share_flipped=0, seed=0)
    assert accuracy > 0.95
    assert len(label_quality.find_label_issues(make_table(labels, probabilities)).rows) <= 10  # of 1,000


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("expected", "separation", "recall"),
    zip(label_quality.SIMULATED_PRECISION, (1.5, 1.0, 0.8), (0.94, 0.87, 0.76), strict=True),
)
def test_flips_that_the_classifier_was_trained_on(expected, separation, recall):
    num_images, accuracy, precision = expected
    figures = []
    for seed in range(8):
        labels, probabilities, flipped, right = trained(
            num_images=num_images, separation=separation, share_flipped=0.05, seed=seed
        )
        found = label_quality.find_label_issues(make_table(labels, probabilities))
        figures.append((right, *quality_of(found, flipped)))
    assert np.mean(figures, axis=0) == pytest.approx([accuracy, precision, recall], abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_list_scores_and_expected_errors_equal_an_independent_computation(seed):
    labels, probabilities, _, _ = trained(num_images=300, separation=1.0, share_flipped=0.08, seed=seed)
    found = label_quality.find_label_issues(make_table(labels, probabilities))
    mean = np.mean(probabilities, axis=0)
    joint, listed = reference(labels, mean)
    np.testing.assert_allclose(found.expected_errors, joint, atol=1)  # cleanlab rounds, keeping the sums of rows
    np.testing.assert_array_equal(found.expected_errors.sum(axis=1), np.bincount(labels))
    # Where it rounds differently, the list may differ by the images at the margin.
    assert len({f"image_{index:04d}" for index in listed} ^ {row.image_id for row in found.rows}) <= 3
    assert found.num_contradicted == (mean.argmax(axis=1) != labels).sum()
    scores = [row.score for row in found.rows]
    assert scores == sorted(scores)
    for row in found.rows:
        index = int(row.image_id.removeprefix("image_"))
        assert row.score == row.probability_given == pytest.approx(mean[index, labels[index]], abs=1e-12)
        assert row.probability_suggested == pytest.approx(mean[index].max(), abs=1e-12)
        assert mean[index].argmax() != labels[index]
        votes = [values[index].argmax() for values in probabilities]
        assert row.num_repeats_disagreeing == sum(vote != labels[index] for vote in votes)


def test_pairs_say_where_the_errors_are():
    true, _, probabilities, _ = separated(num_flips=0)
    labels = true.copy()
    labels[np.flatnonzero(true == 2)[:9]] = 1  # nine non-sperm images labelled abnormal
    summary = label_quality.find_label_issues(make_table(labels, probabilities)).summarize()
    first = summary["pairs"][0]
    assert (first["given_label"], first["suggested_label"]) == ("abnormal", "non-sperm")
    assert first["expected_errors"] == first["num_listed"] == summary["expected_errors"] == 9
    assert first["share_of_given"] == pytest.approx(9 / 109)
    assert json.loads(json.dumps(summary)) == summary


def test_only_test_parts_count():
    _, labels, probabilities, flipped = separated()
    test = make_table(labels, probabilities)
    calibration = make_table(labels, np.roll(probabilities, 1, axis=2), part="calibration")
    calibration["fold"] = (calibration["fold"] + 1) % 5
    both = pd.concat([calibration, test]).sample(frac=1, random_state=0)
    expected = label_quality.find_label_issues(test)
    found = label_quality.find_label_issues(both)
    assert [row.image_id for row in found.rows] == [row.image_id for row in expected.rows]
    assert {row.image_id for row in found.rows} == flipped


def test_near_duplicates_that_carry_another_label_are_named():
    true, _, probabilities, _ = separated(num_flips=0)
    labels = true.copy()
    labels[0] = 1  # normal, labelled abnormal
    groups = [f"image_{index:04d}" for index in range(len(true))]
    groups[3] = groups[6] = groups[0]  # true class normal, as 0
    groups[4] = groups[1]  # abnormal, as 1: no conflict
    found = label_quality.find_label_issues(make_table(labels, probabilities, groups=groups))
    assert [row.image_id for row in found.rows] == ["image_0000"]
    assert found.rows[0].conflicting_near_duplicates == (("image_0003", "normal"), ("image_0006", "normal"))
    pairs = {(first[0], second[0]) for first, second in found.conflicting_pairs}
    assert pairs == {("image_0000", "image_0003"), ("image_0000", "image_0006")}


def test_pairs_of_near_duplicates_replace_groups_which_may_be_patients():
    true, _, probabilities, _ = separated(num_flips=0)
    labels = true.copy()
    labels[0] = 1
    patients = [f"patient_{index // 10}" for index in range(len(true))]
    table = make_table(labels, probabilities, groups=patients)
    pairs = [("image_0000", "image_0003"), ("image_0001", "image_0004"), ("image_0002", "left out of this dataset")]
    found = label_quality.find_label_issues(table, model="vit_tiny", near_duplicates=pairs)
    assert found.model == "vit_tiny"
    assert found.conflicting_pairs == ((("image_0000", "abnormal"), ("image_0003", "normal")),)
    assert found.rows[0].conflicting_near_duplicates == (("image_0003", "normal"),)
    assert label_quality.find_label_issues(table, near_duplicates=()).conflicting_pairs == ()


def test_csv_holds_the_whole_list(tmp_path):
    _, labels, probabilities, _ = separated(num_flips=30)
    groups = [f"image_{index - index % 2:04d}" for index in range(len(labels))]
    found = label_quality.find_label_issues(make_table(labels, probabilities, groups=groups))
    label_quality.write_csv(found, tmp_path / "label_issues.csv")
    with (tmp_path / "label_issues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == label_quality.COLUMNS
    assert len(rows) == len(found.rows) == 30
    for row, issue in zip(rows, found.rows, strict=True):
        assert (row["image_id"], row["given_label"]) == (issue.image_id, issue.given_label)
        assert float(row["score"]) == pytest.approx(issue.score, rel=1e-5)
        others = [tuple(other.split("=")) for other in row["conflicting_near_duplicates"].split("|") if other]
        assert tuple(others) == issue.conflicting_near_duplicates
    assert sum(bool(row["conflicting_near_duplicates"]) for row in rows) > 3


def test_a_table_that_leaks_or_is_not_complete_is_refused():
    _, labels, probabilities, _ = separated(num_images=30, num_flips=2)
    table = make_table(labels, probabilities)
    with pytest.raises(oof.OofError, match="columns must be"):
        label_quality.find_label_issues(table.drop(columns="group_id"))
    with pytest.raises(oof.OofError, match="an image must be tested once in a repeat"):
        label_quality.find_label_issues(pd.concat([table, table.iloc[:1].assign(fold=3)]))
    with pytest.raises(oof.OofError, match="every repeat must have test rows of folds 0-4"):
        label_quality.find_label_issues(table[(table["repeat"] == 0) | (table["fold"] < 2)])


def test_a_class_without_images_does_not_stop_it():
    _, labels, probabilities, _ = separated()
    table = make_table(labels, probabilities)
    found = label_quality.find_label_issues(table[table["label"] != 2])
    assert found.class_sizes == (*np.bincount(labels).tolist()[:2], 0)
    assert found.expected_errors[2].sum() == 0
