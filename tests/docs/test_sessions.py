"""Sessions and the notebook show what they print today."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_pages import Block, blocks
from tests.support.e2e_tools import REPO, Place

NOTEBOOK = REPO / "docs" / "notebooks" / "first-comparison.ipynb"


def test_the_notebook_runs_and_prints_the_figures_it_shows(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_a_session_prints_what_it_shows(block: Block, tmp_path: Path) -> None:
    """`$ xner …` where the committed results are; a line with … alone stands for any lines."""
    first, *shown = block.text.splitlines()
    assert first.startswith("$ xner ")
    (tmp_path / "results").symlink_to(REPO / "results")
    ran = Place(tmp_path, tmp_path).xner(*shlex.split(first)[2:])
    assert ran.code == 0, ran.err
    pattern = "\n".join(r"(?:.*\n)*?.*" if line == "…" else re.escape(line) for line in shown)
    assert re.fullmatch(f"{pattern}\n*", ran.out), ran.out
