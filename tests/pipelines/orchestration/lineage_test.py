"""What weights learnt from, read from artifacts that are written here."""

import dataclasses
from pathlib import Path

import pytest

from pipelines.orchestration import lineage
from pipelines.orchestration.artifacts import Artifact
from sperm_tf.config import ExampleGenConfig
from sperm_tf.models.errors import WeightsError

SMIDS = ExampleGenConfig(dataset="smids", builder_config="clean")
HUSHEM = ExampleGenConfig(dataset="hushem", builder_config="clean")
OWN = ExampleGenConfig(dataset="own_images", builder_config="clean", data_dir="lab")


def _write(directory, producer, config, *behind):
    directory.mkdir(exist_ok=True)
    nothing: dict = {field.name: {} for field in dataclasses.fields(Artifact)}
    nothing |= dict.fromkeys(("fingerprint", "digest", "started_at"), "") | {"duration_s": 0.0}
    inputs = {
        str(number): {"producer": "", "directory": str(source), "digest": ""} for number, source in enumerate(behind)
    }
    fields = {"directory": directory, "producer": producer, "config": config, "inputs": inputs}
    Artifact(**nothing | fields).write()
    return directory


def _train(directory, examples, weights="none"):
    _write(directory, "FinalFit", {"trainer": {"model": {"weights": weights}}}, examples)
    (directory / "model.keras").write_bytes(directory.name.encode())
    return str(directory / "model.keras")


@pytest.fixture
def smids(tmp_path):
    return _write(tmp_path / "smids", "ExampleGen", dataclasses.asdict(SMIDS))


@pytest.fixture
def hushem(tmp_path):
    return _write(tmp_path / "hushem", "ExampleGen", dataclasses.asdict(HUSHEM))


def test_weights_are_known_by_the_images_behind_them(tmp_path, smids):
    weights = _train(tmp_path / "first", _write(tmp_path / "transformed", "Transform", {}, smids))
    with pytest.raises(WeightsError, match=r"first/model\.keras', which learnt from images of smids"):
        lineage.check_unseen(weights, SMIDS)
    lineage.check_unseen(weights, HUSHEM)


def test_what_weights_started_from_is_followed(tmp_path, smids, hushem):
    first = _train(tmp_path / "first", smids)
    second = _train(tmp_path / "second", hushem, weights=first)
    with pytest.raises(WeightsError, match=r"second/model\.keras', which learnt from images of smids"):
        lineage.check_unseen(second, SMIDS)
    from_release = _train(tmp_path / "third", hushem, weights="smids")
    with pytest.raises(WeightsError, match="must not have seen the test images"):
        lineage.check_unseen(from_release, SMIDS)


def test_weights_that_replaced_those_that_they_started_from_are_followed_once(tmp_path, hushem):
    weights = _train(tmp_path / "best", hushem, weights=str(tmp_path / "best" / "model.keras"))
    lineage.check_unseen(weights, SMIDS)
    with pytest.raises(WeightsError, match="learnt from images of hushem"):
        lineage.check_unseen(weights, HUSHEM)


def test_weights_without_an_artifact_and_artifacts_without_a_configuration_tell_nothing(tmp_path, smids):
    alone = tmp_path / "alone" / "model.keras"
    alone.parent.mkdir()
    alone.touch()
    lineage.check_unseen(str(alone), SMIDS)
    _write(alone.parent, "CorruptionAnalysis", None)
    lineage.check_unseen(str(alone), SMIDS)


def test_the_same_folder_of_own_images_is_known_and_another_is_not(tmp_path):
    weights = _train(tmp_path / "first", _write(tmp_path / "own", "ExampleGen", dataclasses.asdict(OWN)))
    lineage.check_unseen(weights, dataclasses.replace(OWN, data_dir="other_lab"))
    for data_dir in ("lab", str(Path("lab").resolve())):
        with pytest.raises(WeightsError, match=r"which learnt from images of .*lab"):
            lineage.check_unseen(weights, dataclasses.replace(OWN, data_dir=data_dir))
