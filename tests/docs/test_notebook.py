"""The notebook runs from its first cell to its last, and lies in the repository without what it printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pages import ROOT

NOTEBOOK = ROOT / "examples" / "tour.ipynb"


def test_it_lies_there_without_outputs() -> None:
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, "a cell", "exec")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # Jupyter's own, of its event loop
def test_it_runs_to_its_last_cell_and_draws_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    kernel = (
        tmp_path / "jupyter" / "kernels" / "this_python"
    )  # a kernel of this very Python, whatever else is installed
    kernel.mkdir(parents=True)
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": words, "display_name": "this", "language": "python"}))
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, kernel_name="this_python", timeout=600, resources=place).execute()
    [drawing] = [cell for cell in notebook.cells if "plt.show()" in cell.source]
    assert any("image/png" in output.get("data", {}) for output in drawing.outputs)
    assert (tmp_path / "tour" / "run" / "predictor.toml").is_file()
