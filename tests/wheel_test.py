"""The wheel in an empty environment with `requirements-predict.txt` alone: predictions, scores and a slide report."""

import subprocess
import sys
import zipfile

import pytest

from tests.helpers import ROOT

pytestmark = [pytest.mark.slow]
PREDICT = """
import sperm_tf
predictions = sperm_tf.load_model("smids").predict(["crops/0.png", "crops/1.png"])
assert [prediction.status for prediction in predictions] == ["ok", "ok"]
"""
LEFT_OUT = ("tensorflow_datasets", "tensorflow_model_analysis", "keras_cv", "gradio", "tf_keras_vis", "sklearn")


def execute(*command, cwd=ROOT, status=0):
    result = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == status, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    execute(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (file,) = folder.glob("sperm_tf-*.whl")
    return file


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    environment = tmp_path_factory.mktemp("environment") / "venv"
    uv = (sys.executable, "-m", "uv")
    execute(*uv, "venv", "--quiet", "--python", sys.executable, environment)
    install = (*uv, "pip", "install", "--quiet", "--python", environment / "bin" / "python")
    execute(*install, "--requirement", ROOT / "requirements-predict.txt")
    execute(*install, "--no-deps", wheel)
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    from PIL import Image

    from sperm_tf.synthesis.renderer import render

    folder = tmp_path_factory.mktemp("work")
    (folder / "crops").mkdir()
    for index in range(3):
        Image.fromarray(render(index, label_set="quality", seed=5).image).save(folder / "crops" / f"{index}.png")
    return folder


def test_everything_that_is_read_at_run_time_is_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = execute("git", "ls-files", "sperm_tf", "pipelines", "tfds_builders").split()
    wanted = {name for name in tracked if not name.endswith("_test.py") and "/dummy_data/" not in name}
    assert not wanted - names, sorted(wanted - names)


def test_what_prediction_does_not_need_is_not_there(python):
    found = f"import importlib.util; print([name for name in {LEFT_OUT} if importlib.util.find_spec(name)])"
    assert execute(python, "-c", found).strip() == "[]"


def test_it_predicts_scores_and_reports(python, work):
    execute(python, "-c", PREDICT, cwd=work)
    execute(python, "-m", "pipelines.score", "--model=smids", "--input=crops", "--output=scores", cwd=work)
    execute(python, "-m", "pipelines.slide_report", "--scores=scores", "--output=report", cwd=work)
    assert (work / "report" / "slide.html").stat().st_size and (work / "report" / "slide.pdf").stat().st_size


@pytest.mark.parametrize(
    ("command", "distribution"),
    [
        (["-m", "pipelines.run", "--pipeline_root=run"], "scikit-learn"),
        (["-c", "import tfds_builders"], "tensorflow-datasets"),
    ],
)
def test_what_is_missing_is_named_with_its_pip_line(python, work, command, distribution):
    assert f"pip install '{distribution}>=" in execute(python, *command, cwd=work, status=1)
