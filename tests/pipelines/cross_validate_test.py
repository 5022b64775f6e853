import dataclasses
import json
import shutil
import types

import numpy as np
import pytest

import sperm_tf
from pipelines import cross_validate
from pipelines.cross_validation import fit as fit_component
from pipelines.cross_validation import fits, jobs, recipes
from pipelines.cross_validation import report as cross_validation_report
from pipelines.cross_validation.final_calibrator import FinalCalibrator
from pipelines.orchestration import lineage
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import CalibratorConfig, ExampleGenConfig, FitConfig, ModelConfig, PipelineConfig, TrainerConfig
from sperm_tf.data.folds import FoldError
from sperm_tf.data.image_table import ImageTable
from sperm_tf.decision.temperature import fit_temperature, scale
from sperm_tf.evaluation.cross_validation import oof, oof_file
from sperm_tf.models.registry import BACKBONES, DEFAULT_BACKBONES
from tests.pipelines.tiny_sweep import run_sweep


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global conformal, NonFiniteLossError, rule_lib, run_plan, runner
    from pipelines.cross_validation import runner
    from sperm_tf.decision import conformal
    from sperm_tf.decision import rule as rule_lib
    from sperm_tf.training import run_plan
    from sperm_tf.training.callbacks import NonFiniteLossError


@pytest.fixture
def copy(finished_sweep, tmp_path):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    return tmp_path / "copy"


def _forbid_training(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("nothing was to be trained")

    monkeypatch.setattr(fit_component.Fit, "execute", refuse)


def _results(folder):
    return folder / "results" / "synthetic_sperm"


def test_every_image_is_answered_by_a_network_that_did_not_see_it(finished_sweep):
    table = oof_file.read_csv(_results(finished_sweep) / "simple_cnn.csv")
    test = oof.select(table, part=oof.TEST)
    assert sorted(test["fold"].unique()) == [0, 1, 2, 3, 4] and test["image_id"].nunique() == len(test) == 80
    recorded = json.loads((_results(finished_sweep) / "fits.json").read_text())
    assert [(fit["repeat"], fit["fold"]) for fit in recorded] == [(0, fold) for fold in range(5)]
    for fit in recorded:
        rows = test[test["fold"] == fit["fold"]]
        right = oof.probabilities(rows).argmax(1) == oof.labels(rows)
        assert fit["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_the_report_shows_the_figures_and_the_labels_in_doubt(finished_sweep):
    folder = finished_sweep / "root" / "CrossValidation"
    html = (folder / "cross_validation.html").read_text(encoding="utf-8")
    table = oof.select(oof_file.read_csv(_results(finished_sweep) / "simple_cnn.csv"), part=oof.TEST)
    right = oof.probabilities(table).argmax(1) == oof.labels(table)
    assert f"{100 * right.mean():.1f}" in html and "simple_cnn" in html
    listed = (folder / "label_issues.csv").read_text(encoding="utf-8").splitlines()
    assert html.count("data:image/png;base64,") >= min(len(listed) - 1, 60)


def test_a_second_run_trains_nothing(copy, monkeypatch, capsys):
    before = (_results(copy) / "simple_cnn.csv").read_bytes()
    _forbid_training(monkeypatch)
    assert run_sweep(copy) == 0
    assert (_results(copy) / "simple_cnn.csv").read_bytes() == before
    assert run_sweep(copy, "--dry_run") == 0
    assert capsys.readouterr().out.count("reuse  simple_cnn") == 5


def test_published_answers_are_not_trained_again(copy, monkeypatch):
    before = {path.name: path.read_bytes() for path in _results(copy).glob("*.*")}
    shutil.rmtree(copy / "root" / "Fit")
    _forbid_training(monkeypatch)
    assert run_sweep(copy) == 0
    assert {path.name: path.read_bytes() for path in _results(copy).glob("*.*")} == before


def test_a_sweep_that_cannot_be_made_is_refused_before_it_trains(copy, monkeypatch, capsys):
    # Five outer folds are possible with eight groups a class, ten inner parts of what is left are not.
    few = lambda path: _with_groups(fits.read_table(path), 8)  # noqa: E731
    monkeypatch.setattr(runner, "read_table", few)
    _forbid_training(monkeypatch)
    monkeypatch.setattr(runner, "train", None)
    assert run_sweep(copy, "--repeats=2") == 1
    assert "Outside test fold" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "message"),
    (
        (("--models=vit_tiny", "--config.transform.image_size=40"), "multiple of 16"),
        (("--final", "--config.trainer.checkpoint=best"), "keeps its last epoch"),
    ),
)
def test_a_network_that_cannot_be_made_is_refused_before_it_trains(given, message, tmp_path, monkeypatch, capsys):
    _forbid_training(monkeypatch)
    monkeypatch.setattr(runner, "train", None)
    assert run_sweep(tmp_path, *given) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_its_own_words(tmp_path, monkeypatch, capsys):
    def diverge(*arguments):
        raise NonFiniteLossError(loss=float("nan"), epoch=1, step=3, learning_rate=9.0)

    monkeypatch.setattr(fit_component.Fit, "execute", diverge)
    assert run_sweep(tmp_path) == 1
    assert "learning rate" in capsys.readouterr().err


