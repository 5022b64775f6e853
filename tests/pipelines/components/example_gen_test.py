import dataclasses
import json
import pathlib
import re
import socket

import filelock
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from pipelines.cli import flags
from pipelines.orchestration import locks
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import ExampleGenConfig
from sperm_tf.data import examples
from sperm_tf.synthesis.renderer import render
from tests import image_files
from tests.helpers import flip_bit, real_data_dir


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global describe_source, example_gen, ExampleGen, split_folds
    from pipelines.components import example_gen
    from pipelines.components.example_gen import ExampleGen, describe_source, split_folds


CONFIG = ExampleGenConfig(num_images=80, examples_per_shard=10)


def read(folder, split):
    serialized = examples.read_serialized(examples.shard_paths(folder, split))
    return [examples.from_example(item) for item in serialized.as_numpy_iterator()]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return ExampleGen(CONFIG).run(RunContext(tmp_path_factory.mktemp("root")))


def test_splits_hold_their_folds_and_every_image_once(artifact):
    rows = {split: read(artifact.directory, split) for split in examples.SPLITS}
    assert {split: len(found) for split, found in rows.items()} == artifact.properties["num_examples"]
    assert {row["fold"] for row in rows["test"]} == {0}
    assert {row["fold"] for row in rows["validation"]} == {row["fold"] for row in rows["calibration"]} == {1}
    assert {row["fold"] for row in rows["train"]} == {2, 3, 4}
    assert len({row["image_id"] for found in rows.values() for row in found}) == 80
    assert len(examples.shard_paths(artifact.directory, "train")) == 6


def test_a_prepared_dataset_with_a_flipped_bit_is_prepared_again_beside_it(artifact, capsys):
    root = artifact.directory.parents[1]
    (prepared,) = [path.parent for path in root.glob("datasets/**/SHA256SUMS")]
    flip_bit(prepared / "source.json")
    damaged = (prepared / "source.json").read_bytes()
    again = ExampleGen(dataclasses.replace(CONFIG, examples_per_shard=20)).run(RunContext(root))
    assert again.properties == artifact.properties
    assert "source.json: missing, or not as it was written" in capsys.readouterr().err
    kept = prepared.with_name(f"{prepared.name}.bak")
    assert (kept / "source.json").read_bytes() == damaged != (prepared / "source.json").read_bytes()
    assert [row["image"] for row in read(again.directory, "test")] == [
        row["image"] for row in read(artifact.directory, "test")
    ]


def test_every_feature_is_there(artifact):
    names = set(examples.BYTES_FEATURES) | set(examples.INT_FEATURES)
    for row in read(artifact.directory, "test"):
        assert set(row) == names
        assert row["image"].startswith(b"\x89PNG")
        assert row["label_name"].decode() == artifact.properties["class_names"][row["label"]]


def test_dataset_card_lies_beside_the_examples(artifact):
    info = examples.read_dataset_info(artifact.directory)
    assert (info["name"], info["num_source_images"], info["num_undecodable"]) == ("synthetic_sperm", 80, 0)
    assert info["folds"] == {"train": [2, 3, 4], "validation": [1], "calibration": [1], "test": [0]}
    assert (artifact.directory / "excluded.csv").read_text().startswith("image_id,reason")
    json.dumps(info)


@pytest.mark.slow
def test_another_run_writes_the_same_bytes(artifact, tmp_path):
    again = ExampleGen(CONFIG).run(RunContext(tmp_path))
    assert again.digest == artifact.digest


@pytest.mark.slow
def test_a_run_of_other_folds_that_waits_finds_the_data_prepared(tmp_path, monkeypatch):
    context, real_lock, runs = RunContext(tmp_path), filelock.FileLock, []

    def lock(path, **options):
        if pathlib.Path(path).name == ".synthetic_sperm.lock" and not runs:  # while this run waits, another prepares
            runs.append(None)
            runs.append(ExampleGen(CONFIG).run(context))
        return real_lock(path, **options)

    monkeypatch.setattr(locks.filelock, "FileLock", lock)
    waited = ExampleGen(dataclasses.replace(CONFIG, test_fold=2)).run(context)
    assert len(runs) == 2 and {row["fold"] for row in read(waited.directory, "test")} == {2}


@pytest.mark.slow
def test_a_small_test_set_leaves_the_rest_of_its_fold_unused(artifact, tmp_path):
    small = ExampleGen(dataclasses.replace(CONFIG, max_test_images=7)).run(RunContext(tmp_path))
    assert small.properties["num_examples"] == {**artifact.properties["num_examples"], "test": 7}
    for split in ("train", "validation", "calibration"):
        assert read(small.directory, split) == read(artifact.directory, split)
    assert read(small.directory, "test") == read(artifact.directory, "test")[:7]


def test_other_folds_can_be_chosen():
    config = dataclasses.replace(CONFIG, test_fold=4, validation_fold=2)
    assert split_folds(config) == {"train": (0, 1, 3), "validation": (2,), "calibration": (2,), "test": (4,)}


