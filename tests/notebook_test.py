"""The Colab notebook runs from top to bottom on a small demo."""

import pathlib

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "sperm_tf_colab.ipynb"


def test_notebook_is_stored_without_outputs():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.integration
@pytest.mark.slow
def test_notebook_runs_on_a_small_demo(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("SPERM_TF_NOTEBOOK_ROOT", str(tmp_path / "run"))
    monkeypatch.setenv("SPERM_TF_NOTEBOOK_IMAGES", "80")
    flags = [
        "trainer.full_epochs=1",
        "trainer.model.name=simple_cnn",
        "trainer.model.weights=none",
        "transform.image_size=32",
    ]
    flags += ["explainer.images_per_class=1", "evaluator.bootstrap_samples=100"]
    monkeypatch.setenv("SPERM_TF_NOTEBOOK_FLAGS", " ".join(f"--config.{flag}" for flag in flags))
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    mime_types = {mime_type for output in outputs for mime_type in output.get("data", {})}
    assert "accuracy" in printed and "macro_f1" in printed
    assert "image/png" in mime_types, "no explanation was shown"
    assert any("srcdoc" in output.get("data", {}).get("text/html", "") for output in outputs), "no report was shown"
