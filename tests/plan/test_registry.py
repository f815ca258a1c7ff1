"""Plug-ins are found by their folders and entry points, without imports; a broken one is named with its file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import BadInput
from bench.plan.registry import BrokenPlugin, Registry
from bench.plan.schema import Place
from tests.support.plan_fakes import METHOD, METHODS, fake_registry, kinds, write


@pytest.fixture
def package(request: pytest.FixtureRequest) -> str:
    # a name of its own for each test: Python keeps imported modules
    return "fakereg_" + "".join(c for c in request.node.name if c.isalnum())


@pytest.fixture
def registry(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.syspath_prepend(str(tmp_path))
    return fake_registry(tmp_path, package)


def test_names_import_nothing(registry: Registry, tmp_path: Path, package: str) -> None:
    write(tmp_path / f"{package}_methods/broken/method.py", "raise RuntimeError('imported')")
    write(tmp_path / f"{package}_methods/__pycache__/method.py", "")
    write(tmp_path / f"{package}_methods/no_plugin/notes.md", "")
    assert registry.names("method") == tuple(sorted([*METHODS, "broken"]))
    assert registry.names("aligner") == ("gold", "simalign")
    assert not [module for module in sys.modules if module.startswith(f"{package}_methods.")]


def test_load_and_make(registry: Registry, package: str) -> None:
    cls = registry.load("method", "concner")
    assert (cls.name, cls.__module__) == ("concner", f"{package}_methods.concner.method")
    assert registry.module_of("method", "concner") == cls.__module__
    assert registry.module_of("aligner", "gold") == f"{package}_aligners.gold"
    assert registry.make("method", "concner", {"temperature": 1}).params.temperature == 1.0
    assert registry.make("corpus", "demo").languages()[0] == "en"
    with pytest.raises(BadInput, match=r"m\.toml: temprature: unknown key 'temprature'; did you mean 'temperature'"):
        registry.make("method", "concner", {"temprature": 1}, Place("m.toml"))


def test_unknown_name(registry: Registry) -> None:
    with pytest.raises(BadInput, match="unknown method 'concnr'; did you mean 'concner'"):
        registry.load("method", "concnr")
    assert Registry(kinds("nowhere")).names("method") == ()
    for name in ("9" * 300, "../x", "a\0b", "", "_hidden", "a/method"):
        with pytest.raises(BadInput, match="unknown method"):
            registry.module_of("method", name)


def test_a_dash_of_an_encoders_name_is_an_underscore_of_its_folders() -> None:
    found = Registry()
    assert "e5-small" in found.names("encoder") and "e5_small" not in found.names("encoder")
    assert found.module_of("encoder", "e5-small") == "data_recipes.encoders.e5_small.encoder"
    with pytest.raises(BadInput, match="unknown encoder 'e5_small'; did you mean 'e5-small'"):
        found.load("encoder", "e5_small")
    assert "zero_shot" in found.names("method")


GOOD = METHOD.replace("{name}", "odd")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("raise RuntimeError('first line\\nsecond')", "RuntimeError: first line"),
        ("def f(:", "SyntaxError"),
        ("x = 1", "expected one subclass of {package}_base.Method, found none"),
        (GOOD + "\nclass Other(Method):\n    name = 'odd'\n", "found Some, Other"),
        (GOOD.replace('"odd"', '"even"'), "Some.name is 'even', not 'odd'"),
        (GOOD.replace("(frozen=True)", ""), "Some.Params is not a frozen dataclass"),
        (
            GOOD + "    search_space = {'temprature': (1, 2)}\n",
            "names 'temprature', which its Params lack",
        ),
    ],
    ids=["import", "raises", "syntax", "none", "several", "name", "params", "space"],
)
def test_broken(registry: Registry, tmp_path: Path, package: str, source: str, message: str) -> None:
    file = tmp_path / f"{package}_methods/odd/method.py"
    write(file, source.replace("{package}", package))
    with pytest.raises(BadInput) as caught:
        registry.load("method", "odd")
    said = str(caught.value)
    assert message.replace("{package}", package) in said and str(file) in said and "\n" not in said


def test_a_base_class_of_its_own_is_allowed(registry: Registry, tmp_path: Path, package: str) -> None:
    source = GOOD.replace("class Some(Method)", "class Half(Method):\n    pass\n\nclass Some(Half)")
    write(tmp_path / f"{package}_methods/odd/method.py", source.replace("{package}", package))
    assert registry.load("method", "odd").__name__ == "Some"


@pytest.mark.parametrize("value", ["pointed", "pointed:Some"])
def test_entry_points(
    registry: Registry, tmp_path: Path, package: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"{package}_{value[:7]}"
    write(tmp_path / f"{module}.py", METHOD.format(name="far", package=package))
    points = f"[xner.{package}]\nfar = {value.replace('pointed', module)}\nzero_shot = {module}\n"
    write(tmp_path / f"sub/{package}-1.dist-info/METADATA", f"Name: {package}\nVersion: 1\n")
    write(tmp_path / f"sub/{package}-1.dist-info/entry_points.txt", points)
    monkeypatch.syspath_prepend(str(tmp_path / "sub"))
    found = Registry(tuple(replace(k, group="xner.other" if k.name != "method" else k.group) for k in registry.kinds))
    assert "far" in found.names("method") and "far" not in found.names("corpus")
    assert found.load("method", "far").name == "far" and found.module_of("method", "far") == module
    with pytest.raises(BadInput, match="'zero_shot' is defined more than once"):
        found.load("method", "zero_shot")


def test_plans_import_nothing_heavy() -> None:
    code = (
        "import sys, bench.plan.spec, bench.plan.matrix, bench.plan.keys, bench.plan.fingerprint\n"
        "from bench.plan import registry\n"
        "[registry.names(kind.name) for kind in registry.KINDS]\n"
        "heavy = {'torch', 'transformers', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- one rule for all kinds -------------------------------------------------------------------------------------------


def test_a_module_or_a_folder(registry: Registry, tmp_path: Path, package: str) -> None:
    source = METHOD.format(name="flat", package=package)
    write(tmp_path / f"{package}_methods/flat.py", source)
    write(tmp_path / f"{package}_methods/_helper.py", "")
    assert "flat" in registry.names("method") and "_helper" not in registry.names("method")
    assert (
        registry.load("method", "flat").__module__ == registry.module_of("method", "flat") == f"{package}_methods.flat"
    )
    write(tmp_path / f"{package}_methods/flat/method.py", source)
    with pytest.raises(BadInput, match=rf"more than once: {package}_methods\.flat\.method, {package}_methods\.flat$"):
        registry.load("method", "flat")


FUNCTIONS = {
    "matcher": ("all-of-it", "def match(entity, linked):\n    return linked[0], linked[-1] + 1\n", "match or assign"),
    "filter": ("short", "def keep(pair, projection):\n    return len(pair.target.words) < 9\n", "keep"),
    "transfer": ("tags", "COUNTS = ()\nIN_CONTEXT_FIRST = True\nmark = losses = read = print\n", "mark, losses, read"),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_of_a_package(kind: str, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, source, wanted = FUNCTIONS[kind]
    points = f"[xner.{kind}s]\n{name} = {package}_plugins\nnothing = {package}_nothing\n"
    write(tmp_path / f"{package}_plugins.py", source)
    write(tmp_path / f"{package}_nothing.py", "x = 1\n")
    write(tmp_path / f"{package}-1.dist-info/METADATA", f"Name: {package}\nVersion: 1\n")
    write(tmp_path / f"{package}-1.dist-info/entry_points.txt", points)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = Registry()
    assert {name, "nothing"} < set(found.names(kind)) and len(found.names(kind)) > 2, "beside our own"
    assert found.load(kind, name).__name__ == f"{package}_plugins"
    with pytest.raises(BrokenPlugin, match=f"{package}_nothing.py: a {kind} needs .*{wanted}"):
        found.load(kind, "nothing")
    with pytest.raises(BadInput, match=rf"m\.toml: unknown {kind} '{name}s'; did you mean '{name}'\?"):
        found.load(kind, f"{name}s", Place("m.toml"))


def test_dashes_are_how_matchers_are_written() -> None:
    assert {"min-max", "ngram-ilp"} <= set(Registry().names("matcher"))
    with pytest.raises(BadInput, match="unknown matcher 'min_max'; did you mean 'min-max'"):
        Registry().load("matcher", "min_max")