def test_validation_and_calibration_share_a_fold_by_whole_groups(artifact):
    rows = {split: read(artifact.directory, split) for split in ("validation", "calibration")}
    assert {row["fold"] for found in rows.values() for row in found} == {1}
    assert len(rows["validation"]) + len(rows["calibration"]) == 16
    groups = [{row["group_id"] for row in found} for found in rows.values()]
    assert not groups[0] & groups[1]
    for name in artifact.properties["class_names"]:
        sizes = [sum(row["label_name"].decode() == name for row in found) for found in rows.values()]
        assert 0 <= sizes[0] - sizes[1] <= 1


@pytest.mark.slow
def test_the_images_of_a_patient_stay_together_in_a_shared_fold(tmp_path):
    for number in range(80):
        path = tmp_path / "lab" / "ab"[number % 2] / f"patient_{number // 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render(number, seed=3, size=96).image).save(path)
    config = dataclasses.replace(flags.preset_config("own").example_gen, data_dir=str(tmp_path / "lab"))
    made = ExampleGen(config).run(RunContext(tmp_path / "root"))
    halves = [[row["group_id"] for row in read(made.directory, split)] for split in ("validation", "calibration")]
    assert all(len(half) > len(set(half)) for half in halves), "each holds several images of a patient"
    assert not set(halves[0]) & set(halves[1])


@pytest.mark.slow
def test_files_that_no_exported_model_reads_are_named_and_left_out(tmp_path, caplog):
    for number in range(40):
        path = tmp_path / "lab" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render(number, seed=3, size=96).image).save(path)
    (tmp_path / "lab" / "a" / "old.bmp").write_bytes(image_files.bmp_of_os2(image_files.random_pixels()))
    config = dataclasses.replace(flags.preset_config("own").example_gen, data_dir=str(tmp_path / "lab"))
    made = ExampleGen(config).run(RunContext(tmp_path / "root"))
    assert sum(made.properties["num_examples"].values()) == 40
    assert "a/old.bmp,undecodable" in (made.directory / "excluded.csv").read_text()
    assert "1 files are left out" in caplog.text and "a/old.bmp" in caplog.text and "Save it as PNG" in caplog.text


def test_a_wrong_manual_dir_is_named(tmp_path):
    with pytest.raises(StageError, match="nowhere"):
        describe_source(ExampleGenConfig("smids", "clean", manual_dir=str(tmp_path / "nowhere")))


def test_a_manual_dir_without_the_dataset_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no archive")
    message = rf"whose name contains 'smids'.* Received: manual_dir={re.escape(str(tmp_path))}, which holds neither"
    with pytest.raises(StageError, match=message):
        describe_source(ExampleGenConfig("smids", "clean", manual_dir=str(tmp_path)))


def test_a_changed_archive_changes_the_fingerprint(tmp_path):
    archive = tmp_path / "HuSHeM.zip"
    archive.write_bytes((real_data_dir() / "HuSHeM.zip").read_bytes())
    config = ExampleGenConfig("hushem", "clean", manual_dir=str(tmp_path))
    before = describe_source(config)
    assert before["num_files"] == 216
    archive.touch()
    assert describe_source(config) != before


@pytest.mark.slow
def test_manual_dir_is_searched_once_for_the_fingerprint(tmp_path, monkeypatch):
    import tfds_builders
    from sperm_tf.data import archives

    searches = []
    original = archives.find_source
    monkeypatch.setattr(archives, "find_source", lambda *a, **k: searches.append(a) or original(*a, **k))
    dummy = pathlib.Path(tfds_builders.hushem.__file__).parent / "dummy_data"
    ExampleGen(ExampleGenConfig("hushem", "clean", manual_dir=str(dummy))).run(RunContext(tmp_path))
    assert len(searches) == 1, "the builder, which binds its own name for it, searches again to read the files"


def test_without_a_network_and_a_manual_dir_the_run_stops_at_once(tmp_path, monkeypatch):
    import tfds_builders

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/archive"
    monkeypatch.setattr(tfds_builders.hushem.Builder, "URL", url)
    with pytest.raises(StageError, match=f"no answer from {re.escape(url)}.*--manual_dir"):
        ExampleGen(ExampleGenConfig("hushem", "clean")).run(RunContext(tmp_path))


@pytest.mark.parametrize(("dataset", "builder_config"), (("synthetic_sperm", "head_shape"), ("hushem", "clean")))
def test_another_version_of_a_dataset_is_another_artifact(tmp_path, monkeypatch, dataset, builder_config):
    def fingerprint():
        return ExampleGen(ExampleGenConfig(dataset, builder_config)).fingerprint_fields({}, RunContext(tmp_path))

    before = fingerprint()
    assert fingerprint() == before
    monkeypatch.setattr(tfds.builder_cls(dataset), "VERSION", tfds.core.Version("99.0.0"))
    assert fingerprint() != before
