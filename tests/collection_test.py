"""What finding the tests costs."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT

HEAVY = ("tensorflow", "keras", "apache_beam", "tensorflow_model_analysis", "gradio")
CODE = f"""
import sys, pytest
status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"])
found = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"imported: {{found}}" if found else int(status))
"""


@pytest.mark.slow
def test_tests_are_found_without_tensorflow():
    """What imports it belongs into the function that needs it, or into `setup_module`."""
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
