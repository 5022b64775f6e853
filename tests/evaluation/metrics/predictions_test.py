import numpy as np
import pytest

from sperm_tf.evaluation.metrics import predictions
from sperm_tf.served_names import DECISION_OUTPUTS


def make_rows():
    rng = np.random.default_rng(0)
    rows = [
        {
            "image_id": f"image_{index}",
            "group_id": f"group_{index // 2}",
            "label": index % 3,
            "status": "ok",
            "probabilities": rng.dirichlet(np.ones(3)),
            "prediction_set": [True, index > 1, False],
            "decision": "accept" if index else "refer",
            "reason": "confident" if index else "uncertain",
            "unfamiliarity": 0.1 * index,
            "source_format": "PNG",
        }
        for index in (3, 1, 2, 0)
    ]
    nothing = {"prediction_set": [False] * 3, "decision": "refer", "reason": "unreadable", "unfamiliarity": 0.0}
    rows[0] |= {"status": "empty", "probabilities": [0.0, 0.0, 0.0], **nothing}
    return rows


def test_csv_restores_every_value_exactly(tmp_path):
    table = predictions.from_rows(
        make_rows(), class_names=["head, round", "tail", "none"], split="test", features=["source_format"]
    )
    predictions.write_csv(table, tmp_path / "predictions.csv")
    restored = predictions.read_csv(tmp_path / "predictions.csv")
    assert restored.image_ids == ("image_0", "image_1", "image_2", "image_3")
    np.testing.assert_array_equal(restored.probabilities, table.probabilities)
    np.testing.assert_array_equal(restored.labels, table.labels)
    assert restored.statuses == ("ok", "ok", "ok", "empty")
    assert (restored.class_names, restored.split, restored.group_ids) == (table.class_names, "test", table.group_ids)
    assert restored.features == table.features
    np.testing.assert_array_equal(restored.prediction_sets, table.prediction_sets)
    np.testing.assert_array_equal(restored.unfamiliarity, table.unfamiliarity)
    assert restored.decisions == ("refer", "accept", "accept", "refer")
    assert restored.reasons == ("uncertain", "confident", "confident", "unreadable")


def test_an_unanswered_row_is_written_as_such(tmp_path):
    table = predictions.from_rows(make_rows(), class_names=["a", "b", "c"], split="test")
    predictions.write_csv(table, tmp_path / "predictions.csv")
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0] == (
        "split,image_id,group_id,label,label_name,status,predicted,predicted_name,prediction_set,decision,reason,"
        "unfamiliarity,p_a,p_b,p_c"
    )
    assert lines[-1] == "test,image_3,group_1,0,a,empty,-1,,,refer,unreadable,0,0,0,0"
    assert lines[-2].startswith("test,image_2,group_1,2,c,ok,") and ",a|b,accept,confident,0.2" in lines[-2]


def test_a_row_that_decides_nothing_refers():
    kept = [{key: value for key, value in row.items() if key not in DECISION_OUTPUTS} for row in make_rows()]
    table = predictions.from_rows(kept, class_names=["a", "b", "c"], split="test")
    assert table.prediction_sets.all() and set(table.decisions) == {"refer"}
    assert set(table.reasons) == {"not_calibrated"}


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="rows must not be empty"):
        predictions.from_rows([], class_names=["a", "b"], split="test")


def test_tables_of_several_files_become_one_and_others_are_refused(tmp_path):
    rows = make_rows()
    table = predictions.from_rows(rows, class_names=["a", "b", "c"], split="test", features=["source_format"])
    halves = [table.select(np.array(table.labels) == 0), table.select(np.array(table.labels) > 0)]
    predictions.write_csv(table, tmp_path / "whole.csv")
    predictions.write_csv(predictions.join(halves), tmp_path / "joined.csv")
    assert (tmp_path / "joined.csv").read_text() == (tmp_path / "whole.csv").read_text()
    other = predictions.from_rows(rows, class_names=["a", "b", "d"], split="test", features=["source_format"])
    with pytest.raises(ValueError, match="of 2 kinds"):
        predictions.join([table, other])
