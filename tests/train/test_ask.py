"""What a method may reach: what it declared, never the target's dev or test; nested subsets from named seeds."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.api.distilled import Distillation, Distilled, Student
from bench.api.method import Method, Need, Predictions, Round, UndeclaredNeed
from bench.core.errors import Unavailable
from bench.core.sentences import Pair, Sentence, tag_set
from bench.data.cell_data import CellData, digest, nested
from bench.plan.keys import seed_stream
from bench.plan.matrix import Cell, cells
from bench.plan.spec import load_matrix
from bench.run.cell import predictions_of
from bench.store.artefacts import Artefacts
from bench.train.ask import CellAsk, Usage, needs_of
from data_recipes.corpora.demo.corpus import DemoCorpus

ALL = frozenset(Need)
MAIN = Round("main")
MakeCell = Callable[..., Cell]
MakeAsk = Callable[..., CellAsk]


@pytest.fixture(scope="session")
def cell(tiny_folder: Path) -> MakeCell:
    """`cell("data.n_source=10", …)`: the first German cell of the demo matrix with the tiny encoder."""

    def make(*overrides: str) -> Cell:
        axes = (f'axes.encoders=["{tiny_folder}"]', 'axes.targets=["de"]', 'axes.methods=["zero_shot"]')
        exact = ("translator.frames.error_rate=0", "corpus.demo.n_train=400")
        return cells(load_matrix("demo", (*axes, *exact, *overrides)))[0]

    return make


@pytest.fixture
def ask(cell: MakeCell, tmp_path: Path) -> MakeAsk:
    def make(needs: frozenset[Need] = ALL, *overrides: str, round_: Round = MAIN, model: Any = None) -> CellAsk:
        chosen = cell("data.n_source=10", "data.n_unlabelled=20", *overrides)
        return CellAsk(chosen, round_, needs, Artefacts(tmp_path), model or (lambda name: name), lambda: "a tagger")

    return make


GETTERS: dict[Need, tuple[Callable[[CellAsk], Any], ...]] = {
    Need.TRANSLATION: (lambda ask: ask.translations(),),
    Need.LABELLED_TRANSLATION: (lambda ask: ask.labelled_translations(),),
    Need.PLAIN_TRANSLATION: (lambda ask: ask.labelled_translations(plain=True),),
    Need.SECOND_TRANSLATION: (lambda ask: ask.second_translations(),),
    Need.ALL_TARGETS: (lambda ask: ask.targets(),),
    Need.TARGET_UNLABELLED: (lambda ask: ask.unlabelled(),),
    Need.PARALLEL_TEXT: (lambda ask: ask.parallel_text(),),
    Need.TARGET_GOLD: (lambda ask: ask.gold_translations(), lambda ask: ask.target_gold()),
    Need.TEST_TRANSLATION: (lambda ask: ask.test_translations(DemoCorpus().read("de", "train")[:4]),),
}


# --- needs ------------------------------------------------------------------------------------------------------------


def test_every_need_has_a_getter_here() -> None:
    assert set(GETTERS) == ALL


@pytest.mark.parametrize("need", list(Need))
def test_what_is_not_declared_raises(ask: MakeAsk, need: Need) -> None:
    for get in GETTERS[need]:
        with pytest.raises(UndeclaredNeed, match=rf"round 'main' .* do not list {need.name}"):
            get(ask(ALL - {need}))
        with pytest.raises(UndeclaredNeed):
            get(ask(frozenset()))
        refused = ask(ALL - {need})
        with pytest.raises(UndeclaredNeed):
            get(refused)
        assert refused.usage.sentences == refused.usage.parents == {}, "nothing was made for it"


@pytest.mark.parametrize("need", list(Need))
def test_what_is_declared_is_there(ask: MakeAsk, need: Need) -> None:
    for get in GETTERS[need]:
        assert get(ask(frozenset({need})))


def test_the_source_needs_no_declaration(ask: MakeAsk) -> None:
    asked = ask(frozenset())
    assert len(asked.source()) == 10
    assert {s.language for s in asked.source()} == {"en"}
    assert all(s.spans is not None for s in asked.source())
    assert asked.tags == tag_set(("PER", "LOC", "ORG"))
    assert asked.new_tagger() == "a tagger"


def test_only_the_teachers_of_a_round_can_be_asked_for(ask: MakeAsk) -> None:
    asked = ask(ALL, round_=Round("student", teachers=("first", "second")))
    assert asked.model("first") == "first"
    assert asked.model("second") == "second"
    for name in ("third", "student", "main"):
        with pytest.raises(UndeclaredNeed, match=f"asked for round '{name}', which is not one of its teachers"):
            asked.model(name)
    with pytest.raises(UndeclaredNeed):
        ask(ALL).model("main")


def test_the_needs_of_rounds() -> None:
    class Some(Method):
        name = "some"
        needs = frozenset({Need.TRANSLATION, Need.TARGET_GOLD})

    some = Some()
    assert needs_of(some, Round("a")) == some.needs
    assert needs_of(some, Round("a", needs=frozenset())) == frozenset()
    distilled = Distilled(some, Distillation(distil=True))
    main, last = distilled.rounds()
    assert (main.name, last.name, last.teachers, last.start) == ("main", "distil", ("main",), "main")
    assert needs_of(some, last) == {Need.TARGET_UNLABELLED}, "the last round needs no more than its text"
    assert needs_of(distilled, main) == some.needs, "the first one as without distillation"
    assert distilled.needs == {Need.TRANSLATION, Need.TARGET_GOLD, Need.TARGET_UNLABELLED}
    assert Distilled(some, Distillation(distil=True, distil_start="fresh")).rounds()[-1].start == "fresh"
    assert some.rounds() == (Round("main"),)


def test_distillation_asks_for_its_teacher_and_its_text_only(ask: MakeAsk) -> None:
    class Teacher:
        def predict(self, sentences: Sequence[Sentence]) -> Predictions:
            assert all(s.spans is None for s in sentences)
            return Predictions(((),) * len(sentences), tuple(np.ones((len(s.words), 7), np.float32) for s in sentences))

    last = Distilled(Method(), Distillation(distil=True)).rounds()[-1]
    assert isinstance(last.method, Student)
    data = last.method.prepare(last, ask(Student.needs, round_=last, model=lambda name: Teacher()))
    assert set(data.streams()) == {"unlabelled"}
    assert len(data.unlabelled) == 20
    for (one,) in data.unlabelled:
        assert one.soft is not None
        assert len(one.soft) == len(one.sentence.words)


def test_usages_add_up() -> None:
    """The most sentences of a kind, the last training labels, the first test labels, everything else together."""
    teacher = Usage({"source": 10, "unlabelled": 5}, {"labels": "links/a"}, {"machine"}, set(), {"projected": 3}, {})
    student = Usage({"source": 8, "unlabelled": 7}, {"labels:zh": "links/b"}, {"human"}, notes={"kept": 2.0})
    first = Usage(test_translators={"machine"}, test_projection={"test_projected": 4})
    again = Usage(projection={"projected": 1}, test_projection={"test_projected": 9})
    total = Usage.together([teacher, student, first, again])
    assert total.sentences == {"source": 10, "unlabelled": 7}
    assert total.parents == {"labels": "links/a", "labels:zh": "links/b"} and total.notes == {"kept": 2.0}
    assert (total.translators, total.test_translators) == ({"machine", "human"}, {"machine"})
    assert (total.projection, total.test_projection) == ({"projected": 1}, {"test_projected": 4})
    assert teacher.sentences["source"] == 10 and Usage.together([]) == Usage(), "and none of them changes"


# --- what cannot be reached -------------------------------------------------------------------------------------------


def reachable(thing: Any, seen: set[int], depth: int = 0) -> Iterator[Sentence]:
    """Every sentence that public attributes, and public methods without arguments, lead to."""
    if id(thing) in seen or depth > 6:
        return
    seen.add(id(thing))
    if isinstance(thing, Sentence):
        yield thing
    elif isinstance(thing, list | tuple | set | frozenset):
        for one in thing:
            yield from reachable(one, seen, depth + 1)
    elif isinstance(thing, dict):
        yield from reachable([*thing.keys(), *thing.values()], seen, depth + 1)
    elif type(thing).__module__.split(".")[0] in ("bench", "data_recipes", "methods"):
        for name in dir(thing):
            if name.startswith("_"):
                continue
            value = getattr(thing, name)
            if inspect.ismethod(value):
                needed = [p for p in inspect.signature(value).parameters.values() if p.default is p.empty]
                if needed:
                    continue
                value = value()
            KEEP.append(value)  # ids are reused once a value is gone
            yield from reachable(value, seen, depth + 1)


KEEP: list[Any] = []


def test_neither_dev_nor_test_can_be_reached(ask: MakeAsk) -> None:
    asked = ask()
    data = CellData(asked.cell).data
    # in the demo's five languages dev and test have the same ids
    forbidden = {s.id: split for split in ("dev", "test") for s in data.read("de", split)}  # type: ignore[arg-type]
    assert len(forbidden) > 400
    found = list(reachable(asked, set()))
    KEEP.clear()
    assert {s.language for s in found} == {"en", "de"}, "the walk finds what may be reached"
    assert len(found) >= 10 + 10 + 20 + 10 + 10
    assert not [(s.id, forbidden[s.id]) for s in found if s.id in forbidden]
    assert not {s.words for s in found} & {s.words for s in data.read("de", "test")}


def test_the_sentences_to_predict_have_no_labels(cell: MakeCell) -> None:
    class Curious(Method):
        name = "curious"

        def predict(self, ask: Any, models: Any, sentences: Sequence[Sentence]) -> Predictions:
            assert all(s.spans is None for s in sentences)
            empty = tuple(np.zeros((len(s.words), 7), np.float32) for s in sentences)
            return Predictions(((),) * len(sentences), empty)

    round_ = SimpleNamespace(weights=lambda rule: Path("weights"))
    trainer: Any = SimpleNamespace(
        method=Curious(), rounds={"main": round_}, model=lambda name, rule: "a model", ask_for_test=lambda: None
    )
    test = CellData(cell()).test()
    assert any(s.spans for s in test)
    found = predictions_of(trainer, "last", test)
    assert found is not None
    assert len(found.spans) == len(test)


def test_only_the_models_that_predict_are_loaded() -> None:
    """A student needs no teacher any more, and of a method that averages each is loaded once."""
    loaded: list[tuple[str, str]] = []

    def model(name: str, rule: str) -> Any:
        loaded.append((name, rule))
        return SimpleNamespace(predict=lambda sentences: Predictions((), ()))

    class TwoRounds(Method):
        def rounds(self) -> tuple[Round, ...]:
            return (Round("teacher"), Round("main"))

    class Both(TwoRounds):
        def predict(self, ask: Any, models: Any, sentences: Sequence[Sentence]) -> Predictions:
            assert list(models) == ["teacher", "main"]
            return [models[name].predict(sentences) for name in ("teacher", "main", "teacher")][-1]

    def predicting(method: Method) -> list[tuple[str, str]]:
        loaded.clear()
        round_ = SimpleNamespace(weights=lambda rule: Path("weights"))
        rounds = dict.fromkeys((r.name for r in method.rounds()), round_)
        trainer: Any = SimpleNamespace(method=method, rounds=rounds, model=model, ask_for_test=lambda: None)
        predictions_of(trainer, "target-dev", [])
        return list(loaded)

    assert predicting(TwoRounds()) == [("main", "target-dev")]
    assert predicting(Both()) == [("teacher", "source-dev"), ("main", "target-dev")]
    assert predicting(Distilled(TwoRounds(), Distillation())) == [("distil", "target-dev")]


def test_unlabelled_text_has_no_labels(ask: MakeAsk, cell: MakeCell) -> None:
    found = ask().unlabelled()
    assert len(found) == 20
    assert {(s.language, s.spans) for s in found} == {("de", None)}
    labelled = CellData(cell())
    labelled.data = SimpleNamespace(read=lambda *_: DemoCorpus().read("de", "train"))  # type: ignore[assignment]
    assert {s.spans for s in labelled.unlabelled()} == {None}, "nor has labelled text that serves as such"
    assert all(s.group for s in labelled.unlabelled())


def test_translations_have_no_labels_until_they_are_projected(ask: MakeAsk) -> None:
    asked = ask()
    assert all(pair.target.spans is None for pair in asked.translations())
    labelled = asked.labelled_translations()
    gold = asked.gold_translations()
    assert [p.source.id for p in labelled] == [p.source.id for p in gold] == [s.id for s in asked.source()]
    assert all(pair.target.spans is not None for pair in labelled)
    assert asked.usage.projection["projected"] == sum(len(pair.target.spans or ()) for pair in labelled)
    assert asked.usage.projection["pairs"] == 10
    assert [p.target.spans for p in labelled] == [p.target.spans for p in gold], "links of the demo are exact"


def test_the_matrix_s_matcher_and_filters_are_for_those_who_do_not_ask_for_plain_labels(ask: MakeAsk) -> None:
    wrong = ("data.n_source=40", "translator.frames.error_rate=1")  # some errors lose an entity
    plain = ask(ALL, *wrong)
    every = plain.labelled_translations()
    counts = plain.usage.projection
    assert counts["projected"] + counts["unaligned"] + counts["conflicting"] == counts["entities"] > counts["projected"]

    filtered = ask(ALL, *wrong, 'labels.filters=["comp-ins"]')
    assert filtered.labelled_translations(plain=True) == every
    assert filtered.usage.projection == counts
    kept = filtered.labelled_translations()
    found = filtered.usage.projection
    assert 0 < len(kept) == found["pairs"] == filtered.usage.sentences["translations"] < len(every) == 40
    assert found["pairs"] + found["pairs_filtered"] == 40
    assert [p for p in every if p in kept] == kept
    assert found["filtered"] == sum(len(p.source.spans or ()) for p in every if p not in kept) > 0
    outcomes = ("projected", "unaligned", "conflicting", "filtered")
    assert sum(found[name] for name in outcomes) == found["entities"] == counts["entities"]

    ratio = ask(ALL, *wrong, "labels.matcher=ratio")
    assert len(ratio.labelled_translations()) == 40
    assert ratio.usage.projection["unaligned"] > counts["unaligned"] and ratio.usage.projection["filtered"] == 0
    assert ratio.labelled_translations(plain=True) == every


def test_filters_that_leave_nothing_are_a_gap_with_a_reason(ask: MakeAsk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_recipes.projection.filters.length_ratio.LOWEST", 99)
    with pytest.raises(Unavailable, match=r"the filters \(length-ratio\) leave none of 10 translations in 'de'"):
        ask(ALL, 'labels.filters=["length-ratio"]').labelled_translations()


def test_test_translations_go_into_the_source_language(ask: MakeAsk) -> None:
    german = [replace(s, spans=None) for s in DemoCorpus().read("de", "train")[:5]]
    pairs = ask().test_translations(german)
    assert [pair.target for pair in pairs] == german
    for pair in pairs:
        assert isinstance(pair, Pair)
        assert pair.source.language == "en"
        assert pair.links
        assert max(s for s, _ in pair.links) < len(pair.source.words)
        assert max(t for _, t in pair.links) < len(pair.target.words)


def test_every_access_is_noted(ask: MakeAsk) -> None:
    asked = ask()
    asked.source()
    assert asked.usage.sentences == {"source": 10}
    assert asked.usage.parents == {}
    asked.labelled_translations()
    asked.unlabelled()
    assert asked.usage.sentences == {"source": 10, "translations": 10, "unlabelled": 20}
    (address,) = asked.usage.parents.values()
    assert address.startswith("links/")
    assert asked.cache.get(*address.split("/")) is not None


def test_second_translations_carry_entities_and_match_the_first(ask: MakeAsk) -> None:
    """The demo's translator errs here and there, so that both differ; what they have in common is linked."""
    asked = ask(frozenset({Need.TRANSLATION, Need.SECOND_TRANSLATION}), "translator.frames.error_rate=0.3")
    first, second = asked.translations(), asked.second_translations()
    assert len(first) == len(second)
    both = [(pair, one) for pair, one in zip(first, second, strict=True) if one is not None]
    assert 0 < len(both) == asked.usage.notes["second_translations"]
    for pair, one in both:
        assert len(one.ranges) == len(pair.source.spans or ()) > 0
        assert one.links and all(one.words[a] == pair.target.words[b] for a, b in one.links)
        assert all(there is None or 0 <= there[0] < there[1] <= len(one.words) for there in one.ranges)
    assert any(one.words == pair.target.words for pair, one in both)
    assert all(one is None for pair, one in zip(first, second, strict=True) if not pair.source.spans)
    assert asked.usage.parents["second-translations"].startswith("transfer/")


