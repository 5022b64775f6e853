"""Audits of a small cross-validation's networks."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import sperm_tf
from pipelines import audit
from pipelines.audits.explanation_audit import ExplanationAudit
from pipelines.audits.stranger_audit import StrangerAudit
from pipelines.audits.transfer_audit import TransferAudit
from pipelines.components.source_images import read_images, sample
from pipelines.cross_validation import fits
from pipelines.cross_validation.fold_model import open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.audit_config import ExplanationAuditConfig, TransferAuditConfig
from sperm_tf.config import CalibratorConfig, ExampleGenConfig, FitConfig, ModelConfig, TrainerConfig
from sperm_tf.evaluation.cross_validation import oof, oof_file
from tests.pipelines.tiny_sweep import FLAGS, folders


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global fit_rule, keras, oof_trust, registry, runner
    import keras

    from pipelines.audits import registry, runner
    from sperm_tf.decision.fitting import fit_rule
    from sperm_tf.evaluation.cross_validation import oof_trust


def run_audit(folder, *flags):
    few = ("--config.audit.strangers.num_images=2", "--config.audit.attacks.num_images=4")
    return audit.main(["audit", *FLAGS, *folders(folder), "--audits=strangers,attacks", *few, *flags])


@pytest.fixture(scope="module")
def audited(finished_sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "copy"
    shutil.copytree(finished_sweep, folder)
    assert run_audit(folder) == 0
    return folder


def _answers(folder):
    return oof_file.read_csv(folder / "results" / "synthetic_sperm" / "simple_cnn.csv")


def _artifacts(folder, stage):
    return [Artifact.read(path.parent) for path in sorted((folder / "root" / stage).glob("*/artifact.json"))]


def _generated(folder):
    (artifact,) = _artifacts(folder, "ExampleGen")
    return artifact


def test_every_network_is_asked_about_the_images_that_it_was_tested_on(audited):
    answers = oof.select(_answers(audited), part=oof.TEST)
    seen = []
    for calibrated in _artifacts(audited, "FoldCalibrator"):
        fold = open_fold(calibrated, _generated(audited))
        rows = answers[answers["fold"] == fold.fold]
        assert [image.image_id for image in fold.tested] == rows["image_id"].tolist()
        found = fold.classifier.predict([image.image for image in fold.tested])
        temperature = fold.classifier.rule.temperature
        logits = oof_trust.log_probabilities(rows) / temperature
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose([list(row.probabilities.values()) for row in found], expected, rtol=2e-3, atol=1e-4)
        seen.append(fold.fold)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_the_rule_of_a_network_is_that_of_the_other_folds_answers(audited):
    answers = oof.select(_answers(audited), part=oof.TEST)
    for calibrated in _artifacts(audited, "FoldCalibrator"):
        rule = sperm_tf.load_model(calibrated.directory).rule
        others = answers[answers["fold"] != calibrated.properties["fold"]]
        expected = fit_rule(oof_trust.log_probabilities(others), oof.labels(others), CalibratorConfig())
        assert rule.num_images == len(others) == 64
        assert rule.temperature == pytest.approx(expected.temperature)
        np.testing.assert_allclose(rule.set_thresholds, expected.set_thresholds)
        assert rule.familiarity is not None


def test_strangers_are_answered_and_counted(audited):
    trust = json.loads((audited / "results" / "synthetic_sperm" / "audits.json").read_text())
    found = trust["simple_cnn"]["strangers"]
    assert found["num_folds"] == 5 and found["kinds"]["tested"]["num_images"] == 80
    assert found["kinds"]["uniform_noise"]["num_images"] == 10
    assert found["kinds"]["uniform_noise"]["auroc"]["unfamiliarity"]["value"] > 0.9
    artifact = _artifacts(audited, "StrangerAudit")[0]
    rows = pd.read_csv(artifact.directory / "answers.csv")
    assert artifact.properties["num_strangers"] == len(rows) - 16 == (rows["kind"] != "tested").sum()
    noise = rows[rows["kind"] == "uniform_noise"]
    groups = rows.groupby("kind")["group_id"]
    assert groups.get_group("uniform_noise").is_unique
    assert set(groups.get_group("print")) <= {"page.png", "text.png"}
    assert set(groups.get_group("inverted")) <= set(groups.get_group("tested"))
    assert found["kinds"]["print"]["num_groups"] <= 2 and found["kinds"]["print"]["num_images"] == 10
    assert (noise["decision"] == "refer").all() and (noise["reason"] == "unfamiliar").all()


def test_attacks_change_little_and_mislead(audited):
    found = json.loads((audited / "results" / "synthetic_sperm" / "audits.json").read_text())["simple_cnn"]["attacks"]
    assert {(entry["attack"], entry["epsilon"]) for entry in found} == {
        ("none", 0),
        *((attack, epsilon) for attack in ("fgsm", "pgd") for epsilon in (1, 2, 4)),
    }
    assert all(entry["num_images"] == 20 for entry in found)
    accuracy = {(entry["attack"], entry["epsilon"]): entry["accuracy"]["value"] for entry in found}
    assert accuracy["pgd", 4] <= accuracy["none", 0]


def test_every_audit_has_a_flag():
    assert tuple(registry.AUDITS) == audit.AUDITS


def test_sperm_of_another_dataset_is_taken_for_normal_or_not(audited, tmp_path):
    calibrated, generated = _artifacts(audited, "FoldCalibrator")[0], _generated(audited)
    config = TransferAuditConfig(num_images=12)
    artifact = TransferAudit(config, model=calibrated, examples=generated, other=generated).run(RunContext(tmp_path))
    rows = pd.read_csv(artifact.directory / "answers.csv")
    images = sample(read_images(generated), 12)
    names = sperm_tf.load_model(calibrated.directory).class_names
    assert rows["label_name"].tolist() == [names[image.label] for image in images] and len(rows) == 12
    assert rows["is_normal"].tolist() == [int(image.label == names.index("normal")) for image in images]
    found = sperm_tf.load_model(calibrated.directory).predict([image.image for image in images])
    np.testing.assert_allclose(rows["p_normal"], [row.probabilities["normal"] for row in found], rtol=1e-4)
    assert rows["decision"].tolist() == [row.decision for row in found]


def test_maps_are_measured_on_images_of_every_class(audited, tmp_path):
    calibrated, generated = _artifacts(audited, "FoldCalibrator")[0], _generated(audited)
    config = ExplanationAuditConfig(num_images=4, num_sanity_images=4)
    artifact = ExplanationAudit(config, model=calibrated, examples=generated).run(RunContext(tmp_path))
    rows = pd.read_csv(artifact.directory / "answers.csv")
    fold = open_fold(calibrated, generated)
    chosen = sample(fold.tested, 4)
    assert set(rows["image_id"]) == {image.image_id for image in chosen}
    assert rows.groupby("label")["image_id"].nunique().tolist() == [1] * len(fold.classifier.class_names)
    assert set(rows["test"]) == {"faithfulness", "sanity", "stability"}
    sanity = rows[rows["test"] == "sanity"]
    np.testing.assert_allclose(sanity[sanity["method"] == "edges"]["value"], 1)  # it never asks the network
    assert sanity[sanity["method"] == "grad_cam_plus_plus"]["value"].min() < 0.9
    found = registry.AUDITS["explanations"].describe(rows.assign(fold=0))
    with_head = rows["image_id"].isin(rows[rows["figure"] == "mask_area_share"]["image_id"])
    deleted = rows[with_head & (rows["method"] == "grad_cam") & (rows["figure"] == "deletion_auc")]
    assert found["methods"]["grad_cam"]["deletion_auc"]["value"] == pytest.approx(deleted["value"].mean())


def test_maps_are_compared_with_those_of_a_network_that_knows_shuffled_labels(audited, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(audited, folder)
    flags = ["--config.audit.labels.epochs=2", "--config.audit.labels.num_images=8"]
    status = audit.main(["audit", *FLAGS, *folders(folder), "--audits=labels", *flags])
    assert status == 0
    ((trained,), (compared,)) = (_artifacts(folder, stage) for stage in ("ShuffledFit", "LabelAudit"))
    found = json.loads((folder / "results" / "synthetic_sperm" / "audits.json").read_text())["simple_cnn"]["labels"]
    assert found["num_folds"] == 1 and found["num_images"] == compared.properties["num_images"] == 8
    assert found["train_accuracy"] == trained.properties["train_accuracy"]
    assert found["methods"]["edges"]["rank_correlation"]["value"] == pytest.approx(1)  # it never asks the network
    rows = pd.read_csv(compared.directory / "answers.csv")
    alike = rows[(rows["method"] == "grad_cam") & (rows["figure"] == "rank_correlation")]["value"]
    assert found["methods"]["grad_cam"]["rank_correlation"]["value"] == pytest.approx(alike.mean(), rel=1e-4)
    assert alike.mean() < 0.99
    assert trained.config["trainer"]["augmentation"] == [] and trained.config["trainer"]["weight_decay"] == 0
    fit = next(artifact for artifact in _artifacts(folder, "Fit") if artifact.config["fold"] == 0)
    table = fits.read_table(_artifacts(folder, "Transform")[0].directory)
    known = keras.models.load_model(trained.directory / "model.keras", compile=False)
    config = dataclasses.replace(FitConfig(), fold=0, repeat=fit.config["repeat"])
    partition = fits.partition_of(table, config)
    seed = 1000 * trained.config["trainer"]["seed"]
    shuffled = np.random.default_rng(seed).permutation(table.labels[partition.train])
    assert (shuffled != table.labels[partition.train]).any()
    answered = known.predict(table.images[partition.train], verbose=0).argmax(axis=1)
    assert trained.properties["train_accuracy"] == pytest.approx((answered == shuffled).mean(), abs=1e-6)


def test_a_second_audit_asks_nothing(audited, monkeypatch):
    before = (audited / "results" / "synthetic_sperm" / "audits.json").read_bytes()

    def refuse(*arguments):
        raise AssertionError("nothing was to be asked")

    monkeypatch.setattr(StrangerAudit, "execute", refuse)
    assert run_audit(audited) == 0
    assert (audited / "results" / "synthetic_sperm" / "audits.json").read_bytes() == before


def test_figures_of_other_networks_are_not_kept(finished_sweep, tmp_path, monkeypatch, capsys):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    file = tmp_path / "copy" / "results" / "synthetic_sperm" / "audits.json"
    file.write_text(json.dumps({"vit_tiny": {"attacks": 1}, "simple_cnn": {"networks": ["others"], "attacks": 2}}))
    before = file.read_bytes()
    assert run_audit(tmp_path / "copy", "--dry_run") == 0
    assert capsys.readouterr().out.count("ask    simple_cnn, repeat 0, fold ") == 5 and file.read_bytes() == before
    stranger = registry.Audit(StrangerAudit, lambda rows: len(rows))
    monkeypatch.setitem(registry.AUDITS, "strangers", stranger)
    assert run_audit(tmp_path / "copy", "--audits=strangers") == 0
    found = json.loads(file.read_text())
    assert found["vit_tiny"] == {"attacks": 1} and set(found["simple_cnn"]) == {"networks", "strangers"}
    assert len(found["simple_cnn"]["networks"]) == 5


def test_networks_other_than_the_published_ones_are_refused(finished_sweep, tmp_path, capsys):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    folder = tmp_path / "copy" / "results" / "synthetic_sperm"
    recorded = json.loads((folder / "fits.json").read_text())
    (folder / "fits.json").write_text(json.dumps([{**fit, "fingerprint": f"{fit['fold']}"} for fit in recorded]))
    (folder / "audits.json").write_text('{"simple_cnn": {"networks": ["0", "1", "2", "3", "4"], "attacks": 2}}')
    before = (folder / "audits.json").read_bytes()
    assert run_audit(tmp_path / "copy") == 1
    assert "the networks of simple_cnn must be those whose answers" in capsys.readouterr().err
    assert (folder / "audits.json").read_bytes() == before


def test_a_network_that_is_not_here_is_named(finished_sweep, tmp_path, capsys):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    shutil.rmtree(min((tmp_path / "copy" / "root" / "Fit").glob("*/artifact.json")).parent)
    assert run_audit(tmp_path / "copy") == 1
    printed = capsys.readouterr()
    assert "simple_cnn: not questioned, the networks of fold" in printed.out
    assert "python -m pipelines.cross_validate --preset=demo" in printed.err


def test_an_audit_that_needs_another_dataset_is_refused_or_left_out(finished_sweep, capsys):
    assert run_audit(finished_sweep, "--audits=transfer") == 1
    assert "--audits=transfer needs the images of another public dataset" in capsys.readouterr().err
    assert run_audit(finished_sweep, "--audits=transfer,attacks", "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "transfer: left out, it is for smids and hushem" in printed and "fold 0: attacks\n" in printed


def test_a_sample_holds_every_class_and_one_image_of_a_group(audited):
    images = read_images(_generated(audited))
    chosen = sample(images, 20)
    assert len(chosen) == len({image.group_id for image in chosen}) == 20 and sample(images, 20) == chosen
    assert np.bincount([image.label for image in chosen]).tolist() == [5, 5, 5, 5]
    assert [image.label for image in sorted(sample(images, 2), key=lambda image: image.label)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("flag", "message"),
    (
        ("--audits=spies", "--audits must be of strangers.* Received: --audits=spies"),
        ("--models=resnet", "--models must be of"),
        ("--repeet=1", "--repeet is unknown"),
    ),
)
def test_wrong_flags_are_explained(flag, message, capsys):
    import re

    assert audit.main(["audit", flag]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_two_runs_at_a_time_keep_each_others_figures(tmp_path):
    file = tmp_path / "smids" / "audits.json"
    runner._publish(file, "simple_cnn", ["a"], "strangers", {"x": 1})
    runner._publish(file, "vit_tiny", ["b"], "strangers", {"x": 2})
    runner._publish(file, "simple_cnn", ["a"], "attacks", [])
    expected = {"networks": ["a"], "strangers": {"x": 1}, "attacks": []}
    other = {"networks": ["b"], "strangers": {"x": 2}}
    assert json.loads(file.read_text()) == {"simple_cnn": expected, "vit_tiny": other}
    runner._publish(file, "simple_cnn", ["c"], "attacks", [])  # trained again: the old figures are of other networks
    assert json.loads(file.read_text())["simple_cnn"] == {"networks": ["c"], "attacks": []}


@pytest.mark.parametrize(("weights", "expected"), [("smids", False), ("synthetic", True), ("none", True)])
def test_networks_that_started_from_the_other_dataset_are_not_shown_it(weights, expected):
    unit = SimpleNamespace(config=FitConfig(TrainerConfig(model=ModelConfig(weights=weights))))
    lines = []
    other = SimpleNamespace(config=ExampleGenConfig(dataset="smids", builder_config="clean"))
    assert runner._has_not_seen(unit, other, report=lines.append) == expected
    assert bool(lines) != expected
