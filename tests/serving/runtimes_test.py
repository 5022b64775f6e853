"""The exports for other runtimes answer as the SavedModel does."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import sperm_tf
from sperm_tf.runtimes import registry
from sperm_tf.runtimes.model import RuntimeModel
from sperm_tf.runtimes.sessions import open_session
from tests import image_files
from tests.helpers import ROOT
from tests.serving.conftest import CLASS_NAMES

PNGS = [image_files.encode(image_files.random_pixels(seed=seed), "PNG") for seed in range(19)]
BAD = [b"", b"no image", PNGS[0][:200], image_files.encode(image_files.random_pixels(8, 8), "PNG")]
FORMATS = tuple(registry.GRAPH_FILES)
PAIRS = [(name, format) for name, runtime in registry.RUNTIMES.items() for format in runtime.formats]


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_answering_model, Classifier, export_saved_model, preprocess, tf
    import tensorflow as tf

    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.models.views import build_answering_model
    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.export import export_saved_model


@pytest.fixture(scope="module")
def exported(exported, tmp_path_factory):
    """The tiny model with a rule that knows some of the images: its limits are quantiles of what they measure."""
    answers = build_answering_model(exported.model, views=1)(_pixels(PNGS))
    limits = np.quantile(exported.rule.familiarity.measure(answers["features"]), 0.8, axis=0) + 1e-3
    confidence = np.max(exported.rule.decide(answers["logits"], answers["features"]).probabilities, axis=1)
    rule = dataclasses.replace(
        exported.rule,
        max_distance=float(limits[0]),
        max_faintness=float(limits[1]),
        max_composition=float(limits[2]),
        min_confidence=float(np.quantile(confidence, 0.4)) + 1e-3,
    )
    folder = tmp_path_factory.mktemp("known") / "1"
    export_saved_model(exported.model, folder, class_names=CLASS_NAMES, image_size=24, views=1, rule=rule)
    return dataclasses.replace(exported, rule=rule, path=folder)


@pytest.fixture(scope="module")
def graphs(exported, tmp_path_factory):
    """Format -> folder of the exported tiny model; read only."""
    classifier = Classifier(exported.model, tuple(CLASS_NAMES), 24, 1, exported.rule)
    folders = {format: tmp_path_factory.mktemp("graphs") / format for format in FORMATS}
    for format, folder in folders.items():
        classifier.export(folder, format=format)
    return folders


def _pixels(files):
    return np.stack([preprocess(file, 24).numpy() for file in files]).astype("float32")


def _served(exported, files):
    signature = tf.saved_model.load(str(exported.path)).signatures["serving_default"]
    return {name: value.numpy() for name, value in signature(image_bytes=tf.constant(files, tf.string)).items()}


def _check(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        if values.dtype == np.float32:
            assert found[name].dtype == np.float32
            # A pixel may be a grey level off, see sperm_tf.data.array_preprocess.
            np.testing.assert_allclose(found[name], values, rtol=3e-3, atol=1e-3, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize(("runtime", "format"), PAIRS)
def test_answers_are_those_of_the_saved_model(runtime, format, graphs, exported):
    files = [*BAD[:2], *PNGS, *BAD[2:]]
    expected = _served(exported, files)
    assert {b"confident", b"uncertain", b"unfamiliar"} <= set(expected["reason"]), "the files must differ"
    assert len(set(expected["predicted_class"])) > 2
    model = RuntimeModel(graphs[format], runtime)
    _check(model.predict(files), expected)
    for some in (files[:1], BAD, []):
        _check(model.predict(some), _served(exported, some))


@pytest.mark.parametrize(("runtime", "format"), PAIRS)
def test_the_graph_computes_what_keras_does(runtime, format, graphs, exported):
    images = _pixels(PNGS)
    answers = build_answering_model(exported.model, views=1)(images)
    expected = vars(exported.rule.decide(answers["logits"], answers["features"]))
    file = graphs[format] / registry.GRAPH_FILES[format]
    found = open_session(file, runtime, sorted(expected))(images.astype(np.uint8))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], np.asarray(values), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("runtime", "format"), PAIRS)
def test_every_number_of_rows(runtime, format, graphs):
    images = _pixels(PNGS).astype(np.uint8)
    session = open_session(
        graphs[format] / registry.GRAPH_FILES[format],
        runtime,
        ("prediction_set", "probabilities", "reason", "unfamiliarity"),
    )
    whole = session(images[:8])["probabilities"].copy()
    for count in (1, 2, 7, 8, 9):
        found = session(images[:count])["probabilities"]
        assert len(found) == count
        np.testing.assert_allclose(found[:8], whole[:count], rtol=1e-5)


@pytest.mark.slow
def test_eight_views(exported_averaged, tmp_path):
    classifier = Classifier(exported_averaged.model, tuple(CLASS_NAMES), 24, 8, exported_averaged.rule)
    classifier.export(tmp_path / "onnx", format="onnx")
    for runtime in ("onnxruntime", "openvino"):
        model = RuntimeModel(tmp_path / "onnx", runtime)
        assert model.views == 8
        _check(model.predict(PNGS[:5]), _served(exported_averaged, PNGS[:5]))


def test_without_a_rule_every_image_is_referred(exported, tmp_path):
    Classifier(exported.model, tuple(CLASS_NAMES), 24).export(tmp_path / "onnx", format="onnx")
    predictions = sperm_tf.load_model(tmp_path / "onnx", runtime="onnxruntime").predict(PNGS[:3])
    assert {(one.decision, one.reason) for one in predictions} == {("refer", "not_calibrated")}


@pytest.mark.parametrize("runtime", ("onnxruntime", "openvino"))
def test_predictions_are_those_of_the_classifier(runtime, graphs, exported, tmp_path):
    (tmp_path / "cell.png").write_bytes(PNGS[0])
    files = [tmp_path / "cell.png", PNGS[1], b"no image", image_files.random_pixels(seed=3)]
    expected = Classifier(exported.model, tuple(CLASS_NAMES), 24, 1, exported.rule).predict(files)
    classifier = sperm_tf.load_model(graphs["onnx"], runtime=runtime)
    assert (classifier.class_names, classifier.image_size, classifier.views) == (tuple(CLASS_NAMES), 24, 1)
    found = classifier.predict(files)
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
        assert one.unfamiliarity == pytest.approx(other.unfamiliarity, rel=3e-3)
        same = {"probabilities": {}, "unfamiliarity": 0.0}
        assert dataclasses.replace(one, **same) == dataclasses.replace(other, **same)
    assert found.to_frame()["p_normal"].notna().tolist() == [True, True, False, True]
    with pytest.raises(FileNotFoundError):
        classifier.predict(["missing.png"])
    assert classifier.predict(["missing.png"], errors="rows")[0].status == "unreadable"
    with pytest.raises(ValueError, match="runtime must be 'tensorflow' for explain"):
        classifier.explain(files)


SCRIPT = """
import sys

