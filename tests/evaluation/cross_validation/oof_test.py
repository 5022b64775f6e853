"""The out-of-fold table: what is written is read back, and what would leak is refused."""

import numpy as np
import pandas as pd
import pytest

from sperm_tf.evaluation.cross_validation import oof, oof_checks, oof_file
from tests.evaluation.cross_validation.oof_tables import CLASS_NAMES, draw_table, leak_near_duplicate


@pytest.fixture(scope="module")
def table():
    return draw_table()


def change(table, column, value, index=0):
    changed = table.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[index, column] = value
    changed[column] = changed[column].infer_objects()
    return changed


def test_the_file_restores_the_table(table, tmp_path):
    oof_file.write_csv(table.sample(frac=1, random_state=0), tmp_path / "model.csv")
    restored = oof_file.read_csv(tmp_path / "model.csv")
    pd.testing.assert_frame_equal(restored[list(oof.COLUMNS)], table[list(oof.COLUMNS)])
    np.testing.assert_allclose(oof.probabilities(restored), oof.probabilities(table), rtol=1e-5)
    oof_file.write_csv(restored, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "model.csv").read_bytes()


def test_the_file_is_laid_out_as_agreed(table, tmp_path):
    oof_file.write_csv(table, tmp_path / "model.csv")
    lines = (tmp_path / "model.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "repeat,fold,part,image_id,group_id,label,p_normal,p_tapered,p_pyriform,p_amorphous"
    keys = [line.split(",")[:4] for line in lines[1:]]
    assert keys == sorted(keys)
    assert max(len(value.split("e")[0].strip("0.")) for value in lines[1].split(",")[6:]) <= 7, "6 significant digits"


def test_names_that_pandas_takes_for_missing_stay_names(table, tmp_path):
    renamed = table.replace({"image_id": {table["image_id"].iloc[0]: "NA"}})
    oof_file.write_csv(renamed, tmp_path / "model.csv")
    assert "NA" in set(oof_file.read_csv(tmp_path / "model.csv")["image_id"])


def test_accessors(table):
    rows = oof.select(table, part=oof.CALIBRATION, repeat=1, fold=3)
    assert set(rows["part"]) == {"calibration"}
    assert set(rows["repeat"]) == {1}
    assert set(rows["fold"]) == {3}
    assert oof.class_names(rows) == CLASS_NAMES
    assert oof.probabilities(rows).shape == (len(rows), 4)
    np.testing.assert_array_equal(oof.labels(rows), rows["label"])


def test_a_near_duplicate_in_two_test_folds_is_refused(table, tmp_path):
    leaked, group = leak_near_duplicate(table)
    message = rf"m\.csv: near duplicates must be tested in one fold. Received: group '{group}' in repeat 0, folds 0, 1"
    with pytest.raises(oof.OofError, match=message):
        oof_file.write_csv(leaked, tmp_path / "m.csv")
    assert not list(tmp_path.iterdir())
    leaked.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(oof.OofError, match=message):
        oof_file.read_csv(tmp_path / "m.csv")
    with pytest.raises(oof.OofError, match=message):
        oof_file.read_csv(tmp_path / "m.csv", complete=False)


def test_an_image_in_two_test_folds_is_refused(table):
    row = oof.select(table, part=oof.TEST, repeat=1, fold=2).iloc[[0]].assign(fold=4)
    with pytest.raises(oof.OofError, match=r"tested once in a repeat. Received: image '.*' in repeat 1, folds 2, 4"):
        oof_checks.check(oof.join([table, row]))


@pytest.mark.parametrize("whole_image", [True, False])
def test_calibration_images_and_groups_of_the_test_fold_are_refused(table, whole_image):
    test = oof.select(table, part=oof.TEST, repeat=0, fold=0)
    if whole_image:
        rows, changed = test.iloc[[0]].assign(part=oof.CALIBRATION), table
    else:  # another image of a group that is tested in this fold
        sizes = test.groupby("group_id")["image_id"].transform("size")
        rows = test[sizes > 1].iloc[[0]]
        changed = table[(table["image_id"] != rows["image_id"].iloc[0]) | (table["repeat"] > 0) | (table["fold"] > 0)]
        rows = rows.assign(part=oof.CALIBRATION)
    with pytest.raises(oof.OofError, match="calibration part of a fold must share no image and no group"):
        oof_checks.check(oof.join([changed, rows]), complete=False)


def test_incomplete_tables_are_refused_and_cut(table):
    without_fold = table[(table["repeat"] == 0) | (table["fold"] != 3)]
    with pytest.raises(oof.OofError, match="none in repeat 1, fold 3"):
        oof_checks.check(without_fold)
    oof_checks.check(without_fold, complete=False)
    kept = oof.complete_repeats(without_fold)
    assert set(kept["repeat"]) == {0}
    oof_checks.check(kept)
    assert oof.complete_repeats(table).equals(table)
    assert oof.complete_repeats(table[table["repeat"] == 1]).empty


def test_a_lost_image_is_refused(table):
    lost = oof.select(table, part=oof.TEST, repeat=1).index[5]
    with pytest.raises(oof.OofError, match=f"repeat 1 without 1 images, such as '{table['image_id'][lost]}'"):
        oof_checks.check(table.drop(index=lost))


def test_a_calibration_image_that_is_tested_nowhere_is_refused(table):
    stranger = oof.select(table, part=oof.CALIBRATION).iloc[[0]].assign(image_id="new", group_id="new")
    with pytest.raises(oof.OofError, match="image 'new' in no test part"):
        oof_checks.check(oof.join([table, stranger]))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("part", "train", "part must be test or calibration. Received: part='train'"),
        ("repeat", -1, "repeat must count from 0"),
        ("fold", 5, "fold must be 0-4"),
        ("label", 4, "label must be 0-3"),
        ("label", -1, "label must be 0-3"),
        ("image_id", "", "image_id must not be empty"),
        ("group_id", "", "group_id must not be empty"),
        ("group_id", "another", "one label and one group"),
        ("p_normal", 0.9999, "sum to 1 within 0.001"),
        ("p_normal", float("nan"), "probabilities must lie in 0-1"),
        ("p_normal", -0.1, "probabilities must lie in 0-1"),
    ],
)
def test_wrong_values_are_named(table, column, value, message):
    with pytest.raises(oof.OofError, match=f"^file.csv: .*{message}"):
        oof_checks.check(change(table, column, value), source="file.csv")


