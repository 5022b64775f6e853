import dataclasses

import numpy as np

from sperm_tf.data import image_table
from tests import examples_fixture


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global preprocess
    from sperm_tf.data.preprocess import preprocess


def _write(folder):
    """Examples whose images are 48x48 PNGs, as Transform leaves them."""
    splits = examples_fixture.default_splits()
    for rows in splits.values():
        for row in rows:
            row["image"] = examples_fixture.encode(np.asarray(preprocess(row["image"], 48)))
    examples_fixture.write_examples(folder, splits)
    return splits


def test_reads_every_split_in_the_order_of_the_names(tmp_path):
    splits = _write(tmp_path)
    table = image_table.read_examples(tmp_path)
    rows = sorted((row for part in splits.values() for row in part), key=lambda row: row["image_id"])
    assert table.image_ids.tolist() == [row["image_id"].decode() for row in rows]
    assert table.labels.tolist() == [row["label"] for row in rows]
    assert table.folds.tolist() == [row["fold"] for row in rows]
    assert table.pixel_hashes.tolist() == [row["pixel_sha256"].decode() for row in rows]
    assert table.images.shape == (64, 48, 48, 3) and table.images.dtype == np.uint8
    assert examples_fixture.encode(table.images[7]) == rows[7]["image"]
    assert table.class_names == examples_fixture.CLASS_NAMES


def test_npz_restores_the_table(tmp_path):
    _write(tmp_path)
    table = image_table.read_examples(tmp_path)
    image_table.write_npz(table, tmp_path / "images.npz")
    again = image_table.read_npz(tmp_path / "images.npz")
    assert again.class_names == table.class_names and again.identity() == table.identity()
    for name in ("images", "labels", "image_ids", "group_ids", "pixel_hashes", "folds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))


def test_identity_tells_labels_groups_folds_and_sources_apart(tmp_path):
    _write(tmp_path)
    table = image_table.read_examples(tmp_path)
    changed = [
        dataclasses.replace(table, labels=np.roll(table.labels, 1)),
        dataclasses.replace(table, group_ids=np.roll(table.group_ids, 1)),
        dataclasses.replace(table, folds=np.roll(table.folds, 1)),
        dataclasses.replace(table, pixel_hashes=np.roll(table.pixel_hashes, 1)),
        dataclasses.replace(table, class_names=table.class_names[::-1]),
        dataclasses.replace(table, images=table.images[:, ::2, ::2]),
    ]
    assert len({table.identity(), *(other.identity() for other in changed)}) == 7
    same = dataclasses.replace(table, images=table.images ^ 1)
    assert same.identity() == table.identity(), "a rounding of the resize is no other dataset"
