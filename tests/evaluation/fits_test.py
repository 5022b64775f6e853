import json

import pytest

from sperm_tf.evaluation import fits
from tests.evaluation.oof_tables import write_fits


def test_a_summary_counts_the_analysed_repeats_only(tmp_path):
    write_fits(tmp_path, {"simple_cnn": 3, "vit_tiny": 1}, weights="some/folder/start.h5")
    summary = fits.summarize(fits.read_json(tmp_path / "fits.json"), "simple_cnn", num_repeats=2)
    assert summary == {
        "num_fits": 10,
        "seconds": 600.0,
        "mean_epochs": 22.0,
        "mean_best_epoch": 15.0,
        "backends": ["tensorflow"],
        "weights": ["start.h5"],
    }


def test_no_file_is_no_fits(tmp_path):
    assert fits.read_json(tmp_path / "fits.json") == []
    assert fits.summarize([], "vit_tiny", num_repeats=1)["mean_epochs"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: {"fits": content}, "JSON list of objects. Received: dict"),
        (lambda content: [*content, content[0]], "recorded once. Received: vit_tiny, repeat 0, fold 0 twice"),
        (lambda content: [{**content[0], "seconds": "long"}], "fit 0 must have .*Received: seconds='long'"),
        (lambda content: [{k: v for k, v in content[0].items() if k != "fold"}], "Received: no fold"),
    ],
)
def test_damage_is_named_with_a_remedy(tmp_path, change, message):
    write_fits(tmp_path, {"vit_tiny": 1})
    path = tmp_path / "fits.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(fits.FitsError, match=rf"fits\.json.*{message}.*Restore the file"):
        fits.read_json(path)


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "fits.json").write_text("[{")
    with pytest.raises(fits.FitsError, match=r"fits\.json must hold a JSON list of fits"):
        fits.read_json(tmp_path / "fits.json")