def test_two_labels_of_one_image_are_refused(table):
    row = table.index[table["label"] == 0][0]
    with pytest.raises(oof.OofError, match="one label and one group"):
        oof_checks.check(change(table, "label", 1, row))


def test_probabilities_may_be_off_by_rounding(table):
    rounded = table.copy()
    rounded["p_normal"] += 0.0008
    oof_checks.check(rounded)
    rounded["p_normal"] += 0.0008
    with pytest.raises(oof.OofError, match="sum to 1"):
        oof_checks.check(rounded)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold numbers in repeat"),
        ("repeat,fold,part,image_id,group_id,label,p_a,p_b\n", "at least one row"),
        ("repeat,fold,part,image,group_id,label,p_a,p_b\n0,0,test,i,g,0,1,0\n", "columns must be"),
        ("repeat,fold,part,image_id,group_id,label,p_a\n0,0,test,i,g,0,1\n", "columns must be"),
        ("repeat,fold,part,image_id,group_id,label,p_a,p_b\n0,0,test,i,g,zero,1,0\n", "must hold numbers in repeat"),
        ("repeat,fold,part,image_id,group_id,label,p_a,p_b\n0,0,test,i,g,0,,1\n", "must hold numbers in repeat"),
    ],
)
def test_damaged_files_are_named_with_a_remedy(tmp_path, text, message):
    (tmp_path / "model.csv").write_text(text, encoding="utf-8")
    with pytest.raises(oof.OofError, match=rf"model\.csv.*{message}.*(W|w)rite|Finish"):
        oof_file.read_csv(tmp_path / "model.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(oof.OofError, match=r"none\.csv must hold .*No such file"):
        oof_file.read_csv(tmp_path / "none.csv")


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(oof.OofError, match=r"probabilities must be \[1, 2\]"):
        oof.make_rows(
            repeat=0, fold=0, part="test", image_ids=["a"], group_ids=["a"], labels=np.array([0]),
            probabilities=np.ones((2, 2)) / 2, class_names=["x", "y"],
        )  # fmt: skip
