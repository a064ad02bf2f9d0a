"""Runs examples/mofa.ipynb from top to bottom and keeps the pictures that its cells show.

python -m tools.notebook
"""

import ast
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent.parent / "examples" / "mofa.ipynb"


def run_cells(notebook: dict[str, Any]) -> Iterator[tuple[dict[str, Any], object]]:
    """Runs the code cells in one namespace, in the process's folder; each with its last value."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield cell, _run("".join(cell["source"]), names)


def _run(source: str, names: dict[str, Any]) -> object:
    """Runs a cell; the value of its last line where that is an expression, else None."""
    module = ast.parse(source)
    last = module.body.pop() if module.body and isinstance(module.body[-1], ast.Expr) else None
    exec(compile(module, "<cell>", "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


def shown(value: object) -> list[dict[str, Any]]:
    """What a notebook shows of a value: its picture, or nothing."""
    encoded = getattr(value, "_repr_jpeg_", None)
    if encoded is None:
        return []
    data = {"image/jpeg": base64.b64encode(encoded()).decode()}
    return [{"output_type": "display_data", "data": data, "metadata": {}}]


def main() -> int:
    """Runs everything and writes the notebook with its pictures."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for count, (cell, value) in enumerate(run_cells(notebook), start=1):
        cell["execution_count"], cell["outputs"] = count, shown(value)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
