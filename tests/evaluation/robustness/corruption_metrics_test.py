"""Figures by corruption and severity against counting, and TFMA's slices against them."""

import dataclasses

import numpy as np
import pytest

from sperm_tf.evaluation.metrics import calibration, predictions
from sperm_tf.evaluation.robustness.corruption_metrics import FEATURES, FIGURES, SHARES, describe_robustness


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global beam, PipelineOptions, tfma
    import apache_beam as beam
    import tensorflow_model_analysis as tfma
    from apache_beam.options.pipeline_options import PipelineOptions


NAMES = ("a", "b", "c")
NUM_IMAGES = 40


def draw(seed=0):
    """Answers of two folds to 40 images each, clean and under two corruptions; worse with severity."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold in range(2):
        for index in range(NUM_IMAGES):
            label = index % 3
            for corruption, severity in [("clean", 0), *((n, s) for n in ("defocus", "jpeg") for s in range(1, 6))]:
                probabilities = rng.dirichlet(0.5 + (5 - 0.9 * severity) * np.eye(3)[label])
                unfamiliarity = rng.uniform(0, 0.6 + 0.2 * severity)
                reason = (
                    "unfamiliar" if unfamiliarity > 1 else "confident" if probabilities.max() > 0.6 else "uncertain"
                )
                rows.append(
                    {
                        "image_id": f"{fold}/{index:03d}",
                        "group_id": f"{fold}/{index // 2}",
                        "label": label,
                        "status": "ok",
                        "probabilities": probabilities,
                        "prediction_set": probabilities > 0.15,
                        "decision": "accept" if reason == "confident" else "refer",
                        "reason": reason,
                        "unfamiliarity": unfamiliarity,
                        "repeat": 0,
                        "fold": fold,
                        "corruption": corruption,
                        "severity": severity,
                        "quality_bin": ("high", "medium", "low")[min(severity, 4) // 2],
                    }
                )
    return predictions.from_rows(rows, class_names=NAMES, split="test", features=FEATURES)


@pytest.fixture(scope="module")
def answers():
    return draw()


@pytest.fixture(scope="module")
def figures(answers):
    return describe_robustness(answers, bootstrap_samples=300)


def rows_of(answers, **wanted):
    return answers.select(np.all([answers.values_of(name) == str(value) for name, value in wanted.items()], axis=0))


def test_every_figure_of_a_cell_is_what_counting_finds(answers, figures):
    cell = next(c for c in figures["severities"] if (c["corruption"], c["severity"]) == ("jpeg", 4))
    rows = rows_of(answers, corruption="jpeg", severity=4)
    right = rows.probabilities.argmax(axis=1) == rows.labels
    accepted = np.array(rows.decisions) == "accept"
    clean = rows_of(answers, corruption="clean", severity=0)
    expected = {
        "accuracy": right.mean(),
        "coverage": np.mean([members[label] for members, label in zip(rows.prediction_sets, rows.labels, strict=True)]),
        "accepted": accepted.mean(),
        "accuracy_of_accepted": right[accepted].mean(),
        "accepted_wrong": (accepted & ~right).mean(),
        "unfamiliar": (rows.unfamiliarity > 1).mean(),
        "accuracy_change": right.mean() - (clean.predicted == clean.labels).mean(),
        "ece": calibration.ece(rows.probabilities, rows.labels),
    }
    assert cell["num_answers"] == 2 * NUM_IMAGES
    assert set(FIGURES) == set(expected)
    for name, value in expected.items():
        assert cell[name]["value"] == pytest.approx(value, abs=1e-6), name
        low, high = cell[name]["bootstrap_95"]
        assert low < high, name
        assert low <= value <= high, name
    for name in SHARES:
        low, high = cell[name]["wilson_95"]
        assert low < cell[name]["value"] < high


def test_rows_without_an_answer_say_nothing_of_the_calibration(answers):
    probabilities = answers.probabilities.copy()
    is_lost = np.arange(len(answers)) % 5 == 0
    probabilities[is_lost] = 0
    statuses = tuple(np.where(is_lost, "undecodable", "ok").tolist())
    partly = dataclasses.replace(answers, probabilities=probabilities, statuses=statuses)
    cells = describe_robustness(partly, bootstrap_samples=20)["severities"]
    rows = rows_of(answers.select(~is_lost), corruption="jpeg", severity=4)
    found = next(c for c in cells if (c["corruption"], c["severity"]) == ("jpeg", 4))
    assert found["ece"]["value"] == pytest.approx(calibration.ece(rows.probabilities, rows.labels), abs=1e-6)


def test_the_clean_images_are_the_origin(figures):
    clean = figures["severities"][0]
    assert (clean["corruption"], clean["severity"]) == ("clean", 0)
    assert clean["accuracy_change"] == {"value": 0.0, "bootstrap_95": [0.0, 0.0]}
    assert [len(figures[name]) for name in ("severities", "corruptions", "quality_bins")] == [11, 2, 3]
    assert figures["num_images"] == 2 * NUM_IMAGES


def test_severities_together_are_their_mean(figures):
    for whole in figures["corruptions"]:
        parts = [cell for cell in figures["severities"] if cell["corruption"] == whole["corruption"]]
        for name in ("accuracy", "accepted", "accuracy_change", "accepted_wrong"):
            assert whole[name]["value"] == pytest.approx(np.mean([cell[name]["value"] for cell in parts]))


def test_copies_of_an_image_in_one_group_do_not_narrow_the_intervals(answers):
    def width(table):
        low, high = describe_robustness(table, bootstrap_samples=400)["severities"][0]["accuracy"]["bootstrap_95"]
        return high - low

    thrice = predictions.join([answers] * 3)
    assert len(thrice) == 3 * len(answers)
    assert width(thrice) == pytest.approx(width(answers), rel=0.05)


def test_a_few_accepted_answers_have_no_interval(answers):
    decisions = np.full(len(answers), "refer", object)
    decisions[:44] = "accept"  # four images, in two groups, under every corruption
    few = dataclasses.replace(answers, decisions=tuple(decisions.tolist()))
    for cell in describe_robustness(few, bootstrap_samples=50)["severities"]:
        assert cell["accuracy_of_accepted"]["value"] is not None
        assert cell["accuracy_of_accepted"]["bootstrap_95"] is None
        assert cell["accepted"]["bootstrap_95"] is not None


def test_images_that_were_not_answered_clean_are_named(answers):
    is_left_out = (answers.values_of("corruption") == "clean") & (np.array(answers.image_ids) == "1/007")
    with pytest.raises(ValueError, match="1 images that were answered corrupted only, '1/007'"):
        describe_robustness(answers.select(~is_left_out), bootstrap_samples=10)


@pytest.mark.slow
def test_tfma_finds_the_same_in_its_slices(answers, figures, tmp_path):
    from sperm_tf.evaluation.tfma.robustness_slices import analyze_answers

    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    analyze_answers(pipeline, answers, tmp_path)
    found = {frozenset(key): value[""][""] for key, value in tfma.load_eval_result(str(tmp_path)).slicing_metrics}
    assert len(found) == 1 + 3 + 6 + 3 + 11
    for cell in figures["severities"]:
        key = frozenset({("corruption", cell["corruption"]), ("severity", str(cell["severity"]))})
        assert found[key]["accuracy"]["doubleValue"] == pytest.approx(cell["accuracy"]["value"])
    for cell in figures["quality_bins"]:
        of_tfma = found[frozenset({("quality_bin", cell["quality_bin"])})]["accuracy"]["doubleValue"]
        assert of_tfma == pytest.approx(cell["accuracy"]["value"])
