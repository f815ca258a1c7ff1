"""`xner new method`, and a method that an installed package brings: written, found, listed, run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.new import KINDS, METHOD, README, check_name
from bench.core.errors import BadInput
from bench.plan import registry
from tests.support.e2e_tools import Place, by_name, install_methods, matrix_text, small_corpus


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
    files = ["README.md", "__init__.py", "method.py", "pyproject.toml", "test_method.py"]
    assert sorted(path.name for path in (place.root / "fine").iterdir()) == files
    (place.root / "methods" / "zero_shot").mkdir(parents=True)
    (place.root / "methods" / "zero_shot" / "method.py").write_text("")
    (place.root / "tests" / "methods").mkdir(parents=True)
    ran = place.xner("new", "method", "fine")
    assert ran.code == 0 and "next     xner check method fine" in ran.out
    assert sorted(path.name for path in (place.root / "methods" / "fine").iterdir()) == ["README.md", "method.py"]
    assert 'kept_rules("fine", tmp_path)' in (place.root / "tests" / "methods" / "test_fine.py").read_text()
    before = (place.root / "methods" / "fine" / "method.py").read_bytes()
    ran = place.xner("new", "method", "fine")
    assert ran.code == 2 and "already exists; nothing was written" in ran.err
    assert (place.root / "methods" / "fine" / "method.py").read_bytes() == before
    (place.root / "file").write_text("")
    ran = place.xner("new", "method", "fine", "--out", "file")
    assert ran.code == 2 and "cannot be written to" in ran.err


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_short_and_says_what_the_suite_asks_for(kind: str) -> None:
    code, readme = (KINDS[kind].filled(text, "short") for text in (METHOD, README))
    assert len([line for line in code.partition("class ")[2].splitlines() if line.strip()]) <= 12
    compile(code, "short/method.py", "exec")
    for part in ("- Paper: ", "- Factors: ", "- Licence: ", "data ", "labels from", "unlabelled text", "teacher"):
        assert part in readme


def test_a_broken_or_unknown_method_is_not_checked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be loaded breaks the first rule, and no other is tried."""
    install_methods(place.root / "site", "xner_unloadable_methods", {"unloadable": "x = Need.TRANSLATION\n"})
    monkeypatch.syspath_prepend(str(place.root / "site"))
    ran = place.xner("check", "method", "unloadable")
    assert ran.code == 2 and "unloadable.py:1) fails: NameError" in ran.err and ran.err.count("\n") == 1
    ran = place.xner("check", "method", "zero_shoot")
    assert ran.code == 2 and "did you mean 'zero_shot'" in ran.err
    ran = place.xner("check", "method", "gold_projection")
    assert ran.code == 2 and "trains nothing" in ran.err


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


def test_a_plan_foresees_the_skips_of_a_run(place: Place) -> None:
    """Translations without links for the gold aligner, none of the test, no gold: of files, so known beforehand."""
    folder = place.root / "own"
    corpus = small_corpus(folder)
    rows = [f"demo-train-{n:05}\tein Satz" for n in range(32)]
    (folder / "translations").mkdir()
    (folder / "translations" / "de.tsv").write_text("id\ttext\n" + "\n".join(rows) + "\n", encoding="utf-8")
    methods = ("zero_shot", "label_projection", "translate_test", "target_supervised")
    matrix = place.matrix(matrix_text(place.encoder, methods, corpus=corpus, labels='translator = "files"'))
    plan = place.xner("plan", matrix, "--out", "foreseen", "--json")
    assert plan.code == 0, plan.err
    foreseen = plan.json()["to_be_skipped"]
    assert len(foreseen) == 3 and any("needs pairs whose links are known" in reason for reason in foreseen)
    assert "to be skipped: 1 x " in place.xner("plan", matrix, "--out", "foreseen").out
    listed = {row["name"]: row for row in place.xner("methods", "--json", "--matrix", matrix).json()["methods"]}
    assert {reason for name in methods for reason in listed[name]["skipped"]} == {*foreseen}
    assert place.xner("run", matrix, "--out", "foreseen").code == 0
    skipped = {label: record["reason"] for (label, _, _), record in by_name(place.root / "foreseen").items()}
    assert skipped.pop("zero_shot") is None
    assert sorted(skipped) == sorted(methods[1:]) and {skipped["label_projection"], skipped["translate_test"]} < {
        *foreseen
    }
