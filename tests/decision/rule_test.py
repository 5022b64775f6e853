"""The rule against NumPy and SciPy, in a graph, and through its files."""

import json
import math

import numpy as np
import pytest
import scipy.special


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global keras, make_rule, rule_lib, tf
    import keras
    import tensorflow as tf

    from sperm_tf.decision import rule as rule_lib
    from tests.decision.rules import make_rule


def draw(count=300, seed=1):
    rng = np.random.default_rng(seed)
    scale = rng.choice([1.0, 1.5, 4.0], size=(count, 1))
    return rng.normal(scale=3, size=(count, 3)).astype("float32"), (scale * rng.normal(size=(count, 16))).astype(
        "float32"
    )


def decide(rule, logits, features):
    found = rule_lib.decide(rule, logits, features)
    return {name: keras.ops.convert_to_numpy(value) for name, value in vars(found).items()}


def reasons(found):
    return [rule_lib.REASONS[index] for index in found["reason"]]


def test_it_is_what_numpy_makes_of_it():
    rule, (logits, features) = make_rule(), draw()
    found = decide(rule, logits, features)
    probabilities = scipy.special.softmax(logits.astype(np.float64) / 1.7, axis=1)
    np.testing.assert_allclose(found["probabilities"], probabilities, rtol=1e-5)
    sets = probabilities >= 1 - np.array([0.5, 0.7, 0.9])
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    np.testing.assert_array_equal(found["prediction_set"], sets)
    whitened = (features - rule.familiarity.mean) @ rule.familiarity.whitening
    faintness = np.maximum(rule.familiarity.contrast - features[:, 8:].mean(axis=1), 0)
    expected = np.maximum((whitened**2).sum(axis=1) / 32, faintness / 1.5)
    np.testing.assert_allclose(found["unfamiliarity"], expected, rtol=1e-4)
    expected = np.where(probabilities.max(axis=1) >= 0.6, "confident", "uncertain")
    expected = np.where(found["unfamiliarity"] > 1, "unfamiliar", expected)
    assert reasons(found) == expected.tolist()
    assert set(expected) == {"confident", "uncertain", "unfamiliar"}
    assert set(sets.sum(axis=1)) >= {1, 2}


def test_too_little_contrast_is_unfamiliar_where_the_distance_says_nothing():
    rule = make_rule()
    logits, features = np.full((2, 3), [20, 0, 0], "float32"), np.zeros((2, 16), "float32")
    features[:, 8:] = [[-1.4], [-1.6]]  # on both sides of the 1.5 that the rule accepts
    assert np.max(rule.familiarity.distance(features)) < 0.8 * rule.max_distance
    assert reasons(decide(rule, logits, features)) == ["confident", "unfamiliar"]


def test_a_far_composition_is_unfamiliar_where_nothing_else_says_so():
    rule = make_rule(num_composition=3)
    logits, features = np.full((2, 3), [20, 0, 0], "float32"), np.zeros((2, 19), "float32")
    features[1, 16:] = 4  # four deviations away in each number: 48, less the mixture's added variance; 12 are accepted
    found = decide(rule, logits, features)
    assert reasons(found) == ["confident", "unfamiliar"]
    expected = np.asarray(rule.familiarity.composition.distance(features[1:, 16:])) / 12
    np.testing.assert_allclose(found["unfamiliarity"][1:], expected, rtol=1e-5)
    assert reasons(decide(make_rule(), logits, features)) == ["confident"] * 2  # a rule that never measured it


def test_aps_sets_add_up_from_the_most_probable_class():
    rule, (logits, features) = make_rule(set_method="aps", set_thresholds=(0.8, 0.8, 0.8)), draw()
    found = decide(rule, logits, features)
    for row, members in zip(found["probabilities"], found["prediction_set"], strict=True):
        order = np.argsort(-row)
        expected = set(order[np.cumsum(row[order]) <= 0.8]) | {order[0]}
        assert set(np.flatnonzero(members)) == expected


def test_without_a_guarantee_nothing_is_accepted():
    logits, features = draw()
    found = decide(make_rule(min_confidence=math.inf, set_thresholds=(math.inf,) * 3), logits, features)
    assert set(reasons(found)) == {"no_guarantee", "unfamiliar"}
    assert found["prediction_set"].all()


