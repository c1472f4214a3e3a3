"""Run examples/paper.ipynb and keep what it prints: `python docs/print_notebook.py`. A test fails when it is stale."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent.parent / "examples" / "paper.ipynb"


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Give the notebook with the output of every cell as it is now; needs no Jupyter."""
    known: dict[str, Any] = {}
    cells = []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile("".join(cell["source"]), f"cell {number}", "exec"), known)
            text = {"name": "stdout", "output_type": "stream", "text": said.getvalue().splitlines(keepends=True)}
            cell = {**cell, "outputs": [text] if text["text"] else []}
        cells.append(cell)
    return {**notebook, "cells": cells}


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(run(json.loads(NOTEBOOK.read_text())), indent=1, ensure_ascii=False) + "\n")
