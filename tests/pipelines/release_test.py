import json
import subprocess
import sys

import numpy as np
import pytest

import sperm_tf
from pipelines import release as release_command
from pipelines.model_release import card as release_card
from pipelines.model_release import packing, precision
from sperm_tf.config import ModelConfig
from sperm_tf.models import released
from tests import image_files
from tests.helpers import ROOT


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, Classifier, keras, make_rule, weight_files
    import keras

    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.serving.classifier import Classifier
    from tests.decision.rules import make_rule
    from tests.models import weight_files


NAMES = ("normal", "abnormal", "non-sperm")
CONFIG = ModelConfig(name="simple_cnn", dropout=0.4, norm_momentum=0.9)
RECIPE = {"model": {"name": "simple_cnn", "weights": "/somewhere/private/start.npz"}, "full_epochs": 7}
RESULTS = {
    "num_images": 2947,
    "models": {
        "simple_cnn": {
            "num_repeats": 2,
            "over_folds": {"accuracy": {"mean": 0.8123, "sd": 0.014}},
            "pooled": {
                "accuracy": {"value": 0.8121, "bootstrap_95": [0.7981, 0.8262], "wilson_95": [0.79, 0.83]},
                "ece": {"value": 0.031, "bootstrap_95": None},
                "per_class": {
                    "normal": {"support": 1002, "recall": {"value": 0.7}, "f1": {"value": 0.75, "bootstrap_95": None}}
                },
            },
        }
    },
}


@pytest.fixture
def trained(tmp_path):
    """What the Trainer writes, as far as a release needs it."""
    folder = tmp_path / "trained"
    folder.mkdir()
    weight_files.build(CONFIG).save(folder / "model.keras")
    info = {"class_names": NAMES, "image_size": 32, "views": 8, "config": RECIPE, "num_images": 2947}
    (folder / "model.json").write_text(json.dumps(info), encoding="utf-8")
    artifact = {"producer": "FinalFit", "properties": {"num_epochs": 7}, "inputs": {"examples": "/somewhere/private"}}
    (folder / "artifact.json").write_text(json.dumps(artifact), encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path):
    def run(*arguments, name="smids"):
        folders = [f"--{name}_dir={tmp_path / name}" for name in ("released", "cards", "results")]
        return release_command.main(["release", f"--name={name}", *folders, *map(str, arguments)])

    return run


