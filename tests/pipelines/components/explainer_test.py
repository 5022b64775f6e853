import json

import numpy as np
import pytest
from PIL import Image

from pipelines.components import explainer
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.config import ExplainerConfig
from sperm_tf.data import examples
from sperm_tf.evaluation.metrics import predictions
from sperm_tf.served_names import SERVED_MAPS

pytestmark = pytest.mark.integration


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global CBAM, export_saved_model, keras, overlay, preprocess, tf
    import keras
    import tensorflow as tf

    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.explain import overlay
    from sperm_tf.layers.attention import CBAM
    from sperm_tf.serving.export import export_saved_model


CLASS_NAMES = ["normal", "abnormal", "non-sperm"]
IMAGE_SIZE = 32
NUM_IMAGES = 12


def build_model(dtype="float32", *, pool_behind_cbam=False):
    """A tiny classifier with the layers that every model of the project has."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, dtype=dtype)(inputs)
    x = keras.layers.Conv2D(16, 3, 4, padding="same", activation="relu", dtype=dtype)(x)
    x = CBAM(reduction=4, name="cbam_top", dtype=dtype)(x)
    if pool_behind_cbam:
        x = keras.layers.AveragePooling2D(4, dtype=dtype)(x)
    x = keras.layers.Identity(name="feature_map", dtype=dtype)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits", dtype="float32")(x))


def encode(index):
    """A dark blob on a pale ground, not square, as PNG bytes."""
    rng = np.random.default_rng(index)
    pixels = rng.normal(205, 8, (40, 50, 3))
    rows, columns = np.mgrid[:40, :50]
    pixels[(rows - 20) ** 2 + (columns - 15 - index) ** 2 < 60 + 10 * index] -= 90
    return tf.io.encode_png(np.clip(pixels, 0, 255).astype(np.uint8)).numpy()


def write_artifact(directory, producer):
    Artifact(directory, producer, "f" * 64, "d" * 64, {}, {}, {}, {}, {}, "2026-01-01T00:00:00+00:00", 0.0, {}).write()
    return Artifact.read(directory)


@pytest.fixture(scope="module")
def model():
    return build_model()


def write_model(folder, model, *, views=1):
    folder.mkdir()
    model.save(folder / "model.keras")
    saved_model = folder / "saved_model"
    export_saved_model(model, saved_model, class_names=CLASS_NAMES, image_size=IMAGE_SIZE, views=views)
    (folder / "model.json").write_text(json.dumps({"class_names": CLASS_NAMES, "views": views}))
    return write_artifact(folder, "model")


@pytest.fixture(scope="module")
def inputs(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    encoded = [encode(index) for index in range(NUM_IMAGES)]
    serialized = []
    for index, image in enumerate(encoded):
        texts = {"label_name": CLASS_NAMES[index % 3], "image_id": f"a/{index}.png", "pixel_sha256": "0"}
        texts |= {"group_id": str(index), "source_format": "PNG"}
        numbers = {"label": index % 3, "width": 50, "height": 40, "fold": 0}
        example = examples.to_example({"image": image, **{k: v.encode() for k, v in texts.items()}, **numbers})
        serialized.append(example.SerializeToString())
    for shard in range(2):
        path = examples.shard_path(root / "examples", "test", shard, 2)
        examples.write_shard(path, serialized[shard * 6 : shard * 6 + 6])
    pixels = np.stack([preprocess(tf.constant(image), IMAGE_SIZE).numpy() for image in encoded]).astype(np.float32)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model(pixels)))
    rows = [
        {
            "image_id": f"a/{index}.png",
            "group_id": str(index),
            "label": index % 3,
            "status": "ok",
            "probabilities": probabilities[index],
        }
        for index in range(NUM_IMAGES)
    ]
    (root / "evaluation").mkdir()
    table = predictions.from_rows(rows, class_names=CLASS_NAMES, split="test")
    predictions.write_csv(table, root / "evaluation" / "predictions.csv")
    found = {name: write_artifact(root / name, name) for name in ("examples", "evaluation")}
    return {**found, "model": write_model(root / "model", model)}


@pytest.fixture(scope="module")
def artifact(inputs, tmp_path_factory):
    component = explainer.Explainer(ExplainerConfig(images_per_class=2), **inputs)
    return component.run(RunContext(tmp_path_factory.mktemp("root")))


@pytest.fixture(scope="module")
def content(artifact):
    return json.loads((artifact.directory / "explanations.json").read_text())


def test_every_class_is_explained_and_the_answers_are_those_of_the_evaluation(content, inputs):
    table = predictions.read_csv(inputs["evaluation"].directory / "predictions.csv")
    assert [item["true"] for item in content["images"]] == [name for name in CLASS_NAMES for _ in range(2)]
    for item in content["images"]:
        row = table.image_ids.index(item["image_id"])
        assert item["predicted"] == CLASS_NAMES[table.predicted[row]]
        assert item["probability"] == pytest.approx(table.probabilities[row].max(), abs=1e-6)
        assert item["correct"] == (item["true"] == item["predicted"])
    assert {item["correct"] for item in content["images"]} == {True, False}


def test_every_picture_is_a_png_with_the_sides_of_its_image(content, artifact):
    for item in content["images"]:
        assert set(item["files"]) == {"image", "layer_integrated_gradients", "grad_cam_plus_plus", "cbam_attention"}
        for name in item["files"].values():
            with Image.open(artifact.directory / name) as picture:
                assert (picture.format, picture.size) == ("PNG", (50, 40))
        with Image.open(artifact.directory / item["file"]) as panel:
            assert panel.width > 4 * 160


def test_pictures_show_the_image_and_differ_from_view_to_view(content, artifact):
    for item in content["images"]:
        pictures = {view: np.asarray(Image.open(artifact.directory / name)) for view, name in item["files"].items()}
        index = int(item["image_id"].removeprefix("a/").removesuffix(".png"))
        np.testing.assert_array_equal(pictures["image"], tf.io.decode_png(encode(index)).numpy())
        assert (pictures["image"] != pictures["cbam_attention"]).any()
        assert (pictures["cbam_attention"] != pictures["grad_cam_plus_plus"]).any()


def test_served_maps_agree_with_tf_keras_vis(content):
    for name in SERVED_MAPS:
        assert content["agreement"][name]["num_images"] == 6
        assert content["agreement"][name]["max_relative_difference"] < 1e-4


def test_served_maps_of_another_model_are_found_to_differ(inputs, tmp_path):
    keras.utils.set_random_seed(4)
    other = keras.models.clone_model(build_model())
    (tmp_path / "model").mkdir()
    other.save(tmp_path / "model" / "model.keras")
    for name in ("saved_model", "model.json"):
        (tmp_path / "model" / name).symlink_to(inputs["model"].directory / name)
    changed = {**inputs, "model": write_artifact(tmp_path / "model", "model")}
    found = explainer.Explainer(ExplainerConfig(images_per_class=1), **changed).run(RunContext(tmp_path / "root"))
    assert found.properties["max_relative_difference"] > 1e-2


def test_an_averaged_answer_is_explained_as_such(inputs, model, content, tmp_path):
    changed = {**inputs, "model": write_model(tmp_path / "model", model, views=8)}
    component = explainer.Explainer(ExplainerConfig(images_per_class=2), **changed)
    found = component.run(RunContext(tmp_path / "root"))
    averaged = json.loads((found.directory / "explanations.json").read_text())
    for name in SERVED_MAPS:
        assert averaged["agreement"][name]["num_images"] == 6
        assert averaged["agreement"][name]["max_relative_difference"] < 1e-4
    assert [item["image_id"] for item in averaged["images"]] == [item["image_id"] for item in content["images"]]
    for item, single in zip(averaged["images"], content["images"], strict=True):
        for name in (*SERVED_MAPS, "cbam_attention"):
            assert item["maps"][name] != single["maps"][name]


def test_maps_of_one_view_beside_an_averaged_answer_are_found_to_differ(inputs, model, tmp_path):
    changed = {**inputs, "model": write_model(tmp_path / "model", model, views=8)}
    (tmp_path / "model" / "model.json").write_text(json.dumps({"class_names": CLASS_NAMES}))  # as of older versions
    found = explainer.Explainer(ExplainerConfig(images_per_class=1), **changed).run(RunContext(tmp_path / "root"))
    assert found.properties["max_relative_difference"] > 1e-2


def test_attention_is_that_of_the_layer(content, inputs, model):
    item = content["images"][0]
    index = int(item["image_id"].removeprefix("a/").removesuffix(".png"))
    pixels = preprocess(tf.constant(encode(index)), IMAGE_SIZE).numpy()[None].astype(np.float32)
    layer = model.get_layer("cbam_top")
    _, spatial = layer.attention_maps(keras.Model(model.inputs, layer.input)(pixels))
    assert item["maps"]["cbam_attention"]["mean"] == pytest.approx(float(np.mean(spatial)), abs=1e-5)


def test_maps_of_different_resolutions_are_drawn_each_by_its_own(tmp_path):
    early = build_model(pool_behind_cbam=True)
    folder = write_model(tmp_path / "model", early).directory
    encoded = [encode(0), encode(1)]
    served = explainer._ask_served_model(folder / "saved_model", encoded)
    maps = explainer._compute_maps(folder, encoded, [0, 1], served)
    assert {view: values.shape for view, values in maps.items()} == {
        "layer_integrated_gradients": (2, 2, 2),
        "grad_cam_plus_plus": (2, 2, 2),
        "cbam_attention": (2, 8, 8),
    }
    (tmp_path / "images").mkdir()
    item = {"true": "normal", "predicted": "normal", "probability": 0.5}
    files = explainer._draw(item, encode(0), {view: values[0] for view, values in maps.items()}, tmp_path, "images/0")
    pixels = tf.io.decode_png(encode(0)).numpy()
    for view, values in maps.items():
        shown = overlay.stretch(values[0]) if view == "cbam_attention" else values[0]
        square = np.asarray(Image.fromarray(shown.astype(np.float32)).resize((50, 50), Image.Resampling.BILINEAR))
        picture = np.asarray(Image.open(tmp_path / files["files"][view]))
        np.testing.assert_array_equal(
            picture, overlay.draw_overlay(np.pad(pixels, [(5, 5), (0, 0), (0, 0)]), square)[5:45]
        )


def test_where_tf_keras_vis_finds_no_map_the_served_one_is_shown(tmp_path):
    sure = build_model()
    sure.get_layer("logits").bias.assign([200.0, 0.0, 0.0])  # its exponential leaves float32
    folder = write_model(tmp_path / "model", sure).directory
    served = explainer._ask_served_model(folder / "saved_model", [encode(0)])
    maps = explainer._compute_maps(folder, [encode(0)], [0], served)
    assert np.isfinite(served["grad_cam_plus_plus"]).all()
    np.testing.assert_array_equal(maps["grad_cam_plus_plus"], served["grad_cam_plus_plus"])


def test_model_of_mixed_precision_is_explained_by_its_float32_copy():
    mixed = build_model("mixed_bfloat16")
    assert mixed.get_layer("cbam_top").compute_dtype == "bfloat16"
    copy = explainer._in_float32(mixed)
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    images = np.random.default_rng(0).uniform(0, 255, (2, IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.float32)
    expected = build_model()
    expected.set_weights(mixed.get_weights())
    np.testing.assert_allclose(copy(images), expected(images), rtol=1e-5, atol=1e-6)


def test_model_of_float32_is_not_copied(model):
    assert explainer._in_float32(model) is model


def test_second_run_reuses_the_explanations(inputs, artifact):
    again = explainer.Explainer(ExplainerConfig(images_per_class=2), **inputs)
    assert again.run(RunContext(artifact.directory.parent.parent)).digest == artifact.digest
    assert again.was_reused


def test_without_a_single_answer_there_is_nothing_to_explain(inputs, tmp_path):
    table = predictions.read_csv(inputs["evaluation"].directory / "predictions.csv")
    rows = [
        {"image_id": image_id, "group_id": "g", "label": 0, "status": "undecodable", "probabilities": np.zeros(3)}
        for image_id in table.image_ids
    ]
    (tmp_path / "evaluation").mkdir()
    unanswered = predictions.from_rows(rows, class_names=CLASS_NAMES, split="test")
    predictions.write_csv(unanswered, tmp_path / "evaluation" / "predictions.csv")
    changed = {**inputs, "evaluation": write_artifact(tmp_path / "evaluation", "evaluation")}
    found = explainer.Explainer(ExplainerConfig(images_per_class=1), **changed).run(RunContext(tmp_path / "root"))
    undefined = {"num_images": 0, "max_relative_difference": None, "median_relative_difference": None}
    assert json.loads((found.directory / "explanations.json").read_text()) == {
        "images": [],
        "agreement": {"layer_integrated_gradients": undefined, "grad_cam_plus_plus": undefined},
    }
    assert found.properties == {"num_images": 0, "num_wrong": 0, "max_relative_difference": None}
