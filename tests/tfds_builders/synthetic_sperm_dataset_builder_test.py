"""`synthetic_sperm` in TFDS's own test, its configs, and `tfds.load`."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

import tfds_builders
from sperm_tf.data.identity import pixel_sha256
from sperm_tf.synthesis.morphology import CLASS_NAMES
from sperm_tf.synthesis.renderer import render
from tests.tfds_builders.builder_case import check_builder
from tfds_builders.synthetic_sperm import config, synthetic_sperm_dataset_builder


@pytest.mark.slow
def test_the_builder():
    class SyntheticSpermTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = synthetic_sperm_dataset_builder.Builder
        BUILDER_CONFIG_NAMES_TO_TEST = (config("head_shape", 60), config("quality", 60, seed=3))
        SPLITS = {f"fold_{fold}": 12 for fold in range(5)}  # noqa: RUF012
        EXAMPLE_DIR = str(pathlib.Path(synthetic_sperm_dataset_builder.__file__).parent)  # it reads no files

    check_builder(SyntheticSpermTest)


@pytest.mark.slow
def test_load(tmp_path):
    assert tfds_builders.synthetic_sperm.Builder.name == "synthetic_sperm"
    splits = tfds.load(
        "synthetic_sperm", data_dir=tmp_path, builder_kwargs={"config": config("head_shape", 40)}, split=None
    )
    examples = {fold: list(tfds.as_numpy(split)) for fold, split in splits.items()}
    assert {fold: len(rows) for fold, rows in examples.items()} == {f"fold_{fold}": 8 for fold in range(5)}
    for fold, rows in examples.items():
        assert sorted(row["label"] for row in rows) == [0, 0, 1, 1, 2, 2, 3, 3]
        for row in rows:
            index = int(row["image_id"].decode().split("/")[1])
            assert fold == f"fold_{index // 4 % 5}"
            expected = render(index, label_set="head_shape", seed=0)
            np.testing.assert_array_equal(row["image"], expected.image)
            assert row["pixel_sha256"].decode() == pixel_sha256(expected.image)
            assert (row["height"], row["width"], 3) == expected.image.shape
    folder = tmp_path / "synthetic_sperm" / "head_shape_40_seed0" / "1.0.0"
    assert json.loads((folder / "source.json").read_text()) == {"num_source_images": 40, "num_undecodable": 0}
    assert (folder / "excluded.csv").read_text().count("\n") == 1
    assert (folder / "near_duplicates.csv").read_text().count("\n") == 1


def test_default_configs():
    names = [config.name for config in synthetic_sperm_dataset_builder.Builder.BUILDER_CONFIGS]
    assert names == ["head_shape", "quality", "all"]


@pytest.mark.parametrize(
    ("label_set", "num_images", "message"), [("color", 40, "label_set must be"), ("quality", 14, "at least 15")]
)
def test_config_refuses(label_set, num_images, message):
    with pytest.raises(ValueError, match=message):
        config(label_set, num_images)


def test_all_label_sets_together_hold_the_images_of_each():
    drawn = config("all", 70, seed=3)
    assert drawn.name == "all_70_seed3"
    names = synthetic_sperm_dataset_builder.LABEL_SETS["all"]
    assert names[0] == "head_shape normal" and names[-1] == "quality non-sperm" and len(names) == 7
    for index in range(14):
        sperm, name = synthetic_sperm_dataset_builder.draw(index, drawn)
        assert name == names[index % 7]
        label_set, _, label_name = name.partition(" ")
        number = index // 7 * len(CLASS_NAMES[label_set]) + CLASS_NAMES[label_set].index(label_name)
        np.testing.assert_array_equal(sperm.image, render(number, label_set=label_set, seed=3).image)
