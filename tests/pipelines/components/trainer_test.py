import json

import numpy as np
import pytest

from pipelines.components.trainer import Trainer
from pipelines.orchestration.component import RunContext
from sperm_tf.config import ModelConfig, TrainerConfig
from tests import examples_fixture
from tests.pipelines.conftest import TRAINER_CONFIG


def test_the_artifact_holds_what_it_promises(trained):
    history = json.loads((trained.directory / "history.json").read_text())
    assert history["phase"] == ["frozen", "full", "full"]
    assert trained.properties["best_epoch"] == 1 + int(np.argmin(history["val_loss"]))
    info = json.loads((trained.directory / "model.json").read_text())
    assert (info["class_names"], info["image_size"]) == (list(examples_fixture.CLASS_NAMES), 32)
    assert info["views"] == info["config"]["views"] == 8
    assert list((trained.directory / "logs").rglob("events.out.tfevents.*"))
    assert not list(trained.directory.rglob("saved_model.pb"))  # that is the Calibrator's


def test_a_seed_repeats_a_training(trained, transformed, tmp_path):
    again = Trainer(TRAINER_CONFIG, examples=transformed).run(RunContext(tmp_path))
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
