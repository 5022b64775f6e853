"""Slides made of test images, against their truth and a fit of one's own."""

import numpy as np
import pytest

from sperm_tf.evaluation.cross_validation import coverage_experiment, oof
from sperm_tf.evaluation.metrics import predictions
from sperm_tf.evaluation.metrics.intervals import wilson
from sperm_tf.evaluation.quantification.prevalence import estimate_part
from tests.evaluation.cross_validation.oof_tables import make_table

NAMES = ("normal", "abnormal", "debris")
ERRORS = np.array([[0.85, 0.13, 0.02], [0.15, 0.8, 0.05], [0.03, 0.05, 0.92]])


def draw_table(*, names=NAMES, num_images=1500, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=num_images)
    answers = np.array([rng.choice(3, p=ERRORS[label]) for label in labels])
    return make_table(labels, 0.7 * np.eye(3)[answers] + 0.1, names)


def decide(table, is_accepted):
    """The answers of each repeat, sorted by image, accepted as `is_accepted` says of the table's rows."""
    decided = []
    for _, rows in table.assign(is_accepted=is_accepted).groupby("repeat"):
        rows = rows.sort_values("image_id")
        answers = oof.probabilities(rows)
        decided.append(
            predictions.from_rows(
                [
                    {
                        "image_id": row.image_id,
                        "group_id": row.group_id,
                        "label": row.label,
                        "status": "ok",
                        "probabilities": probabilities,
                        "prediction_set": np.ones(3, bool),
                        "decision": "accept" if row.is_accepted else "refer",
                        "reason": "confident" if row.is_accepted else "uncertain",
                    }
                    for row, probabilities in zip(rows.itertuples(), answers, strict=True)
                ],
                class_names=oof.class_names(table),
                split="test",
            )
        )
    return decided


def describe(table):
    return coverage_experiment.describe(table, decide(table, False))


@pytest.fixture(scope="module")
def table():
    return draw_table()


def test_counting_finds_errors_and_correction_the_truth(table):
    found = {entry["true_share"]: entry for entry in describe(table)}
    assert list(found) == list(coverage_experiment.TRUE_SHARES[:3]), "some fold has fewer normal forms than others"
    for share in (0.0, 0.04):
        entry = found[share]
        assert entry["num_slides"] == 5 and entry["true"] == pytest.approx(share, abs=0.005)
        assert entry["counted"] > share + 0.08 and entry["counted_held"] == 0
        assert entry["corrected"] == pytest.approx(share, abs=0.04) and entry["corrected_held"] >= 4
        assert entry["corrected_error"] < entry["counted_error"] / 2


@pytest.mark.slow
def test_a_slide_without_normal_forms_is_every_other_image_of_a_fold(table):
    entry = describe(table)[0]
    counted, corrected = [], []
    for fold in range(5):
        tested = table[(table["fold"] == fold) & (table["label"] != 0)]
        answers = np.bincount(oof.probabilities(tested).argmax(axis=1), minlength=3)
        others = table[table["fold"] != fold]
        confusion = np.zeros((3, 3))
        np.add.at(confusion, (oof.labels(others), oof.probabilities(others).argmax(axis=1)), 1)
        counted.append(answers[0] / answers[:2].sum())
        corrected.append(estimate_part(answers, confusion, part=[1, 0, 0], whole=[1, 1, 0])[0])
        assert wilson(int(answers[0]), int(answers[:2].sum()))[0] > 0
    assert entry["counted"] == pytest.approx(np.mean(counted))
    assert entry["corrected"] == pytest.approx(np.mean(corrected))
    assert entry["counted_error"] == pytest.approx(np.sqrt(np.mean(np.square(counted))))


def test_accepted_answers_are_weighed_by_the_mix_of_the_slide():
    labels, answers = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 1, 1, 1, 1, 0])
    is_accepted = np.array([1, 0, 1, 0, 1, 1, 1, 0, 0, 1], bool)
    rows = [
        {
            "image_id": str(number),
            "group_id": str(number),
            "label": label,
            "status": "ok",
            "probabilities": 0.8 * np.eye(3)[answer] + 0.2 / 3,
            "prediction_set": np.eye(3, dtype=bool)[answer],
            "decision": "accept" if accepted else "refer",
            "reason": "confident" if accepted else "uncertain",
        }
        for number, (label, answer, accepted) in enumerate(zip(labels, answers, is_accepted, strict=True))
    ]
    decided = predictions.from_rows(rows, class_names=NAMES, split="test")
    found = {entry["true_share"]: entry for entry in coverage_experiment.describe_accepted([decided, decided])}
    assert list(found) == [0.04, 0.15, 0.5]
    for share, entry in found.items():
        right, wrong = share / 4, (1 - share) / 5  # one of 4 normal forms, one of 5 others is accepted as normal
        assert entry["wrong_normal"] == pytest.approx(wrong / (right + wrong))
        assert entry["wrong_other"] == pytest.approx(right / (right + 2 * wrong))
        assert entry["accepted"] == pytest.approx(2 * right + 3 * wrong)
    assert found[0.04]["wrong_normal"] > 0.9


@pytest.mark.slow
def test_wrong_accepted_answers_are_foretold():
    table = draw_table(num_images=3000, seed=3)
    labels, answers = oof.labels(table), oof.probabilities(table).argmax(axis=1)
    is_accepted = np.random.default_rng(4).random(len(table)) < np.where(answers == labels, 0.7, 0.2)
    found = {entry["true_share"]: entry for entry in coverage_experiment.describe(table, decide(table, is_accepted))}
    for share in (0.04, 0.15):
        normal, other = share * 0.85 * 0.7, ((1 - share) * 0.15 + 0.5 * 0.03) * 0.2  # debris: half as many as sperm
        assert found[share]["wrong"] == pytest.approx(other / (normal + other), abs=0.12)
        assert found[share]["foretold"] == pytest.approx(found[share]["wrong"], abs=0.12)
        assert found[share]["num_foretold"] == 5 and found[share]["foretold_held"] >= 4
    assert found[0.0]["wrong"] == 1 and found[0.0]["foretold"] > 0.6
    assert "foretold" not in coverage_experiment.describe(table, decide(table, False))[0]


def test_a_share_that_the_images_do_not_suffice_for_is_left_out(table):
    few_normal = table[(table["label"] != 0) | (table.index % 12 == 0)]
    assert [entry["true_share"] for entry in describe(few_normal)] == [0.0, 0.04]


@pytest.mark.parametrize(
    "names", [("a", "b", "c"), ("normal", "abnormal", "residuos"), ("normal", "abnormal", "other")]
)
def test_classes_that_do_not_say_what_is_normal_and_what_is_no_sperm_give_none(names):
    assert describe(draw_table(names=names, num_images=50)) == []


def test_no_slide_can_be_made_without_other_spermatozoa():
    labels = np.arange(400) % 2
    answers = make_table(labels, 0.8 * np.eye(2)[labels] + 0.1, ("normal", "debris"))
    assert coverage_experiment.describe(answers, decide(answers, False)) == []


def test_a_fold_in_which_no_spermatozoon_is_found_has_no_count():
    labels = np.arange(600) % 3
    nothing_found = make_table(labels, np.tile([0.1, 0.1, 0.8], (600, 1)), NAMES)
    assert describe(nothing_found) == []
