"""Content keys, seed streams and the code fingerprint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_fakes import write

from bench.corpus import BadInput
from bench.plan.fingerprint import closure, fingerprint
from bench.plan.keys import key_of, rng, seed_stream, versions

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
    from fakeprint import unseen

def near(x):
    \"\"\"Doc.\"\"\"
    from fakeprint.sub import late
    return far.far(x) + late.value  # a comment
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fakeprint"
    write(folder / "__init__.py", "")
    write(folder / "main.py", "import fakeprint.near\nimport numpy\n\ndef main():\n    return fakeprint.near.near(1)\n")
    write(folder / "near.py", NEAR)
    write(folder / "far.py", "def far(x):\n    return x + 1\n")
    write(folder / "sub/late.py", "value = [1, 2]\n")
    write(folder / "unseen.py", "value = 1\n")
    write(folder / "other.py", "value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_closure(package: Path) -> None:
    names = ["fakeprint", "fakeprint.far", "fakeprint.main", "fakeprint.near", "fakeprint.sub.late"]
    assert sorted(closure("fakeprint.main")) == names
    assert "bench.store.files" in closure("bench.plan.keys") and "bench.plan.registry" not in closure("bench.plan.keys")
    assert "fakeprint.main" not in sys.modules


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
    ],
)
def test_a_change_of_code_anywhere_below_changes_it(package: Path, file: str, old: str, new: str) -> None:
    before = fingerprint("fakeprint.main")
    path = package / file
    path.write_text(path.read_text().replace(old, new, 1) if old else new)
    assert fingerprint("fakeprint.main") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("near.py", "# a comment", "# another, longer comment"),
        ("near.py", '"""Doc."""', '"""Another docstring."""'),
        ("near.py", '"""A docstring."""', '"""Longer.\n\nMuch longer.\n"""\n# and a comment'),
        ("far.py", "x + 1", "(\n        x + 1\n    )"),
        ("sub/late.py", "[1, 2]", "[\n    1,\n    2,\n]"),
        ("unseen.py", "1", "2"),
        ("other.py", "1", "2"),
    ],
)
def test_what_does_not_run_does_not_change_it(package: Path, file: str, old: str, new: str) -> None:
    before = fingerprint("fakeprint.main")
    path = package / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert fingerprint("fakeprint.main") == before


def test_adding_a_docstring_does_not_change_it(package: Path) -> None:
    before = fingerprint("fakeprint.main")
    write(package / "far.py", 'def far(x):\n    """Add one."""\n    return x + 1\n')
    assert fingerprint("fakeprint.main") == before


def test_it_depends_on_content_not_on_place_or_order(package: Path, tmp_path: Path) -> None:
    assert fingerprint("fakeprint.main", "fakeprint.other") == fingerprint("fakeprint.other", "fakeprint.main")
    code = "from bench.plan.fingerprint import fingerprint; print(fingerprint('fakeprint.main'))"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    package.rename(elsewhere / "fakeprint")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(elsewhere), str(Path.cwd())]), "PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    (elsewhere / "fakeprint").rename(package)
    assert said.strip() == fingerprint("fakeprint.main")


def test_missing_and_broken_modules(package: Path) -> None:
    with pytest.raises(BadInput, match=r"no module fakeprint\.mian"):
        fingerprint("fakeprint.mian")
    write(package / "far.py", "def far(:\n")
    with pytest.raises(BadInput, match=r"far\.py: not Python"):
        fingerprint("fakeprint.main")
