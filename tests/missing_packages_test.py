"""What is not installed is named with the pip line that brings it."""

import subprocess
import sys

import pytest

from sperm_tf import missing_packages
from tests.helpers import ROOT

HIDE = """
import sys, runpy
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("tensorflow_datasets.core", "pip install 'tensorflow-datasets>="),
        ("sklearn", "pip install 'scikit-learn>="),
        ("tensorflow_model_analysis", "pip install 'tensorflow-model-analysis>="),
        ("gradio", "pip install 'gradio>="),
    ],
)
def test_the_pip_line_is_that_of_the_requirements(module, line):
    assert line in missing_packages.say(ModuleNotFoundError(f"No module named {module!r}", name=module))


def test_other_errors_keep_their_words():
    assert missing_packages.say(ValueError("size must be 3")) == "size must be 3"
    unknown = ModuleNotFoundError("No module named 'nobody_knows_it'", name="nobody_knows_it")
    assert missing_packages.say(unknown) == "No module named 'nobody_knows_it'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "hidden"),
    [
        ("import tfds_builders", "tensorflow_datasets"),
        ("sys.argv = ['x']; sys.exit(__import__('pipelines.results', fromlist=['x']).main())", "scipy"),
    ],
)
def test_a_process_without_a_package_says_what_to_run(code, hidden):
    command = [sys.executable, "-c", HIDE.format(hidden=hidden) + code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and f"pip install '{hidden.replace('_', '-')}>=" in result.stderr