import sperm_tf

(prediction,) = sperm_tf.load_model(sys.argv[1], runtime=sys.argv[2]).predict(sys.argv[3])
assert prediction.status == "ok"
found = [name for name in ("tensorflow", "keras", "pandas") if name in sys.modules]
print(",".join(found) or "none")
"""


@pytest.mark.integration
@pytest.mark.parametrize(("runtime", "format"), PAIRS)
def test_tensorflow_is_not_imported(runtime, format, graphs, tmp_path):
    (tmp_path / "cell.png").write_bytes(PNGS[0])
    command = [sys.executable, "-c", SCRIPT, str(graphs[format]), runtime, str(tmp_path / "cell.png")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip().splitlines()[-1] == "none"


@pytest.mark.parametrize("damage", ("graph", "info", "missing"))
def test_a_damaged_folder_is_refused(damage, graphs, tmp_path):
    for file in graphs["onnx"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / ("model.json" if damage == "info" else "model.onnx")
    if damage == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1 if damage == "graph" else 0x80
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"Received: .*Export it again|damaged. Copy the whole folder again"):
        RuntimeModel(tmp_path, "onnxruntime")


def test_the_rule_lies_beside_the_graph(graphs, exported):
    rule = json.loads((graphs["onnx"] / "decision.json").read_text())
    assert rule["temperature"] == exported.rule.temperature
    assert (graphs["onnx"] / "familiarity.npz").is_file()


def test_wrong_names_and_missing_packages(graphs, exported, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="runtime must be one of tensorflow, openvino, onnxruntime, litert"):
        sperm_tf.load_model(graphs["onnx"], runtime="tensorrt")
    with pytest.raises(ValueError, match=r"opens the format 'litert': litert. Received: runtime='onnxruntime'"):
        sperm_tf.load_model(graphs["litert"], runtime="onnxruntime")
    with pytest.raises(ValueError, match="source must be one of the released models"):
        sperm_tf.load_model("unknown", runtime="onnxruntime")
    classifier = Classifier(exported.model, tuple(CLASS_NAMES), 24, 1, exported.rule)
    with pytest.raises(ValueError, match="format must be one of saved_model, onnx, openvino, litert"):
        classifier.export(tmp_path / "a", format="torch")
    with pytest.raises(ValueError, match="directory must be new or empty"):
        classifier.export(graphs["onnx"], format="onnx")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tf2onnx", None)
        with pytest.raises(ImportError, match=r"needs tf2onnx, which is not installed. Run: pip install onnx tf2onnx"):
            classifier.export(tmp_path / "b", format="onnx")
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"'onnxruntime' needs onnxruntime, .* Run: pip install onnxruntime"):
        sperm_tf.load_model(graphs["onnx"], runtime="onnxruntime")
    assert registry.runtime_for("onnx") is None
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: name == "ai_edge_litert" or None)
    assert (registry.runtime_for("litert"), registry.runtime_for("onnx")) == ("litert", None)
