"""Links and source spans → target spans: well-formed whatever the links are, and every entity accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.api.projection import linked_words, project
from bench.core.sentences import Link, Pair, Sentence, Span, spans_of, tags_of
from bench.data.projected import labelled
from bench.data.rules import load_matcher

MIN_MAX = load_matcher("min-max")
TYPES = ("PER", "LOC", "ORG")


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[Span, ...], list[Link], int]:
    """Source spans (never overlapping), links and the number of target words."""
    n_source, n_target = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    cuts = draw(st.lists(st.integers(0, n_source), unique=True).map(sorted))
    bounds = list(zip(cuts[::2], cuts[1::2], strict=False))
    spans = tuple(Span(a, b, draw(st.sampled_from(TYPES))) for a, b in bounds)
    pair = st.tuples(st.integers(0, n_source - 1), st.integers(0, n_target - 1))
    return spans, draw(st.lists(pair, max_size=25)), n_target


class Overlapping:
    """A joint matcher that breaks its promise: every linked entity gets the same words."""

    def assign(
        self, entities: Sequence[Span], links: Sequence[Link], words: Sequence[str]
    ) -> list[tuple[int, int] | None]:
        return [(0, len(words)) if linked_words(entity, links) else None for entity in entities]


class Shifted:
    """A matcher whose candidates need not hold the linked words, as a trained one's may not."""

    def match(self, entity: Span, linked: Sequence[int]) -> tuple[int, int]:
        return max(0, linked[0] - 1), linked[-1] + 1


@given(cases())
@example(((Span(0, 1, "PER"), Span(1, 2, "LOC")), [(0, 0), (1, 0)], 1))
def test_any_links_give_well_formed_spans_and_one_outcome_an_entity(
    case: tuple[tuple[Span, ...], list[Link], int],
) -> None:
    entities, links, n_target = case
    for matcher in (MIN_MAX, Shifted(), Overlapping(), load_matcher("ngram-greedy"), load_matcher("ngram-ilp")):
        done = project(entities, links, n_target, matcher)
        assert spans_of(tags_of(done.spans, n_target)) == done.spans, "tags say the same: sorted, inside, no overlap"
        assert len(done.outcomes) == len(entities)
        counts = Counter(done.outcomes)
        assert set(counts) <= {"projected", "unaligned", "conflicting"}
        assert counts["projected"] == len(done.spans)
        projected = [e.type for e, outcome in zip(entities, done.outcomes, strict=True) if outcome == "projected"]
        assert sorted(projected) == sorted(span.type for span in done.spans)
        for entity, outcome in zip(entities, done.outcomes, strict=True):
            linked = any(entity.start <= s < entity.end for s, _ in links)
            assert (outcome == "unaligned") == (not linked)


