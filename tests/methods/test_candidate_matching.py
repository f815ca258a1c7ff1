"""The method `candidate_matching`: which labels its parameters give, and that each source entity is counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.method import Need, Predictions, Second
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence, Span, spans_of, tag_set, tags_of
from bench.data.projected import load_rules
from bench.plan import registry
from tests.api.test_candidates import LOC, PER, Case, linked
from tests.support.e2e_tools import Place, matrix_text, records

TYPES = ("PER", "LOC")
TAGS = tag_set(TYPES)


class FakeAsk:
    """Pairs, and a teacher that finds what it is told to."""

    tags = TAGS

    def __init__(self, found: Sequence[Pair], spans: Sequence[Sequence[Span]] | None = None) -> None:
        self.pairs, self.spans = list(found), spans
        self.counts: dict[str, int] = {}
        self.seconds: list[Second | None] = []

    def second_translations(self) -> list[Second | None]:
        return self.seconds

    def translations(self) -> list[Pair]:
        return self.pairs

    def source(self) -> list[Sentence]:
        return [pair.source for pair in self.pairs]

    def count_labels(self, counts: dict[str, int]) -> None:
        self.counts = dict(counts)

    def model(self, name: str) -> FakeAsk:
        assert name == "teacher" and self.spans is not None
        return self

    def predict(self, sentences: Sequence[Sentence]) -> Predictions:
        assert [one.spans for one in sentences] == [None] * len(sentences) and self.spans is not None
        probabilities = []
        for one, spans in zip(sentences, self.spans, strict=True):
            hard = [TAGS.index(tag) for tag in tags_of(spans, len(one.words))]
            probabilities.append(np.eye(len(TAGS), dtype=np.float32)[hard] * 0.9 + 0.1 / len(TAGS))
        return Predictions(tuple(tuple(spans) for spans in self.spans), tuple(probabilities))


def labels(ask: FakeAsk, **params: Any) -> list[tuple[Span, ...] | None]:
    method = registry.make("method", "candidate_matching", params)
    data = method.prepare(method.rounds()[-1], ask)
    assert ask.counts["entities"] == sum(len(pair.source.spans or ()) for pair in ask.pairs)
    return [example.sentence.spans for group in data.labelled for example in group]


def german(links: Sequence[Link], spans: Sequence[Span] = (PER, LOC)) -> Pair:
    return Pair(Sentence("1", "en", tuple("abcde"), tuple(spans)), Sentence("1", "de", tuple("vwxyz")), tuple(links))


def test_a_tagger_extends_what_links_miss() -> None:
    ask = FakeAsk([german([(0, 1), (2, 4)])], [[Span(1, 3, "PER")]])
    assert labels(ask, score="align") == [(Span(1, 2, "PER"), Span(4, 5, "LOC"))]
    assert labels(ask, score="fused", weights=[0.2, 0.8]) == [(Span(1, 3, "PER"), Span(4, 5, "LOC"))]
    assert Span(1, 3, "PER") in (labels(ask, score="tagger")[0] or ()), "links play no part"
    assert labels(ask, score="fused", weights=[1.0, 0.0]) == [(Span(1, 2, "PER"), Span(4, 5, "LOC"))]


def test_candidates_of_a_tagger_whatever_their_type() -> None:
    ask = FakeAsk([german([(0, 1), (2, 4)])], [[Span(1, 3, "LOC")]])
    assert labels(ask, candidates="tagger", score="align") == [(Span(1, 3, "PER"),)]
    assert ask.counts == {"pairs": 1, "entities": 2, "projected": 1, "unaligned": 1}
    assert labels(FakeAsk(ask.pairs, [[]]), candidates="tagger") == [()], "a tagger that finds nothing"


@settings(max_examples=50)
@given(linked(), st.data())
def test_the_method_labels_well_and_counts_all(case: Case, data: st.DataObject) -> None:
    entities, links, n_target = case
    pair = Pair(Sentence("1", "en", tuple("abcdef"), entities), Sentence("1", "de", ("w",) * n_target), tuple(links))
    found = spans_of(data.draw(st.lists(st.sampled_from(TAGS), min_size=n_target, max_size=n_target)))
    for candidates in ("ngram", "tagger"):
        for score in ("align", "tagger", "fused"):
            for solver in ("greedy", "ilp"):
                ask = FakeAsk([pair], [found])
                (spans,) = labels(ask, candidates=candidates, score=score, solver=solver, max_length=3)
                assert spans is not None and spans_of(tags_of(spans, n_target)) == spans
                assert not Counter(one.type for one in spans) - Counter(one.type for one in entities)
                kinds = {name: ask.counts.get(name, 0) for name in ("projected", "unaligned", "conflicting")}
                assert kinds["projected"] == len(spans) and sum(kinds.values()) == len(entities)


def test_without_a_tagger_there_is_no_teacher_and_the_labels_are_the_matchers() -> None:
    method = registry.make("method", "candidate_matching", {"score": "align", "solver": "ilp"})
    assert [one.name for one in method.rounds()] == ["main"] and method.factors().teacher == "none"
    draw = random.Random(1)
    found = [german([(draw.randrange(5), draw.randrange(5)) for _ in range(9)]) for _ in range(40)]
    for solver in ("greedy", "ilp"):
        rules = load_rules(f"ngram-{solver}")
        wanted = [rules.apply(pair) for pair in found]
        ask = FakeAsk(found)
        assert labels(ask, score="align", solver=solver) == [one.pair.target.spans for one in wanted]
        outcomes = Counter(outcome for one in wanted for outcome in one.outcomes)
        assert ask.counts == {"pairs": 40, "entities": 80, **outcomes}


def test_a_second_translation_moves_the_links_of_the_entities_that_it_kept() -> None:
    """The first entity's links are wrong, the brackets lost the second: one is corrected, the other stays."""
    words = (("Anna", "saw", "Rome"), ("Anna", "sah", "gestern", "Rom"))
    spans = (Span(0, 1, "PER"), Span(2, 3, "LOC"))
    pair = Pair(Sentence("1", "en", words[0], spans), Sentence("1", "de", words[1]), ((0, 1), (2, 3)))
    ask = FakeAsk([pair])
    plain = {"score": "align"}
    assert labels(ask, **plain) == [(Span(1, 2, "PER"), Span(3, 4, "LOC"))]
    ask.seconds = [Second(("Anna", "sah", "Rom"), ((0, 1), None), ((0, 0), (1, 1), (2, 3)))]
    assert labels(ask, **plain, refine="back-translation") == [(Span(0, 1, "PER"), Span(3, 4, "LOC"))]
    assert (ask.counts["projected"], ask.counts["entities"]) == (2, 2)
    ask.seconds = [None]
    assert labels(ask, **plain, refine="back-translation") == labels(ask, **plain)


