import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.artifacts import Artifact
from pipelines.component import RunContext
from pipelines.components.trainer import Trainer
from pipelines.components.transform import Transform
from sperm_tf.config import ModelConfig, TrainerConfig, TransformConfig
from sperm_tf.data.preprocess import preprocess
from tests import examples_fixture

CONFIG = TrainerConfig(
    model=ModelConfig(name="simple_cnn", norm_momentum=0.9),
    frozen_epochs=1,
    full_epochs=2,
    batch_size=8,
    mixup_alpha=0.2,
    class_weights=True,
    views=8,
)


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    root = tmp_path_factory.mktemp("transformed")
    folder, validation = root / "examples", root / "validation"
    folder.mkdir(), validation.mkdir()
    examples_fixture.write_examples(folder)
    with (validation / "undecodable.csv").open("w", newline="") as file:
        csv.writer(file).writerow(("image_id", "where", "detail"))
    inputs = {
        name: Artifact(path, "", "", name, {}, {}, {}, {}, {}, "", 0.0)
        for name, path in (("examples", folder), ("validation", validation))
    }
    return Transform(TransformConfig(image_size=32), **inputs).run(RunContext(root))


@pytest.fixture(scope="module")
def trained(transformed, tmp_path_factory):
    return Trainer(CONFIG, examples=transformed).run(RunContext(tmp_path_factory.mktemp("root")))


def test_the_artifact_holds_what_it_promises(trained):
    history = json.loads((trained.directory / "history.json").read_text())
    assert history["phase"] == ["frozen", "full", "full"]
    assert trained.properties["best_epoch"] == 1 + int(np.argmin(history["val_loss"]))
    info = json.loads((trained.directory / "model.json").read_text())
    assert (info["class_names"], info["image_size"]) == (list(examples_fixture.CLASS_NAMES), 32)
    assert info["views"] == info["config"]["views"] == 8
    assert list((trained.directory / "logs").rglob("events.out.tfevents.*"))
    assert (trained.directory / "saved_model" / "assets.extra" / "tf_serving_warmup_requests").is_file()


def test_the_exported_model_is_the_saved_one_averaged_over_its_views(trained):
    image = examples_fixture.encode(examples_fixture.draw(2, 0))
    signature = tf.saved_model.load(trained.directory / "saved_model").signatures["serving_default"]
    model = keras.models.load_model(trained.directory / "model.keras", compile=False)
    pixels = preprocess(tf.constant(image), 32).numpy().astype("float32")
    views = [np.rot90(mirrored, turns) for mirrored in (pixels, pixels[:, ::-1]) for turns in range(4)]
    logits = model(np.stack(views)).numpy()
    answer = signature(image_bytes=tf.constant([image]))["probabilities"]
    np.testing.assert_allclose(answer, keras.ops.softmax(logits.mean(axis=0, keepdims=True)), rtol=1e-5)
    assert np.ptp(logits, axis=0).max() > 1e-3  # or the average would say nothing


def test_a_seed_repeats_a_training(trained, transformed, tmp_path):
    again = Trainer(CONFIG, examples=transformed).run(RunContext(tmp_path))
    assert again.properties == trained.properties


def test_initial_weights_are_known_by_their_content(tmp_path):
    path = tmp_path / "backbone.weights.h5"
    path.write_bytes(b"first")
    trainer = Trainer(TrainerConfig(model=ModelConfig(weights=str(path))), examples=tmp_path)
    before = trainer.external_inputs({}, RunContext(tmp_path))
    path.write_bytes(b"second")
    assert trainer.external_inputs({}, RunContext(tmp_path)) != before


def test_a_missing_weights_file_is_named_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.h5"):
        Trainer(TrainerConfig(model=ModelConfig(weights="nowhere.h5")), examples=tmp_path)