def test_a_translator_that_looks_up_has_no_second_translations(ask: MakeAsk) -> None:
    asked = ask(frozenset({Need.TRANSLATION, Need.SECOND_TRANSLATION}), "labels.translator=files")
    with pytest.raises(Unavailable):
        asked.second_translations()


def test_what_a_method_does_to_its_lists_is_its_own_affair(ask: MakeAsk) -> None:
    """Methods of one process share the corpus: none may change what the next one gets."""
    corpus_lists = ALL - {Need.TEST_TRANSLATION, Need.ALL_TARGETS}  # the latter are names
    getters = [lambda a: a.source(), *(get for need in corpus_lists for get in GETTERS[need])]
    for get in getters:
        before = list(get(ask()))
        spoilt = get(ask())
        random.Random(0).shuffle(spoilt)
        spoilt.pop()
        assert get(ask()) == before


def test_missing_data_is_a_skip_with_a_reason(ask: MakeAsk) -> None:
    without = ask(ALL, "corpus.demo.n_unlabelled=0")
    with pytest.raises(Unavailable, match="corpus 'demo' has no unlabelled text in 'de'"):
        without.unlabelled()


# --- subsets and seeds ------------------------------------------------------------------------------------------------


def test_subsets_are_nested(cell: MakeCell) -> None:
    for seed in (1, 2):
        ten, fifty, all_ = (
            CellData(cell(f"data.n_source={n}", f"axes.seeds=[{seed}]")).source() for n in (10, 50, 5000)
        )
        assert (len(ten), len(fifty), len(all_)) == (10, 50, 400)
        assert fifty[:10] == ten
        assert all_[:50] == fifty
        assert len({s.id for s in all_}) == 400


