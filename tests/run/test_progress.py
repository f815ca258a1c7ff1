"""What a run says of each cell in a pipe."""

from __future__ import annotations

import pytest

from bench.run.local import ProgressBar
from bench.store.record import Record


def test_cells_that_differ_in_an_axis_have_lines_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ProgressBar(2)
    for size in (100, 1000):
        cell = {"label": "concner", "target": "de", "encoder": "mini", "seed": 1, "axes": {"data.n_source": size}}
        progress.cell(Record(key="k", matrix="m", cell=cell, status="skipped", reason="no links"))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("[1/2] concner de mini data.n_source=100 seed 1: skipped: no links")
    assert "data.n_source=1000" in second
