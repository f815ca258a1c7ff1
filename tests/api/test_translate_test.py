"""Translate-test and its ensemble: what is carried back, what is counted, and that no training ever sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.method import Method, Need, Predictions, Round, UndeclaredNeed
from bench.api.translate_test import carried_back, inside, restricted
from bench.core.sentences import Link, Pair, Sentence, Span, spans_of, tag_set, tags_of
from bench.data.projected import carried
from bench.plan import registry
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.store.artefacts import Artefacts
from bench.train.ask import CellAsk, needs_of
from tests.support.e2e_tools import Place, by_name, demo_sentences, matrix_text, small_corpus

TAGS = tag_set(("PER", "LOC"))
GERMAN = Sentence("1", "de", tuple("vwxyz"))
OTHER = Sentence("2", "de", tuple("vw"))
MAIN = Round("main")
LINKS = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 4)))
FOUND = st.lists(st.sampled_from(TAGS), min_size=4, max_size=4)


def rows(tags: Sequence[str], sure: float = 0.9) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Probabilities that are `sure` of the tags."""
    rest = (1 - sure) / (len(TAGS) - 1)
    hard = np.eye(len(TAGS), dtype=np.float32)[[TAGS.index(tag) for tag in tags]]
    return (rest + hard * (sure - rest)).astype(np.float32)


class FakeModel:
    """A tagger that gives each sentence the tags that it is told, by the sentence's words."""

    def __init__(self, known: Mapping[str, Sequence[str]], sure: float = 0.9) -> None:
        self.known, self.sure = known, sure

    def predict(self, sentences: Sequence[Sentence]) -> Predictions:
        assert all(sentence.spans is None for sentence in sentences)
        tags = [self.known["".join(sentence.words)] for sentence in sentences]
        return Predictions(tuple(map(spans_of, tags)), tuple(rows(one, self.sure) for one in tags))


class FakeAsk:
    """Translations of some sentences; the matrix's matcher is min-max."""

    tags = TAGS

    def __init__(self, **links: Sequence[Link]) -> None:
        self.links = {name.removeprefix("s"): tuple(sorted(one)) for name, one in links.items()}
        self.counts: dict[str, int] = {}

    def test_translations(self, sentences: Sequence[Sentence]) -> list[Pair]:
        english = Sentence("", "en", tuple("abcd"))
        return [Pair(replace(english, id=s.id), s, self.links[s.id]) for s in sentences if s.id in self.links]

    def project(self, pairs: Sequence[Pair]) -> list[tuple[Span | None, ...]]:
        found, counts = carried(pairs, "min-max")
        self.counts = dict(counts)
        return found


def predicted(ask: Any, models: dict[str, Any], name: str = "translate_test", **params: Any) -> Predictions:
    method: Method = registry.make("method", name, params)
    return method.predict(ask, models, [GERMAN, OTHER])


# --- what is carried back ---------------------------------------------------------------------------------------------


def test_entities_follow_the_links_back() -> None:
    ask = FakeAsk(s1=[(0, 4), (1, 1), (1, 2), (2, 3)])
    model = FakeModel({"abcd": ["B-LOC", "B-PER", "I-PER", "O"]})
    found = predicted(ask, {"main": model})
    assert found.spans == ((Span(1, 4, "PER"), Span(4, 5, "LOC")), ())
    assert ask.counts["entities"] == ask.counts["projected"] == 2
    first, second = found.probabilities
    assert [TAGS[i] for i in first.argmax(-1)] == ["O", "B-PER", "I-PER", "I-PER", "B-LOC"]
    english = rows(["B-LOC", "B-PER", "I-PER"])
    assert np.array_equal(first[[1, 2, 3, 4]], english[[1, 2, 2, 0]])
    assert first[0].tolist() == second[0].tolist() == second[1].tolist() == [1, 0, 0, 0, 0], "no translation: O"
    assert first.dtype == np.float32


def test_a_one_word_entity_is_restricted_to_one_word() -> None:
    ask = FakeAsk(s1=[(1, 1), (1, 2), (0, 3), (0, 4)])
    models = {"main": FakeModel({"abcd": ["O", "B-LOC", "O", "O"]})}
    assert predicted(ask, models).spans[0] == (Span(1, 2, "LOC"),)
    wide = predicted(ask, models, restrict=False)
    assert wide.spans[0] == (Span(1, 3, "LOC"),)
    assert [TAGS[i] for i in wide.probabilities[0].argmax(-1)] == ["O", "B-LOC", "I-LOC", "O", "O"]


