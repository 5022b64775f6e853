import dataclasses
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from sperm_tf.config import ModelConfig
from sperm_tf.models import released
from sperm_tf.models.errors import WeightsError
from tests.helpers import ROOT


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global backbone_layers, build_classifier, build_released, half_precision, keras, load_released, weight_files
    import keras

    from sperm_tf.models import half_precision
    from sperm_tf.models.classifier import backbone_layers, build_classifier
    from sperm_tf.models.pretrained import build_released, load_released
    from tests.models import weight_files


SIZE = 32


def _images():
    return np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stands in for the folder of the package, with a released `smids` of simple_cnn."""
    monkeypatch.setattr(released, "RELEASED_DIR", tmp_path)
    weight_files.release(tmp_path, "smids", ModelConfig(name="simple_cnn", dropout=0.3, norm_momentum=0.8))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(released.read_manifest()))
def test_what_the_package_holds_is_whole(name):
    release = released.find_release(name)
    assert release.verify().stat().st_size == release.num_bytes <= 10_000_000
    assert all((release.folder / name / file).stat().st_size <= 10_000_000 for file in release.graph)
    card = release.card_path.read_text(encoding="utf-8")
    assert release.sha256 in card
    assert card == (ROOT / "docs" / "model_cards" / f"{name}.md").read_text(encoding="utf-8")
    model = load_released(name)
    assert model.output_shape == (None, len(release.class_names))
    images = np.zeros((1, release.image_size, release.image_size, 3), "float32")
    assert np.isfinite(model.predict(images, verbose=0)).all()


def test_a_manifest_comes_back(folder):
    release = released.find_release("smids")
    assert release.model == ModelConfig(name="simple_cnn", dropout=0.3, norm_momentum=0.8)
    assert (release.class_names, release.image_size, release.views) == (("a", "b", "c"), SIZE, 1)
    assert release.path == folder / "smids.npz"
    changed = dataclasses.replace(release, name="other", training={"epochs": [1, 2]})
    released.write_manifest({"smids": release, "other": changed}, folder)
    assert released.read_manifest(folder) == {"smids": release, "other": changed}


def test_a_release_builds_its_model(folder):
    model = weight_files.build(ModelConfig(name="simple_cnn"), seed=0)
    built = load_released("smids")
    np.testing.assert_allclose(built(_images()), model(_images()), rtol=2e-2, atol=2e-3)
    assert not np.array_equal(built(_images()), model(_images())), "it must come from the rounded file"
    assert built.get_layer("dropout").rate == 0.3
    assert built.get_layer("stage1_bn").momentum == 0.8


def test_a_damaged_file_is_named_with_its_remedy(folder):
    content = bytearray((folder / "smids.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "smids.npz").write_bytes(content)
    for use in (lambda: load_released("smids"), lambda: released.find_weights_file("smids")):
        with pytest.raises(WeightsError, match=r"smids\.npz.*which is damaged. Install sperm_tf again, or .*checkout"):
            use()
    (folder / "smids.npz").unlink()
    with pytest.raises(WeightsError, match=r"smids\.npz', which does not exist. Install sperm_tf again"):
        load_released("smids")


def test_unknown_names_list_the_known_ones(folder):
    with pytest.raises(WeightsError, match=r"one of the released weights: smids\. Received: name='hushem'"):
        load_released("hushem")


@pytest.mark.parametrize(
    "content", ("", "[]", "{", '{"smids": {}}', '{"smids": {"model": {"name": "resnet"}, "class_names": []}}')
)
def test_a_damaged_manifest_is_named(content, folder):
    (folder / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"manifest\.json', which cannot be read"):
        load_released("smids")


def test_weights_of_another_model_are_refused(folder):
    release = released.find_release("smids")
    other = dataclasses.replace(release, class_names=("a", "b"))
    with pytest.raises(WeightsError, match="its 'logits/kernel' has shape"):
        build_released(other)


@pytest.mark.parametrize("weights", ("none", "imagenet"))
def test_some_settings_name_no_file(weights):
    assert released.find_weights_file(weights) is None


def test_a_name_or_a_path_names_a_file(folder):
    assert released.find_weights_file("smids") == folder / "smids.npz"
    assert released.find_weights_file(str(folder / "smids.npz")) == folder / "smids.npz"
    with pytest.raises(WeightsError, match="name='synthetic'"):
        released.find_weights_file("synthetic")


@pytest.mark.slow
def test_a_fit_starts_from_a_release(folder):
    for weights in ("smids", str(folder / "smids.npz")):
        model = build_classifier(ModelConfig(name="simple_cnn", weights=weights), num_classes=7, image_size=SIZE)
        expected = half_precision.layer_arrays(backbone_layers(load_released("smids")))
        actual = half_precision.layer_arrays(backbone_layers(model))
        assert expected.keys() == actual.keys() and expected
        for key, array in expected.items():
            np.testing.assert_array_equal(actual[key], array, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("vit_tiny", "efficientnet_b0"))
def test_a_release_of_another_architecture_is_refused(name, folder):
    with pytest.raises(WeightsError, match=f"fit the backbone .*{'vit' if name == 'vit_tiny' else 'efficientnet'}"):
        build_classifier(ModelConfig(name=name, weights="smids"), num_classes=3, image_size=SIZE)


def test_a_name_is_found_without_heavy_imports():
    code = (
        "import sys; from sperm_tf.models import released; released.read_manifest(); released.find_weights_file('none')"
    )
    heavy = "assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], check=True, cwd=ROOT)


def test_the_manifest_says_which_file_is_meant(folder, tmp_path):
    assert released.find_release_of_file(folder / "smids.npz").name == "smids"
    half_precision.save_weights(keras.Sequential([keras.layers.Dense(1)]), folder / "other.npz")
    with pytest.raises(WeightsError, match=r"manifest\.json beside it names. Received: .*other\.npz"):
        released.find_release_of_file(folder / "other.npz")
    assert json.loads((tmp_path / "manifest.json").read_text())["smids"]["file"] == "smids.npz"


def test_a_release_is_known_by_what_it_was_trained_on_and_started_from(tmp_path):
    """Under names of their own, with initial weights that were named by their path."""
    smids = released.find_release("smids@1")
    names = {"robust": {"dataset": "smids"}, "later": {"dataset": "mine", "initial_sha256": smids.sha256}}
    releases = {}
    for number, (name, fields) in enumerate(names.items()):
        file = tmp_path / f"{name}.npz"
        file.write_bytes(smids.path.read_bytes() + bytes(number + 1))
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        changes = {"name": name, "file": file.name, "sha256": digest, "folder": tmp_path, **fields}
        releases[name] = dataclasses.replace(smids, **changes)
    released.write_manifest(releases, tmp_path)
    for name, dataset in (("robust", "smids"), ("later", "mine"), ("later", "smids"), ("later", "synthetic_sperm")):
        with pytest.raises(released.WeightsError, match="must not have seen the test images"):
            released.check_unseen(str(tmp_path / f"{name}.npz"), dataset)
        released.check_unseen(str(tmp_path / f"{name}.npz"), "hushem")


@pytest.mark.parametrize(
    ("weights", "dataset", "seen"),
    (
        ("smids", "smids", True),
        ("smids", "hushem", False),
        ("smids", "synthetic_sperm", False),
        ("smids@1", "synthetic_sperm", True),  # by way of `synthetic`
        ("synthetic", "synthetic_sperm", True),
        ("synthetic", "smids", False),
        ("none", "smids", False),
        ("imagenet", "smids", False),
    ),
)
def test_weights_that_have_seen_the_test_images_are_refused(weights, dataset, seen, tmp_path):
    names = [weights]
    if released.find_weights_file(weights) is not None:
        copy = tmp_path / "renamed.npz"
        copy.write_bytes(released.find_weights_file(weights).read_bytes())
        names.append(str(copy))
    for name in names:
        if not seen:
            released.check_unseen(name, dataset)
            continue
        with pytest.raises(released.WeightsError, match="must not have seen the test images"):
            released.check_unseen(name, dataset)
