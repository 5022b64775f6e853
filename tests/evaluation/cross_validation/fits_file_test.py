import json

import pytest

from sperm_tf.evaluation.cross_validation import fits_file
from tests.evaluation.cross_validation.oof_tables import write_fits


def test_a_summary_counts_the_analysed_repeats_only(tmp_path):
    write_fits(tmp_path, {"simple_cnn": 3, "vit_tiny": 1}, weights="some/folder/start.h5")
    summary = fits_file.summarize(fits_file.read_json(tmp_path / "fits.json"), "simple_cnn", num_repeats=2)
    assert summary == {
        "num_fits": 10,
        "seconds": 600.0,
        "mean_epochs": 22.0,
        "mean_best_epoch": 15.0,
        "backends": ["tensorflow"],
        "weights": ["start.h5"],
    }


def test_no_file_is_no_fits(tmp_path):
    assert fits_file.read_json(tmp_path / "fits.json") == []
    assert fits_file.summarize([], "vit_tiny", num_repeats=1)["mean_epochs"] is None


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
    with pytest.raises(fits_file.FitsError, match=rf"fits\.json.*{message}.*Restore the file"):
        fits_file.read_json(path)


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "fits.json").write_text("[{")
    with pytest.raises(fits_file.FitsError, match=r"fits\.json must hold a JSON list of fits"):
        fits_file.read_json(tmp_path / "fits.json")


def test_what_was_written_is_read_back_in_order_one_line_a_fit(tmp_path):
    write_fits(tmp_path, {"vit_tiny": 1, "simple_cnn": 2})
    fits = fits_file.read_json(tmp_path / "fits.json")
    fits_file.write_json(fits[::-1], tmp_path / "again.json")
    again = fits_file.read_json(tmp_path / "again.json")
    assert [(fit["model"], fit["repeat"], fit["fold"]) for fit in again] == [
        *(("simple_cnn", repeat, fold) for repeat in (0, 1) for fold in range(5)),
        *(("vit_tiny", 0, fold) for fold in range(5)),
    ]
    assert sorted(map(repr, again)) == sorted(repr(dict(sorted(fit.items()))) for fit in fits)
    assert len((tmp_path / "again.json").read_text().splitlines()) == len(fits) + 2
    assert not list(tmp_path.glob(".*")), "nothing unfinished is left"