@settings(max_examples=60)
@given(LINKS, FOUND)
def test_restricting_takes_links_of_one_word_entities_only(links: set[Link], tags: list[str]) -> None:
    pair = Pair(Sentence("1", "en", tuple("abcd"), spans_of(tags)), GERMAN, tuple(sorted(links)))
    kept = set(restricted(pair).links or ())
    assert kept <= links
    single = {span.start for span in pair.source.spans or () if span.end - span.start == 1}
    assert {link for link in links if link[0] not in single} <= kept
    for word in single:
        assert [t for s, t in sorted(kept) if s == word] == sorted(t for s, t in links if s == word)[:1]


@settings(max_examples=60)
@given(LINKS, FOUND)
def test_probabilities_decode_to_the_projected_spans(links: set[Link], tags: list[str]) -> None:
    well_formed = list(tags_of(spans_of(tags), 4))
    (one, _) = carried_back(FakeAsk(s1=sorted(links)), FakeModel({"abcd": well_formed}), [GERMAN, OTHER])  # type: ignore[arg-type]
    assert spans_of([TAGS[i] for i in one.probabilities.argmax(-1)]) == one.spans
    assert np.allclose(one.probabilities.sum(-1), 1)
    assert one.reached.tolist() == [tag != "O" for tag in tags_of(one.spans, 5)]


def test_b_and_i_change_places_for_the_words_that_follow() -> None:
    probabilities = np.asarray([0.1, 0.2, 0.05, 0.6, 0.05], np.float32)
    assert inside(probabilities, TAGS).tolist() == probabilities[[0, 1, 2, 4, 3]].tolist()
    continuing = np.asarray([0.1, 0.1, 0.7, 0.05, 0.05], np.float32)
    assert inside(continuing, TAGS).tolist() == continuing.tolist()


# --- the ensemble -----------------------------------------------------------------------------------------------------


def test_the_surer_tagger_wins_where_both_speak() -> None:
    ask = FakeAsk(s1=[(0, 0), (3, 4)])
    english = FakeModel({"abcd": ["B-PER", "O", "O", "O"]})
    german = {"vwxyz": ["O", "B-LOC", "O", "O", "O"], "vw": ["B-LOC", "O"]}
    weak = predicted(ask, {"tagger": english, "main": FakeModel(german, 0.6)}, "ensemble")
    assert weak.spans == ((Span(0, 1, "PER"), Span(1, 2, "LOC")), (Span(0, 1, "LOC"),))
    strong = predicted(ask, {"tagger": english, "main": FakeModel(german, 0.99)}, "ensemble")
    assert strong.spans[0] == (Span(1, 2, "LOC"),)
    mean = (rows(["B-PER"]) + rows(["O"], 0.6)) / 2
    assert np.allclose(weak.probabilities[0][0], mean) and np.allclose(weak.probabilities[1], rows(["B-LOC", "O"], 0.6))

    models = {"tagger": english, "main": FakeModel(german, 0.6)}
    voted = predicted(ask, models, "ensemble", unreached="outside")
    assert voted.spans == ((Span(0, 1, "PER"),), (Span(0, 1, "LOC"),)), "a sentence without a translation is no vote"


def test_a_distilled_student_takes_its_round_s_place() -> None:
    ask = FakeAsk(s1=[(0, 0)])
    student = FakeModel({"abcd": ["B-PER", "O", "O", "O"], "vwxyz": ["O"] * 5, "vw": ["O", "O"]}, 0.6)
    assert predicted(ask, {"distil": student}, distil=True).spans[0] == (Span(0, 1, "PER"),)
    both = predicted(ask, {"tagger": student, "distil": student}, "ensemble", distil=True)
    assert both.spans == ((), ()), "0.6 of PER and 0.6 of O, each beside 0.1: O is the first of equals"


def test_factors_name_the_partner() -> None:
    plain, english = registry.make("method", "ensemble"), registry.make("method", "ensemble", {"partner": "en_trans"})
    assert plain.factors().test_time_translation == "yes, averaged with label_projection"
    assert english.factors().test_time_translation == "yes, averaged with en_trans"
    assert [round_.method for round_ in english.rounds()] == ["zero_shot", "en_trans"]


# --- counting, and what no training sees ------------------------------------------------------------------------------


