import io
import json
import pathlib
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.special
from PIL import Image

import sperm_tf
from sperm_tf.config import ModelConfig
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.models import released
from sperm_tf.serving.prediction import Prediction
from tests import image_files
from tests.helpers import ROOT, real_data_dir


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Classifier, draw_overlay, preprocess, tf, vit, weight_files
    import tensorflow as tf

    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.explain.overlay import draw_overlay
    from sperm_tf.models import vit
    from sperm_tf.serving.classifier import Classifier
    from tests.models import weight_files


NAMES = ("normal", "abnormal", "non-sperm")
SIZE = 32
FILES = [
    image_files.encode(image_files.random_pixels(seed=seed), kind) for seed, kind in enumerate(("PNG", "BMP", "JPEG"))
]
CNN = ModelConfig(name="simple_cnn")


@pytest.fixture(scope="module")
def model():
    return weight_files.build(CNN)


@pytest.fixture(scope="module")
def classifier(model):
    return Classifier(model, NAMES, SIZE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stands in for the folder of the package."""
    monkeypatch.setattr(released, "RELEASED_DIR", tmp_path / "released")
    (tmp_path / "released").mkdir()
    weight_files.release(tmp_path / "released", "smids", CNN, class_names=NAMES, views=8)
    (tmp_path / "released" / "smids.md").write_text("# A card\n", encoding="utf-8")
    return tmp_path / "released"


def _views(image):
    """The eight views of an image [S, S, C], by NumPy."""
    turned = [np.rot90(image, quarter) for quarter in range(4)]
    return np.stack([*turned, *(view[:, ::-1] for view in turned)])


def _expected(model, files, *, views=1):
    images = [preprocess(file, SIZE).numpy().astype("float32") for file in files]
    logits = [model(_views(image) if views == 8 else image[None]).numpy().mean(axis=0) for image in images]
    return scipy.special.softmax(np.stack(logits), axis=1)


def _probabilities(predictions):
    return np.array([list(prediction.probabilities.values()) for prediction in predictions])


def test_paths_and_bytes_are_classified_like_the_model(model, classifier, tmp_path):
    (tmp_path / "cell.png").write_bytes(FILES[0])
    predictions = classifier.predict([tmp_path / "cell.png", str(tmp_path / "cell.png"), *FILES[1:]])
    expected = _expected(model, [FILES[0], *FILES])
    np.testing.assert_allclose(_probabilities(predictions), expected, rtol=1e-4, atol=1e-6)
    assert [prediction.file for prediction in predictions] == [str(tmp_path / "cell.png")] * 2 + [""] * 2
    assert all(prediction.status == "ok" and tuple(prediction.probabilities) == NAMES for prediction in predictions)
    assert [prediction.predicted_class for prediction in predictions] == [NAMES[i] for i in expected.argmax(axis=1)]
    assert len(set(expected.argmax(axis=1))) > 1 or np.ptp(expected, axis=0).max() > 0.05, "the images must differ"


@pytest.mark.slow
def test_pixels_are_classified_like_their_file(classifier):
    pixels = image_files.random_pixels(seed=0)
    from_file = classifier.predict(image_files.encode(pixels, "PNG"))
    for given in (pixels, [pixels], tf.constant(pixels), Image.fromarray(pixels)):
        (found,) = classifier.predict(given)
        assert found.probabilities == from_file[0].probabilities and found.file == ""
    assert len(classifier.predict(np.stack([pixels, pixels]))) == 2
    for wrong, message in (
        (pixels.astype(np.float32), r"pixels must be uint8, 0-255.* Received: float32 \[40, 50, 3\]"),
        ([pixels[..., :2]], r"Received: uint8 \[40, 50, 2\]"),
        ([pixels.astype(np.uint16)[..., 0]], r"Received: uint16 \[40, 50\]"),
        (
            [Image.fromarray(pixels.astype(np.float32)[..., 0])],
            r"must have a known range of values. Received: mode 'F'",
        ),
        ([3], r"files must be paths, bytes of image files, open files.* Received: int"),
        (3, r"files must be paths.* Received: int"),
        ({"cell": pixels}, r"Received: dict\. Pass its values"),
        (io.StringIO("text"), r"open files must give bytes.*Open it with mode \"rb\""),
    ):
        with pytest.raises(TypeError, match=message):
            classifier.predict(wrong)


@pytest.mark.slow
def test_scalars_are_told_before_arrays_and_sequences(classifier, tmp_path):
    path = tmp_path / "cell [1].png"  # brackets are part of its name
    path.write_bytes(FILES[0])
    expected = _probabilities(classifier.predict([path]))
    buffer = io.BytesIO()
    buffer.write(FILES[0])  # stands at its end, as after Image.save
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        archive.write(path, "cell.png")
    with (
        path.open("rb") as opened,
        zipfile.ZipFile(tmp_path / "cells.zip") as archive,
        archive.open("cell.png") as member,
    ):
        one = {
            "str": (str(path), str(path)),
            "NumPy string": (np.str_(path), str(path)),
            "array of no dimension": (np.array(str(path)), str(path)),
            "tensor of bytes": (tf.constant(FILES[0]), ""),
            "NumPy bytes": (np.array([FILES[0]], object)[0], ""),
            "bytearray": (bytearray(FILES[0]), ""),
            "memoryview": (memoryview(FILES[0]), ""),
            "buffer": (buffer, ""),
            "open file": (opened, str(path)),
            "member of an archive": (member, "cell.png"),
        }
        for kind, (given, name) in one.items():
            for files in (given, [given]):
                found = classifier.predict(files)
                assert [(each.status, each.file) for each in found] == [("ok", name)], kind
                np.testing.assert_allclose(_probabilities(found), expected, rtol=1e-5)
    several = classifier.predict(np.array([str(path)] * 3))
    assert [each.file for each in several] == [str(path)] * 3 and type(several[0].file) is str


@pytest.mark.parametrize("mode", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"))
def test_images_of_pillow_are_classified_like_their_pixels(classifier, mode):
    rgb = image_files.random_pixels(seed=0)
    if mode == "I;16":
        image = Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
        pixels = np.repeat(rgb[..., :1], 3, axis=2)
    else:
        image = Image.fromarray(rgb).convert("RGB" if mode in ("CMYK", "RGBA") else "L" if mode != "P" else "RGB")
        image = image.convert(mode)
        pixels = np.asarray(image.convert("RGB")) if mode != "CMYK" else None
    if mode == "CMYK":  # inks of 255 are black
        pixels = 255 - np.clip(np.asarray(image)[..., :3].astype(int) + np.asarray(image)[..., 3:], 0, 255)
        pixels = pixels.astype(np.uint8)
    found, expected = classifier.predict(image), classifier.predict(pixels)
    np.testing.assert_allclose(_probabilities(found), _probabilities(expected), atol=0.01 if mode == "CMYK" else 1e-6)


def test_values_of_12_bits_are_refused_from_an_image_too(classifier):
    dark = Image.fromarray(image_files.random_pixels()[..., 0].astype(np.uint16) * 16)
    assert classifier.predict([dark])[0].status == "undecodable"


def test_grey_and_transparent_pixels_are_images(classifier):
    rgb = image_files.random_pixels(seed=0)
    grey = rgb[..., 0]
    expected = _probabilities(classifier.predict(np.repeat(grey[..., None], 3, axis=2)))
    stack = np.stack([grey, grey])
    for given, count in (
        (grey, 1),
        ([grey], 1),
        (grey[..., None], 1),
        (stack, 2),
        (stack[..., None], 2),
        (grey.T.T, 1),
    ):
        found = _probabilities(classifier.predict(given))
        np.testing.assert_allclose(found, np.repeat(expected, count, axis=0), rtol=1e-5)
    rgba = np.concatenate([rgb, rgb[..., :1]], axis=2)
    np.testing.assert_allclose(
        _probabilities(classifier.predict(rgba)), _probabilities(classifier.predict(rgb)), rtol=1e-5
    )


@pytest.mark.parametrize("method", ("predict", "explain"))
def test_paths_that_name_no_file_raise_with_the_remedy(classifier, tmp_path, method, monkeypatch):
    for work in ("_predict_batch", "_explain_by"):  # nothing is classified before
        monkeypatch.setattr(Classifier, work, lambda *arguments: pytest.fail("a file was classified"))
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    for path, error, message in (
        (tmp_path / "none.png", FileNotFoundError, "which does not exist. Look at its spelling"),
        (tmp_path, IsADirectoryError, r"a folder\. Pass its files.*python -m pipelines\.score"),
        (str(tmp_path / "*.png"), FileNotFoundError, r"a pattern.*sorted\(glob\.glob\(pattern\)\)"),
        ("https://example.org/cell.png", FileNotFoundError, "an address, which is not downloaded. Download the file"),
        (tmp_path / "link.png", FileNotFoundError, "a link to nowhere. Mend the link"),
        ("cell\0.png", FileNotFoundError, "which does not exist"),
        (np.str_(tmp_path / "none.png"), FileNotFoundError, "which does not exist"),
    ):
        for files in (path, [FILES[0], path]):
            with pytest.raises(error, match=message) as raised:
                getattr(classifier, method)(files)
            assert str(path) in str(raised.value) or "\0" in str(path)
            assert 'errors="rows"' in str(raised.value)
    with pytest.raises(FileNotFoundError, match=r"none\.png', which does not exist and 2 more of 4 paths"):
        (tmp_path / "cell.png").write_bytes(FILES[0])
        getattr(classifier, method)([tmp_path / name for name in ("cell.png", "none.png", "b.png", "c.png")])
    with pytest.raises(ValueError, match=r"errors must be one of raise, rows\. Received: errors='ignore'"):
        getattr(classifier, method)(FILES, errors="ignore")


def test_a_file_that_may_not_be_read_is_a_row(classifier, tmp_path, monkeypatch):
    path = tmp_path / "cell.png"
    path.write_bytes(FILES[0])
    monkeypatch.setattr(pathlib.Path, "read_bytes", lambda self: (_ for _ in ()).throw(PermissionError()))
    assert [one.status for one in classifier.predict([path, FILES[1]])] == ["unreadable", "ok"]


def test_predictions_are_a_list_and_become_a_table(classifier, tmp_path):
    (tmp_path / "cell.png").write_bytes(FILES[0])
    found = classifier.predict([tmp_path / "cell.png", b"no image", FILES[1]])
    assert isinstance(found, list) and len(found) == 3 and isinstance(found[0], Prediction)
    table = found.to_frame()
    own = [name for name in scores_file.schema(NAMES, (), {}).names if name in set(table.columns)]
    assert list(table.columns) == own, "as pipelines.score calls and orders them"
    assert {f"p_{name}" for name in NAMES} | {"file", "status", "decision", "reason", "prediction_set"} <= set(own)
    assert list(table["file"]) == [str(tmp_path / "cell.png"), "", ""]
    assert list(table["status"]) == ["ok", "unknown_format", "ok"]
    for row, one in zip(table.to_dict("records"), found, strict=True):
        assert row["predicted_class"] == one.predicted_class and row["decision"] == one.decision
        assert row["prediction_set"].split("|") == list(one.prediction_set or [""])
        for name in NAMES:
            assert row[f"p_{name}"] == one.probabilities.get(name) or (
                one.status != "ok" and np.isnan(row[f"p_{name}"])
            )
    assert np.isnan(table["unfamiliarity"][1])
    assert list(found[1:].to_frame()["status"]) == ["unknown_format", "ok"]
    assert list(pickle.loads(pickle.dumps(found))[1:2].to_frame().columns) == list(table.columns)
    assert list(classifier.predict([]).to_frame().columns) == list(table.columns)


@pytest.mark.slow
def test_an_explained_prediction_draws_its_map(classifier, tmp_path):
    pixels = image_files.random_pixels(40, 70, seed=0)
    (found,) = classifier.explain(pixels)
    picture = found.overlay()
    assert picture.size == (70, 40) and picture.mode == "RGB"
    expected = draw_overlay(pixels, found.maps["layer_integrated_gradients"])
    np.testing.assert_array_equal(np.asarray(picture), expected)
    other = draw_overlay(pixels, found.maps["grad_cam_plus_plus"])
    np.testing.assert_array_equal(np.asarray(found.overlay("grad_cam_plus_plus")), other)
    with pytest.raises(ValueError, match=r"name must be one of .*grad_cam_plus_plus\. Received: name='lime'"):
        found.overlay("lime")
    for one in (*classifier.predict(pixels), *classifier.explain(b"no image")):
        with pytest.raises(ValueError, match="prediction must come from `explain`"):
            one.overlay()


def test_the_package_shows_what_is_public():
    public = ["Classifier", "Prediction", "Predictions", "RuntimeClassifier", "__version__", "load_model"]
    assert dir(sperm_tf) == public == sorted(sperm_tf.__all__)
    assert sperm_tf.Classifier is Classifier and sperm_tf.Prediction is Prediction
    with pytest.raises(AttributeError, match=r"no attribute 'load'\. Public are: Classifier"):
        _ = sperm_tf.load


@pytest.mark.slow
@pytest.mark.parametrize("views", (1, 8))
def test_maps_are_those_of_the_export(model, views, tmp_path):
    classifier = Classifier(model, NAMES, SIZE, views=views)
    files = [*FILES, b"no image", tmp_path / "missing.png", image_files.random_pixels(seed=1)]
    found = classifier.explain(files, errors="rows")
    assert [one.status for one in found] == ["ok", "ok", "ok", "unknown_format", "unreadable", "ok"]
    expected = classifier.predict(FILES)
    np.testing.assert_allclose(_probabilities(found[:3]), _probabilities(expected), rtol=1e-4, atol=1e-6)
    for one, other in zip(found, expected, strict=False):
        assert (one.predicted_class, one.prediction_set, one.decision, one.reason) == (
            other.predicted_class,
            other.prediction_set,
            other.decision,
            other.reason,
        )
    classifier.export(tmp_path / "1")
    assert (tmp_path / "1" / "assets.extra" / "tf_serving_warmup_requests").stat().st_size
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    of_every_class = classifier.explain(FILES[:1], every_class=True)[0].maps
    gradients = {"layer_integrated_gradients", "grad_cam_plus_plus"}  # it has no CBAM
    assert set(found[0].maps) == gradients and set(of_every_class) == gradients | {"grad_cam_plus_plus_per_class"}
    for maps, name in ((found[0].maps, "explain"), (of_every_class, "explain_classes")):
        served = signatures[name](image_bytes=tf.constant(FILES))
        for key, values in maps.items():
            np.testing.assert_allclose(values, served[key][0], atol=1e-4)
            assert values.ndim == (3 if key.endswith("_per_class") else 2) and values.dtype == np.float32
    assert not found[3].maps and not found[4].maps and not expected[0].maps


def test_a_used_classifier_travels_to_another_process(classifier):
    expected = classifier.predict(FILES)
    classifier.explain(FILES[:1])
    copied = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_allclose(_probabilities(copied.predict(FILES)), _probabilities(expected), rtol=1e-4, atol=1e-6)
    assert (copied.class_names, copied.views) == (classifier.class_names, classifier.views)


@pytest.mark.slow
def test_a_classifier_is_short_to_look_at():
    assert len(repr(sperm_tf.load_model("hushem"))) < 500


def test_one_bad_image_leaves_its_neighbours_unharmed(classifier, tmp_path):
    good = classifier.predict(FILES)
    unread = {name: file for name, file in image_files.bad_files().items() if name != "tiff"}  # which is converted
    bad = [data for data, _ in unread.values()]
    files = [FILES[0], *bad, FILES[1], tmp_path / "missing.png", tmp_path, FILES[2]]
    mixed = classifier.predict(files, errors="rows")
    statuses = [status for _, status in unread.values()]
    assert [prediction.status for prediction in mixed] == ["ok", *statuses, "ok", "unreadable", "unreadable", "ok"]
    assert mixed[-3] == Prediction(str(tmp_path / "missing.png"), "unreadable")
    assert (mixed[-3].decision, mixed[-3].reason, mixed[-3].prediction_set) == ("refer", "unreadable", ())
    answered = [prediction for prediction in mixed if prediction.status == "ok"]
    np.testing.assert_allclose(_probabilities(answered), _probabilities(good), rtol=1e-5)
    assert all(not prediction.predicted_class for prediction in mixed if prediction.status != "ok")
    assert {prediction.reason for prediction in answered} == {"not_calibrated"}  # it has no rule
    assert {prediction.decision for prediction in mixed} == {"refer"}


def test_no_files_one_file_and_many_files(classifier):
    assert classifier.predict([]) == []
    assert classifier.predict([b""])[0].status == "empty"
    alone = classifier.predict(FILES[0])
    many = classifier.predict(FILES * 14)  # more than one batch
    assert len(alone) == 1 and len(many) == 42
    expected = np.tile(_probabilities(classifier.predict(FILES)), (14, 1))
    np.testing.assert_allclose(_probabilities(many), expected, rtol=1e-5)  # other batches sum in another order


def test_eight_views_are_averaged(model):
    averaged = Classifier(model, NAMES, SIZE, views=8).predict(FILES)
    np.testing.assert_allclose(_probabilities(averaged), _expected(model, FILES, views=8), rtol=1e-4, atol=1e-5)
    assert np.abs(_probabilities(averaged) - _expected(model, FILES)).max() > 1e-4, "the views must differ"


@pytest.mark.slow
@pytest.mark.parametrize("views", (1, 8))
def test_the_export_answers_the_same(model, views, tmp_path):
    classifier = Classifier(model, NAMES, SIZE, views=views)
    classifier.export(tmp_path / "1")
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](image_bytes=tf.constant(FILES))
    predictions = classifier.predict(FILES)
    np.testing.assert_allclose(answer["probabilities"], _probabilities(predictions), rtol=1e-4, atol=1e-5)
    assert [name.decode() for name in answer["class_names"][0].numpy()] == list(NAMES)


@pytest.mark.slow
def test_a_release_is_ready_by_name_and_by_path(folder):
    by_name, by_path = sperm_tf.load_model("smids"), sperm_tf.load_model(folder / "smids.npz")
    for classifier in (by_name, by_path):
        assert (classifier.class_names, classifier.image_size, classifier.views) == (NAMES, SIZE, 8)
        assert classifier.card == "# A card\n"
    np.testing.assert_array_equal(_probabilities(by_name.predict(FILES)), _probabilities(by_path.predict(FILES)))
    np.testing.assert_allclose(
        _probabilities(by_name.predict(FILES)), _expected(by_name.keras_model, FILES, views=8), rtol=1e-4, atol=1e-5
    )


def test_what_the_trainer_wrote_is_opened(model, tmp_path):
    model.save(tmp_path / "model.keras")
    info = {"class_names": NAMES, "image_size": SIZE, "views": 8}
    (tmp_path / "model.json").write_text(json.dumps(info), encoding="utf-8")
    for source in (tmp_path, str(tmp_path / "model.keras")):
        classifier = sperm_tf.load_model(source)
        assert (classifier.class_names, classifier.image_size, classifier.views) == (NAMES, SIZE, 8)
    np.testing.assert_allclose(_probabilities(classifier.predict(FILES)), _expected(model, FILES, views=8), rtol=1e-3)


def test_a_keras_file_needs_class_names(model, tmp_path):
    model.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"class_names must be known: other\.keras does not hold them"):
        sperm_tf.load_model(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="class_names must hold 3 different names"):
        sperm_tf.load_model(tmp_path / "other.keras", class_names=["a", "b"])
    assert sperm_tf.load_model(tmp_path / "other.keras", class_names="abc").class_names == ("a", "b", "c")


@pytest.mark.integration
def test_a_vit_with_layers_of_our_own_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(vit, "DEPTH", 2)
    model = weight_files.build(ModelConfig(name="vit_tiny"))
    model.save(tmp_path / "vit.keras")
    code = "import sys, sperm_tf; sperm_tf.load_model(sys.argv[1], class_names='abc')"  # which registers them
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "vit.keras"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_unknown_and_broken_sources_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"released models \(smids\).*Received: source='hushem'"):
        sperm_tf.load_model("hushem")
    with pytest.raises(ValueError, match=r"folder with model\.keras and model\.json"):
        sperm_tf.load_model(tmp_path)
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"whole \.keras file"):
        sperm_tf.load_model(tmp_path / "broken.keras", class_names=NAMES)


def test_names_for_a_released_model_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"class_names must be None for a released model.* for hushem"):
        sperm_tf.load_model("hushem", class_names=["a", "b", "c", "d"])
    (tmp_path / "half.keras").write_bytes(b"PK not a whole archive")
    with pytest.raises(ValueError, match=r"half.keras', which is damaged or something else"):
        sperm_tf.load_model(tmp_path / "half.keras", class_names=["a", "b"])


@pytest.mark.slow
def test_what_is_saved_opens_with_its_rule_and_views(tmp_path):
    classifier = sperm_tf.load_model("smids")
    classifier.save(tmp_path / "kept")
    again = sperm_tf.load_model(tmp_path / "kept")
    assert (again.class_names, again.image_size, again.views) == (classifier.class_names, 160, 1)
    pixels = image_files.random_pixels(seed=3)
    (before,), (after,) = classifier.predict(pixels), again.predict(pixels)
    np.testing.assert_allclose(list(after.probabilities.values()), list(before.probabilities.values()), rtol=1e-5)
    assert (after.reason, after.prediction_set) == (before.reason, before.prediction_set) != ("not_calibrated", ())
    with pytest.raises(ValueError, match="directory must not exist, or be empty"):
        classifier.save(tmp_path / "kept")


@pytest.mark.slow
def test_a_rule_decides_for_no_other_weights(tmp_path):
    classifier = sperm_tf.load_model("smids")
    classifier.save(tmp_path / "kept")
    other = tmp_path / "kept" / "tuned.keras"
    weights = classifier.keras_model.get_weights()
    classifier.keras_model.set_weights([weight + 0.01 for weight in weights])
    classifier.keras_model.save(other)
    beside = sperm_tf.load_model(other, class_names=NAMES)
    assert beside.rule is None and beside.views == 1 and beside.class_names == NAMES
    with pytest.raises(ValueError, match="class_names must be known"):
        sperm_tf.load_model(other)
    with pytest.raises(ValueError, match=r"class_names must be those of the model.*Leave them out"):
        sperm_tf.load_model(tmp_path / "kept", class_names=["a", "b", "c"])
    other.replace(tmp_path / "kept" / "model.keras")
    with pytest.raises(ValueError, match=r"decision rule must be that of its model.*Run the Calibrator again"):
        sperm_tf.load_model(tmp_path / "kept")


def test_a_crop_without_pixels_sinks_no_batch(classifier):
    found = classifier.predict([image_files.random_pixels(seed=1), np.zeros((0, 30, 3), np.uint8)])
    assert [prediction.status for prediction in found] == ["ok", "empty"]


@pytest.mark.slow
def test_a_saved_model_is_not_taken_for_a_model_that_can_be_opened(model, tmp_path):
    Classifier(model, NAMES, SIZE).export(tmp_path / "1")
    with pytest.raises(ValueError, match=r"That is a SavedModel.* Name the folder that the Calibrator wrote"):
        sperm_tf.load_model(tmp_path / "1")


@pytest.mark.integration
def test_keras_opens_a_model_when_the_layers_are_imported(tmp_path):
    sperm_tf.load_model("hushem").keras_model.save(tmp_path / "model.keras")
    code = "import sys, keras, sperm_tf.layers; print(keras.models.load_model(sys.argv[1]).output_shape)"
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.keras")],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "(None, 4)" in found.stdout


def test_importing_the_package_stays_light():
    code = (
        "import sys, sperm_tf; assert 'load_model' in dir(sperm_tf)\n"
        "assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules)\n"
        "try: sperm_tf.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


FOLDERS = {
    "smids": ("SMIDS.zip", {"Normal": "normal", "Abnormal": "abnormal", "Non-Sperm": "non-sperm"}),
    "hushem": (
        "HuSHeM.zip",
        {"01_Normal": "normal", "02_Tapered": "tapered", "03_Pyriform": "pyriform", "04_Amorphous": "amorphous"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_released_models_know_the_images_that_they_were_trained_on(name):
    if name not in released.read_manifest():
        pytest.skip(f"{name} is not released yet")
    archive, folders = FOLDERS[name]
    files, labels = [], []
    with zipfile.ZipFile(real_data_dir() / archive) as file:
        members = [member for member in sorted(file.namelist()) if not member.endswith("/")]
        for folder, label in folders.items():
            inside = [member for member in members if pathlib.PurePosixPath(member).parent.name.startswith(folder)]
            chosen = inside[:: max(1, len(inside) // 10)][:10]
            assert len(chosen) == 10, folder
            files += [file.read(member) for member in chosen]
            labels += [label] * 10
    predictions = sperm_tf.load_model(name).predict(files)
    correct = [prediction.predicted_class == label for prediction, label in zip(predictions, labels, strict=True)]
    assert np.mean(correct) >= 0.8, predictions