def test_a_trained_model_is_released_and_loads(trained, run, tmp_path, capsys, monkeypatch):
    (tmp_path / "results" / "smids").mkdir(parents=True)
    (tmp_path / "results" / "smids" / "results.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    (tmp_path / "more.json").write_text('{"images": "all clean images", "backend": "jax"}', encoding="utf-8")
    assert run(f"--model={trained}", f"--training={tmp_path / 'more.json'}") == 0, capsys.readouterr().err

    release = released.read_manifest(tmp_path / "released")["smids"]
    assert release.model == ModelConfig(name="simple_cnn", weights="start.npz", dropout=0.4, norm_momentum=0.9)
    assert (release.class_names, release.image_size, release.views) == (NAMES, 32, 8)
    assert (release.dataset, release.initial_sha256) == ("smids", "")  # whose file is not there
    assert release.training["images"] == "all clean images" and release.training["recipe"]["full_epochs"] == 7
    assert sorted(path.name for path in (tmp_path / "released").iterdir()) == ["manifest.json", "smids.md", "smids.npz"]
    difference = release.training["half_precision"]
    assert difference["num_images"] == 16 and 0 < difference["max_probability_difference"] < 0.05
    assert f"by at most {difference['max_probability_difference']:.2g}" in capsys.readouterr().out

    monkeypatch.setattr(released, "RELEASED_DIR", tmp_path / "released")
    file = image_files.encode(image_files.random_pixels(), "PNG")
    before, after = (sperm_tf.load_model(source).predict(file)[0] for source in (trained, "smids"))
    assert before.predicted_class == after.predicted_class
    np.testing.assert_allclose(list(after.probabilities.values()), list(before.probabilities.values()), atol=5e-3)
    model = build_classifier(ModelConfig(name="simple_cnn", weights="smids"), num_classes=4, image_size=64)
    assert model.output_shape == (None, 4)

    card = (tmp_path / "cards" / "smids.md").read_text(encoding="utf-8")
    assert card == sperm_tf.load_model("smids").card == release.card_path.read_text(encoding="utf-8")
    for part in (
        release.sha256,
        "Not a medical device",
        "No split by patient is possible",
        "Licence of the images: CC BY 4.0",
        "10.17632/6xvdhc9fyb.1",
        "eight views",
        "| `recipe.full_epochs` | 7 |",
        "| Accuracy | 0.812 | 0.798–0.826 |",
        "| ECE | 0.031 | – |",
        "| normal | 1,002 | 0.700 | 0.750 |",
        "2 repeats of 5 folds on 2,947 images",
        "| `producer` | FinalFit |",
        "| `properties.num_epochs` | 7 |",
        "a training of their own on 2,947 images; an image",
        "81.2\u00a0% (SD 1.4\u00a0%)",
    ):
        assert part in card, part
    assert "private" not in card + (tmp_path / "released" / "manifest.json").read_text(encoding="utf-8")


def test_the_decision_rule_is_released_with_the_model(trained, run, tmp_path, capsys, monkeypatch):
    make_rule(num_features=192, min_confidence=0.4).write(trained)  # the early layers of simple_cnn
    assert run(f"--model={trained}") == 0
    release = released.read_manifest(tmp_path / "released")["smids"]
    after_card = release.card_path.read_text(encoding="utf-8")
    assert set(release.rule) == {"decision.json", "familiarity.npz"}
    monkeypatch.setattr(released, "RELEASED_DIR", tmp_path / "released")
    file = image_files.encode(image_files.random_pixels(), "PNG")
    before, after = (sperm_tf.load_model(source).predict(file)[0] for source in (trained, "smids"))
    assert (before.decision, before.reason) == (after.decision, after.reason)
    assert before.reason != "not_calibrated"
    assert before.prediction_set == after.prediction_set
    assert "`smids/decision.json`" in after_card and "unlike the training images" in after_card
    assert after.unfamiliarity == pytest.approx(before.unfamiliarity, rel=0.05)
    with (tmp_path / "released" / "smids" / "decision.json").open("a") as damaged:
        damaged.write(" ")
    with pytest.raises(ValueError, match=r"decision rule of 'smids' must have .* is damaged.*git checkout"):
        sperm_tf.load_model("smids")
    (tmp_path / "released" / "smids" / "familiarity.npz").unlink()
    with pytest.raises(ValueError, match=r"does not exist|is damaged"):
        sperm_tf.load_model("smids")
    assert run(f"--model={trained}", "--views=1") == 1
    assert "views must be those that the decision rule was fitted to, 8" in capsys.readouterr().err
    for name in ("decision.json", "familiarity.npz"):
        (trained / name).unlink()
    assert run(f"--model={trained}") == 0  # and away with it
    assert not (tmp_path / "released" / "smids").exists()
    assert sperm_tf.load_model("smids").predict(file)[0].reason == "not_calibrated"


def test_a_second_release_keeps_the_first(trained, run, tmp_path):
    assert run(f"--model={trained}") == 0
    first = (tmp_path / "released" / "smids.npz").read_bytes()
    assert run(f"--model={trained / 'model.keras'}", "--views=1", name="synthetic") == 0
    manifest = released.read_manifest(tmp_path / "released")
    assert list(manifest) == ["smids", "synthetic"]
    assert manifest["synthetic"].views == 1
    assert manifest["smids"].sha256 == manifest["synthetic"].sha256, "equal weights give equal bytes"
    assert first == (tmp_path / "released" / "synthetic.npz").read_bytes()
    card = (tmp_path / "cards" / "synthetic.md").read_text(encoding="utf-8")
    assert "its predictions for photographs mean nothing" in " ".join(card.split()) and "CC0 1.0" in card
    assert "--config.trainer.model.weights=synthetic" in card and "load_model" not in card


def test_without_results_the_card_says_so(trained, run, tmp_path):
    (tmp_path / "results" / "hushem").mkdir(parents=True)
    (tmp_path / "results" / "hushem" / "results.json").write_text('{"models": {"vit_tiny": {}}}', encoding="utf-8")
    assert run(f"--model={trained}", name="hushem") == 0
    card = (tmp_path / "cards" / "hushem.md").read_text(encoding="utf-8")
    assert "No cross-validated metrics of `simple_cnn` on `hushem`" in card


def test_a_training_that_nobody_cross_validated_quotes_no_figures(trained, run, tmp_path):
    results = tmp_path / "results" / "smids" / "results.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps(RESULTS), encoding="utf-8")
    artifact = json.loads((trained / "artifact.json").read_text(encoding="utf-8"))
    (trained / "artifact.json").write_text(json.dumps(artifact | {"producer": "Trainer"}), encoding="utf-8")
    assert run(f"--model={trained}") == 0
    card = (tmp_path / "cards" / "smids.md").read_text(encoding="utf-8")
    assert "| Accuracy |" not in card and "no metric of another recipe is quoted" in card


def test_a_card_is_written_again_with_newer_figures(trained, run, tmp_path, capsys):
    results = tmp_path / "results" / "smids" / "results.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps(RESULTS), encoding="utf-8")
    assert run(f"--model={trained}") == 0
    weights = (tmp_path / "released" / "smids.npz").read_bytes()
    results.write_text(json.dumps(RESULTS).replace("0.8262", "0.8444"), encoding="utf-8")
    assert run() == 0
    assert str(tmp_path / "cards" / "smids.md") in capsys.readouterr().out
    for card in (tmp_path / "cards" / "smids.md", tmp_path / "released" / "smids.md"):
        assert "0.844" in card.read_text(encoding="utf-8") and "0.826" not in card.read_text(encoding="utf-8")
    assert (tmp_path / "released" / "smids.npz").read_bytes() == weights


@pytest.mark.parametrize("name", released.NAMES)
def test_the_published_cards_hold_the_published_figures(name):
    """`python -m pipelines.release --name=<name>` writes them anew."""
    release = released.find_release(name)
    card = release_card.write(release, dataset=release.dataset, results_dir=ROOT / "docs" / "results")
    assert release.card_path.read_text(encoding="utf-8") == card
    assert (ROOT / "docs" / "model_cards" / f"{name}.md").read_text(encoding="utf-8") == card


def test_a_keras_file_with_class_names_and_images_of_ones_own(run, tmp_path, capsys):
    weight_files.build(CONFIG).save(tmp_path / "mine.keras")
    (tmp_path / "images" / "a").mkdir(parents=True)
    for seed in range(3):
        file = image_files.encode(image_files.random_pixels(seed=seed), "PNG")
        (tmp_path / "images" / "a" / f"{seed}.png").write_bytes(file)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / "bad.png").write_text("no image")
    arguments = (f"--model={tmp_path / 'mine.keras'}", "--class_names=a,b,c", f"--images={tmp_path / 'images'}")
    assert run(*arguments, name="mine") == 0
    assert " of 3 images." in capsys.readouterr().out
    card = (tmp_path / "cards" / "mine.md").read_text(encoding="utf-8")
    assert "`mine`: images that are not published with this package" in card
    assert sperm_tf.load_model(tmp_path / "released" / "mine.npz").class_names == ("a", "b", "c")


