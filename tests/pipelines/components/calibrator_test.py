"""The Calibrator's artifact against its parts, done by hand with NumPy."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import scipy.special

import sperm_tf
from pipelines.components import calibrator
from pipelines.components.calibrator import Calibrator
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.config import CalibratorConfig
from sperm_tf.data import examples
from sperm_tf.file_digests import digest_file
from tests import examples_fixture


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global batches, keras, preprocess, rule_lib, tf
    import keras
    import tensorflow as tf

    from sperm_tf.data import batches
    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.decision import rule as rule_lib


CONFIG = CalibratorConfig(set_coverage=0.5, max_risk=0.6, delta=0.4, max_unfamiliar=0.1)
CLASS_NAMES = list(examples_fixture.CLASS_NAMES)


@pytest.fixture(scope="module")
def calibrated(trained, transformed, tmp_path_factory):
    return Calibrator(CONFIG, model=trained, examples=transformed).run(
        RunContext(tmp_path_factory.mktemp("calibrated"))
    )


@pytest.fixture(scope="module")
def served(calibrated):
    return tf.saved_model.load(calibrated.directory / "saved_model")


def mean_logits(model, image):
    views = [np.rot90(mirrored, turns) for mirrored in (image, image[:, ::-1]) for turns in range(4)]
    return model(np.stack(views)).numpy().mean(axis=0)


def test_the_artifact_holds_what_it_promises(calibrated, trained):
    for name in ("model.keras", "model.json"):
        assert (calibrated.directory / name).read_bytes() == (trained.directory / name).read_bytes()
    assert (calibrated.directory / "saved_model" / "assets.extra" / "tf_serving_warmup_requests").is_file()
    rule = rule_lib.read(calibrated.directory)
    assert rule.num_images == calibrated.properties["num_images"] == 16
    assert rule.temperature == calibrated.properties["temperature"]
    assert calibrated.properties["guarantees"] == np.isfinite(rule.min_confidence)


def test_the_temperature_is_fitted_to_the_calibration_images_alone(calibrated, transformed, trained):
    from sperm_tf.decision.temperature import fit_temperature

    model = keras.models.load_model(trained.directory / "model.keras", compile=False)
    images = batches.read_images(transformed.directory, "calibration")
    rows = [(mean_logits(model, image.astype("float32")), label) for image, label in images.as_numpy_iterator()]
    logits, labels = map(np.array, zip(*rows, strict=True))
    assert calibrated.properties["temperature"] == pytest.approx(fit_temperature(logits, labels), rel=1e-3)


def test_where_validation_chose_nothing_it_calibrates_too(trained, transformed, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(trained.directory, folder)
    info = json.loads((folder / "model.json").read_text())
    info["config"] |= {"checkpoint": "last", "early_stopping_patience": 0}
    (folder / "model.json").write_text(json.dumps(info))
    sums = {**trained.sha256, "model.json": digest_file(folder / "model.json")}
    model = dataclasses.replace(trained, directory=folder, sha256=sums)
    calibrated = Calibrator(CONFIG, model=model, examples=transformed).run(RunContext(tmp_path / "root"))
    assert calibrated.properties["num_images"] == 32


def test_what_is_served_is_the_saved_model_averaged_over_views_and_calibrated(calibrated, served):
    image = examples_fixture.encode(examples_fixture.draw(2, 0))
    model = keras.models.load_model(calibrated.directory / "model.keras", compile=False)
    pixels = preprocess(tf.constant(image), 32).numpy().astype("float32")
    logits = mean_logits(model, pixels) / calibrated.properties["temperature"]
    answer = served.signatures["serving_default"](image_bytes=tf.constant([image]))
    np.testing.assert_allclose(answer["probabilities"][0], scipy.special.softmax(logits), rtol=1e-4)
    explained = served.signatures["explain"](image_bytes=tf.constant([image]))
    for name, value in answer.items():
        if value.dtype == tf.string or value.dtype == tf.bool:
            np.testing.assert_array_equal(explained[name], value)
        else:
            np.testing.assert_allclose(explained[name], value, rtol=1e-3, atol=1e-6)


def test_what_is_familiar_is_learnt_from_images_of_every_fold(transformed):
    images = batches.read_images(transformed.directory, "train")
    everything = [pixels.tobytes() for pixels, _ in images.as_numpy_iterator()]
    count = len(everything) // 3
    drawn = calibrator._draw(images, count)
    places = [everything.index(pixels.tobytes()) for pixels, _ in drawn.as_numpy_iterator()]
    assert len(drawn) == len(set(places)) == count
    assert min(places) < len(everything) / 3 and max(places) > 2 * len(everything) / 3
    assert len(calibrator._draw(images, len(everything))) == len(everything)


def test_python_and_the_graph_decide_the_same(calibrated, served, transformed):
    classifier = sperm_tf.load_model(calibrated.directory)
    shards = examples.shard_paths(transformed.directory, "test")
    files = [bytes(examples.from_example(row)["image"]) for row in examples.read_serialized(shards).as_numpy_iterator()]
    strange = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    files += [examples_fixture.encode(strange), b"no image"]
    answer = {
        name: value.numpy()
        for name, value in served.signatures["serving_default"](image_bytes=tf.constant(files)).items()
    }
    for row, found in enumerate(classifier.predict(files)):
        assert found.decision == answer["decision"][row].decode()
        assert found.reason == answer["reason"][row].decode()
        assert found.predicted_class == answer["predicted_class"][row].decode()
        members = {name for name, belongs in zip(CLASS_NAMES, answer["prediction_set"][row], strict=True) if belongs}
        assert set(found.prediction_set) == members
        assert found.unfamiliarity == pytest.approx(answer["unfamiliarity"][row], rel=1e-3)
        if found.probabilities:
            np.testing.assert_allclose(list(found.probabilities.values()), answer["probabilities"][row], rtol=1e-4)
    assert answer["reason"][-2:].tolist() == [b"unfamiliar", b"unreadable"]
    assert answer["decision"][-2:].tolist() == [b"refer", b"refer"]
    assert not answer["prediction_set"][-1].any() and answer["unfamiliarity"][-1] == 0
    assert answer["unfamiliarity"][-2] > 1 >= np.median(answer["unfamiliarity"][:-2])


def test_without_calibration_images_everything_is_referred(trained, tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    splits = examples_fixture.default_splits()
    examples_fixture.write_examples(folder, {**splits, "calibration": []})
    for split, rows in splits.items():  # as Transform leaves them
        for row in rows:
            row["image"] = examples_fixture.encode(preprocess(tf.constant(row["image"]), 32).numpy())
        if split != "calibration":
            serialized = [examples.to_example(row).SerializeToString() for row in rows]
            examples.write_shard(examples.shard_path(folder, split, 0, 1), serialized)
    artifact = Artifact(folder, "", "", "examples", {}, {}, {}, {}, {}, "", 0.0, {})
    calibrated = Calibrator(CalibratorConfig(), model=trained, examples=artifact).run(RunContext(tmp_path / "root"))
    assert calibrated.properties == {"num_images": 0, "temperature": 1.0, "guarantees": False}
    found = sperm_tf.load_model(calibrated.directory).predict(splits["test"][0]["image"])[0]
    assert (found.decision, found.reason, found.prediction_set) == ("refer", "no_guarantee", tuple(CLASS_NAMES))
    assert json.loads((calibrated.directory / "decision.json").read_text())["max_distance"] is None
