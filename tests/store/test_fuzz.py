"""Some mutated inputs of every reader; `python -m tests.studies.fuzz` has many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies.fuzz import READERS, fuzz


@pytest.mark.parametrize("name", READERS)
def test_mutated_input_is_read_whole_or_refused_clearly(name: str, tmp_path: Path) -> None:
    found = fuzz(name, 400, tmp_path, seed=1)
    assert found.faults == []
    assert found.refused > 0 and found.read > 0, "mutations that change nothing, or everything, test nothing"