@pytest.mark.slow
@pytest.mark.parametrize("white_point", (False, True))
def test_the_architecture_is_read_from_the_model(white_point):
    config = ModelConfig(
        cbam_after=("block2", "top"), reduction=4, dropout=0.15, norm_momentum=0.9, white_point=white_point
    )
    model = build_classifier(config, num_classes=3, image_size=32)
    assert packing._architecture(model) == config


def test_numbers_that_do_not_fit_half_precision_leave_the_old_release(trained, run, tmp_path, capsys, monkeypatch):
    assert run(f"--model={trained}") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "released").iterdir()}
    model = keras.models.load_model(trained / "model.keras")
    logits = model.get_layer("logits")
    kernel, bias = logits.get_weights()
    logits.set_weights([kernel * 1e6, bias])
    model.save(trained / "model.keras")
    assert run(f"--model={trained}") == 1
    assert "the range of float16. Received: 'logits/kernel'" in capsys.readouterr().err
    logits.set_weights([kernel * 1.1, bias])
    model.save(trained / "model.keras")
    monkeypatch.setattr(precision, "MAX_DIFFERENCE", 1e-9)
    assert run(f"--model={trained}") == 1
    assert "half precision must move probabilities by at most 1e-09" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "released").iterdir()}


def test_models_that_are_too_large_are_refused(trained, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(packing, "MAX_BYTES", 1000)
    assert run(f"--model={trained}") == 1
    assert "weights must be at most 1,000 bytes" in capsys.readouterr().err
    assert not list((tmp_path / "released").iterdir())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    (
        (("--model=nothing",), 1, "model must be a folder that the Calibrator, the FinalCalibrator or the Tr"),
        (("--model={trained}", "--views=3"), 2, "views"),
        (("--model={trained}", "--wrong=1"), 2, "wrong"),
        (("--model={trained}", "rest"), 2, "arguments must be flags"),
        (("--model={trained}", "--images={trained}"), 1, "images must be a folder with readable images"),
        (("--model={trained}", "--training={trained}/list.json"), 1, "must hold a JSON object"),
        (("--model={trained}", "--training={trained}/half.json"), 1, "half.json must hold a JSON object"),
        (("--model={trained}/other.keras", "--class_names=a,b,c"), 1, "model must be one of simple_cnn"),
        ((), 1, "manifest must be"),
    ),
)
def test_wrong_arguments_are_named(arguments, status, message, trained, run, capsys):
    (trained / "list.json").write_text("[]", encoding="utf-8")
    (trained / "half.json").write_text('{"a": ', encoding="utf-8")
    image = keras.Input((8, 8, 3))
    features = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model(image, keras.layers.Dense(3)(features), name="foreign").save(trained / "other.keras")
    assert run(*(argument.format(trained=trained) for argument in arguments)) == status
    assert message in capsys.readouterr().err