def test_other_roles_are_nested_too(cell: MakeCell) -> None:
    few, many = (CellData(cell(f"data.n_source={n}", f"data.n_unlabelled={n}", f"data.n_dev={n}")) for n in (10, 40))
    for role in ("unlabelled", "target_gold", "gold_pairs", "dev", "target_dev"):
        small, large = getattr(few, role)(), getattr(many, role)()
        assert (len(small), len(large)) == (10, 40)
        assert large[:10] == small


def test_seeds_draw_other_subsets_and_the_same_dev_and_test(cell: MakeCell) -> None:
    first, second = (CellData(cell("data.n_source=50", f"axes.seeds=[{seed}]")) for seed in (1, 2))
    assert first.source() != second.source()
    assert {s.id for s in first.source()} != {s.id for s in second.source()}
    assert first.unlabelled()[:50] != second.unlabelled()[:50]
    assert first.dev() == second.dev()
    assert first.target_dev() == second.target_dev()
    assert first.test() == second.test()


def test_subsets_depend_on_nothing_but_seed_and_size(cell: MakeCell) -> None:
    plain = CellData(cell("data.n_source=50"))
    random.seed(1)
    np.random.seed(1)
    others = ("data.n_unlabelled=7", "data.n_dev=3", "train.steps=7", "train.evals=1", 'axes.targets=["zh"]')
    other = CellData(cell("data.n_source=50", *others))
    assert other.cell.target == "zh"
    assert plain.source() == other.source()
    assert digest(plain.source()) == digest(other.source())
    assert digest(plain.source()) != digest(CellData(cell("data.n_source=49")).source())


