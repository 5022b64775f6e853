"""A small trained model with its images, and a small cross-validation; read only."""

import csv

import pytest

from pipelines.components.trainer import Trainer
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.config import ModelConfig, TrainerConfig, TransformConfig
from tests import examples_fixture
from tests.pipelines.tiny_sweep import run_sweep

TRAINER_CONFIG = TrainerConfig(
    model=ModelConfig(name="simple_cnn", norm_momentum=0.9),
    frozen_epochs=1,
    full_epochs=2,
    batch_size=8,
    mixup_alpha=0.2,
    class_weights=True,
    views=8,
)


@pytest.fixture(scope="session")
def transformed(tmp_path_factory):
    from pipelines.components.transform import Transform

    root = tmp_path_factory.mktemp("transformed")
    folder, validation = root / "examples", root / "validation"
    folder.mkdir(), validation.mkdir()
    examples_fixture.write_examples(folder)
    with (validation / "undecodable.csv").open("w", newline="") as file:
        csv.writer(file).writerow(("image_id", "where", "detail"))
    inputs = {
        name: Artifact(path, "", "", name, {}, {}, {}, {}, {}, "", 0.0, {})
        for name, path in (("examples", folder), ("validation", validation))
    }
    return Transform(TransformConfig(image_size=32), **inputs).run(RunContext(root))


@pytest.fixture(scope="session")
def trained(transformed, tmp_path_factory):
    return Trainer(TRAINER_CONFIG, examples=transformed).run(RunContext(tmp_path_factory.mktemp("root")))


@pytest.fixture(scope="session")
def finished_sweep(make_once):
    def make(folder):
        assert run_sweep(folder) == 0

    return make_once("sweep", make)