def test_only_the_refinement_needs_second_translations() -> None:
    plain, refined = (
        registry.make("method", "candidate_matching", {"refine": how}) for how in ("none", "back-translation")
    )
    assert refined.needs - plain.needs == {Need.SECOND_TRANSLATION}
    assert "back-translation" in refined.factors().labels_from
    assert "back-translation" not in plain.factors().labels_from


def test_english_comes_in_pairs() -> None:
    ask = FakeAsk([german([(0, 1), (2, 4)])])
    assert labels(ask, score="align", english=True) == [(PER, LOC), (Span(1, 2, "PER"), Span(4, 5, "LOC"))]
    method = registry.make("method", "candidate_matching", {"english": True})
    assert method.factors().data == "both" and method.factors().teacher == "zero_shot"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"weights": [0.0, 0.0]}, "weights: must not be below 0"),
        ({"weights": [1.0, -0.5]}, "weights: must not be below 0"),
        ({"weights": [1.0]}, "expected 2 values"),
        ({"max_length": 0}, "max_length: must be at least 1"),
        ({"solver": "exact"}, "'exact' is not one of the values"),
    ],
)
def test_parameters_are_checked(params: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        registry.make("method", "candidate_matching", params)


def test_a_matrix_counts_the_labels_of_the_method(tmp_path: Path, tiny_folder: Path) -> None:
    """Two trainings: n-grams by links alone are what label_projection has of the matcher, the tagger's are others."""
    place = Place(tmp_path, tiny_folder)
    text = matrix_text(
        tiny_folder,
        ("label_projection", "candidate_matching", "by-links", "refined"),
        labels='translator = "frames"\nmatcher = "ngram-ilp"',
        more='\n[[variant]]\nname = "by-links"\nuse = "candidate_matching"\nscore = "align"\nsolver = "ilp"\n'
        '\n[[variant]]\nname = "refined"\nuse = "candidate_matching"\nscore = "align"\nrefine = "back-translation"\n',
    )
    ran = place.xner("run", place.matrix(text))
    assert ran.code == 0, ran.err
    found = {record["cell"]["label"]: record for record in records(place.root / "results" / "small")}
    counts = {label: record["projection"] for label, record in found.items()}
    assert counts["by-links"] == counts["label_projection"]
    assert found["by-links"]["scores"] == found["label_projection"]["scores"]
    for one in counts.values():
        assert one["projected"] + one["unaligned"] + one["conflicting"] == one["entities"] > 0 == one["filtered"]
    fits = {label: {p for p in record["parents"] if p.startswith("fit:")} for label, record in found.items()}
    assert fits["by-links"] == fits["label_projection"], "the same sentences: one training"
    assert {p.partition("@")[0] for p in fits["candidate_matching"]} >= {"fit:main"}
    assert len(fits["candidate_matching"]) == 2, "the teacher's and its own"
    assert found["refined"]["diagnostics"]["second_translations"] > 0
    assert "second-translations" in found["refined"]["parents"]
    assert "second-translations" not in found["by-links"]["parents"]