def _with_groups(table, num_groups):
    """The same images in so many groups of each class, none of which stands in two folds."""
    groups = [f"{label}_{fold}_{number % (num_groups // 5 + 1)}"
              for number, (label, fold) in enumerate(zip(table.labels, table.folds, strict=True))]  # fmt: skip
    return dataclasses.replace(table, group_ids=np.array(groups))


def test_fits_in_threads_of_one_process_are_the_same(copy):
    """Keras keeps its seeds for all threads, so that fits at the same time would draw from each other's."""
    before = (_results(copy) / "simple_cnn.csv").read_bytes()
    shutil.rmtree(copy / "root" / "Fit")
    shutil.rmtree(copy / "results")
    assert run_sweep(copy, "--direct_num_workers=2") == 0
    assert (_results(copy) / "simple_cnn.csv").read_bytes() == before


def test_other_images_or_weights_are_another_fit(tmp_path, monkeypatch):
    table = _table([f"g{index}" for index in range(100)], [index % 5 for index in range(100)])
    weights = tmp_path / "start.npz"
    examples = types.SimpleNamespace(directory=tmp_path)

    def fingerprint(table, content=b"1"):
        weights.write_bytes(content)
        monkeypatch.setattr(fits, "read_table", lambda directory: table)
        config = FitConfig(TrainerConfig(model=ModelConfig(weights=str(weights))))
        return fit_component.Fit(config).fingerprint_fields({"examples": examples}, RunContext(tmp_path))

    labels, hashes = table.labels.copy(), table.pixel_hashes.copy()
    labels[0] = 1 - labels[0]
    hashes[0] = "h_"
    expected = fingerprint(table)
    assert fingerprint(table) == expected
    for other in (dataclasses.replace(table, labels=labels), dataclasses.replace(table, pixel_hashes=hashes)):
        assert fingerprint(other) != expected
    assert fingerprint(table, b"2") != expected


def test_another_recipe_is_another_fit(copy, capsys):
    assert run_sweep(copy, "--config.trainer.full_learning_rate=0.5", "--dry_run") == 0
    assert capsys.readouterr().out.count("run    simple_cnn") == 5


def test_a_killed_sweep_goes_on_where_it_was(copy, monkeypatch, capsys):
    before = (_results(copy) / "simple_cnn.csv").read_bytes()
    shutil.rmtree(copy / "results")
    artifacts = sorted((copy / "root" / "Fit").glob("*/artifact.json"))
    for path in artifacts[2:]:
        shutil.rmtree(path.parent)
    assert run_sweep(copy, "--no_training") == runner.EXIT_INCOMPLETE
    assert "3 of 5 fits are missing" in capsys.readouterr().out
    assert oof_file.read_csv(_results(copy) / "simple_cnn.csv", complete=False)["fold"].nunique() == 2
    trained = []
    execute = fit_component.Fit.execute

    def count(self, *arguments):
        trained.append(self.config.fold)
        return execute(self, *arguments)

    monkeypatch.setattr(fit_component.Fit, "execute", count)
    assert run_sweep(copy) == 0
    assert len(trained) == 3
    assert (_results(copy) / "simple_cnn.csv").read_bytes() == before, "a seed repeats a fit exactly"