def test_streams_are_independent() -> None:
    names = ("subset/source", "subset/unlabelled", "subset/target-gold", "subset/dev")
    sentences = [Sentence(str(n), "en", ("a",)) for n in range(400)]
    drawn = {name: {s.id for s in nested(sentences, 40, 3, name)} for name in names}
    for one in names:
        for other in names:
            shared = len(drawn[one] & drawn[other])
            assert shared == 40 if one == other else shared < 20  # 4 by chance
    seeds = [seed_stream(seed, *path) for seed in range(50) for path in (("a",), ("b",), ("a", "b"), ("ab",))]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_stream(1, "init") == seed_stream(1, "init")


def test_a_subset_larger_than_all_is_all() -> None:
    sentences = [Sentence(str(n), "en", ("a",)) for n in range(5)]
    assert sorted(s.id for s in nested(sentences, 99, 1, "x")) == ["0", "1", "2", "3", "4"]
    assert nested([], 3, 1, "x") == []


def test_a_methods_own_generators(ask: MakeAsk) -> None:
    asked = ask()
    first = asked.rng("noise").random(5).tolist()
    assert ask().rng("noise").random(5).tolist() == first
    assert asked.rng("noise").random(5).tolist() == first, "a name always gives a fresh generator"
    assert asked.rng("order").random(5).tolist() != first
    assert ask(ALL, "axes.seeds=[9]").rng("noise").random(5).tolist() != first
    assert ask(ALL, round_=Round("other")).rng("noise").random(5).tolist() != first