@given(cases(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_links_matters(case: tuple, draw: object) -> None:
    entities, links, n_target = case
    shuffled = [*links, *links[:3]]
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    assert project(entities, shuffled, n_target, MIN_MAX) == project(entities, links, n_target, MIN_MAX)


@given(cases())
def test_an_entity_alone_covers_its_links_from_first_to_last(case: tuple[tuple[Span, ...], list[Link], int]) -> None:
    entities, links, n_target = case
    for entity in entities[:1]:
        linked = [t for s, t in links if entity.start <= s < entity.end]
        (outcome,) = project([entity], links, n_target, MIN_MAX).outcomes
        assert outcome == ("projected" if linked else "unaligned")
        if linked:
            (span,) = project([entity], links, n_target, MIN_MAX).spans
            assert span == Span(min(linked), max(linked) + 1, entity.type)


@given(cases())
def test_links_of_a_word_by_word_translation_copy_the_labels(case: tuple[tuple[Span, ...], list[Link], int]) -> None:
    entities, _, _ = case
    links = [(word, word) for word in range(12)]
    assert project(entities, links, 12, MIN_MAX).spans == entities


# --- single cases -----------------------------------------------------------------------------------------------------


def test_entities_that_change_places_keep_their_labels() -> None:
    done = project([Span(0, 2, "PER"), Span(3, 4, "LOC")], [(0, 2), (1, 3), (2, 1), (3, 0)], 4, MIN_MAX)
    assert done.spans == (Span(0, 1, "LOC"), Span(2, 4, "PER"))
    assert done.outcomes == ("projected", "projected")


def test_one_candidate_for_two_entities_goes_to_one() -> None:
    done = project([Span(0, 1, "PER"), Span(1, 2, "LOC")], [(0, 1), (1, 1)], 3, MIN_MAX)
    assert done.spans == (Span(1, 2, "PER"),), "the earlier, all else being equal"
    assert done.outcomes == ("projected", "conflicting")


def test_the_better_supported_then_the_shorter_wins() -> None:
    # PER claims 0-4 with two of its words linked, LOC claims 1-2 with all of them
    done = project([Span(0, 1, "PER"), Span(1, 2, "LOC")], [(0, 0), (0, 4), (1, 1)], 5, MIN_MAX)
    assert done.spans == (Span(1, 2, "LOC"),)
    assert done.outcomes == ("conflicting", "projected")
    done = project([Span(0, 1, "PER"), Span(1, 2, "LOC")], [(0, 0), (0, 1), (1, 1)], 2, MIN_MAX)
    assert done.spans == (Span(1, 2, "LOC"),)
    # PER claims 0-3 with two words linked, LOC the longer 2-6 with all
    done = project([Span(0, 1, "PER"), Span(1, 2, "LOC")], [(0, 0), (0, 2), *((1, t) for t in range(2, 6))], 6, MIN_MAX)
    assert done.spans == (Span(2, 6, "LOC"),)


def test_an_entity_nested_in_the_gap_of_another_conflicts() -> None:
    done = project([Span(0, 2, "PER"), Span(2, 3, "LOC")], [(0, 0), (1, 3), (2, 1), (2, 2)], 4, MIN_MAX)
    assert done.spans == (Span(1, 3, "LOC"),)
    assert done.outcomes == ("conflicting", "projected")


def test_without_links_nothing_is_labelled() -> None:
    done = project([Span(0, 1, "PER"), Span(1, 2, "LOC")], [(2, 0)], 3, MIN_MAX)
    assert (done.spans, done.outcomes) == ((), ("unaligned", "unaligned"))
    assert project([], [(0, 0)], 1, MIN_MAX).spans == ()


@pytest.mark.parametrize("target", [-1, 3, 99])
@pytest.mark.parametrize("source", [0, 2])
def test_a_link_out_of_the_sentence_is_refused(source: int, target: int) -> None:
    """Also of a word that no entity holds: such links belong to another sentence."""
    with pytest.raises(ValueError, match=rf"word {target} of a sentence of 3 words"):
        project([Span(0, 1, "PER")], [(0, 0), (source, target), (0, 2)], 3, MIN_MAX)


def test_all_sentences_are_kept_and_counted() -> None:
    def pair(spans: tuple[Span, ...] | None, links: tuple[Link, ...] | None) -> Pair:
        return Pair(Sentence("s", "en", ("a", "b", "c"), spans), Sentence("t", "de", ("x", "y")), links)

    both = (Span(0, 1, "PER"), Span(1, 2, "LOC"))
    pairs, counts = labelled(
        (
            pair(both, ((0, 1), (1, 0))),
            pair(both, ((0, 0), (1, 0))),
            pair(both, None),
            pair((), ((0, 0),)),
            pair(None, ()),
        ),
        "min-max",
    )
    assert [p.target.spans for p in pairs] == [
        (Span(0, 1, "LOC"), Span(1, 2, "PER")),
        (Span(0, 1, "PER"),),
        (),
        (),
        (),
    ]
    assert counts == {
        "entities": 6,
        "projected": 3,
        "unaligned": 2,
        "conflicting": 1,
        "filtered": 0,
        "pairs": 5,
        "pairs_filtered": 0,
    }
