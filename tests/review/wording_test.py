import dataclasses

import pytest

from sperm_tf.probabilities import write_probability
from sperm_tf.served_names import STATUSES
from sperm_tf.serving.prediction import Prediction


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global make_rule, rule_lib, wording
    from sperm_tf.decision import rule as rule_lib
    from sperm_tf.review import wording
    from tests.decision.rules import make_rule


REASONS = ("confident", "unfamiliar", "no_guarantee", "uncertain", "not_calibrated")
PREDICTION = Prediction(
    "cell.png", "ok", "normal", {"normal": 0.9996, "abnormal": 0.0003, "other": 0.0001}, ("normal", "other"), "accept"
)


def _words(reason, **changes):
    decision = "accept" if reason == "confident" else "refer"
    prediction = dataclasses.replace(PREDICTION, decision=decision, reason=reason, **changes)
    return wording.describe(prediction, None if reason == "not_calibrated" else make_rule(min_confidence=0.861))


def test_every_reason_is_tried():
    assert REASONS == rule_lib.REASONS


@pytest.mark.parametrize("reason", REASONS)
def test_only_an_accepted_answer_is_called_accepted_and_none_is_called_certain(reason):
    words = _words(reason)
    is_accepted = reason == rule_lib.CONFIDENT
    assert (words.title == "Please look yourself") is not is_accepted
    assert (words.answer == "Model’s answer") is is_accepted
    assert len({_words(other).reason for other in rule_lib.REASONS}) == len(rule_lib.REASONS)
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


def test_other_possible_classes_are_named():
    assert _words("confident").alternatives == "Could also be: other."
    assert "does not make it right" in _words("confident", prediction_set=("normal",)).alternatives
    assert "any other class" in _words("not_calibrated").alternatives


def test_every_status_has_a_problem_and_a_remedy():
    for status in (*STATUSES, "unreadable"):
        if status != "ok":
            assert len(wording.describe_problem(status)) > 30
