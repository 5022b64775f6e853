import dataclasses
import subprocess
import sys

import pytest

from pipelines.cli import flags
from sperm_tf.config import PipelineConfig, TrainerConfig
from tests.helpers import ROOT


def parse(*arguments):
    return flags.parse(["run", *arguments])


def test_default_is_the_demo_preset():
    invocation = parse()
    assert invocation.config == flags.preset_config("demo")
    assert invocation.beam_args == ()
    assert not invocation.dry_run


def test_every_field_can_be_set():
    for name, value, _ in flags.describe_fields(flags.preset_config("demo")):
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        if text:
            assert parse(f"--config.{name}={text}")


def test_overrides_reach_their_field_and_keep_their_type():
    config = parse(
        "--preset=hushem",
        "--config.trainer.full_epochs=3",
        "--config.trainer.full_learning_rate=1e-2",
        "--config.trainer.augmentation=flip,zoom",
        "--config.trainer.deterministic=false",
        "--manual_dir=somewhere",
        "--pipeline_root=elsewhere",
    ).config
    assert config.trainer.full_epochs == 3
    assert config.trainer.full_learning_rate == 0.01
    assert config.trainer.augmentation == ("flip", "zoom")
    assert config.trainer.deterministic is False
    preset = flags.preset_config("hushem").trainer
    assert preset.batch_size != TrainerConfig().batch_size
    assert config.trainer.batch_size == preset.batch_size, "the preset's other fields stay"
    assert config.example_gen.manual_dir == "somewhere"
    assert config.pipeline_root == "elsewhere"


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    config = parse("--preset=smids", "--pipeline_root=~/runs", "--manual_dir=~/data").config
    assert (config.pipeline_root, config.example_gen.manual_dir) == ("/home/somebody/runs", "/home/somebody/data")
    assert parse("--preset=own", "--data_dir=~/lab data").config.example_gen.data_dir == "/home/somebody/lab data"


def test_own_images_are_named_by_data_dir():
    example_gen = parse("--preset=own", "--data_dir=lab/labels.csv").config.example_gen
    assert (example_gen.dataset, example_gen.builder_config, example_gen.data_dir) == (
        "own_images",
        "clean",
        "lab/labels.csv",
    )
    assert "--data_dir=" in flags.help_text(["run", "--help", "--preset=own"])
    with pytest.raises(flags.FlagError, match="manual_dir empty"):
        parse("--preset=own", "--data_dir=lab", "--manual_dir=lab")


def test_help_shows_the_defaults_of_the_preset():
    assert "--config.trainer.full_epochs=4\n" in flags.help_text(["run", "--help"])
    epochs = flags.preset_config("hushem").trainer.full_epochs
    assert epochs != 4
    assert f"--config.trainer.full_epochs={epochs}\n" in flags.help_text(["run", "--help", "--preset=hushem"])


def test_two_phases_need_a_lower_rate_in_the_second():
    with pytest.raises(flags.FlagError, match=r"must be below trainer\.frozen_learning_rate"):
        parse("--config.trainer.frozen_epochs=5", "--config.trainer.full_learning_rate=1e-3")


def test_an_empty_tuple_can_be_given():
    assert parse("--config.trainer.augmentation=").config.trainer.augmentation == ()


def test_beam_flags_are_passed_through():
    beam_args = ("--runner=FlinkRunner", "--direct_num_workers=2", "--environment_type", "LOOPBACK")
    assert parse(*beam_args, "--dry_run").beam_args == beam_args


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.trainer.epochs=3", "--config.trainer.full_epochs"),
        ("--config.trainer.full_epochs=many", "full_epochs"),
        ("--config.model.name=simple_cnn", "--config.trainer.model.name"),
        ("--config.trainer.model.name=resnet", "simple_cnn, efficientnet_b0"),
        ("--config.trainer.batch_size=0", "at least 2"),
        ("--config.trainer.augmentation=flip,shear", "stain_jitter"),
        ("--config.trainer.full_learning_rate=nan", "between"),
        ("--config.trainer.model.cbam_after=nonsense", "block3b_add"),
        ("--config.preset=smids", "--preset"),
        ("--manual_dir=somewhere", "which draws its images"),
        ("--data_dir=somewhere", "--preset=own"),
        ("--config.example_gen.data_dir=somewhere", "--preset=own"),
        ("--data_dri=somewhere", "--data_dir"),
        ("--config.example_gen.validation_fold=0", "1, 2, 3, 4"),
        ("--runer=FlinkRunner", "--runner"),
        ("--no_such_flag", "--help lists every flag"),
        ("--preset=lab", "demo, smids, hushem"),
        ("--preset", "demo, smids, hushem"),
        ("positional", "positional"),
    ],
)
def test_a_wrong_flag_names_what_is_valid(argument, message):
    with pytest.raises(flags.FlagError) as error:
        parse(argument)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [
        ("--config.trainer.batchsize=3", "--config.trainer.batch_size"),
        ("--config.model.name=simple_cnn", "--config.trainer.model.name"),
        ("--runer=FlinkRunner", "--runner"),
        ("--data_dri=lab", "--data_dir"),
    ],
)
def test_an_unknown_flag_answers_in_three_lines_the_nearest_first(argument, nearest):
    with pytest.raises(flags.FlagError) as error:
        parse(argument)
    lines = str(error.value).splitlines()
    assert len(lines) <= 3 and lines[0].startswith(f"did you mean {nearest}? {argument.split('=')[0]} is unknown")


def test_only_flags_may_come_first():
    for arguments in (["data", "--runner=FlinkRunner"], ["data", "data"]):
        with pytest.raises(flags.FlagError, match="must be flags"):
            parse(*arguments)


def test_a_stray_argument_behind_a_beam_flag_is_refused():
    own = ["input"]
    assert flags.check_beam_args(["--direct_num_workers", "2", "--runner=DirectRunner"], own)
    for rest in (["--direct_num_workers=2", "b.png"], ["--direct_num_workers", "2", "b.png"]):
        with pytest.raises(flags.FlagError, match=r"must be flags. Received: 'b.png'"):
            flags.check_beam_args(rest, own)


def test_every_field_is_explained():
    unexplained = [name for name, _, meaning in flags.describe_fields(PipelineConfig()) if not meaning]
    assert not unexplained


def test_from_dict_is_the_inverse_of_asdict():
    config = PipelineConfig(trainer=TrainerConfig(full_epochs=7))
    assert flags.from_dict(PipelineConfig, dataclasses.asdict(config)) == config


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["--config.nothing=1"], 2)])
def test_help_and_a_wrong_flag_import_nothing_heavy(arguments, status):
    code = (
        "import sys; from pipelines.run import main; status = main(['run', *sys.argv[1:]]);"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    assert "--config.trainer.full_epochs" in result.stdout + result.stderr or status == 2
