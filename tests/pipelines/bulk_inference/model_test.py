"""Opening and preparing the model, and saying so."""

import time

import pytest

from pipelines import score
from pipelines.bulk_inference import model as scoring_model
from pipelines.bulk_inference import progress, runner
from sperm_tf.models import released
from sperm_tf.serving import export_cache


def _write(folder):
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")


def test_a_released_model_is_exported_once_for_all_folders(tmp_path, monkeypatch):
    built = []

    class Network:
        def __init__(self, source):
            built.append(source)

        export = staticmethod(_write)

    monkeypatch.setattr("sperm_tf.serving.loading.load_model", Network)
    monkeypatch.setenv(export_cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    release = released.read_manifest()["smids"]
    for name in "ab":
        found = scoring_model.find("smids")
        assert (found.name, found.digest, found.views) == ("smids", release.sha256, release.views)
        assert found.rule_digest == "-".join(release.rule[file] for file in ("decision.json", "familiarity.npz"))
        saved_model = found.prepare(tmp_path / name)
        assert saved_model == tmp_path / name / "saved_model"
        assert (saved_model / "saved_model.pb").read_bytes() == b"graph"
        assert {"decision.json", "familiarity.npz", "model_card.md"} <= {
            path.name for path in (tmp_path / name).iterdir()
        }
    assert built == [release.path]


def test_a_damaged_release_is_told_although_its_export_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(released.Release, "verify", lambda self: (_ for _ in ()).throw(ValueError("damaged")))
    with pytest.raises(ValueError, match="damaged"):
        scoring_model.find("smids")


def test_unknown_models_are_told_as_load_model_does():
    with pytest.raises(ValueError, match="source must be one of the released models"):
        scoring_model.find("smid")


def test_score_says_what_it_does_before_tensorflow_is_loaded(monkeypatch, capsys, tmp_path):
    (tmp_path / "cell.png").write_bytes(b"")
    monkeypatch.setattr(runner, "import_tensorflow_quietly", lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        score.main(
            ["score", "--model=smids", "--runtime=tensorflow", f"--input={tmp_path}", f"--output={tmp_path}/scores"]
        )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"Scores {tmp_path} with smids." and lines[-1] == "Loading TensorFlow"


def test_a_step_says_what_it_is_at_once_and_how_long_it_takes(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_LOG_PERIOD_S", 0.05)
    with progress.step("Preparing"):
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Preparing" and lines[1].startswith("Preparing · 0.") and len(lines) > 2


def test_a_log_is_not_silent_for_long(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(progress, "_LOG_PERIOD_S", 0.05)
    monkeypatch.setattr(progress, "_PERIOD_S", 0.01)
    record = {"num_files": 1000, "shard_size": 1000}
    with progress.shown(progress.ScoreFolder(tmp_path), record, [0]):
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 2 and set(lines) == {"0 of 1,000 files"}