def test_another_machine_answers_the_same(copy, tmp_path, monkeypatch):
    expected = (_results(copy) / "simple_cnn.csv").read_bytes()
    shutil.rmtree(copy / "root" / "Fit")
    shutil.rmtree(copy / "results")
    assert run_sweep(copy, f"--plan_dir={tmp_path / 'plan'}") == 0
    answer = [str(tmp_path / "plan"), str(tmp_path / "answers")]
    assert run_plan.main([*answer, "--time_limit_s=0"]) == 3
    assert not list((tmp_path / "answers").glob("*.npz"))
    with monkeypatch.context() as patch:  # killed in the second fit
        write = run_plan._write
        patch.setattr(run_plan, "_write", lambda *given: write(*given) if not _answers(tmp_path) else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_plan.main(answer)
    assert len(_answers(tmp_path)) == 1 and len(list((tmp_path / "answers" / ".work").iterdir())) == 1
    assert run_plan.main(answer) == 0
    assert len(_answers(tmp_path)) == 5 and not list((tmp_path / "answers" / ".work").iterdir())
    _forbid_training(monkeypatch)
    assert run_sweep(copy, f"--import_from={tmp_path / 'answers'}") == 0
    assert (_results(copy) / "simple_cnn.csv").read_bytes() == expected


def _answers(folder):
    return list((folder / "answers").glob("*.npz"))


def test_answers_that_are_not_there_or_not_whole_are_named(copy, tmp_path, capsys, monkeypatch):
    _forbid_training(monkeypatch)
    assert run_sweep(copy, f"--import_from={tmp_path / 'nowhere'}") == 1
    assert "nowhere', which does not exist" in capsys.readouterr().err
    recorded = json.loads((_results(copy) / "fits.json").read_text())
    shutil.rmtree(copy / "root" / "Fit")
    shutil.rmtree(copy / "results")
    broken = tmp_path / f"{recorded[0]['fingerprint']}.npz"
    broken.write_bytes(b"PK\x03\x04 half")
    assert run_sweep(copy, f"--import_from={tmp_path}") == 1
    assert f"whole files that run_plan wrote. Received: {broken}" in capsys.readouterr().err


def test_answers_of_other_parts_are_refused(copy, tmp_path, capsys):
    """A plan that another version of scikit-learn drew: as many images, and other ones."""
    shutil.rmtree(copy / "root" / "Fit")
    shutil.rmtree(copy / "results")
    assert run_sweep(copy, f"--plan_dir={tmp_path / 'plan'}") == 0
    plan = json.loads((tmp_path / "plan" / run_plan.PLAN_FILE).read_text())[:1]
    parts = plan[0]["parts"]
    parts["train"][0], parts["test"][0] = parts["test"][0], parts["train"][0]
    (tmp_path / "plan" / run_plan.PLAN_FILE).write_text(json.dumps(plan))
    assert run_plan.main([str(tmp_path / "plan"), str(tmp_path / "answers")]) == 0
    assert run_sweep(copy, f"--import_from={tmp_path / 'answers'}") == 1
    assert "drawn in another way" in capsys.readouterr().err


def test_a_plan_of_another_recipe_is_refused(copy, tmp_path, capsys, monkeypatch):
    shutil.rmtree(copy / "root" / "Fit")
    shutil.rmtree(copy / "results")
    assert run_sweep(copy, f"--plan_dir={tmp_path / 'plan'}") == 0
    monkeypatch.setattr(run_plan, "RECIPE_VERSION", run_plan.RECIPE_VERSION + 1)
    with pytest.raises(SystemExit) as stopped:
        run_plan.main([str(tmp_path / "plan"), str(tmp_path / "answers")])
    assert stopped.value.code == 2 and "Received: version 1. Write the plan" in capsys.readouterr().err
    assert not (tmp_path / "answers").exists()


def test_a_network_of_other_parts_is_not_audited(copy):
    file = next((copy / "root" / "Fit").glob("*/predictions.csv"))
    rows = oof_file.read_csv(file, complete=False)
    table = types.SimpleNamespace(image_ids=rows["image_id"].to_numpy())
    parts = {part: np.flatnonzero(rows["part"] == part) for part in ("test", "calibration")}
    fits.check_answered(table, types.SimpleNamespace(**parts), file)
    parts["test"][0] = parts["calibration"][0]
    with pytest.raises(FoldError, match="delete that fit and train it again"):
        fits.check_answered(table, types.SimpleNamespace(**parts), file)


def test_fewer_repeats_than_published_are_refused(copy, monkeypatch, capsys):
    path = _results(copy) / "fits.json"
    recorded = json.loads(path.read_text())
    recorded += [{**fit, "repeat": 1, "fingerprint": "another"} for fit in recorded]
    path.write_text(json.dumps(recorded))
    assert run_sweep(copy, "--no_training") == 1
    assert "--repeats must be at least 2" in capsys.readouterr().err
    _forbid_training(monkeypatch)
    monkeypatch.setattr(runner, "train", None)
    assert run_sweep(copy, "--config.trainer.full_learning_rate=0.5") == 1
    assert "--repeats must be at least 2" in capsys.readouterr().err


def test_a_kill_while_answers_are_written_leaves_no_wrong_claim(copy, monkeypatch):
    path = _results(copy) / "fits.json"
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps([{**fit, "fingerprint": "another"} for fit in recorded]))
    write_csv = oof_file.write_csv

    def write_and_die(*arguments, **options):
        write_csv(*arguments, **options)
        raise OSError("killed")

    monkeypatch.setattr(oof_file, "write_csv", write_and_die)
    assert run_sweep(copy, "--no_training") == 1
    assert json.loads(path.read_text()) == []
    monkeypatch.setattr(oof_file, "write_csv", write_csv)
    assert run_sweep(copy, "--no_training") == 0
    assert json.loads(path.read_text()) == recorded


