"""Content keys, seed streams and the code fingerprint."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.core.files import canonical_json
from bench.plan.fingerprint import code_of, fingerprint, sources
from bench.plan.keys import key_of, keys_below, rng, seed_stream, versions
from tests.support.e2e_tools import Place, demo_sentences, matrix_text, small_corpus
from tests.support.plan_fakes import write

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab é中"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab é中", max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "stage_"]), PLAIN), st.data())
def test_keys_ignore_the_order_of_arguments(components: dict[str, Any], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(components.items()))))
    key = key_of("fit", **components)
    assert key == key_of("fit", **shuffled) and len(key) == 32 and int(key, 16) >= 0
    assert key != key_of("predict", **components)
    assert key != key_of("fit", **components, more=None)


@pytest.mark.slow
def test_keys_are_the_same_in_every_process() -> None:
    code = (
        "from bench.plan.keys import key_of, seed_stream\n"
        "print(key_of('fit', words={w: i for i, w in enumerate(sorted({'a', 'b', 'c'}))}, x=[1, 1.0, None]),"
        " seed_stream(3, 'init'))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    key = key_of("fit", x=[1, 1.0, None], words={"c": 2, "b": 1, "a": 0})
    assert said == {f"{key} {seed_stream(3, 'init')}\n"}


@pytest.mark.parametrize("value", [Path("/x"), {1: 2}, {1, 2}, b"x", object(), [Path("x")], {"a": {"b": (Path("x"),)}}])
def test_keys_refuse_what_is_not_plain(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^component"):
        key_of("fit", component=value)


def test_keys_refuse_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        key_of("fit", lr=float("nan"))


NEARLY = (
    *("no", "nb", "No", "n.o", "n/o", "n_o", "n-o", ""),
    *([1], [-1], ["1"], "1", 1, -1, 1.0, "[1]", [1, 1], [[1]], [], {}, None, False, True, 0),
    *({"a.b": 1}, {"a": {"b": 1}}, {"a/b": 1}, ["a", "b"], "a.b", "a/b", "a\\b", "a\nb", "ａ.b"),
)


def test_names_that_look_alike_never_collide() -> None:
    """As a component, as a component's name, and split between the two."""
    keys = [key_of("fit", x=value) for value in NEARLY]
    assert len(set(keys)) == len(NEARLY)
    assert len({key_of("fit", x=[value, "y"]) for value in NEARLY} | set(keys)) == 2 * len(NEARLY)
    assert key_of("fit", a="bc") != key_of("fit", ab="c")
    names = [value for value in NEARLY if isinstance(value, str)]
    assert len({key_of("fit", x={name: 1}) for name in names}) == len(names)
    assert len({key_of(name) for name in names}) == len(names)


@given(st.tuples(PLAIN, PLAIN))
def test_different_values_have_different_keys(values: tuple[Any, Any]) -> None:
    texts = {canonical_json(value) for value in values}
    assert len({key_of("fit", x=value) for value in values}) == len(texts)


def test_a_key_remembers_what_it_is_of() -> None:
    below = key_of("links", aligner="x")
    key = key_of("cell", data={"labels": [below]}, seed=1)
    assert key == str(key) and type(str(key)) is str and {key: 1}[str(key)] == 1
    assert key == key_of("cell", data={"labels": [str(below)]}, seed=1), "the text alone decides"
    assert (key.stage, key.components["seed"]) == ("cell", 1)
    again = pickle.loads(pickle.dumps(key))  # as it goes to a worker
    assert again == key and again.components["data"]["labels"][0].components["aligner"] == "x"
    assert list(keys_below(key)) == [below]


def test_languages_and_names_that_look_alike_are_cells_of_their_own(tmp_path: Path, tiny_folder: Path) -> None:
    """`no` and `nb` with the very same sentences; variants whose names differ in a dot."""
    from dataclasses import replace

    place = Place(tmp_path, tiny_folder)
    same = [replace(sentence, language="no") for sentence in demo_sentences("de", "test", 16)]
    corpus = small_corpus(tmp_path / "corpus", no_test=same, nb_test=[replace(one, language="nb") for one in same])
    text = matrix_text(tiny_folder, ("zero_shot", "a.b", "a-b"), ("no", "nb"), corpus=corpus)
    text += "".join(f'[[variant]]\nname = "{name}"\nuse = "zero_shot"\n' for name in ("a.b", "a-b"))
    ran = place.xner("plan", place.matrix(text), "--json")
    assert ran.code == 0, ran.err
    cells = ran.json()["cells"]
    assert {(cell["label"], cell["target"]) for cell in cells} == {
        (label, target) for label in ("zero_shot", "a.b", "a-b") for target in ("no", "nb")
    }
    assert len({cell["key"] for cell in cells}) == 6


