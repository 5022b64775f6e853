"""`synthetic_fields` in TFDS's own test, its configs, and `tfds.load`."""

import dataclasses
import pathlib

import numpy as np
import pytest


@pytest.mark.slow
def test_the_builder():
    import tensorflow_datasets as tfds

    from tests.tfds_builders.builder_case import check_builder
    from tfds_builders.synthetic_fields import config, synthetic_fields_dataset_builder

    class SyntheticFieldsTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = synthetic_fields_dataset_builder.Builder
        BUILDER_CONFIG_NAMES_TO_TEST = (config(4, height=96, width=128, pixel_size_um=0.2),)
        SPLITS = {"train": 3, "validation": 1}  # noqa: RUF012
        EXAMPLE_DIR = str(pathlib.Path(synthetic_fields_dataset_builder.__file__).parent)  # it reads no files

    check_builder(SyntheticFieldsTest)


@pytest.mark.slow
def test_load(tmp_path):
    import tensorflow_datasets as tfds

    import tfds_builders
    from sperm_tf.synthesis.field_renderer import render_field

    size = {"height": 160, "width": 192, "pixel_size_um": 0.2}
    drawn = tfds_builders.synthetic_fields.config(12, seed=3, **size)
    assert drawn.name == "12_192x160_200nm_seed3"
    splits = tfds.load("synthetic_fields", data_dir=tmp_path, builder_kwargs={"config": drawn}, split=None)
    examples = {name: list(tfds.as_numpy(split)) for name, split in splits.items()}
    assert {name: sorted(int(row["field_id"]) for row in rows) for name, rows in examples.items()} == {
        "train": [1, 2, 3, 4, 5, 6, 7, 8, 9, 11],
        "validation": [0, 10],
    }
    num_cells = 0
    for row in (row for rows in examples.values() for row in rows):
        expected = render_field(int(row["field_id"]), seed=3, **size)
        for name in ("image", "parts", "instances", "parts_below", "instances_below"):
            np.testing.assert_array_equal(row[name], getattr(expected, name))
            assert row[name].dtype == getattr(expected, name).dtype
        assert row["pixel_size_um"] == np.float32(0.2)
        boxes = np.stack([row["cells"][f"head_{side}"] for side in ("x0", "y0", "x1", "y1")], axis=1)
        assert boxes.tolist() == [list(cell.head_box) for cell in expected.cells]
        assert row["cells"]["kind"].tolist() == [cell.kind.encode() for cell in expected.cells]
        assert row["cells"]["is_cut"].tolist() == [cell.is_cut for cell in expected.cells]
        np.testing.assert_allclose(row["cells"]["tail_length_um"], [cell.tail_length_um for cell in expected.cells])
        num_cells += len(expected.cells)
    assert num_cells > 12


def test_configs():
    from tfds_builders.synthetic_fields import config, synthetic_fields_dataset_builder

    (default,) = synthetic_fields_dataset_builder.Builder.BUILDER_CONFIGS
    fields = dataclasses.asdict(config())
    assert default.name == "oil_100x"
    assert {name: getattr(default, name) for name in ("num_fields", "height", "width", "pixel_size_um", "seed")} == {
        name: fields[name] for name in ("num_fields", "height", "width", "pixel_size_um", "seed")
    }
    with pytest.raises(ValueError, match=r"num_fields must be at least 2\. Received: num_fields=1"):
        config(1)
