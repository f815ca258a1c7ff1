"""The examples of "Add your own method": the very lines that stand there are methods that run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.e2e_tools import REPO, Place, by_name, install_methods, matrix_text

HEADINGS = ("## Other data", "## Another loss", "## Another head")
MOST_LINES = 14


def example(heading: str) -> str:
    """The first block of Python after the heading."""
    text = (REPO / "docs" / "how-to" / "own-method.md").read_text(encoding="utf-8")
    assert heading in text, f"own-method.md has no heading '{heading}'"
    block = re.search(r"^```python\n(.*?)^```$", text.partition(f"{heading}\n")[2], re.DOTALL | re.MULTILINE)
    assert block, f"no block of Python follows '{heading}' in own-method.md"
    return block[1]


@pytest.mark.parametrize("heading", HEADINGS)
def test_they_are_short(heading: str) -> None:
    assert 1 <= len([line for line in example(heading).splitlines() if line.strip()]) <= MOST_LINES


@pytest.mark.slow
def test_they_run_as_they_stand(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, listed, trained on what each says, told apart from zero_shot."""
    sources, classes = {}, {}
    for text in map(example, HEADINGS):
        cls, name = re.search(r"^class (\w+)\(Method\)", text, re.M), re.search(r'^    name = "(\w+)"', text, re.M)
        assert cls and name
        sources[name[1]], classes[name[1]] = text, cls[1]
    place = Place(tmp_path, tiny_folder)
    package = "xner_docs_example"
    install_methods(tmp_path / "site", package, sources)
    points = tmp_path / "site" / f"{package}-1.0.dist-info" / "entry_points.txt"
    points.write_text("[xner.methods]\n" + "".join(f"{n} = {package}.{n}:{c}\n" for n, c in classes.items()))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    ran = place.xner("run", place.matrix(matrix_text(tiny_folder, ("zero_shot", *sources))), "--out", place.out)
    assert ran.code == 0, ran.err
    stored = {label: record for (label, _, _), record in by_name(place.out).items()}
    base = stored.pop("zero_shot")
    assert stored.keys() == sources.keys()
    for name, record in stored.items():
        assert record["status"] == "ok" and record["parents"]["fit:main"] != base["parents"]["fit:main"], name
        assert record["cost"]["steps"] == base["cost"]["steps"], "the same budget"
        assert record["factors"] != base["factors"]
        assert name in (place.out / "tables" / "main.md").read_text(encoding="utf-8")