def test_every_entity_has_its_span_or_none() -> None:
    entities = (Span(0, 1, "LOC"), Span(1, 2, "LOC"), Span(2, 4, "PER"))
    pair = Pair(Sentence("1", "en", tuple("abcd"), entities), GERMAN, ((0, 1), (1, 0), (1, 1), (1, 2)))
    ((first, second, third),), counts = carried([pair], "min-max")
    assert (first, second, third) == (Span(1, 2, "LOC"), None, None)
    assert (counts["entities"], counts["projected"], counts["conflicting"], counts["unaligned"]) == (3, 1, 1, 1)


def test_no_round_may_ask_for_translations_of_the_test(tmp_path: Path) -> None:
    class Curious(Method):
        name = "curious"
        needs = frozenset({Need.TEST_TRANSLATION, Need.TRANSLATION})

    assert needs_of(Curious(), MAIN) == {Need.TRANSLATION}
    explicit = Round("main", needs=frozenset({Need.TEST_TRANSLATION}))
    assert needs_of(Curious(), explicit) == frozenset(), "not by asking for it, either"
    cell = cells(load_matrix("demo", ('axes.targets=["de"]', 'axes.methods=["zero_shot"]')))[0]
    refused: list[Callable[[Any], object]] = [lambda ask: ask.test_translations([GERMAN]), lambda ask: ask.project([])]
    nothing: Any = None  # no model, no tagger: neither is asked for
    for reach in refused:
        ask = CellAsk(cell, MAIN, needs_of(Curious(), MAIN), Artefacts(tmp_path), nothing, nothing)
        with pytest.raises(UndeclaredNeed, match="TEST_TRANSLATION"):
            reach(ask)
        assert not ask.usage.parents and not list(tmp_path.iterdir()), "nothing was translated"


METHODS = ("zero_shot", "label_projection", "translate_test", "ensemble")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Place:
    return Place(tmp_path_factory.mktemp("translate-test"), tiny_folder)


@pytest.fixture(scope="module")
def ran(place: Place) -> dict[str, dict[str, Any]]:
    place.matrix(matrix_text(place.encoder, METHODS))
    done = place.xner("run", "small.toml", "--out", place.out)
    assert done.code == 0, done.err
    return {label: record for (label, _, _), record in by_name(place.out).items()}


@pytest.mark.slow
def test_a_cell_on_the_demo(ran: dict[str, dict[str, Any]]) -> None:
    assert [record["status"] for record in ran.values()] == ["ok"] * 4, [record["error"] for record in ran.values()]
    single, both = ran["translate_test"], ran["ensemble"]
    assert single["parents"]["fit:main"] == ran["zero_shot"]["parents"]["fit:main"], "not trained twice"
    assert both["parents"]["fit:tagger"] == single["parents"]["fit:main"]
    assert both["parents"]["fit:main"] == ran["label_projection"]["parents"]["fit:main"]
    assert single["parents"]["test-translations"] == both["parents"]["test-translations"]


@pytest.mark.slow
def test_the_record_says_what_test_time_translation_took(ran: dict[str, dict[str, Any]]) -> None:
    for label in METHODS[2:]:
        resources, counts = ran[label]["resources"], ran[label]["projection"]
        assert (resources["test_translation"], resources["test_translated"]) == ("machine", 16)
        assert counts["test_pairs"] == counts["test_parsed"] == 16 and counts["test_failed"] == 0
        outcomes = ("projected", "unaligned", "conflicting", "filtered")
        assert sum(counts[f"test_{name}"] for name in outcomes) == counts["test_entities"]
        assert ran[label]["cost"]["seconds"] > 0
    assert (
        ran["translate_test"]["resources"]["translated"] == 0 and "entities" not in ran["translate_test"]["projection"]
    )
    assert ran["ensemble"]["resources"]["translated"] == 24 and ran["ensemble"]["projection"]["entities"] > 0
    assert {ran[label]["resources"]["test_translation"] for label in METHODS[:2]} == {"none"}


def test_without_an_english_side_the_cell_is_a_skip_and_nothing_is_trained(place: Place) -> None:
    corpus = small_corpus(place.root / "files", de_train=demo_sentences("de", "train", 8))
    there = Place(place.root / "skips", place.encoder)
    tables = {"corpus": corpus, "labels": 'translator = "files"'}
    there.matrix(matrix_text(place.encoder, ("translate_test", "ensemble"), **tables))
    assert there.xner("run", "small.toml", "--out", there.out).code == 0
    found = by_name(there.out)
    assert {record["status"] for record in found.values()} == {"skipped"}
    reasons = {record["reason"] for record in found.values()}
    assert all("no translations from de into en" in reason for reason in reasons), reasons
    assert not list((there.out / "models").rglob("*.safetensors"))