def test_names_that_make_no_file_name_are_refused(trained, run, capsys):
    assert run(f"--model={trained}", name="../smids") == 1
    assert "name must be made of letters" in capsys.readouterr().err


def test_help_answers_without_keras():
    code = (
        "import sys; from pipelines import release; assert release.main(['release', '--help']) == 0; "
        "assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--class_names" in done.stdout


@pytest.mark.parametrize("dataset", ("smids", "hushem", "synthetic_sperm"))
def test_every_dataset_has_its_licence_and_citation(dataset):
    text = release_card._data(dataset)
    assert "Licence of the images: CC" in text and "```bibtex\n@misc{" in text


@pytest.mark.parametrize("weights", ("imagenet_lite0", "synthetic_lite0"))
def test_the_card_names_the_package_and_the_licence_of_imagenet_weights(weights):
    from sperm_tf.models import imagenet_lite0

    text = release_card._initial_weights(weights)
    assert ("release `synthetic_lite0`" in text) == (weights == "synthetic_lite0")
    for name in ("ImageNet", imagenet_lite0.PACKAGE, imagenet_lite0.VERSION, imagenet_lite0.SHA256, "Apache-2.0"):
        assert name in text


def test_the_card_names_the_release_that_the_training_started_from():
    assert "release `synthetic` of this package" in release_card._initial_weights("synthetic")
    assert "ImageNet" not in release_card._initial_weights("synthetic")
    assert release_card._initial_weights("none") == ""


def test_a_calibrated_model_is_released_with_its_graph_and_the_earlier_one_is_kept(run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "released"
    monkeypatch.setattr(released, "RELEASED_DIR", folder)
    image = image_files.encode(image_files.random_pixels(), "PNG")
    expected = {}
    for version, seed in ((1, 0), (2, 1)):
        source = tmp_path / f"calibrated{version}"
        model = weight_files.build(CONFIG, seed=seed)
        Classifier(model, NAMES, 32, 1, make_rule(num_features=192, min_confidence=0.4)).save(source)
        assert run(f"--model={source}", *(["--new_version"] if version == 2 else [])) == 0, capsys.readouterr().err
        expected[version] = sperm_tf.load_model("smids").predict(image)[0]
    assert expected[1].probabilities != expected[2].probabilities
    manifest = released.read_manifest()
    assert sorted(manifest) == ["smids", "smids@1"] and (manifest["smids@1"].version, manifest["smids"].version) == (
        1,
        2,
    )
    for name, version in (("smids", 2), ("smids@2", 2), ("smids@1", 1)):
        assert sperm_tf.load_model(name).predict(image)[0] == expected[version]
        answer = sperm_tf.load_model(name, runtime="onnxruntime").predict(image)[0]
        assert answer.probabilities == pytest.approx(expected[version].probabilities, abs=1e-5)
        assert answer.reason == expected[version].reason
        assert released.find_weights_file(name).name == ("smids.npz" if version == 2 else "smids@1.npz")
    assert sperm_tf.load_model("smids", runtime="onnxruntime").card.startswith("#")
    graph = folder / "smids" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(released.WeightsError, match=r"ONNX graph of 'smids' must have the SHA-256 .* is damaged"):
        sperm_tf.load_model("smids", runtime="onnxruntime")