def test_a_fit_that_lost_its_network_is_known_by_its_published_answers_or_trained_again(copy, capsys):
    for file in (copy / "root" / "Fit").glob("*/model.keras"):
        file.unlink()
    assert run_sweep(copy, "--dry_run") == 0
    assert capsys.readouterr().out.count("reuse  simple_cnn") == 5
    assert run_sweep(copy, "--dry_run", f"--results_dir={copy / 'elsewhere'}") == 0
    assert capsys.readouterr().out.count("run    simple_cnn") == 5


def test_the_report_leaves_out_models_that_answered_other_images(copy, capsys):
    answers = oof_file.read_csv(_results(copy) / "simple_cnn.csv")
    relabelled = answers.assign(label=answers["label"].where(answers["image_id"] != answers["image_id"].iloc[0], 0))
    assert not relabelled.equals(answers)
    oof_file.write_csv(relabelled, _results(copy) / "efficientnet_b0.csv")
    assert run_sweep(copy) == 0
    html = (copy / "root" / "CrossValidation" / "cross_validation.html").read_text(encoding="utf-8")
    assert "simple_cnn" in html and "efficientnet_b0" not in html


def test_answers_of_an_earlier_recipe_stay_until_the_new_ones_are_whole(copy, capsys):
    path = _results(copy) / "fits.json"
    now = path.read_text()
    recorded = [{**fit, "fingerprint": "another"} for fit in json.loads(now)]
    path.write_text(json.dumps(recorded))
    answers = (_results(copy) / "simple_cnn.csv").read_bytes()
    fit = min((copy / "root" / "Fit").glob("*/artifact.json")).parent
    fit.rename(copy / "kept")
    assert run_sweep(copy, "--no_training") == runner.EXIT_INCOMPLETE
    assert "simple_cnn: the answers of an earlier recipe stay published until 1 more" in capsys.readouterr().out
    assert json.loads(path.read_text()) == recorded and (_results(copy) / "simple_cnn.csv").read_bytes() == answers
    (copy / "kept").rename(fit)
    assert run_sweep(copy, "--no_training") == 0
    assert path.read_text() == now


def test_all_images_train_the_final_fit(copy):
    assert run_sweep(copy, "--final") == 0
    (folder,) = (copy / "root" / "FinalFit").glob("*/model.json")
    info = json.loads(folder.read_text())
    assert info["num_images"] == 80 and info["views"] == 8 and len(info["class_names"]) == 4
    (file,) = (copy / "root" / "FinalCalibrator").glob("*/decision.json")
    rule = rule_lib.read(file.parent)
    rows = oof.select(oof_file.read_csv(_results(copy) / "simple_cnn.csv"), part=oof.TEST)
    assert rule.num_images == len(rows) == 80
    assert rule.temperature == pytest.approx(fit_temperature(np.log(oof.probabilities(rows)), oof.labels(rows)))
    probabilities = scale(np.log(oof.probabilities(rows)), rule.temperature)
    thresholds = conformal.fit(probabilities, oof.labels(rows), method="lac", alpha=0.1, class_conditional=True)
    np.testing.assert_allclose(rule.set_thresholds, thresholds)
    assert rule.familiarity is not None and rule.max_distance > 0
    classifier = sperm_tf.load_model(file.parent)
    assert classifier.rule is not None and classifier.views == 8
    fewer = copy / "fewer.csv"
    table = oof_file.read_csv(_results(copy) / "simple_cnn.csv")
    oof_file.write_csv(table[table["image_id"] != rows["image_id"].iloc[0]], fewer, complete=False)
    (model,), (examples,) = (list((copy / "root" / name).glob("*/artifact.json")) for name in ("FinalFit", "Transform"))
    inputs = {"model": Artifact.read(model.parent), "examples": Artifact.read(examples.parent)}
    with pytest.raises(StageError, match=r"must hold all 80 images .* with 79\. Finish"):
        FinalCalibrator(CalibratorConfig(), answers=fewer, **inputs).run(RunContext(copy / "root"))


