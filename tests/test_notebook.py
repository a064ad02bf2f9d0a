"""The notebook runs from top to bottom, and shows its pictures."""

import json
from pathlib import Path

import pytest

from tools.notebook import NOTEBOOK, run_cells, shown


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    pictures = [len(shown(value)) for _, value in run_cells(notebook)]
    assert sum(pictures) == 5
    assert list(tmp_path.iterdir()) == []


def test_the_notebook_has_its_pictures() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/jpeg" in output["data"] for output in outputs) == 5
