"""The method `translate_train_all`: one training for all targets, what it pools, and what its key depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import bench.train.training
from bench.api.method import Need, Round, TrainingSet, UndeclaredNeed, singles
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Pair, Sentence
from bench.plan import registry
from bench.plan.matrix import Cell, cells, every_target, only
from bench.plan.spec import load_matrix
from data_recipes.translators.frames import FramesTranslator
from tests.support.e2e_tools import Place, by_name, matrix_text

MAIN = Round("main")
METHOD = "translate_train_all"


def sentence(id_: str, language: str) -> Sentence:
    return Sentence(id_, language, (id_, language), ())


class FakeAsk:
    """Three English sentences; de has translations of all of them, zh of one, fr none."""

    def __init__(self, *targets: str) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.notes: dict[str, float] = {}
        self.found = {"de": ("a", "b", "c"), "zh": ("b",)}
        self._targets = targets

    def targets(self) -> tuple[str, ...]:
        return tuple(sorted(self._targets))

    def source(self) -> list[Sentence]:
        return [sentence(id_, "en") for id_ in "abc"]

    def labelled_translations(self, *, plain: bool = False, target: str) -> list[Pair]:
        self.asked.append((target, plain))
        if target not in self.found:
            raise Unavailable(f"no translations into {target}")
        return [Pair(sentence(id_, "en"), sentence(id_, target)) for id_ in self.found[target]]

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value


def pooled(data: TrainingSet) -> list[tuple[tuple[str, str], ...]]:
    """By group the ids and languages."""
    assert set(data.streams()) == {"labelled"}
    return [tuple((e.sentence.id, e.sentence.language) for e in group) for group in data.labelled]


def test_english_once_and_every_translation() -> None:
    ask: Any = FakeAsk("zh", "de")
    data = registry.make("method", METHOD).prepare(MAIN, ask)
    english = [(("a", "en"),), (("b", "en"),), (("c", "en"),)]
    assert pooled(data) == [*english, (("a", "de"),), (("b", "de"),), (("c", "de"),), (("b", "zh"),)]
    assert ask.notes == {"translations into de": 3, "translations into zh": 1}
    assert ask.asked == [("de", True), ("zh", True)]


def test_pairs_and_the_matrixs_labels() -> None:
    ask: Any = FakeAsk("de", "zh")
    method = registry.make("method", METHOD, {"drawn": "pairs", "labels": "matrix"})
    assert pooled(method.prepare(MAIN, ask)) == [
        *((("a", "en"), ("a", "de")), (("b", "en"), ("b", "de")), (("c", "en"), ("c", "de"))),
        (("b", "en"), ("b", "zh")),
    ]
    assert ask.asked == [("de", False), ("zh", False)]
    assert method.needs == {Need.LABELLED_TRANSLATION, Need.ALL_TARGETS}
    assert "matcher" in method.factors().labels_from
    with pytest.raises(BadInput, match="drawn"):
        registry.make("method", METHOD, {"drawn": "lots"})


def test_a_target_without_translations_is_left_out_and_noted() -> None:
    ask: Any = FakeAsk("de", "fr")
    data = registry.make("method", METHOD).prepare(MAIN, ask)
    assert {language for group in pooled(data) for _, language in group} == {"en", "de"}
    assert ask.notes == {"translations into de": 3, "translations into fr": 0}
    none: Any = FakeAsk("fr", "it")
    with pytest.raises(Unavailable, match="no translations into it"):
        registry.make("method", METHOD).prepare(MAIN, none)


# --- the cell, its key and what it may ask for ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Callable[..., list[Cell]]:
    """`plan(targets, methods)`: the cells of a tiny matrix."""
    place = Place(tmp_path_factory.mktemp("plan"), tiny_folder)

    def make(targets: tuple[str, ...], methods: tuple[str, ...] = (METHOD,), more: str = "") -> list[Cell]:
        return cells(load_matrix(str(place.matrix(matrix_text(tiny_folder, methods, targets, more=more)))))

    return make


def keys(found: list[Cell]) -> dict[str, str]:
    from bench.data.identity import cell_key

    return {cell.target: cell_key(cell) for cell in found}


def test_the_key_holds_the_set_of_targets_in_no_order(plan: Any) -> None:
    de_zh, zh_de, three = (plan(targets) for targets in (("de", "zh"), ("zh", "de"), ("de", "zh", "hu")))
    assert {cell.targets for cell in (*de_zh, *zh_de)} == {("de", "zh")}
    assert keys(de_zh) == keys(zh_de)
    assert keys(only(de_zh, ["target=zh"])) == {"zh": keys(de_zh)["zh"]}, "a part of a matrix is the matrix's part"
    assert not set(keys(three).values()) & set(keys(de_zh).values())
    others = [keys(plan(targets, ("zero_shot",))) for targets in (("de", "zh"), ("de", "zh", "hu"))]
    assert others[0]["de"] == others[1]["de"], "no other method's key knows of them"
    excluded = plan(("de", "zh", "hu"), more=f'[[exclude]]\nmethod = "{METHOD}"\ntarget = "hu"\n')
    assert keys(excluded) == keys(de_zh), "what is excluded is no target"


def test_every_target_begins_with_the_cells_own(plan: Any) -> None:
    for cell in plan(("hu", "de", "zh")):
        every = every_target(cell)
        assert every[0] == cell and sorted(one.target for one in every) == ["de", "hu", "zh"]
        assert all(replace(one, target=cell.target) == cell for one in every), "they differ in nothing else"


def test_all_targets_share_one_unit_unless_they_distil(plan: Any) -> None:
    from bench.data.identity import keyed
    from bench.plan.units import units

    found = keyed(plan(("de", "zh"), (METHOD, f"{METHOD}+kd", "en_trans")))
    sizes = [(unit[0].cell.label, len(unit)) for unit in units(found)]
    assert sizes[0] == (METHOD, 2)
    assert sorted(sizes[1:]) == sorted([(f"{METHOD}+kd", 1), ("en_trans", 1)] * 2)


def test_what_may_be_asked_for(plan: Any, tmp_path: Path) -> None:
    from bench.store.artefacts import Artefacts
    from bench.train.ask import CellAsk

    def ask(*needs: Need) -> CellAsk:
        none: Any = None
        return CellAsk(plan(("zh", "de"))[0], MAIN, frozenset(needs), Artefacts(tmp_path), none, none)

    mine = ask(Need.PLAIN_TRANSLATION)
    assert {pair.target.language for pair in mine.labelled_translations(plain=True)} == {"zh"}
    for refused in (mine.targets, lambda: mine.labelled_translations(plain=True, target="de")):
        with pytest.raises(UndeclaredNeed, match="do not list ALL_TARGETS"):
            refused()
    every = ask(Need.PLAIN_TRANSLATION, Need.ALL_TARGETS)
    assert every.targets() == ("de", "zh")
    found = {target: every.labelled_translations(plain=True, target=target) for target in every.targets()}
    assert [pair.target.language for pair in found["de"]] == ["de"] * 24
    assert [pair.source for pair in found["de"]] == [pair.source for pair in found["zh"]] == every.source()
    assert every.usage.sentences["translations"] == 48 and every.usage.projection["pairs"] == 48
    assert set(every.usage.parents) == {"labels", "labels:de"}, "its own, and the other's"
    with pytest.raises(UndeclaredNeed, match="'hu', which is not a target of the matrix"):
        every.labelled_translations(plain=True, target="hu")


def test_what_stands_in_any_test_is_dropped(plan: Any, tmp_path: Path) -> None:
    """So that the training set, and with it the training, is the same for every target."""
    import torch

    from bench.data.identity import encoder_of
    from bench.plan.units import method_of
    from bench.store.artefacts import Artefacts
    from bench.train.training import CellTrainer, Leakage, Places

    de, zh = plan(("de", "zh"), more="")
    dropping = [replace(cell, data=replace(cell.data, overlap="drop-from-train")) for cell in (de, zh)]
    places = Places(Artefacts(tmp_path), Artefacts(tmp_path), torch.device("cpu"))
    trainers = [CellTrainer(cell, method_of(cell), encoder_of(cell), places) for cell in (*dropping, de, zh)]
    leak = replace(trainers[1].data.test()[0], id="leak", language="en", group="")
    data = TrainingSet(labelled=singles([leak, sentence("clean", "en")]))
    all_targets = frozenset({Need.ALL_TARGETS})
    for trainer in trainers[:2]:
        kept = trainer._guarded(data, all_targets)
        assert [group[0].sentence.id for group in kept.labelled] == ["clean"] and trainer.overlap.total == 1
    assert len(trainers[0]._guarded(data, frozenset()).labelled) == 2, "other methods: their own test alone"
    assert len(trainers[2]._guarded(data, all_targets).labelled) == 2
    with pytest.raises(Leakage):
        trainers[3]._guarded(data, all_targets)


# --- tiny matrices, end to end ----------------------------------------------------------------------------------------


def run(place: Place, text: str) -> tuple[Any, list[Any]]:
    """The records by name, and the training sets that were trained on."""
    trained: list[Any] = []
    fit = bench.train.training.fit

    def counting(plan: Any, data: Any, *rest: Any) -> Any:
        trained.append(SimpleNamespace(seed=plan.seed, data=data))
        return fit(plan, data, *rest)

    with mock.patch.object(bench.train.training, "fit", counting):
        ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    return by_name(place.out), trained


def translations(record: Any) -> dict[str, float]:
    return {name: value for name, value in record["diagnostics"].items() if name.startswith("translations into")}


def test_one_training_a_seed_serves_all_targets(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    found, trained = run(place, matrix_text(tiny_folder, (METHOD,), ("zh", "de"), (1, 2)))
    assert len(found) == 4 and [one.seed for one in trained] == [1, 2]
    assert sum(len(group) for group in trained[0].data.labelled) == 3 * 24
    for seed in (1, 2):
        of_seed = [record for (_, _, s), record in found.items() if s == seed]
        assert len({record["parents"]["fit:main"] for record in of_seed}) == 1
        assert len({record["key"] for record in of_seed}) == 2
        for record in of_seed:
            assert translations(record) == {"translations into de": 24, "translations into zh": 24}
            assert record["resources"]["translated"] == 48 and record["cost"]["steps"] == 4
            assert record["factors"]["data"] == "both" and record["status"] == "ok"


def test_a_target_that_cannot_be_translated(tmp_path: Path, tiny_folder: Path) -> None:
    """It is left out, its cell is scored; and with one target, in pairs, what is left is en_trans's training."""
    translate = FramesTranslator.translate

    def only_german(self: Any, sentences: Any, target: str, corpus: Any) -> Any:
        if target == "zh":
            raise Unavailable("no such luck")
        return translate(self, sentences, target, corpus)

    place = Place(tmp_path, tiny_folder)
    more = f'[[variant]]\nname = "paired"\nuse = "{METHOD}"\ndrawn = "pairs"\n'
    more += '[[exclude]]\nmethod = "en_trans"\ntarget = "zh"\n'
    with mock.patch.object(FramesTranslator, "translate", only_german):
        found, trained = run(place, matrix_text(tiny_folder, ("paired", "en_trans"), ("de", "zh"), more=more))
    assert len(trained) == 1
    assert len({record["parents"]["fit:main"] for record in found.values()}) == 1
    for target in ("de", "zh"):
        record = found["paired", target, 1]
        assert record["status"] == "ok"
        assert translations(record) == {"translations into de": 24, "translations into zh": 0}
        assert record["resources"]["translated"] == 24 and record["resources"]["translation"] == "machine"