@pytest.mark.parametrize(
    ("flag", "message"),
    (
        ("--models=resnet", "--models must be of simple_cnn, .*vit_tiny. Received: --models=resnet"),
        ("--repeats=0", "repeats"),
        ("--reapeats=2", "--reapeats is unknown"),
        ("--preset=smid", "--preset must be one of"),
        ("--final --no_training", "--final trains here: it goes neither with --no_training nor with --plan_dir"),
        ("--config.trainer.model.name=vit_tiny", "--models says which networks are trained"),
    ),
)
def test_wrong_flags_are_explained(flag, message, capsys):
    assert cross_validate.main(["cross_validate", *flag.split()]) == 2
    import re

    assert re.search(message, capsys.readouterr().err)


def test_weights_that_have_seen_the_images_stop_the_sweep(tmp_path, capsys):
    assert run_sweep(tmp_path, "--config.trainer.model.weights=synthetic", "--config.example_gen.seed=0") == 1
    assert "must not have seen the test images" in capsys.readouterr().err


def test_weights_that_a_stage_wrote_are_known_by_the_artifacts_behind_them(copy, capsys):
    fit = next((copy / "root" / "Fit").glob("*/model.keras")).parent
    assert run_sweep(copy, f"--config.trainer.model.weights={fit / 'model.keras'}") == 1
    assert f"{fit / 'model.keras'}', which learnt from images of synthetic_sperm" in capsys.readouterr().err
    lineage.check_unseen(str(fit / "model.keras"), ExampleGenConfig(dataset="hushem", builder_config="clean"))


def test_help_names_the_models(capsys):
    assert cross_validate.main(["cross_validate", "--help"]) == 0
    assert "vit_tiny" in capsys.readouterr().out


def _table(group_ids, folds):
    count = len(folds)
    return ImageTable(
        class_names=("a", "b"),
        images=np.zeros((count, 32, 32, 3), np.uint8),
        labels=np.arange(count) % 2,
        image_ids=np.array([f"i{index:03d}" for index in range(count)]),
        group_ids=np.array(group_ids),
        pixel_hashes=np.array([f"h{index}" for index in range(count)]),
        folds=np.array(folds),
    )


