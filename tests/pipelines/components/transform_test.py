import csv

import numpy as np
import pytest

from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import TransformConfig
from sperm_tf.data import examples
from tests import examples_fixture


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global preprocess, tf, Transform
    import tensorflow as tf

    from pipelines.components.transform import Transform
    from sperm_tf.data.preprocess import preprocess


def transform(tmp_path, splits=None, *, undecodable=(), beam_args=()):
    folder, validation = tmp_path / "examples", tmp_path / "validation"
    folder.mkdir(), validation.mkdir()
    examples_fixture.write_examples(folder, splits, shards=3)
    with (validation / "undecodable.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "where", "detail"), *((name, "train", "") for name in undecodable)])
    inputs = {
        name: Artifact(path, "", "", name, {}, {}, {}, {}, {}, "", 0.0, {})
        for name, path in (("examples", folder), ("validation", validation))
    }
    context = RunContext(tmp_path / "root", beam_args)
    return folder, Transform(TransformConfig(image_size=32), **inputs).run(context).directory


def read(folder, split):
    serialized = examples.read_serialized(examples.shard_paths(folder, split))
    return [examples.from_example(item) for item in serialized.as_numpy_iterator()]


@pytest.mark.slow
def test_every_image_is_what_preprocess_makes_of_it(tmp_path):
    source, target = transform(tmp_path)
    for split in examples.SPLITS:
        before, after = read(source, split), read(target, split)
        assert len(before) == len(after) == 16
        for original, transformed in zip(before, after, strict=True):
            pixels = tf.io.decode_png(transformed["image"]).numpy()
            np.testing.assert_array_equal(pixels, preprocess(original["image"], 32).numpy())
            assert {**original, "image": b""} == {**transformed, "image": b""}
    assert examples.read_dataset_info(target) == examples.read_dataset_info(source)


@pytest.mark.slow
def test_known_undecodable_images_are_left_out_and_unknown_ones_stop_the_run(tmp_path):
    splits = examples_fixture.default_splits()
    splits["train"][5]["image"] = b"no image"
    name = splits["train"][5]["image_id"].decode()
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    _, target = transform(tmp_path / "a", splits, undecodable=[name])
    assert name.encode() not in {row["image_id"] for row in read(target, "train")}
    assert len(read(target, "train")) == 15
    with pytest.raises(StageError, match=name):
        transform(tmp_path / "b", splits)


@pytest.mark.slow
def test_several_processes_write_the_same_files(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    _, alone = transform(tmp_path / "a")
    arguments = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    _, together = transform(tmp_path / "b", beam_args=arguments)
    for split in examples.SPLITS:
        paths = [examples.shard_paths(folder, split) for folder in (alone, together)]
        assert [examples_fixture.digest(path) for path in paths[0]] == [examples_fixture.digest(p) for p in paths[1]]