def test_what_cannot_be_measured_is_unfamiliar():
    logits, features = draw(2)
    features[0] = np.nan
    logits[:] = [20, 0, 0]
    assert reasons(decide(make_rule(), logits, np.zeros_like(features))) == ["confident"] * 2
    assert reasons(decide(make_rule(), logits, features))[0] == "unfamiliar"


def test_without_familiarity_only_confidence_decides():
    logits, features = draw()
    found = decide(make_rule(familiarity=None, max_distance=math.inf, max_faintness=math.inf), logits, features)
    assert set(reasons(found)) == {"confident", "uncertain"} and not found["unfamiliarity"].any()


def test_a_model_that_nobody_calibrated_refers_everything():
    logits, features = draw(5)
    found = decide(None, logits, features)
    np.testing.assert_allclose(found["probabilities"], scipy.special.softmax(logits, axis=1), rtol=1e-5)
    assert reasons(found) == ["not_calibrated"] * 5 and found["prediction_set"].all()


@pytest.mark.parametrize("settings", [{}, {"set_method": "aps"}, {"num_features": 12, "num_composition": 4}, None])
def test_a_graph_decides_the_same(settings):
    rule = None if settings is None else make_rule(**settings)
    logits, features = draw()
    expected = decide(rule, logits, features)
    graph = tf.function(lambda *args: vars(rule_lib.decide(rule, *args)), autograph=False)
    for name, value in graph(tf.constant(logits), tf.constant(features)).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
    shape = tf.TensorSpec([None, 3]), tf.TensorSpec([None, 16])
    assert graph.get_concrete_function(*shape).structured_outputs["prediction_set"].shape[1] == 3


def test_a_rule_survives_its_files(tmp_path):
    rule = make_rule(
        min_confidence=math.inf,
        set_thresholds=(0.1, math.inf, 0.3),
        confusion=((5, 0, 1), (2, 9, 0), (0, 0, 4)),
        confident=((3, 0, 0), (1, 7, 0), (0, 0, 2)),
    )
    rule.write(tmp_path)
    assert json.loads((tmp_path / "decision.json").read_text())["min_confidence"] is None
    again = rule_lib.read(tmp_path)
    assert again.confusion == rule.confusion and again.confident == rule.confident
    logits, features = draw()
    for name, value in decide(again, logits, features).items():
        np.testing.assert_array_equal(value, decide(rule, logits, features)[name])
    assert rule_lib.read(tmp_path / "elsewhere") is None


def test_a_rule_keeps_the_composition_and_a_file_of_before_has_none(tmp_path):
    rule, (logits, features) = make_rule(num_features=12, num_composition=4), draw()
    rule.write(tmp_path)
    expected = decide(rule, logits, features)["unfamiliarity"]
    np.testing.assert_array_equal(decide(rule_lib.read(tmp_path), logits, features)["unfamiliarity"], expected)
    fields = json.loads((tmp_path / "decision.json").read_text())
    assert fields.pop("max_composition") == 16.0
    (tmp_path / "decision.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=r"max_composition must be finite.*Copy both files"):
        rule_lib.read(tmp_path)
    with np.load(tmp_path / "familiarity.npz") as arrays:
        before = {name: arrays[name] for name in ("mean", "whitening", "contrast")}
    np.savez(tmp_path / "familiarity.npz", **before)
    again = decide(rule_lib.read(tmp_path), logits, features)["unfamiliarity"]
    np.testing.assert_array_equal(again, decide(rule_lib.read(tmp_path), logits, features[:, :12])["unfamiliarity"])
    assert (again <= expected).all() and (again < expected).any()


def test_a_rule_without_its_familiarity_is_refused(tmp_path):
    make_rule().write(tmp_path)
    (tmp_path / "familiarity.npz").unlink()
    with pytest.raises(ValueError, match=r"decision rule must be .* Copy both"):
        rule_lib.read(tmp_path)
    (tmp_path / "decision.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        rule_lib.read(tmp_path)


def test_the_rule_of_another_model_is_refused():
    logits, features = draw(4)
    with pytest.raises(ValueError, match=r"logits must be \[B, 3\].*Received: shape=\(4, 2\)"):
        make_rule().decide(logits[:, :2], features)
