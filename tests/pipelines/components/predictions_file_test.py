"""Names stay text, whatever they look like; numbers stay numbers, and what is missing is missing."""

import numpy as np

from pipelines.components.predictions_file import read_answers


def test_names_that_look_like_numbers_or_like_nothing_stay_names(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(
        "image_id,predicted,prediction_set,method,value,unfamiliarity\n01,1,,,,0.5\nNA,None,1,layer_cam,0.25,\n"
    )
    answers = read_answers(path)
    assert answers["image_id"].tolist() == ["01", "NA"]
    assert answers["predicted"].tolist() == ["1", "None"]
    assert answers["prediction_set"].tolist() == ["", "1"]
    assert answers["method"].isna().tolist() == [True, False]
    assert answers["value"].dtype == answers["unfamiliarity"].dtype == np.float64
