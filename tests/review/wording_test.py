import dataclasses

import pytest

from sperm_tf.probabilities import write_probability
from sperm_tf.served_names import CONFIDENT, REASONS, STATUSES
from sperm_tf.serving.prediction import Prediction


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global make_rule, wording
    from sperm_tf.review import wording
    from tests.decision.rules import make_rule


PREDICTION = Prediction(
    "cell.png", "ok", "normal", {"normal": 0.9996, "abnormal": 0.0003, "other": 0.0001}, ("normal", "other"), "accept"
)


def _words(reason, **changes):
    decision = "accept" if reason == "confident" else "refer"
    prediction = dataclasses.replace(PREDICTION, decision=decision, reason=reason, **changes)
    return wording.describe(prediction, None if reason == "not_calibrated" else make_rule(min_confidence=0.861))


@pytest.mark.parametrize("reason", REASONS)
def test_only_an_accepted_answer_is_called_accepted_and_none_is_called_certain(reason):
    words = _words(reason)
    is_accepted = reason == CONFIDENT
    assert (words.title == "Please look yourself") is not is_accepted
    assert (words.answer == "Model’s answer") is is_accepted
    assert len({_words(other).reason for other in REASONS}) == len(REASONS)
    everything = " ".join(dataclasses.astuple(words)).lower()
    assert not any(word in everything for word in ("certain", "definitely", "100", "diagnos", "safe"))
    assert not is_accepted or "can be one of them" in words.reason


def test_probabilities_are_never_certain():
    assert [write_probability(p) for p in (1.0, 0.9996, 0.99, 0.866, 0.01, 0.0)] == [
        *["over 99\u00a0%"] * 2,
        "99\u00a0%",
        "87\u00a0%",
        "1\u00a0%",
        "under 1\u00a0%",
    ]


def test_the_threshold_is_not_rounded_below_the_probability():
    words = _words("uncertain", probabilities={"normal": 0.8604, "abnormal": 0.1396})
    assert "is 86.0\u00a0%, and its rule asks for 86.1\u00a0%" in words.reason


@pytest.mark.parametrize("reason", REASONS)
def test_a_referred_image_has_a_runner_up_and_an_accepted_one_has_none(reason):
    probabilities = {"abnormal": 0.2, "normal": 0.41, "other": 0.39}
    expected = "" if reason == CONFIDENT else "other"
    assert _words(reason, probabilities=probabilities).runner_up == expected


@pytest.mark.parametrize(
    ("reason", "class_conditional", "expected"),
    (
        ("confident", False, "in the same mix of classes, the right one is in the set at least 90\u00a0% of the time"),
        ("uncertain", True, "of every class, the right one is in the set at least 90\u00a0% of the time"),
        ("unfamiliar", False, "nothing guarantees"),
        ("not_calibrated", False, "nothing is known about how often this model is right"),
    ),
)
def test_one_sentence_says_what_the_prediction_set_is(reason, class_conditional, expected):
    decision = "accept" if reason == "confident" else "refer"
    rule = make_rule(set_coverage=0.9, class_conditional=class_conditional)
    prediction = dataclasses.replace(PREDICTION, decision=decision, reason=reason)
    words = wording.describe(prediction, None if reason == "not_calibrated" else rule).prediction_set
    assert words.startswith("The classes that the image may belong to") and expected in words
    assert words.count(".") == 1


@pytest.mark.parametrize("reason", REASONS)
def test_without_the_rule_itself_no_figure_of_it_is_named(reason):
    prediction = dataclasses.replace(PREDICTION, decision="refer", reason=reason)
    words = wording.describe(prediction, None)
    assert ("Nobody has calibrated" in words.reason) is (reason == "not_calibrated")
    assert ("not calibrated" in words.scale) is (reason == "not_calibrated")


def test_every_status_has_a_problem_and_a_remedy():
    for status in (*STATUSES, "unreadable", "changed", "field_of_view"):
        if status != "ok":
            assert len(wording.describe_problem(status)) > 30