def test_seed_streams() -> None:
    seeds = {seed_stream(seed, *names) for seed in range(5) for names in [(), ("init",), ("order",), ("order", "x")]}
    assert len(seeds) == 20 and all(0 <= seed < 2**63 for seed in seeds)
    assert rng(1, "order").permutation(9).tolist() == rng(1, "order").permutation(9).tolist()
    assert rng(1, "order").random() != rng(1, "init").random()


def test_versions_have_two_numbers() -> None:
    assert set(versions()) == {"torch", "transformers", "tokenizers"}
    assert all(
        text == "absent" or (text.replace(".", "").isdigit() and text.count(".") == 1) for text in versions().values()
    )


# --- fingerprint ----------------------------------------------------------------------------------------------------

NEAR = """\"\"\"A docstring.\"\"\"
from __future__ import annotations
import json
from typing import TYPE_CHECKING
from . import far
if TYPE_CHECKING:
    from bench.api.method import Method

def near(x):
    \"\"\"Doc.\"\"\"
    from fakeprint.sub import late
    return far.far(x) + late.value  # a comment
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "fakeprint"
    write(folder / "__init__.py", "")
    write(folder / "main.py", "import fakeprint.near\nimport numpy\n\ndef main():\n    return fakeprint.near.near(1)\n")
    write(folder / "near.py", NEAR)
    write(folder / "far.py", "def far(x):\n    return x + 1\n")
    write(folder / "sub/late.py", "value = [1, 2]\n")
    write(folder / "other.py", "value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    fingerprint.cache_clear()


def taken(module: str) -> str:
    """As a new process takes it."""
    fingerprint.cache_clear()
    return fingerprint(module)


def test_sources(package: Path) -> None:
    names = ["fakeprint", "fakeprint.far", "fakeprint.main", "fakeprint.near", "fakeprint.sub.late"]
    assert sorted(sources("fakeprint.main")) == names, "the plug-in's own, and nothing of the core"
    own = set(sources("data_recipes.translators.marian"))
    assert {"data_recipes.translators.marian", "data_recipes.translators._seq2seq"} <= own, "what it shares with others"
    assert all(name.startswith("data_recipes") for name in own)
    assert "fakeprint.main" not in sys.modules
    assert taken("fakeprint.main") and set(fingerprint("fakeprint.main").components) == set(names)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("far.py", "x + 1", "x + 2"),
        ("sub/late.py", "2", "3"),
        ("near.py", "(x)", "(y)"),
        ("__init__.py", "", "import json\n"),
        ("near.py", "import json", "import json as j"),
        ("far.py", "x + 1", "x + 1.0"),
        ("far.py", "x + 1", "x + '1'"),
        ("far.py", "x + 1", "1 + x"),
    ],
)
def test_a_change_of_code_anywhere_below_changes_it(package: Path, file: str, old: str, new: str) -> None:
    before = taken("fakeprint.main")
    path = package / file
    path.write_text(path.read_text().replace(old, new, 1) if old else new)
    assert taken("fakeprint.main") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("near.py", "# a comment", "# another, longer comment"),
        ("near.py", '"""Doc."""', '"""Another docstring."""'),
        ("near.py", '"""A docstring."""', '"""Longer.\n\nMuch longer.\n"""\n# and a comment'),
        ("near.py", "from bench.api.method import Method", "from bench.elsewhere import Method"),
        ("far.py", "x + 1", "(\n        x + 1\n    )"),
        ("sub/late.py", "[1, 2]", "[\n    1,\n    2,\n]"),
        ("other.py", "1", "2"),
    ],
)
def test_what_does_not_run_does_not_change_it(package: Path, file: str, old: str, new: str) -> None:
    before = taken("fakeprint.main")
    path = package / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert taken("fakeprint.main") == before


def test_adding_a_docstring_does_not_change_it(package: Path) -> None:
    before = taken("fakeprint.main")
    write(package / "far.py", 'def far(x):\n    """Add one."""\n    return x + 1\n')
    assert taken("fakeprint.main") == before


def test_it_depends_on_content_not_on_place(package: Path, tmp_path: Path) -> None:
    code = "from bench.plan.fingerprint import fingerprint; print(fingerprint('fakeprint.main'))"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    package.rename(elsewhere / "fakeprint")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(elsewhere), str(Path.cwd())]), "PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    (elsewhere / "fakeprint").rename(package)
    assert said.strip() == taken("fakeprint.main")


def test_missing_and_broken_modules(package: Path) -> None:
    with pytest.raises(BadInput, match=r"no module fakeprint\.mian"):
        taken("fakeprint.mian")
    write(package / "far.py", "def far(:\n")
    with pytest.raises(BadInput, match=r"far\.py: not Python"):
        taken("fakeprint.main")


def test_a_version_of_its_own_takes_the_place_of_the_fingerprint() -> None:
    from bench.api.method import Method

    class Inner(Method):
        version = "3"

    class Other(Inner):
        pass

    assert code_of(Inner) == "version 3" and code_of(Method) == ""
    assert code_of(Other) == fingerprint(__name__), "an inherited version says nothing of this code"
