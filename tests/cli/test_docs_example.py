"""The worked example of the docs: the very lines that stand there are a method that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.e2e_tools import REPO, Place, by_name, install_methods, matrix_text

HEADING = "## A worked example"
MOST_LINES = 12


@pytest.fixture(scope="module")
def example() -> str:
    """The first block of Python after the heading."""
    text = (REPO / "docs" / "how-to" / "own-method.md").read_text(encoding="utf-8")
    assert HEADING in text, f"own-method.md has no heading '{HEADING}'"
    found = re.search(r"^```python\n(.*?)^```$", text.partition(f"{HEADING}\n")[2], re.DOTALL | re.MULTILINE)
    assert found, f"no block of Python follows '{HEADING}' in own-method.md"
    return found[1]


def test_it_is_short(example: str) -> None:
    assert 1 <= len([line for line in example.splitlines() if line.strip()]) <= MOST_LINES


def test_it_runs_as_it_stands(example: str, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, listed, trained on what it says, told apart from zero_shot."""
    cls, name = re.search(r"^class (\w+)\(Method\)", example, re.M), re.search(r'^    name = "(\w+)"', example, re.M)
    assert cls and name
    place = Place(tmp_path, tiny_folder)
    package = "xner_readme_example"
    install_methods(tmp_path / "site", package, {name[1]: example})
    points = tmp_path / "site" / f"{package}-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace(":Plugin", f":{cls[1]}"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    ran = place.xner("run", place.matrix(matrix_text(tiny_folder, ("zero_shot", name[1]))), "--out", place.out)
    assert ran.code == 0, ran.err
    found = {label: record for (label, _, _), record in by_name(place.out).items()}
    one, other = found[name[1]], found["zero_shot"]
    assert one["status"] == "ok" and one["parents"]["fit:main"] != other["parents"]["fit:main"]
    assert one["cost"]["steps"] == other["cost"]["steps"], "the same budget"
    assert one["factors"] != other["factors"]
    assert name[1] in (place.out / "tables" / "main.md").read_text(encoding="utf-8")
