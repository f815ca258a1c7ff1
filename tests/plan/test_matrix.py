"""From axes to cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.plan.matrix import Cell, cells, only
from bench.plan.schema import to_plain
from bench.plan.sections import EncoderSpec
from bench.plan.spec import load_matrix
from tests.support.plan_fakes import MATRIX, fake_registry

Make = Callable[..., list[Cell]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        registry = fake_registry(folder, "fakematrix")

        def make(text: str, *overrides: str) -> list[Cell]:
            (folder / "m.toml").write_text(text)
            return cells(load_matrix(str(folder / "m.toml"), overrides, registry), registry)

        yield make


def with_axis(line: str) -> str:
    return MATRIX.replace("seeds = [1, 2]", f"seeds = [1, 2]\n{line}")


def test_product_minus_excludes_in_order(make: Make) -> None:
    found = make(MATRIX)
    assert len(found) == 2 * 2 * 3 * 2 - 2 * 2
    order = [(cell.encoder, cell.seed, cell.label, cell.target) for cell in found]
    assert order[:6] == [
        ("tiny", 1, "zero_shot", "de"),
        ("tiny", 1, "concner", "de"),
        ("tiny", 1, "concner", "hu"),
        ("tiny", 1, "concner+kd", "de"),
        ("tiny", 1, "concner+kd", "hu"),
        ("tiny", 2, "zero_shot", "de"),
    ]
    assert order == sorted(
        order, key=lambda o: (o[0] != "tiny", o[1], ["zero_shot", "concner", "concner+kd"].index(o[2]))
    )
    assert found == make(MATRIX)


def test_everything_is_resolved(make: Make) -> None:
    cell = make(MATRIX)[-1]
    assert (cell.matrix, cell.label, cell.method, cell.encoder, cell.trial) == (
        "small",
        "concner+kd",
        "concner",
        "org/big-v1.0",
        0,
    )
    assert cell.params == {"distil": True, "temperature": 0.2, "loss": "mse"}
    assert cell.recipe.lr == 1e-4 and cell.train.steps == 20
    assert (cell.corpus_params, cell.translator_params) == ({"size": 10}, {"threshold": 0.5})
    json.dumps(to_plain(cell), allow_nan=False)


def test_the_encoder_overrides_the_budget_for_all_methods(make: Make) -> None:
    found = make(MATRIX, "encoder.tiny.steps=7", "encoder.tiny.precision=bf16")
    assert {(c.encoder, c.train.steps, c.train.precision) for c in found} == {
        ("tiny", 7, "bf16"),
        ("org/big-v1.0", 20, "fp32"),
    }
    assert all(cell.recipe.steps is None for cell in found)  # one description of one training
    with pytest.raises(BadInput, match="evals must not exceed the 1 steps"):
        make(MATRIX, "encoder.tiny.steps=1")


def test_an_axis_of_a_section_multiplies(make: Make) -> None:
    found = make(with_axis('"data.n_source" = [10, 20, 30]\n"labels.aligner" = ["gold", "simalign"]'))
    assert len(found) == len(make(MATRIX)) * 6
    assert [cell.axes for cell in found[:2]] == [
        {"data.n_source": 10, "labels.aligner": "gold"},
        {"data.n_source": 10, "labels.aligner": "simalign"},
    ]
    assert {(cell.data.n_source, cell.labels.aligner) for cell in found} == {
        (n, a) for n in (10, 20, 30) for a in ("gold", "simalign")
    }


def test_an_axis_of_a_table_concerns_those_that_read_it(make: Make) -> None:
    found = make(with_axis("method.concner.temperature = [1, 2]"))
    count = {label: sum(c.label == label for c in found) for label in ("zero_shot", "concner", "concner+kd")}
    assert count == {"zero_shot": 4, "concner": 16, "concner+kd": 16}
    assert all(cell.axes == {} for cell in found if cell.method == "zero_shot")
    fixed = make(with_axis("method.concner.distil = [true, false]"))  # the variant sets it: once, with its own value
    assert sum(cell.label == "concner+kd" for cell in fixed) == 8
    lr = make(with_axis("\"encoder.'org/big-v1.0'.lr\" = [1e-3, 1e-4]"))
    assert {(cell.encoder, cell.recipe.lr) for cell in lr} == {
        ("tiny", 2e-5),
        ("org/big-v1.0", 1e-3),
        ("org/big-v1.0", 1e-4),
    }


def test_the_aligner_depends_on_its_part_of_the_recipe_only(make: Make) -> None:
    overrides = ["labels.aligner_encoder='org/big-v1.0'", "encoder.org/big-v1.0.align_layer=8"]
    assert {to_plain(cell.aligner_recipe)["align_layer"] for cell in make(MATRIX, *overrides)} == {8}
    assert all(cell.aligner_recipe.lr == EncoderSpec().lr for cell in make(MATRIX, *overrides))


def test_a_method_that_trains_nothing_has_one_cell_for_all_encoders(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        'name = "m"\nsource = "en"\n[axes]\nmethods = ["gold_projection", "zero_shot"]\ntargets = ["de", "hu"]\n'
        'encoders = ["mini", "tiny"]\nseeds = [1]\n[data]\ncorpus = "demo"\n[labels]\ntranslator = "frames"\n'
    )
    found = [(cell.label, cell.encoder, cell.target) for cell in cells(load_matrix(str(tmp_path / "m.toml")))]
    assert [cell for cell in found if cell[0] == "gold_projection"] == [
        ("gold_projection", "mini", target) for target in ("de", "hu")
    ]
    assert len(found) == 2 + 2 * 2


def test_excludes_by_extra_axis(make: Make) -> None:
    text = (
        with_axis('"data.n_source" = [10, 20]') + '\n[[exclude]]\ndata.n_source = 20\nseed = [1, 2]\nencoder = "tiny"\n'
    )
    assert {(c.encoder, c.data.n_source) for c in make(text)} == {
        ("tiny", 10),
        ("org/big-v1.0", 10),
        ("org/big-v1.0", 20),
    }
    with pytest.raises(BadInput, match="leave no cell"):
        make(MATRIX + '[[exclude]]\nencoder = ["tiny", "org/big-v1.0"]\n')


def test_a_corpus_axis_needs_its_languages(make: Make) -> None:
    text = with_axis('"data.corpus" = ["demo", "other"]')
    with pytest.raises(BadInput, match="the corpus other has no language 'hu'"):
        make(text)
    found = make(text + '[[exclude]]\ntarget = "hu"\n"data.corpus" = "other"\n')
    assert {(cell.data.corpus, cell.target) for cell in found} == {("demo", "de"), ("demo", "hu"), ("other", "de")}


def test_only(make: Make) -> None:
    found = make(with_axis('"data.n_source" = [10, 20]'))
    chosen = only(found, ["method=concner,zero_shot", "target=de", "seed=2", "data.n_source=20", "encoder=tiny"])
    assert [(cell.label, cell.data.n_source) for cell in chosen] == [("zero_shot", 20), ("concner", 20)]
    assert only(found, []) == found
    for text, message in [
        ("metod=concner", "unknown key 'metod'; did you mean 'method'"),
        ("method=concnr", "method has no value 'concnr'; did you mean 'concner'"),
        ("seed=3", "seed has no value '3'; known: 1, 2"),
        ("seed", "expected key=value"),
    ]:
        with pytest.raises(BadInput) as caught:
            only(found, [text])
        assert message in str(caught.value)
    with pytest.raises(BadInput, match="no cell is left"):
        only(found, ["method=zero_shot", "target=hu"])


def texts(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from([json.dumps(value) for value in values])


LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "name": texts("other"),
    "source": texts("de", "bg"),
    "axes.methods": st.sampled_from(['["en_trans"]', '["zero_shot", "concner"]']),
    "axes.targets": st.sampled_from(['["de"]', '["hu", "de"]', '["zh", "de"]']),
    "axes.encoders": st.sampled_from(['["tiny"]', '["org/big-v1.0", "tiny"]']),
    "axes.seeds": st.lists(st.integers(3, 99), min_size=1, max_size=2, unique=True),
    "data.n_source": st.integers(1, 99),
    "data.n_dev": st.integers(1, 499),
    "data.n_unlabelled": st.integers(0, 1999),
    "data.overlap": texts("drop-from-train"),
    "labels.translator": texts("files"),
    "labels.tokenisation": texts("moses"),
    "labels.aligner": texts("simalign"),
    "labels.aligner_encoder": texts("some/encoder"),
    "labels.matcher": texts("longest"),
    "labels.filters": st.sampled_from(['["comp-src"]', '["comp-src", "comp-ins"]']),
    "train.steps": st.integers(21, 999),
    "train.batch": st.integers(1, 31),
    "train.evals": st.integers(3, 20),
    "train.budget": texts("epochs"),
    "train.epochs": st.integers(1, 9),
    "train.precision": texts("bf16"),
    "train.rules": st.sampled_from(['["last"]', '["last", "source-dev"]']),
    "train.decoding": texts("viterbi"),
    "train.threads": st.integers(3, 9),
    "train.compile": st.just("true"),
    "search.trials": st.integers(3, 5),
    "search.lr": st.just("[4, 5, 6]"),
    "search.dropout": st.just("[0.4, 0.5]"),
    "method.concner.temperature": st.floats(0.3, 9),
    "corpus.demo.size": st.integers(11, 99),
    "translator.frames.threshold": st.floats(0.6, 9),
    "aligner.gold.threshold": st.floats(0.6, 9),
    "encoder.tiny.revision": texts("abc"),
    "encoder.tiny.lr": st.floats(1e-4, 1),
    "encoder.tiny.warmup": st.floats(0.2, 0.9),
    "encoder.tiny.weight_decay": st.floats(0.1, 1),
    "encoder.tiny.clip": st.floats(2, 9),
    "encoder.tiny.dropout": st.floats(0.2, 0.9),
    "encoder.tiny.max_length": st.integers(8, 127),
    "encoder.tiny.align_layer": st.integers(0, 12),
    "encoder.tiny.steps": st.integers(2, 19),
    "encoder.tiny.batch": st.integers(1, 31),
    "encoder.tiny.precision": texts("bf16"),
}


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {}


@settings(max_examples=120)
@given(data=st.data())
def test_every_leaf_changes_some_cell(make: Make, known: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(LEAVES)))
    value = data.draw(LEAVES[key])
    text = MATRIX.split("[[exclude]]")[0]
    if key.startswith("search"):
        text += (
            '\n[search]\nrun = true\ntrials = 2\nseeds = [7]\ntarget = "de"\nlr = [0.1, 0.5, 2]\ndropout = [0.2, 0.3]\n'
        )
    if text not in known:
        known[text] = [to_plain(cell) for cell in make(text)]
    assert known[text] != [to_plain(cell) for cell in make(text, f"{key}={value}")]
