"""The names of a served answer: one definition, light, and the same in the script that runs without this package."""

import ast
import pathlib

import pytest

from sperm_tf import served_names
from sperm_tf.evaluation.infra_validation import probe
from sperm_tf.schemas.served import ServedAnswer

ROOT = pathlib.Path(served_names.__file__).parents[1]
NAMES = {*served_names.REASONS, *served_names.INPUT_NAMES, served_names.ACCEPT, served_names.REFER}


def _strings(node):
    return {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}


def test_the_names_import_nothing_but_typing():
    tree = ast.parse(pathlib.Path(served_names.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [getattr(node, "module", "") for node in imports] == ["typing"]


def test_an_answer_has_the_outputs_that_are_named():
    required, optional = ServedAnswer.__required_keys__, ServedAnswer.__optional_keys__
    assert (required, optional) == (set(served_names.ANSWER_OUTPUTS), set(served_names.MAP_OUTPUTS))


def test_the_probe_asks_the_signatures_that_are_exported():
    assert probe.SIGNATURES == served_names.INPUT_NAMES


@pytest.mark.parametrize("folder", ["sperm_tf", "pipelines"])
def test_decisions_reasons_and_signatures_are_written_out_in_one_module(folder):
    for path in (ROOT / folder).rglob("*.py"):
        if path.name in ("served_names.py", "probe.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            compared = node.comparators if isinstance(node, ast.Compare) else []
            assigned = [node.value] if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) else []
            found = {value for item in (*compared, *assigned) for value in _strings(item)} & NAMES
            assert not found, f"{path} writes {found}: take them from sperm_tf.served_names"
