"""`python -m pipelines.results`: from the predictions' files to the page."""

import json
import os
import subprocess
import sys

import pytest

from pipelines import results
from pipelines.cross_validation import published
from sperm_tf.evaluation.cross_validation import oof_file
from tests.evaluation.cross_validation.oof_tables import draw_table, leak_near_duplicate, write_fits
from tests.helpers import ROOT


@pytest.fixture
def results_dir(tmp_path):
    folder = tmp_path / "results" / "hushem"
    folder.mkdir(parents=True)
    for seed, name in enumerate(("efficientnet_b0", "efficientnet_b0_cbam")):
        oof_file.write_csv(draw_table(seed=seed), folder / f"{name}.csv")
    write_fits(folder, {"efficientnet_b0": 2, "efficientnet_b0_cbam": 1})
    return tmp_path / "results"


def run(results_dir, *more):
    page = results_dir.parent / "results.md"
    argv = ["results", f"--results_dir={results_dir}", f"--page={page}", "--bootstrap_samples=100", *more]
    return results.main(argv), page


@pytest.mark.slow
def test_it_writes_figures_page_and_plots(results_dir, capsys):
    status, page = run(results_dir)
    assert status == 0
    content = json.loads((results_dir / "hushem" / "results.json").read_text(encoding="utf-8"))
    assert list(content["models"]) == ["efficientnet_b0", "efficientnet_b0_cbam"]
    assert content["method"]["bootstrap_samples"] == 100
    assert content["models"]["efficientnet_b0"]["fits"]["num_fits"] == 10
    mean = content["models"]["efficientnet_b0"]["over_folds"]["accuracy"]["mean"]
    text = page.read_text(encoding="utf-8")
    assert f"| `efficientnet_b0` | {100 * mean:.1f} ±" in text
    assert "| `efficientnet_b0_cbam` | 2 | 5 of 10 |" in text
    decided = json.loads((results_dir / "hushem" / "decisions.json").read_text(encoding="utf-8"))
    ece = decided["efficientnet_b0"]["repeats"][1]["scores"]["ece"]["value"]
    assert f"| `efficientnet_b0`, repeat 1 | {ece:.3f} [" in page.with_name("trust.md").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    for name in ("accuracy.png", "confusion_matrix.png", "reliability.png"):
        assert (results_dir / "hushem" / name).is_file()
        assert name in printed


@pytest.mark.slow
def test_every_model_keeps_its_own_repeats_and_pairs_share_theirs(results_dir):
    folder = results_dir / "hushem"
    alone = published.analyze_folder(folder, bootstrap_samples=100)[0]["models"]
    oof_file.write_csv(draw_table(seed=2, num_repeats=1), folder / "simple_cnn.csv")
    content, tables = published.analyze_folder(folder, bootstrap_samples=100)
    assert {name: model["num_repeats"] for name, model in content["models"].items()} == {
        "simple_cnn": 1,
        "efficientnet_b0": 2,
        "efficientnet_b0_cbam": 2,
    }
    for name, model in alone.items():
        assert content["models"][name] == model
        assert tables[name]["repeat"].nunique() == 2
    assert [pair["num_repeats"] for pair in content["comparisons"]] == [1, 1, 2]


@pytest.mark.slow
def test_a_caller_keeps_its_environment(results_dir):
    before = dict(os.environ)
    run(results_dir)
    assert dict(os.environ) == before  # processes that the caller starts next inherit it


@pytest.mark.slow
def test_the_same_predictions_give_the_same_bytes(results_dir):
    status, page = run(results_dir)
    files = [page, page.with_name("trust.md"), *sorted(results_dir.rglob("*.*"))]
    before = {path: path.read_bytes() for path in files}
    assert run(results_dir)[0] == status == 0
    assert {path: path.read_bytes() for path in files} == before
    content = (results_dir / "hushem" / "results.json").read_text(encoding="utf-8")
    assert content == json.dumps(json.loads(content), indent=1, sort_keys=True) + "\n"


