"""[search]: the same trials for every method, and what was chosen put back into a matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BadInput
from bench.plan import registry
from bench.plan.matrix import Cell, cells
from bench.plan.registry import SEARCHED_LABELS
from bench.plan.search import settings_of
from bench.plan.sections import LabelsSpec, MatrixSpec
from bench.plan.spec import load_matrix, parsed_matrix
from tests.support.plan_fakes import MATRIX, fake_registry

Load = Callable[..., MatrixSpec]
SPACE = """
[search]
trials = 4
seeds = [101, 102]
target = "de"
lr = [0.5, 1, 2]
steps = [1, 2]
dropout = [0.1, 0.2]
"""
CHOSEN = """
[chosen.tiny."concner+kd"]
trial = 3
dev_f1 = 0.61
lr = 0.0003
steps = 40
params = { temperature = 0.7 }
labels = { matcher = "longest" }
"""
RUN = "search.run=true"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        made = fake_registry(folder, "fakesearch")
        made.load("method", "concner").search_space = {"temperature": (0.3, 0.4, 0.5), "labels.matcher": ("longest",)}
        yield folder, made


@pytest.fixture
def load(place: tuple[Path, Any]) -> Load:
    def load(text: str, *overrides: str) -> MatrixSpec:
        (place[0] / "m.toml").write_text(text)
        return load_matrix(str(place[0] / "m.toml"), overrides, place[1])

    return load


@pytest.fixture
def make(load: Load, place: tuple[Path, Any]) -> Callable[..., list[Cell]]:
    return lambda text, *overrides: cells(load(text, *overrides), place[1])


def test_a_search_is_a_matrix_of_its_own_seeds_and_target(load: Load, make: Callable[..., list[Cell]]) -> None:
    assert make(MATRIX + SPACE) == make(MATRIX), "without the search the section changes nothing"
    found = make(MATRIX + SPACE, RUN)
    assert load(MATRIX + SPACE, RUN).name == "small-search"
    assert {(cell.target, cell.seed) for cell in found} == {("de", 101), ("de", 102)}
    assert len(found) == 2 * 2 * 3 * 4, "encoders, seeds, rows, trials: the same number for each row"
    axis = MATRIX.replace("seeds = [1, 2]", 'seeds = [1]\n"data.n_source" = [7, 9]')
    assert {cell.data.n_source for cell in make(axis + SPACE, RUN)} == {7}


def test_every_row_draws_the_same_of_the_shared_space_and_its_own_beside(make: Callable[..., list[Cell]]) -> None:
    found = make(MATRIX + SPACE, RUN)
    for encoder, base in (("tiny", 2e-5), ("org/big-v1.0", 1e-4)):
        drawn = [
            {
                (c.recipe.lr / base, c.train.steps, c.recipe.dropout)
                for c in found
                if (c.encoder, c.trial) == (encoder, t)
            }
            for t in range(4)
        ]
        assert all(len(trial) == 1 for trial in drawn) and drawn[0] == {(1.0, 20, 0.1)}, "trial 0: as given"
        assert len(set(map(frozenset, drawn[1:]))) == 3, "no combination twice"
        assert {steps for trial in drawn for _, steps, _ in trial} <= {20, 40}
    kd, plain = ([c for c in found if c.label == label and c.trial] for label in ("concner+kd", "concner"))
    assert [c.params["temperature"] for c in kd] == [c.params["temperature"] for c in plain], "they share trainings"
    assert {c.params["temperature"] for c in kd} <= {0.3, 0.4, 0.5} and all(c.params["distil"] for c in kd)
    assert {c.labels.matcher for c in kd} == {"longest"} != {c.labels.matcher for c in found if c.label == "zero_shot"}
    assert {c.params["temperature"] for c in found if c.label == "concner" and not c.trial} == {0.2}
    fixed = MATRIX.replace("distil = true", "temperature = 0.9")
    assert {c.params["temperature"] for c in make(fixed + SPACE, RUN) if c.label == "concner+kd"} == {0.9}
    axis = MATRIX.replace("seeds = [1, 2]", "seeds = [1]\nmethod.concner.temperature = [0.8]")
    assert {c.params["temperature"] for c in make(axis + SPACE, RUN) if c.label == "concner"} == {0.8}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [101, 102]", "seeds = [2, 102]", "search.seeds: seed 2 is reported"),
        ("seeds = [101, 102]", "", "search.seeds: and target must be given"),
        ('target = "de"', 'target = "zh"', "search.target: 'zh' is not a target"),
        ("trials = 4", "trials = 14", r"search.trials: must be at most 1 \+ 12"),
        ("trials = 4", "trials = -1", "search.trials: must not be below 0"),
        ("lr = [0.5, 1, 2]", "lr = [0.0]", "search.lr: must hold numbers above 0"),
        ("dropout = [0.1, 0.2]", "dropout = [1.0]", "search.dropout: must hold numbers from 0 to below 1"),
        ("dropout = [0.1, 0.2]", 'same_as = { "concner+kd" = "concer" }', "search.same_as.*did you mean 'concner'"),
        ("dropout = [0.1, 0.2]", 'same_as = { "concer+kd" = "concner" }', r"same_as.*axis of methods.*'concner\+kd'"),
    ],
)
def test_a_mistake_is_named(load: Load, old: str, new: str, message: str) -> None:
    assert old in SPACE
    with pytest.raises(BadInput, match=message):
        load(MATRIX + SPACE.replace(old, new))


def test_a_row_to_take_settings_of_may_be_narrowed_away_but_not_misspelt(load: Load) -> None:
    text = MATRIX + SPACE + '[search.same_as]\n"concner+kd" = "concner"\n'
    assert load(text, 'axes.methods=["zero_shot", "concner+kd"]').search.same_as == {"concner+kd": "concner"}
    with pytest.raises(BadInput, match="did you mean 'concner'"):
        load(text, 'search.same_as={"concner+kd" = "concer"}')


def test_nothing_to_search(load: Load) -> None:
    with pytest.raises(BadInput, match="nothing to search"):
        load(MATRIX, RUN)


def test_what_was_chosen_is_included(load: Load, make: Callable[..., list[Cell]], place: tuple[Path, Any]) -> None:
    (place[0] / "chosen.toml").write_text(CHOSEN)
    text = MATRIX.replace('source = "en"', 'source = "en"\ninclude = "chosen.toml"')
    found = {(c.label, c.encoder): c for c in make(text)}
    row = found["concner+kd", "tiny"]
    assert (row.recipe.lr, row.train.steps, row.params["temperature"], row.labels.matcher) == (3e-4, 40, 0.7, "longest")
    assert row.settings == {
        "trial": 3, "dev_f1": 0.61, "lr": 0.0003, "steps": 40, "params": {"temperature": 0.7},
        "labels": {"matcher": "longest"},
    }  # fmt: skip
    plain = {(c.label, c.encoder): c for c in make(MATRIX)}
    assert all(found[key] == plain[key] for key in found if key != ("concner+kd", "tiny"))
    spec = load(text)
    assert cells(parsed_matrix("m.toml", spec.where.text, (), place[1]), place[1]) == make(text), "stored whole"
    given = str(place[0] / "chosen.toml")
    assert make(MATRIX, f"include={given}") == make(text)
    assert {c.trial for c in make(text + SPACE, RUN)} == {0, 1, 2, 3}
    assert {c.recipe.lr for c in make(text + SPACE, RUN) if c.encoder == "tiny"} <= {1e-5, 2e-5, 4e-5}


def test_an_include_may_be_taken_away(place: tuple[Path, Any]) -> None:
    (place[0] / "chosen.toml").write_text(CHOSEN)
    file = place[0] / "with_include.toml"
    file.write_text(MATRIX.replace('source = "en"', 'source = "en"\ninclude = "chosen.toml"'))
    assert load_matrix(str(file), (), place[1]).chosen
    assert not load_matrix(str(file), ('include=""',), place[1]).chosen


def test_what_was_chosen_for_a_folder_is_found_however_its_path_is_written(
    load: Load, place: tuple[Path, Any], tmp_path: Path
) -> None:
    (place[0] / "chosen.toml").write_text(CHOSEN)
    spec = load(MATRIX, f"include={place[0] / 'chosen.toml'}")
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    for written in (f"{folder}", f"{folder}/", f"{tmp_path}/link", "gone/tiny", "gone/tiny/"):
        assert settings_of(None, spec, "concner+kd", written, 0, {}).trial == 3, written  # type: ignore[arg-type]
    assert settings_of(None, spec, "concner+kd", "other", 0, {}).trial == 0  # type: ignore[arg-type]


def test_a_row_may_take_what_was_chosen_for_another(make: Callable[..., list[Cell]], place: tuple[Path, Any]) -> None:
    (place[0] / "chosen.toml").write_text(CHOSEN.replace("concner+kd", "concner"))
    text = MATRIX + SPACE + '[search.same_as]\n"concner+kd" = "concner"\n'
    assert {cell.label for cell in make(text, RUN)} == {"zero_shot", "concner"}, "it is not searched itself"
    made = make(text, f"include={place[0] / 'chosen.toml'}")
    steps = {cell.label: cell.train.steps for cell in made if cell.encoder == "tiny"}
    assert steps == {"zero_shot": 20, "concner": 40, "concner+kd": 40}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[data]\ncorpus = 'x'\n", "it holds 'data': only what `xner search` writes"),
        ("lr = 1\n", "it holds 'lr'"),
        ("[chosen.tiny.concner]\nlrr = 1\n", r"chosen\.toml:2: chosen.tiny.concner.lrr: unknown key 'lrr'"),
        ("[chosen.tiny]\nconcner = 1\n", "chosen.tiny.concner: expected a table"),
        ("[chosen.tiny.concner]\nparams = { temprature = 1 }\n", "unknown key 'temprature'"),
        ("[chosen", "chosen.toml:?.*not TOML"),
    ],
)
def test_what_cannot_be_included(make: Callable[..., list[Cell]], place: Any, content: str, message: str) -> None:
    (place[0] / "chosen.toml").write_text(content)
    with pytest.raises(BadInput, match=message):
        make(MATRIX, f"include={place[0] / 'chosen.toml'}")
    with pytest.raises(BadInput, match=r'include = "nowhere\.toml": cannot be read'):
        make(MATRIX, "include=nowhere.toml")


@pytest.mark.parametrize("name", registry.names("method"))
def test_the_space_of_a_method_is_of_its_parameters(name: str) -> None:
    """Each value is one that the method takes, and the others as they are by default."""
    for key, values in registry.load("method", name).search_space.items():
        assert len(values) == len(set(values)) > 1
        for value in values:
            if key in SEARCHED_LABELS:
                LabelsSpec(**{key.removeprefix("labels."): value})
                plugins = value if key == "labels.filters" else [value]
                assert {*plugins} <= {*registry.names("filter"), *registry.names("matcher")}
            else:
                registry.make("method", name, {key: list(value) if isinstance(value, tuple) else value})