def test_too_few_groups_for_the_inner_parts_are_told_by_the_name_of_the_class():
    folds = [index // 2 % 5 for index in range(20)]
    with pytest.raises(FoldError, match=r"at least 10 groups of every class\. Received: 8 groups of class a\."):
        fits.partition_of(_table([f"g{index}" for index in range(20)], folds), FitConfig(fold=0))


def test_a_near_duplicate_across_folds_stops_the_fit():
    groups, folds = [f"g{index}" for index in range(100)], [index // 2 % 5 for index in range(100)]
    config = FitConfig(fold=0)
    fits.partition_of(_table(groups, folds), config)
    groups[3] = groups[0]  # folds 0 and 1
    with pytest.raises(FoldError, match="'g0'"):
        fits.partition_of(_table(groups, folds), config)


def test_initial_weights_are_known_by_content(tmp_path):
    for name, content in (("a.npz", b"1"), ("b.npz", b"1"), ("c.npz", b"2")):
        (tmp_path / name).write_bytes(content)

    def recipe(name):
        trainer = TrainerConfig(model=ModelConfig(weights=str(tmp_path / name)))
        return fits.recipe_of(FitConfig(trainer)), fits.weights_identity(trainer)

    assert recipe("a.npz") == recipe("b.npz") != recipe("c.npz")
    assert fits.weights_identity(TrainerConfig()) == ""


def test_fits_have_seeds_of_their_own():
    configs = [
        FitConfig(TrainerConfig(seed=seed), repeat, fold) for seed in (0, 1) for repeat in (0, 1) for fold in (0, 4)
    ]
    assert len({fits.seeded(config).seed for config in configs}) == 8


def test_models_without_pretraining_take_longer():
    trainer = TrainerConfig(model=ModelConfig(weights="synthetic"), full_epochs=10, frozen_epochs=2)
    plain = recipes.trainer_for(trainer, "efficientnet_b0")
    assert plain == dataclasses.replace(trainer, model=dataclasses.replace(trainer.model, name="efficientnet_b0"))
    vit = recipes.trainer_for(trainer, "vit_tiny")
    assert (vit.model.weights, vit.full_epochs, vit.frozen_epochs) == ("none", 25, 0)
    lite = recipes.trainer_for(trainer, "efficientnet_lite0_cbam")
    assert (lite.model.weights, lite.full_epochs, lite.frozen_epochs) == ("imagenet_lite0", 10, 2)
    assert recipes.trainer_for(lite, "efficientnet_lite0").model.weights == "imagenet_lite0"
    assert recipes.trainer_for(lite, "efficientnet_b0").model.weights == "synthetic"
    random = dataclasses.replace(trainer, model=dataclasses.replace(trainer.model, weights="none"))
    assert recipes.trainer_for(random, "efficientnet_lite0").model.weights == "none"


def test_stages_stay_frozen_only_where_they_are_trained():
    model = ModelConfig("efficientnet_lite0_cbam", weights="imagenet_lite0")
    trainer = TrainerConfig(model=model, frozen_stages=4, view_consistency=8.0)
    stages = {name: recipes.trainer_for(trainer, name).frozen_stages for name in BACKBONES}
    assert stages == {name: 4 * name.startswith("efficientnet") for name in BACKBONES}
    memorizing = recipes.memorizing(trainer, 60)
    assert (memorizing.frozen_stages, memorizing.view_consistency) == (0, 0)


def test_a_limit_of_test_images_leaves_no_image_out(tmp_path):
    config = PipelineConfig(example_gen=ExampleGenConfig(max_test_images=5), pipeline_root=str(tmp_path))
    assert jobs.with_every_image(config).example_gen.max_test_images == 0
    assert jobs.with_every_image(config).trainer == config.trainer


@pytest.mark.parametrize("weights", ("synthetic", "none"))
def test_a_transformer_has_a_rate_of_its_own(weights):
    trainer = TrainerConfig(model=ModelConfig(weights=weights), frozen_epochs=0, full_learning_rate=1e-3)
    cnn, vit = (recipes.trainer_for(trainer, name) for name in ("simple_cnn", "vit_tiny"))
    assert (cnn.full_learning_rate, cnn.warmup_share) == (1e-3, 0.05)
    assert (vit.full_learning_rate, vit.warmup_share) == (1e-4, 0.15)
    slower = recipes.trainer_for(dataclasses.replace(trainer, full_learning_rate=3e-5), "vit_tiny")
    assert slower.full_learning_rate == 3e-5


@pytest.mark.parametrize(("num_origins", "stated"), ((3, True), (0, False)))
def test_the_report_knows_whether_patients_were_kept_together(num_origins, stated, tmp_path):
    info = {"name": "own_images", "config": "clean", "num_origins": num_origins}
    (tmp_path / "dataset.json").write_text(json.dumps(info))
    described = cross_validation_report._describe_dataset(tmp_path)
    assert described["has_origins"] is stated and described["title"] == "own_images"


def test_the_report_of_a_root_that_was_moved_finds_its_near_duplicates(copy, monkeypatch):
    (transformed,) = copy.glob("root/Transform/*/artifact.json")
    asked = []
    monkeypatch.setattr(cross_validation_report, "_pairs_of_one_cell", lambda folder: asked.append(folder) or [])
    arguments = {"results_dir": copy / "results" / "synthetic_sperm", "transformed": Artifact.read(transformed.parent)}
    assert cross_validation_report.write(copy / "page", **arguments) is not None
    assert copy in asked[0].parents and (asked[0] / "near_duplicates.csv").is_file()


@pytest.mark.parametrize(
    ("preset", "models"), [("smids", ("efficientnet_lite0_cbam",)), ("smids_b0", DEFAULT_BACKBONES)]
)
def test_the_models_are_those_of_the_preset_unless_named(preset, models):
    from pipelines.cli import flags

    assert cross_validate._default_models(flags.parse(["", f"--preset={preset}"])) == models