def test_floats_have_six_digits():
    rounded = published._rounded({"a": [0.123456789, 1234567.8, 5e-9], "b": None, "c": 12345678})
    assert rounded == {"a": [0.123457, 1234570.0, 5e-9], "b": None, "c": 12345678}


def test_a_near_duplicate_across_folds_stops_it(results_dir, capsys):
    path = results_dir / "hushem" / "efficientnet_b0.csv"
    leaked, group = leak_near_duplicate(oof_file.read_csv(path))
    leaked.to_csv(path, index=False)
    status, page = run(results_dir)
    error = capsys.readouterr().err
    assert status == 1
    assert str(path) in error
    assert f"near duplicates must be tested in one fold. Received: group '{group}' in repeat 0, folds 0, 1" in error
    assert "assign folds by group" in error
    assert not page.exists()


def test_audits_of_networks_that_are_no_longer_published_are_left_out(results_dir, capsys):
    folder = results_dir / "hushem"
    fits = [
        {"model": "simple_cnn", "repeat": 0, "fold": fold, "fingerprint": f"f{fold}"}
        | dict.fromkeys(("num_epochs", "best_epoch", "seconds"), 1)
        | {"backend": "tensorflow"}
        for fold in (1, 0, 2, 3, 4)
    ]
    (folder / "fits.json").write_text(json.dumps(fits), encoding="utf-8")
    networks = [f"f{fold}" for fold in range(5)]
    audits = {"simple_cnn": {"networks": networks}, "vit_tiny": {"networks": ["g0", *networks[1:]]}}
    (folder / "audits.json").write_text(json.dumps(audits), encoding="utf-8")
    assert list(published.read_audits(folder)) == ["simple_cnn"]
    assert "vit_tiny: its audits are of networks that are no longer published" in capsys.readouterr().out
    (folder / "audits.json").unlink()
    assert published.read_audits(folder) == {}


@pytest.mark.slow
def test_other_files_are_no_models(results_dir):
    (results_dir / "hushem" / "label_issues.csv").write_text("image_id,score\n", encoding="utf-8")
    (results_dir / "hushem" / ".unfinished.efficientnet_b0.csv").write_text("half", encoding="utf-8")
    assert run(results_dir)[0] == 0


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_folder_says_what_to_do(tmp_path, capsys, exists):
    if exists:
        (tmp_path / "results" / "smids").mkdir(parents=True)
    status, _ = run(tmp_path / "results")
    assert status == 1
    error = capsys.readouterr().err
    assert "results_dir must hold predictions, <dataset>/<model>.csv" in error
    assert "pipelines.cross_validate" in error


@pytest.mark.slow
def test_damaged_fits_are_named(results_dir, capsys):
    (results_dir / "hushem" / "fits.json").write_text("{", encoding="utf-8")
    assert run(results_dir)[0] == 1
    assert "fits.json must hold a JSON list of fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--result_dir=x", "results_dir"),
        ("--bootstrap_samples=99", ">= 100"),
        ("--bootstrap_samples=many", "bootstrap_samples"),
        ("smids", "arguments must be flags. Received: 'smids'"),
    ],
)
def test_wrong_flags_are_named(argument, message, capsys):
    assert results.main(["results", argument]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "--help" in error


def test_help_lists_every_flag(capsys):
    assert results.main(["results", "--help"]) == 0
    printed = capsys.readouterr().out
    for name, value in results._define_flags().flag_values_dict().items():
        assert f"--{name}={value}" in printed


@pytest.mark.slow
def test_nothing_imports_tensorflow(results_dir):
    code = """
import runpy, sys
try:
    runpy.run_module("pipelines.results", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
print([name for name in ("tensorflow", "apache_beam", "torch") if name in sys.modules])
"""
    flags = [f"--results_dir={results_dir}", f"--page={results_dir.parent / 'p.md'}", "--bootstrap_samples=100"]
    done = subprocess.run([sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.results", "--nonsense=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr
