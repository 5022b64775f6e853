"""A laboratory's own images, from a folder or a table to a report and a pushed model."""

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from pipelines.cli import flags
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.config import ExampleGenConfig, ExampleValidatorConfig
from sperm_tf.data import examples
from sperm_tf.synthesis.renderer import render
from tests.forked_run import ForkedRun
from tests.helpers import ROOT, real_data_dir


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global describe_source, ExampleGen, ExampleValidator
    from pipelines.components.example_gen import ExampleGen, describe_source
    from pipelines.components.example_validator import ExampleValidator


NAMES = {"normal": "normal", "tapered": "tête effilée", "pyriform": "pyriform, left", "amorphous": "amorphous"}
SMALL = (
    "--config.transform.image_size=32",
    "--config.trainer.model.name=simple_cnn",
    "--config.trainer.model.weights=none",
    "--config.trainer.full_epochs=1",
    "--config.explainer.images_per_class=1",
    "--config.infra_validator.num_images=2",
    "--config.evaluator.bootstrap_samples=200",
    "--config.evaluator.min_macro_f1=0",  # an epoch is not enough for a blessing
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty drawn images in folders of four classes, one file that is no image, and one that nothing reads."""
    folder = tmp_path_factory.mktemp("own") / "lab images"
    for index in range(40):
        sperm = render(index, seed=3, size=64)
        path = folder / NAMES[sperm.label_name] / f"cell {index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sperm.image).save(path)
    (folder / "normal" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "normal" / "Thumbs.db").write_bytes(b"x")
    return folder


def config(data_dir):
    return dataclasses.replace(flags.preset_config("own").example_gen, data_dir=str(data_dir))


def run(root, data_dir, *arguments):
    return ForkedRun("--preset=own", f"--data_dir={data_dir}", f"--pipeline_root={root}", *SMALL, *arguments).wait()


def finished(root, stage):
    (path,) = (root / stage).glob("*/artifact.json")
    return Artifact.read(path.parent)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_folder_runs_end_to_end(folder, tmp_path):
    status, output = run(tmp_path, folder)
    assert status == 1, output
    assert "1 of 41 files (2.4%) hold no readable image" in output
    assert "1 files are not read (hidden: 1)" in output
    listed = (finished(tmp_path, "ExampleValidator").directory / "undecodable.csv").read_text(encoding="utf-8")
    assert "normal/torn.png" in listed

    status, output = run(tmp_path, folder, "--config.example_validator.max_undecodable_share=0.05")
    assert status == 0, output
    assert "Traceback" not in output
    made = finished(tmp_path, "ExampleGen")
    assert re.search(r"ExampleGen +reused", output)
    names = sorted(NAMES.values())
    assert made.properties["class_names"] == names
    assert sum(made.properties["num_examples"].values()) == 40
    model = json.loads((finished(tmp_path, "Trainer").directory / "model.json").read_text(encoding="utf-8"))
    assert model["class_names"] == names
    html = (finished(tmp_path, "Report").directory / "report.html").read_text(encoding="utf-8")
    for part in (*names, "normal/torn.png", "tête effilée/cell"):
        assert part in html
    assert (tmp_path / "serving" / "sperm_own_images" / "1" / "saved_model.pb").is_file()


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_table_of_real_images_with_patients_runs_end_to_end(tmp_path):
    data = tmp_path / "data"
    with zipfile.ZipFile(real_data_dir() / "HuSHeM.zip") as archive:
        members = sorted(name for name in archive.namelist() if name.upper().endswith(".BMP"))
        chosen = [name for name in members if int(name[-7:-4]) % 3 == 0]
        archive.extractall(data, chosen)
    rows = [(name, name.split("/")[-2][3:].lower(), f"patient {int(name[-7:-4]) % 7}") for name in chosen]
    data.joinpath("labels.csv").write_text(
        "\n".join(["file;label;group", *(";".join(row) for row in rows)]), encoding="utf-8-sig"
    )
    status, output = run(tmp_path / "runs", data / "labels.csv")
    assert status == 0, output
    made = finished(tmp_path / "runs", "ExampleGen")
    assert made.properties["class_names"] == ["amorphous", "normal", "pyriform", "tapered"]
    assert sum(made.properties["num_examples"].values()) == len(chosen)
    patients = {name: patient for name, _, patient in rows}
    folds = {}
    for split in examples.SPLITS:
        for serialized in examples.read_serialized(examples.shard_paths(made.directory, split)).as_numpy_iterator():
            row = examples.from_example(serialized)
            folds.setdefault(patients[row["image_id"].decode()], set()).add(row["fold"])
    assert len(folds) == 7
    assert all(len(found) == 1 for found in folds.values()), folds
    texts = [path.read_bytes() for path in (tmp_path / "runs" / "Report").rglob("*.*") if path.is_file()]
    assert not any(b"patient 3" in text for text in texts), "who the patients are stays in the table"


@pytest.mark.slow
def test_a_changed_file_runs_example_gen_again(folder, tmp_path):
    context = RunContext(tmp_path)
    before = describe_source(config(folder))
    assert before["num_files"] == 41
    first = ExampleGen(config(folder)).run(context)
    again = ExampleGen(config(folder))
    again.run(context)
    assert again.was_reused
    path = folder / "normal" / "cell 00.png"
    os.utime(path, ns=(0, 0))
    touched = ExampleGen(config(folder))
    assert touched.plan(context).reason == "its source outside the pipeline changed"
    assert touched.run(context).digest == first.digest, "the same pixels: nothing behind it runs"
    assert not touched.was_reused
    relabelled = folder / "amorphous" / "cell 00.png"
    path.rename(relabelled)
    try:
        assert ExampleGen(config(folder)).run(context).digest != first.digest
    finally:
        relabelled.rename(path)


@pytest.mark.slow
def test_original_keeps_copies(folder, tmp_path):
    copy = folder / "normal" / "copy.png"
    copy.write_bytes((folder / "normal" / "cell 00.png").read_bytes())
    try:
        sizes = {}
        for name in ("clean", "original"):
            own = dataclasses.replace(config(folder), builder_config=name)
            sizes[name] = sum(ExampleGen(own).run(RunContext(tmp_path)).properties["num_examples"].values())
    finally:
        copy.unlink()
    assert sizes == {"clean": 40, "original": 41}


@pytest.mark.slow
def test_what_was_left_out_is_in_the_artifact(folder, tmp_path):
    made = ExampleGen(config(folder)).run(RunContext(tmp_path))
    with (made.directory / "excluded.csv").open(encoding="utf-8") as file:
        assert [(row["image_id"], row["reason"]) for row in csv.DictReader(file)] == [
            ("normal/torn.png", "undecodable")
        ]
    info = examples.read_dataset_info(made.directory)
    assert info["ignored_files"] == {"hidden": 1}
    assert str(folder) not in json.dumps(info)
    validated = ExampleValidator(ExampleValidatorConfig(max_undecodable_share=0.05), examples=made)
    assert validated.run(RunContext(tmp_path)).properties["num_undecodable"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "own_images", "builder_config": "clean"}, "data_dir must be a folder or a table"),
        (
            {"dataset": "own_images", "builder_config": "clean", "data_dir": "x", "manual_dir": "y"},
            "manual_dir empty.*manual_dir='y'",
        ),
        ({"dataset": "smids", "builder_config": "clean", "data_dir": "x"}, "data_dir must be empty for smids"),
        ({"data_dir": "x"}, "data_dir must be empty for synthetic_sperm"),
        ({"dataset": "own_images", "builder_config": "quality", "data_dir": "x"}, "clean, original"),
    ],
)
def test_a_wrong_configuration_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ExampleGenConfig(**options)


@pytest.mark.integration
def test_a_dry_run_says_what_was_understood(folder, tmp_path):
    status, output = run(tmp_path / "runs", folder, "--dry_run")
    assert status == 0
    counts = ", ".join(
        f"{name} {len(list((folder / name).glob('*.png')))}" for name in sorted(path.name for path in folder.iterdir())
    )
    assert f"lab images: 41 images of 4 classes ({counts})" in output
    assert "no groups given, every image is its own; left alone: 1 hidden" in output


@pytest.mark.integration
def test_the_command_line_says_what_is_wrong_with_the_data(tmp_path):
    status, output = run(tmp_path / "runs", tmp_path / "nowhere")
    assert status == 1
    assert "pipelines.run: data_dir must be" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_the_intervals_of_the_documentation_are_those_of_its_command():
    text = (ROOT / "docs" / "adding_a_dataset.md").read_text(encoding="utf-8")
    command = text.split('python -c "')[1].split('"\n```')[0]
    printed = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [re.findall(r"[\d.]+", line) for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [re.findall(r"[\d.]+", line) for line in printed.stdout.splitlines()] == rows
