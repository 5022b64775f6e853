import base64
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from sperm_tf.config import ModelConfig
from sperm_tf.evaluation.infra_validation import checks as infra_checks
from sperm_tf.evaluation.infra_validation import probe
from tests import image_files
from tests.serving.conftest import CLASS_NAMES, IMAGE_SIZE


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, ClassActivationMaps, export_saved_model, keras, preprocess, reference_maps, rule, tf
    global summarize_composition, tiny_models, warmup
    import keras
    import tensorflow as tf

    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.decision import rule
    from sperm_tf.explain.activation_maps import ClassActivationMaps
    from sperm_tf.explain.reference import reference_maps
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.models.composition import summarize_composition
    from sperm_tf.serving import warmup
    from sperm_tf.serving.export import export_saved_model
    from tests import tiny_models


MAPS = (
    "layer_integrated_gradients",
    "grad_cam_plus_plus",
    "grad_cam_plus_plus_per_class",
    "cbam_attention",
)
BAD = image_files.bad_files()
GOOD = {name: data for name, (data, _) in image_files.lossless_files().items()}
GOOD["jpeg"] = image_files.encode(image_files.random_pixels(), "JPEG")

LOADER = pathlib.Path(__file__).with_name("load_without_keras.py")


def answers_elsewhere(path, files, cwd):
    request = {"path": str(path), "files": [base64.b64encode(file).decode() for file in files]}
    done = subprocess.run(
        [sys.executable, LOADER], input=json.dumps(request), capture_output=True, text=True, cwd=cwd, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def signature(exported, name):
    return tf.saved_model.load(str(exported.path)).signatures[name]


@pytest.fixture(params=["exported", "exported_averaged"])
def each_exported(request):
    return request.getfixturevalue(request.param)


def mean_logits(exported, pixels):
    mirrors = [pixels, np.flip(pixels, 2)] if exported.views == 8 else [pixels]
    turns = range(4) if exported.views == 8 else range(1)
    return np.mean([exported.model.predict(np.rot90(x, n, (1, 2)), verbose=0) for x in mirrors for n in turns], axis=0)


def decide(exported, pixels):
    """The rule on logits and features that are computed apart from the answering model."""
    features = keras.Model(exported.model.inputs[0], exported.model.get_layer("feature_map").output)
    mirrors = [pixels, np.flip(pixels, 2)] if exported.views == 8 else [pixels]
    turns = range(4) if exported.views == 8 else range(1)
    maps = [features.predict(np.rot90(x, n, (1, 2)), verbose=0) for x in mirrors for n in turns]
    parts = [[m.mean(axis=(1, 2)), np.log(m.var(axis=(1, 2)) + 1e-6) / 2] for m in maps]
    style = np.mean([np.concatenate(part, axis=1) for part in parts], axis=0)
    features = np.concatenate([style, summarize_composition(pixels)], axis=1)
    found = exported.rule.decide(mean_logits(exported, pixels), features)
    return {name: keras.ops.convert_to_numpy(value) for name, value in vars(found).items()}


@pytest.mark.slow
def test_a_process_with_tensorflow_alone_answers_every_signature(each_exported, tmp_path):
    exported = each_exported
    files = [file for pair in zip(GOOD.values(), [data for data, _ in BAD.values()], strict=False) for file in pair]
    answers = answers_elsewhere(exported.path, files, tmp_path)
    pixels = np.stack([preprocess(file, IMAGE_SIZE) for file in files[::2]]).astype(np.float32)
    decided = decide(exported, pixels)
    expected = decided["probabilities"]
    assert {"confident", "uncertain", "unfamiliar"} & {rule.REASONS[index] for index in decided["reason"]}
    explanation = ClassActivationMaps(exported.model, views=exported.views)(pixels, every_class=True)
    for answer in answers.values():
        assert answer["status"][::2] == ["ok"] * len(pixels)
        assert answer["status"][1::2] == [status for _, status in BAD.values()][: len(files) // 2]
        np.testing.assert_allclose(answer["probabilities"][::2], expected, rtol=1e-5, atol=1e-6)
        assert answer["predicted_class"][::2] == [CLASS_NAMES[i] for i in np.argmax(expected, axis=1)]
        assert set(answer["predicted_class"][1::2]) == {""} and not np.any(answer["probabilities"][1::2])
        assert answer["class_names"] == [CLASS_NAMES] * len(files)
        np.testing.assert_array_equal(answer["prediction_set"][::2], decided["prediction_set"])
        assert not np.any(answer["prediction_set"][1::2]) and not np.any(answer["unfamiliarity"][1::2])
        assert answer["reason"][::2] == [rule.REASONS[index] for index in decided["reason"]]
        assert answer["decision"][::2] == [("accept", "refer")[bool(index)] for index in decided["reason"]]
        np.testing.assert_allclose(answer["unfamiliarity"][::2], decided["unfamiliarity"], rtol=1e-3)
        assert set(answer["decision"][1::2]) == {"refer"} and set(answer["reason"][1::2]) == {"unreadable"}
    maps = np.array(answers["explain_classes"]["grad_cam_plus_plus_per_class"])
    np.testing.assert_allclose(maps[::2], explanation.grad_cam_plus_plus_per_class, rtol=1e-4, atol=1e-5)
    of_predicted = maps[np.arange(len(files)), np.argmax(answers["explain"]["probabilities"], axis=1)]
    np.testing.assert_allclose(answers["explain"]["grad_cam_plus_plus"], of_predicted, rtol=1e-4, atol=1e-5)
    assert set(answers["explain_classes"]) - set(answers["explain"]) == {"grad_cam_plus_plus_per_class"}
    for name in ("explain", "explain_classes"):
        for key in set(MAPS) & set(answers[name]):
            maps = np.array(answers[name][key])
            np.testing.assert_allclose(maps[::2], getattr(explanation, key), rtol=1e-4, atol=1e-5, err_msg=key)
            assert not maps[1::2].any()


@pytest.mark.slow
def test_the_saved_model_preprocesses_to_the_same_bits(tmp_path):
    """A network that gives its input away through the attention map, on which a gate of one pixel does nothing."""

    class Peephole(keras.layers.Layer):
        def attention_maps(self, features):
            return None, features[..., 1:2]

        def call(self, features):
            return features

    image = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="image")
    features = keras.layers.Identity(name="feature_map")(Peephole(name="cbam_top")(image))
    model = keras.Model(image, tiny_models.linear_head(features, 3))
    export_saved_model(model, tmp_path / "1", class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
    answer = answers_elsewhere(tmp_path / "1", [*GOOD.values(), b""], tmp_path)["explain"]
    for file, green in zip(GOOD.values(), answer["cbam_attention"], strict=False):
        np.testing.assert_array_equal(green, preprocess(file, IMAGE_SIZE).numpy()[..., 1])


def test_a_turned_image_gets_the_same_answer_and_the_turned_maps(exported_averaged, exported):
    pixels = image_files.random_pixels(IMAGE_SIZE, IMAGE_SIZE)
    turned = [np.rot90(x, n) for x in (pixels, pixels[:, ::-1]) for n in range(4)]
    files = tf.constant([image_files.encode(np.ascontiguousarray(x), "PNG") for x in turned])
    for name in ("serving_default", "explain"):
        answer = signature(exported_averaged, name)(image_bytes=files)
        np.testing.assert_allclose(answer["probabilities"] - answer["probabilities"][:1], 0, atol=1e-5)
    assert np.ptp(signature(exported, "serving_default")(image_bytes=files)["probabilities"], axis=0).max() > 1e-3
    for name in ("layer_integrated_gradients", "grad_cam_plus_plus", "cbam_attention"):
        maps = answer[name].numpy()
        assert np.ptp(maps[0]) > 0.01
        for row in range(8):
            back = np.rot90(maps[row], -(row % 4))
            np.testing.assert_allclose(back[:, ::-1] if row >= 4 else back, maps[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serving_default", "explain", "explain_classes", "serving_examples"])
def test_batches_of_bad_rows_alone_and_of_no_rows(each_exported, name):
    function = signature(each_exported, name)
    key = "examples" if name == "serving_examples" else "image_bytes"
    nothing = function(**{key: tf.zeros([0], tf.string)})
    bad = function(**{key: tf.constant([b"", b"garbage" * 20])})
    for output, of_nothing in zip(bad.values(), nothing.values(), strict=True):
        assert output.shape[0] == 2 and of_nothing.shape[0] == 0 and output.shape[1:] == of_nothing.shape[1:]
    assert set(bad["predicted_class"].numpy()) == {b""}


def test_a_damaged_example_leaves_its_neighbours_unharmed(exported):
    bytes_list = tf.train.BytesList(value=[GOOD["png_rgb"]])
    good = tf.train.Example(features=tf.train.Features(feature={"image": tf.train.Feature(bytes_list=bytes_list)}))
    rows = [good.SerializeToString(), b"\xff\xff\xff", tf.train.Example().SerializeToString()]
    answer = signature(exported, "serving_examples")(examples=tf.constant(rows))
    assert answer["status"].numpy().tolist() == [b"ok", b"empty", b"empty"]


def test_saved_model_cli_lists_the_signatures(exported):
    code = "import sys; from tensorflow.python.tools.saved_model_cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "show", "--all", f"--dir={exported.path}"],
        capture_output=True, text=True, timeout=300, cwd=exported.path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("serving_default", "serving_examples", "explain", "explain_classes"):
        assert f"signature_def['{name}']" in done.stdout
    for name in (*MAPS, "class_names"):
        assert f"outputs['{name}']" in done.stdout
    assert "inputs['image_bytes'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1)" in done.stdout


def test_nothing_is_compiled(exported):
    saved = tf.saved_model.load(str(exported.path))
    graph = saved.signatures["explain"].graph.as_graph_def()
    for function in graph.library.function:
        assert not function.attr["_XlaMustCompile"].b


@pytest.mark.integration
@pytest.mark.slow
def test_the_real_model_explains_itself_like_tf_keras_vis(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_classifier(ModelConfig(), num_classes=3, image_size=64)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 20, logits.get_weights()[1]])
    export_saved_model(model, tmp_path / "1", class_names=CLASS_NAMES, image_size=64)
    explain = tf.saved_model.load(str(tmp_path / "1")).signatures["explain_classes"]
    answer = explain(image_bytes=tf.constant([GOOD["gif"], b"no image", GOOD["jpeg"]]))
    images = np.stack([preprocess(GOOD[name], 64) for name in ("gif", "jpeg")]).astype(np.float32)
    for index in range(3):
        expected = reference_maps("grad_cam_plus_plus", model, images, class_indices=[index] * 2)
        maps = answer["grad_cam_plus_plus_per_class"].numpy()[::2, index]
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)
    predicted = answer["probabilities"].numpy()[::2].argmax(axis=1).tolist()
    expected = reference_maps("layer_integrated_gradients", model, images, class_indices=predicted)
    np.testing.assert_allclose(answer["layer_integrated_gradients"][::2], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_attention_has_the_resolution_of_its_own_layer(tmp_path):
    model = tiny_models.build(gate_at_double_resolution=True)
    export_saved_model(model, tmp_path / "1", class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
    files = [GOOD["png_rgb"], b"no image", GOOD["jpeg"]]
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    answer = {name: value.numpy() for name, value in signatures["explain"](image_bytes=tf.constant(files)).items()}
    assert answer["grad_cam_plus_plus"].shape == (3, 3, 3) and answer["cbam_attention"].shape == (3, 6, 6)
    images = np.stack([preprocess(file, IMAGE_SIZE) for file in files[::2]]).astype(np.float32)
    gate = model.get_layer("cbam_top")
    before, after = keras.Model(model.input, [gate.input, gate.output]).predict(images, verbose=0)
    np.testing.assert_allclose(before * answer["cbam_attention"][::2, ..., None], after, rtol=1e-4, atol=1e-6)
    examples = [warmup._to_example(file) for file in files]
    answers = {
        "importable": [],
        "signatures": {
            name: probe._query(signatures[name], examples if name == "serving_examples" else files)
            for name in probe.SIGNATURES
        },
    }
    checks = infra_checks.check_answers(answers, class_names=CLASS_NAMES, bad_rows=[1], num_rows=3)
    assert [check for check in checks if not check.passed] == []


@pytest.mark.slow
def test_a_white_point_is_served_with_its_model(tmp_path):
    config = ModelConfig(name="simple_cnn", white_point=True)
    model = build_classifier(config, num_classes=len(CLASS_NAMES), image_size=IMAGE_SIZE)
    model.get_layer("logits").kernel.assign(
        np.random.default_rng(0).normal(size=model.get_layer("logits").kernel.shape)
    )
    export_saved_model(model, tmp_path / "1", class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
    pixels = (0.6 * image_files.random_pixels()).astype(np.uint8)
    files = [image_files.encode(pixels, "PNG"), image_files.encode((pixels * [1, 0.8, 0.6]).astype(np.uint8), "PNG")]
    explain = tf.saved_model.load(str(tmp_path / "1")).signatures["explain"]
    served = explain(image_bytes=tf.constant(files))["probabilities"].numpy()
    images = np.stack([preprocess(file, IMAGE_SIZE) for file in files]).astype(np.float32)
    np.testing.assert_allclose(served, keras.ops.softmax(model.predict(images, verbose=0)), atol=1e-5)
    np.testing.assert_allclose(served[0], served[1], atol=0.02)  # another lamp, but for the rounding of its pixels
    plain = build_classifier(ModelConfig(name="simple_cnn"), num_classes=len(CLASS_NAMES), image_size=IMAGE_SIZE)
    plain.set_weights(model.get_weights())
    assert np.abs(np.diff(keras.ops.softmax(plain.predict(images, verbose=0)), axis=0)).max() > 0.02


@pytest.mark.slow
def test_models_without_cbam_have_no_attention_output(tmp_path):
    model = tiny_models.build(with_gate=False)
    export_saved_model(model, tmp_path / "1", class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
    outputs = tf.saved_model.load(str(tmp_path / "1")).signatures["explain"].structured_outputs
    assert "cbam_attention" not in outputs and "grad_cam_plus_plus" in outputs


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"class_names": ["a", "b"]}, "class_names must hold 3 names"),
        ({"class_names": ["a", "b", "b"]}, "class_names must differ"),
        ({"image_size": 32}, "image_size must be the side of the model's input, 24"),
        ({"views": 4}, "views must be one of 1, 8"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path, changed, message):
    arguments = {"class_names": CLASS_NAMES, "image_size": IMAGE_SIZE, **changed}
    with pytest.raises(ValueError, match=message):
        export_saved_model(tiny_models.build(), tmp_path / "1", **arguments)


def test_a_directory_in_use_is_refused(exported):
    with pytest.raises(ValueError, match="directory must be new or empty"):
        export_saved_model(exported.model, exported.path, class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
