"""`xner new method`, and a method that an installed package brings: written, found, listed, run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.new import METHOD, README, check_name
from bench.core.errors import BadInput
from bench.plan import registry
from tests.support.e2e_tools import Place, by_name, matrix_text, small_corpus


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    return Place(tmp_path, tiny_folder)


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My-Method", "my_method"),
        ("MyMethod", "my_method"),
        ("2nd", "my_2nd"),
        ("class", "my_class"),
        ("a b", "a_b"),
        ("../up", "up"),
        ("", "my_method"),
        ("zero_shot", "zero_shot_2"),
    ],
)
def test_bad_names_are_refused_with_a_better_one(place: Place, name: str, better: str) -> None:
    ran = place.xner("new", "method", name, "--out", place.root / "there")
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert f"did you mean '{better}" in ran.err and f"'{name}'" in ran.err
    assert not place.root.joinpath("there").exists(), "nothing was written"


def test_good_names_pass() -> None:
    for name in ("x", "my_method", "mbert_2"):
        check_name(name)
    with pytest.raises(BadInput):
        check_name("_hidden")


def test_where_it_may_be_written(place: Place) -> None:
    ran = place.xner("new", "method", "fine")
    assert ran.code == 0 and "next     pip install -e fine" in ran.out, "outside of a checkout it is a package"
    files = ["README.md", "__init__.py", "method.py", "pyproject.toml"]
    assert sorted(path.name for path in (place.root / "fine").iterdir()) == files
    (place.root / "methods" / "zero_shot").mkdir(parents=True)
    (place.root / "methods" / "zero_shot" / "method.py").write_text("")
    ran = place.xner("new", "method", "fine")
    assert ran.code == 0 and "test_conformance.py -k fine" in ran.out
    assert sorted(path.name for path in (place.root / "methods" / "fine").iterdir()) == ["README.md", "method.py"]
    before = (place.root / "methods" / "fine" / "method.py").read_bytes()
    ran = place.xner("new", "method", "fine")
    assert ran.code == 2 and "is there already" in ran.err
    assert (place.root / "methods" / "fine" / "method.py").read_bytes() == before
    (place.root / "file").write_text("")
    ran = place.xner("new", "method", "fine", "--out", "file")
    assert ran.code == 2 and "cannot be written to" in ran.err


def test_what_is_written_is_short_and_says_what_the_suite_asks_for() -> None:
    code = METHOD.partition("class ")[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    for part in ("- Paper: ", "- Factors: ", "- Licence: ", "data en", "labels from", "unlabelled text", "teacher"):
        assert part in README


def install(source: Path, site: Path, name: str) -> None:
    """Have pip install the package that `xner new method` writes outside of a checkout into `site`."""
    source.mkdir()
    ran = Place(source, source).xner("new", "method", name)
    assert ran.code == 0 and f"pip install -e {name}" in ran.out, ran.err
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", site, source / name], check=True)


def test_an_installed_package_brings_a_method(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed, run, told apart from zero_shot."""
    install(place.root / "source", place.root / "site", "brought_along")
    assert "brought_along" not in registry.names("method")
    monkeypatch.syspath_prepend(str(place.root / "site"))

    listed = {row["name"]: row for row in place.xner("methods", "--json").json()["methods"]}
    assert listed["brought_along"]["factors"]["loss_terms"] == "cross-entropy + small logits"
    ran = place.xner("run", place.matrix(matrix_text(place.encoder, ("zero_shot", "brought_along"))), "--out", "out")
    assert ran.code == 0, ran.err
    found = {label: record for (label, _, _), record in by_name(place.out).items()}
    one, other = found["brought_along"], found["zero_shot"]
    assert one["status"] == "ok" and one["cost"]["steps"] == 4
    assert one["parents"]["fit:main"] != other["parents"]["fit:main"] and one["code"] != other["code"]


def test_methods_say_whether_they_apply_to_a_matrix(place: Place) -> None:
    """English training and target tests only: no text, no gold; and who is in it, under which name."""
    more = '\n[[variant]]\nname = "again"\nuse = "zero_shot"\ndistil = true\n'
    labels, corpus = ("zero_shot", "again", "teacher_student"), small_corpus(place.root / "corpus")
    matrix = place.matrix(matrix_text(place.encoder, labels, ("de", "zh"), corpus=corpus, more=more))
    rows = {row["name"]: row for row in place.xner("methods", "--json", "--matrix", matrix).json()["methods"]}
    assert rows["zero_shot"]["labels"] == ["again", "zero_shot"] and rows["en_trans"]["labels"] == []
    assert rows["teacher_student"]["skipped"] == {"corpus 'conll' has no unlabelled text": ["de", "zh"]}
    assert rows["target_supervised"]["skipped"] == {"corpus 'conll' has no gold labels for training": ["de", "zh"]}
    ran = place.xner("methods", "--matrix", matrix)
    assert "teacher_student\n" in ran.out and "skipped  de, zh: corpus 'conll' has no unlabelled text" in ran.out
    assert "matrix   not in it" in ran.out and "matrix   as again, zero_shot" in ran.out
    assert place.xner("methods", "--matrix", "dmo").code == 2
