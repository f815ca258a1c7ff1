"""A data file of a method's own: read through `ask.file`, part of the key by its content, found wherever it lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.api.method import DataFile, Round, UndeclaredNeed
from bench.plan import registry
from tests.support.e2e_tools import REPO, Place, by_name, install_methods, matrix_text, records
from tests.support.opened import opened_by

PACKAGE = "xner_methods_with_files"
GUIDE = REPO / "docs" / "how-to" / "own-method.md"
READS = GUIDE.read_text(encoding="utf-8").partition("## A data file of its own")[2].partition("```python\n")[2]
READS = READS.partition("```")[0] + "\n\nPlugin = Reads\n"
PRIES = """
from pathlib import Path
from bench.api.method import Method

class Plugin(Method):
    name = "pries"

    def prepare(self, round, ask):
        Path("diary.txt").write_text("dear")
        return super().prepare(round, ask)

    def predict(self, ask, models, sentences):
        open("small.toml").close()
        return super().predict(ask, models, sentences)
"""


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    install_methods(tmp_path / "site", PACKAGE, {"reads": READS, "pries": PRIES})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "site" / PACKAGE / "words.txt").write_text("nothing\n")
    (tmp_path / "place").mkdir()
    for name in ("", ".reads", ".pries"):
        monkeypatch.delitem(sys.modules, PACKAGE + name, raising=False)
    return Place(tmp_path / "place", tiny_folder)


def states(place: Place) -> dict[str, str]:
    ran = place.xner("plan", "small.toml", "--out", place.out, "--json")
    assert ran.code == 0, ran.err
    return {cell["label"]: cell["state"] for cell in ran.json()["cells"]}


def test_its_content_is_part_of_the_key(place: Place) -> None:
    """Edited, the cell runs again, and only it; trained on the same sentences it shares the training."""
    place.matrix(matrix_text(place.encoder, ("zero_shot", "reads")))
    with opened_by([f"{PACKAGE}.reads"]) as opened:
        assert place.xner("run", "small.toml", "--out", place.out).code == 0
    words = place.root.parent / "site" / PACKAGE / "words.txt"
    assert opened == {(f"{PACKAGE}.reads", os.path.realpath(words))}
    found = by_name(place.out)
    one = found["reads", "de", 1]
    assert one["diagnostics"]["kept"] == 24 and one["parents"]["fit:main"] != ""
    assert states(place) == {"zero_shot": "ok", "reads": "ok"}
    words.write_text("the The in\n")
    assert states(place)["zero_shot"] == "ok" and states(place)["reads"] != "ok"
    assert place.xner("run", "small.toml", "--out", place.out).code == 0
    (again,) = [r for r in records(place.out) if r["cell"]["label"] == "reads" and r["key"] != one["key"]]
    assert again["diagnostics"]["kept"] < 24 and states(place)["reads"] == "ok"
    words.unlink()
    ran = place.xner("plan", "small.toml", "--out", place.out)
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert f"method 'reads': lexicon: there is no file 'words.txt', neither in {PACKAGE}/ nor" in ran.err


def test_where_it_lies_is_no_part_of_the_key(place: Place) -> None:
    def key(file: str) -> Any:
        table = f'[method.reads]\nlexicon = "{file}"\n'
        place.matrix(matrix_text(place.encoder, ("reads",), more=table))
        ran = place.xner("plan", "small.toml", "--json")
        assert ran.code == 0, ran.err
        return ran.json()["cells"][0]["key"]

    (place.root / "here.txt").write_text("nothing\n")
    (place.root / "there.txt").write_text("something\n")
    first = key("words.txt")
    assert key("here.txt") == key(str(place.root / "here.txt")) == first
    assert key("there.txt") != first


def test_only_what_a_parameter_names_can_be_asked_for(place: Place) -> None:
    from bench.plan.matrix import cells
    from bench.plan.spec import load_matrix
    from bench.train.ask import CellAsk

    method = registry.make("method", "reads", {"lexicon": "words.txt"})
    place.matrix(matrix_text(place.encoder, ("reads",)))
    (cell,) = cells(load_matrix(str(place.root / "small.toml")))
    ask = CellAsk(cell, Round("main"), frozenset(), None, None, None, files=method.files())  # type: ignore[arg-type]
    assert ask.file(method.params.lexicon).read_text() == "nothing\n"
    with pytest.raises(UndeclaredNeed, match=r"the file 'other[.]txt': no DataFile parameter names it"):
        ask.file(DataFile("other.txt"))


def test_conformance_sees_what_a_method_opens_itself(place: Place) -> None:
    place.matrix(matrix_text(place.encoder, ("pries", "zero_shot")))
    modules = [f"{PACKAGE}.pries", "methods.zero_shot.method"]
    with opened_by(modules) as opened:
        assert place.xner("run", "small.toml", "--out", place.out).code == 0
    names = {Path(path).name for module, path in opened if module == modules[0]}
    assert names == {"diary.txt", "small.toml"} and len(opened) == 2
