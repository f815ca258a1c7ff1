"""The notebook runs from its first cell to its last, and shows the figures that it prints today."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.e2e_tools import REPO

NOTEBOOK = REPO / "docs" / "notebooks" / "first-comparison.ipynb"


def test_it_runs_and_prints_the_figures_it_shows(tmp_path: Path) -> None:
    """Its code as a program: no Jupyter is needed."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    program = "\n".join("".join(cell["source"]) for cell in cells)
    done = subprocess.run(
        [sys.executable, "-"],
        input=program,
        cwd=NOTEBOOK.parent,
        env={**os.environ, "PYTHONPATH": str(REPO), "MPLBACKEND": "agg", "TMPDIR": str(tmp_path)}
        | {"XNER_CACHE": str(tmp_path / "cache"), "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [output for cell in cells for output in cell["outputs"]]
    shown = [line.strip() for output in outputs for line in output.get("text", []) if ": F1 " in line]
    assert len(shown) == 12 and set(shown) <= set(done.stdout.splitlines()), "run it again and save it"
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not [output for output in outputs if output["output_type"] == "error"]
