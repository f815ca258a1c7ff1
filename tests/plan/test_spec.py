"""Matrix files: strict, and every message says where and what was meant."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.plan import sections
from bench.plan.matrix import cells
from bench.plan.registry import Registry
from bench.plan.schema import Place, build, field_names, to_plain
from bench.plan.sections import MatrixSpec
from bench.plan.spec import load_matrix, shipped
from tests.support.plan_fakes import MATRIX, fake_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield fake_registry(folder, "fakespec")


@pytest.fixture
def load(registry: Registry, tmp_path: Path) -> Callable[..., MatrixSpec]:
    def load(text: str, *overrides: str) -> MatrixSpec:
        (tmp_path / "m.toml").write_text(text)
        return load_matrix(str(tmp_path / "m.toml"), overrides, registry)

    return load


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_matrix(load: Callable[..., MatrixSpec]) -> None:
    spec = load(MATRIX)
    assert (spec.name, spec.source, spec.data.n_source, spec.train.steps) == ("small", "en", 100, 20)
    assert spec.labels.translator == "frames" and spec.train.batch == 32
    assert spec.axes.targets == ("de", "hu") and spec.variants[0].params == {"distil": True}
    assert spec.excludes == ({"method": ("zero_shot",), "target": ("hu",)},)


def test_two_folders_of_one_name_are_refused(load: Callable[..., MatrixSpec], tmp_path: Path) -> None:
    """The records of the one would have replaced those of the other."""
    one, other = tmp_path / "a" / "best", tmp_path / "b" / "best"
    one.mkdir(parents=True)
    text = f'axes.encoders=["org/big-v1.0", "{one}", "{other}"]'
    load(MATRIX, text)
    other.mkdir(parents=True)
    with pytest.raises(BadInput, match=r"axes\.encoders\[3\]: .*both called 'best' in tables: rename one"):
        load(MATRIX, text)


MISTAKES = [
    ("n_source = 100", "n_sorce = 100", "data.n_sorce: unknown key 'n_sorce'; did you mean 'n_source'?"),
    ("n_source = 100", 'n_source = "100"', "data.n_source: expected a whole number, not '100'"),
    ("n_source = 100", "n_source = true", "data.n_source: expected a whole number, not true"),
    ("n_source = 100", "n_source = 0", "data.n_source: must be above 0, not 0"),
    ("[data]", "[dat]", "dat: unknown key 'dat'; did you mean 'data'?"),
    ('corpus = "demo"', 'corpus = "dmo"', "data.corpus: unknown corpus 'dmo'; did you mean 'demo'?"),
    ('translator = "frames"', 'translator = "frame"', "unknown translator 'frame'; did you mean 'frames'?"),
    (
        "steps = 20",
        "steps = 20\nbudget = 'step'",
        "train.budget: 'step' is not one of the values; did you mean 'steps'?",
    ),
    ("evals = 2", "evals = 21", "train.evals: must not exceed the 20 steps"),
    ("evals = 2", "rules = []", "train.rules: must name at least one rule, and none twice"),
    ('"zero_shot", "concner",', '"zero_shto", "concner",', "unknown method 'zero_shto'; did you mean 'zero_shot'?"),
    ('  "hu",', '  "xx",', "axes.targets[2]: the corpus demo has no language 'xx'"),
    ('  "hu",', '  "zh-Hant",', "no language 'zh-Hant'; did you mean 'zh-Hans'?"),
    ('  "hu",', '  "de",', "axes.targets[2]: 'de' is given twice"),
    ("seeds = [1, 2]", "seeds = []", "axes.seeds: the axis is empty"),
    ("seeds = [1, 2]", "seeds = [1.5]", "axes.seeds[1]: expected a whole number, not 1.5"),
    ("seeds = [1, 2]", "seed = [1]", "axes.seed: 'seed' cannot be an axis; did you mean 'seeds'?"),
    ("seeds = [1, 2]", "", "axes: the key 'seeds' is missing"),
    ("seeds = [1, 2]", "seeds = [1]\nqqq = [1]", "method.NAME.KEY"),
    ("seeds = [1, 2]", "seeds = [1]\nqqq = [1]", "translator.NAME.KEY"),
    ('translator = "frames"', 'transfer = "algn"', "labels.transfer: unknown transfer 'algn'; did you mean 'align'?"),
    ("seeds = [1, 2]", 'seeds = [1]\n"labels.alinger" = ["gold"]', "cannot be an axis; did you mean 'labels.aligner'?"),
    ("seeds = [1, 2]", 'seeds = [1]\n"labels.aligner" = ["glod"]', "unknown aligner 'glod'"),
    ("seeds = [1, 2]", 'seeds = [1]\n"data.n_source" = [1, -1]', "axes.data.n_source: must be above 0"),
    ("seeds = [1, 2]", "seeds = [1]\nmethod.concner.temp = [1]", "axes.method.concner.temp: unknown key 'temp'"),
    ("temperature = 0.2", "temprature = 0.2", "method.concner.temprature: unknown key 'temprature'; did you mean"),
    ("temperature = 0.2", "temperature = -1", "method.concner.temperature: must be above 0"),
    ("[method.concner]", "[method.concnr]", "method.concnr: unknown method 'concnr'; did you mean 'concner'?"),
    ('[encoder."org/big-v1.0"]', '[encoder."org/big-v1"]', 'encoder."org/big-v1": no axis names the encoder'),
    ("lr = 1e-4", "lr = nan", "lr: expected a finite number"),
    ("distil = true", "distill = true", "variant[1].distill: unknown key 'distill'; did you mean 'distil'?"),
    ("distil = true", 'loss = "kll"', "variant[1].loss: 'kll' is not one of the values; did you mean 'kl'?"),
    ('use = "concner"', 'use = "concnr"', "variant[1].use: unknown method 'concnr'; did you mean 'concner'?"),
    ('name = "concner+kd"', 'name = "zero_shot"', "variant[1].name: 'zero_shot' is a method or another variant"),
    ('target = "hu"', 'targe = "hu"', "exclude[1].targe: unknown axis 'targe'; did you mean 'target'?"),
    ('target = "hu"', 'target = "hux"', "exclude[1].target: 'hux' is not on the axis; did you mean 'hu'?"),
    ('name = "small"', 'name = "Small!"', "name: 'Small!' must be lower-case"),
    ('source = "en"', 'source = "English"', "source: 'English' is not a language code"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[new or "missing" for _, new, _ in MISTAKES])
def test_a_mistake_is_named_with_its_place(load: Callable[..., MatrixSpec], old: str, new: str, message: str) -> None:
    assert old in MATRIX
    text = MATRIX.replace(old, new, 1)
    with pytest.raises(BadInput) as caught:
        load(text)
    said = str(caught.value)
    assert message in said and "\n" not in said
    assert "m.toml:" in said
    line = int(said.split("m.toml:")[1].split(":")[0])
    if "missing" in message:
        assert line == line_of(text, "[axes]")
    elif "\n" not in old and '  "' not in old:
        place = text.splitlines()[line - 1]
        assert place in [*new.splitlines(), place] and any(part in place for part in new.split("\n"))


def test_not_toml_and_not_there(load: Callable[..., MatrixSpec]) -> None:
    with pytest.raises(BadInput, match=r"m\.toml:3: not TOML"):
        load('name = "x"\n\nseeds = [1,, 2]\n')
    with pytest.raises(BadInput, match="did you mean 'demo'"):
        load_matrix("dmo")
    with pytest.raises(BadInput, match=r"nowhere/demo\.toml: there is no such file; did you mean 'demo'"):
        load_matrix("nowhere/demo.toml")
    with pytest.raises(BadInput, match=r"plan: it is a folder, not a matrix file \(\.toml\)"):
        load_matrix(str(Path(__file__).parent))


def test_set(load: Callable[..., MatrixSpec]) -> None:
    spec = load(MATRIX, "data.n_source=7", "labels.aligner=simalign", "axes.seeds=[3]", "encoder.org/big-v1.0.lr=1")
    assert (spec.data.n_source, spec.labels.aligner, spec.axes.seeds) == (7, "simalign", (3,))
    assert spec.raw["encoder"]["org/big-v1.0"] == {"lr": 1}
    assert load(MATRIX, "axes.encoders=['tiny']").axes.encoders == ("tiny",)  # the other's table is no mistake then
    assert load(MATRIX, "axes.targets=['de']").axes.targets == ("de",)  # nor is the exclude of hu
    assert load(MATRIX, "axes.labels.aligner=['gold']").axes.extra == {"labels.aligner": ("gold",)}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.n_sorce=7", "--set: data.n_sorce: unknown key 'n_sorce'; did you mean 'n_source'?"),
        ("data.n_source=x", "--set: data.n_source: expected a whole number, not 'x'"),
        ("dat.n_source=7", "--set: unknown key 'dat'; did you mean 'data'?"),
        ("axes.seeds=1", "--set: axes.seeds: expected a list, not 1"),
        ("method.concner.temprature=1", "--set: method.concner.temprature: unknown key"),
        ("variant.x=1", "--set: variant: can only be changed in the matrix file"),
        ("name.x=1", "--set: name.x: name is not a table"),
        ("data", "expected key=value"),
        ("train=3", "--set train: it is a table; set one of its keys, as train.KEY=VALUE"),
        ("encoder=[1]", "--set encoder: it is a table; set one of its keys, as encoder.KEY=VALUE"),
    ],
)
def test_set_is_as_strict(load: Callable[..., MatrixSpec], override: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(MATRIX, override)
    assert message in str(caught.value)


def test_set_of_an_axis_key_is_refused(load: Callable[..., MatrixSpec]) -> None:
    text = MATRIX.replace("seeds = [1, 2]", 'seeds = [1]\n"labels.aligner" = ["gold"]')
    with pytest.raises(BadInput, match=r"set axes\.labels\.aligner"):
        load(text, "labels.aligner=simalign")


def test_demo_is_well_formed() -> None:
    assert "demo" in shipped()
    assert len(cells(load_matrix("demo"))) == 3 * 4 * 3
    for file in (files("bench.plan") / "matrices").iterdir():
        assert tomllib.loads(file.read_text(encoding="utf-8"))["name"] == file.name[:-5]


# --- the schema on its own -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inner:
    a: int = 1


@dataclass(frozen=True)
class Outer:
    flag: bool
    ratio: float = 0.5
    names: tuple[str, ...] = ()
    pair: tuple[int, str] = (1, "x")
    maybe: int | None = None
    mode: Literal["a", "b", 3] = "a"
    table: dict[str, int] | None = None
    inner: Inner = Inner()


def test_types() -> None:
    raw = {"flag": True, "ratio": 1, "names": ["x"], "pair": [2, "y"], "maybe": 4, "mode": 3, "table": {"k": 1}}
    made = build(Outer, {**raw, "inner": {"a": 5}}, Place("f"))
    assert made == Outer(True, 1.0, ("x",), (2, "y"), 4, 3, {"k": 1}, Inner(5)) and isinstance(made.ratio, float)
    assert build(Outer, to_plain(made), Place("f")) == made


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "f: the key 'flag' is missing"),
        ({"flag": 1}, "f: flag: expected true or false, not 1"),
        ({"flag": True, "mode": True}, "f: mode: true is not one of the values; known: 3, a, b"),
        ({"flag": True, "names": "x"}, "f: names: expected a list, not 'x'"),
        ({"flag": True, "pair": [1]}, "f: pair: expected 2 values, not 1"),
        ({"flag": True, "maybe": "x"}, "f: maybe: expected a whole number, not 'x'"),
        ({"flag": True, "table": {"k": 1.5}}, "f: table.k: expected a whole number, not 1.5"),
        ({"flag": True, "inner": {"b": 1}}, "f: inner.b: unknown key 'b'; known: a"),
    ],
)
def test_wrong_types(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(Outer, raw, Place("f"))
    assert str(caught.value) == message


SECTIONS = (sections.DataSpec, sections.LabelsSpec, sections.TrainSpec, sections.EncoderSpec, sections.SearchSpec)


@given(st.sampled_from(SECTIONS), st.data())
def test_an_unknown_key_is_always_refused_and_the_nearest_named(section: type, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(field_names(section)))
    place = data.draw(st.integers(0, len(name)))
    wrong = name[:place] + data.draw(st.sampled_from("qjxz")) + name[place:]
    with pytest.raises(BadInput) as caught:
        build(section, {wrong: 1}, Place("f"))
    assert f"f: {wrong}: unknown key '{wrong}'; did you mean '{name}'?" == str(caught.value)
