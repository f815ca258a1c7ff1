"""The span rules, each and all: ranges of linked words, and projections that are well-formed with any of them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.api.projection import linked_words, project, ranges
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence, Span, spans_of, tags_of
from bench.data.projected import load_rules
from bench.plan import registry

MATCHERS = ("longest", "merge-gap", "min-max", "ngram-greedy", "ngram-ilp", "ratio")
FILTERS = ("comp-ins", "comp-src", "comp-tgt", "length-ratio")
Case = tuple[tuple[Span, ...], list[Link], int, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Source spans (never overlapping), links, and the numbers of source and target words."""
    n_source, n_target = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    cuts = draw(st.lists(st.integers(0, n_source), unique=True).map(sorted))
    bounds = list(zip(cuts[::2], cuts[1::2], strict=False))
    spans = tuple(Span(a, b, draw(st.sampled_from(("PER", "LOC", "ORG")))) for a, b in bounds)
    link = st.tuples(st.integers(0, n_source - 1), st.integers(0, n_target - 1))
    return spans, draw(st.lists(link, max_size=20)), n_source, n_target


def pair_of(case: Case) -> Pair:
    spans, links, n_source, n_target = case
    source = Sentence("1", "en", tuple(f"s{i}" for i in range(n_source)), spans)
    return Pair(source, Sentence("1", "de", tuple(f"t{i}" for i in range(n_target))), tuple(links))


PER_LOC = (Span(0, 2, "PER"), Span(2, 3, "LOC"))
CROSSING: Case = (PER_LOC, [(0, 1), (1, 2), (2, 0)], 3, 3)
OVERLAPPING: Case = (PER_LOC, [(0, 0), (1, 2), (2, 1)], 3, 3)
SHARED: Case = (PER_LOC, [(0, 1), (1, 1), (2, 1)], 3, 3)
MISSING: Case = (PER_LOC, [(2, 1)], 3, 3)
ONE_TO_MANY: Case = (PER_LOC, [(0, 0), (0, 1), (0, 2), (0, 5), (2, 3), (2, 5)], 3, 6)


def test_all_are_found_by_name() -> None:
    assert set(MATCHERS) <= set(registry.names("matcher"))
    assert set(FILTERS) <= set(registry.names("filter"))
    for name, wanted in (("min-maks", "min-max"), ("merge_gap", "merge-gap")):
        with pytest.raises(BadInput, match=f"unknown matcher '{name}'; did you mean '{wanted}'"):
            registry.load("matcher", name)
    with pytest.raises(BadInput, match="unknown filter 'comp-scr'; did you mean 'comp-src'"):
        load_rules("min-max", ["comp-tgt", "comp-scr"])


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("filters", [(), *(pytest.param(f, marks=pytest.mark.slow) for f in (*zip(FILTERS), FILTERS))])
@given(case=cases())
@example(case=CROSSING)
@example(case=OVERLAPPING)
@example(case=SHARED)
@example(case=MISSING)
@example(case=ONE_TO_MANY)
def test_never_ill_formed_never_an_entity_uncounted(matcher: str, filters: tuple[str, ...], case: Case) -> None:
    entities, links, _, n_target = case
    done = load_rules(matcher, filters).apply(pair_of(case))
    spans = done.pair.target.spans
    assert spans is not None
    assert spans_of(tags_of(spans, n_target)) == spans, "tags say the same: sorted, inside, no overlap"
    assert len(done.outcomes) == len(entities)
    outcomes = Counter(done.outcomes)
    assert set(outcomes) <= {"projected", "unaligned", "conflicting", "filtered"}
    if done.refused_by:
        assert done.refused_by in filters
        assert outcomes["filtered"] == len(entities)
    else:
        assert outcomes["filtered"] == 0
        projected = [e.type for e, outcome in zip(entities, done.outcomes, strict=True) if outcome == "projected"]
        assert Counter(projected) == Counter(span.type for span in spans)
        for entity, outcome in zip(entities, done.outcomes, strict=True):
            assert linked_words(entity, links) or outcome == "unaligned"
    again = load_rules(matcher).apply(pair_of(case))
    assert again.pair == done.pair, "filters choose sentences; they change no label"


@pytest.mark.parametrize("matcher", MATCHERS)
@given(case=cases(), draw=st.randoms(use_true_random=False))
@example(case=SHARED, draw=None)
def test_the_order_of_entities_and_links_decides_nothing(matcher: str, case: Case, draw: object) -> None:
    entities, links, _, n_target = case
    order, shuffled = list(range(len(entities)))[::-1], links[::-1] + links[:3]
    if draw is not None:
        draw.shuffle(order)  # type: ignore[attr-defined]
        draw.shuffle(shuffled)  # type: ignore[attr-defined]
    rule = registry.load("matcher", matcher)
    done = project(entities, links, n_target, rule)
    other = project([entities[i] for i in order], shuffled, n_target, rule)
    assert other.spans == done.spans
    assert other.outcomes == tuple(done.outcomes[i] for i in order)


@pytest.mark.parametrize("matcher", MATCHERS)
@given(case=cases())
def test_an_entity_alone_becomes_a_range_that_begins_and_ends_with_linked_words(matcher: str, case: Case) -> None:
    entities, links, _, n_target = case
    for entity in entities:
        linked = linked_words(entity, links)
        done = project([entity], links, n_target, registry.load("matcher", matcher))
        assert len(done.spans) == done.outcomes.count("projected")
        for start, end, type_ in done.spans:
            assert {start, end - 1} <= set(linked)
            assert type_ == entity.type
        if matcher != "ratio":
            assert len(done.spans) == bool(linked)


@pytest.mark.parametrize("matcher", MATCHERS)
def test_two_entities_that_change_places_keep_their_labels(matcher: str) -> None:
    done = project(
        [Span(0, 2, "PER"), Span(3, 4, "LOC")], [(0, 2), (1, 3), (2, 1), (3, 0)], 4, registry.load("matcher", matcher)
    )
    assert done.spans == (Span(0, 1, "LOC"), Span(2, 4, "PER"))
    assert done.outcomes == ("projected", "projected")


@pytest.mark.parametrize("matcher", MATCHERS)
def test_links_word_by_word_copy_the_labels(matcher: str) -> None:
    entities = (Span(0, 3, "PER"), Span(3, 4, "LOC"), Span(5, 7, "ORG"))
    assert (
        project(entities, [(word, word) for word in range(8)], 8, registry.load("matcher", matcher)).spans == entities
    )


# --- what each does ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 20), unique=True, min_size=1).map(sorted), st.integers(0, 3))
def test_ranges_cover_the_linked_words_and_stand_apart(linked: list[int], gap: int) -> None:
    found = ranges(linked, gap)
    assert [w for start, end in found for w in linked if start <= w < end] == linked
    assert all(after[0] - before[1] > gap for before, after in pairwise(found))
    for start, end in found:
        inside = [w for w in linked if start <= w < end]
        assert (inside[0], inside[-1]) == (start, end - 1)
        assert all(b - a - 1 <= gap for a, b in pairwise(inside))


@pytest.mark.parametrize(
    ("linked", "min_max", "longest", "merge_gap"),
    [
        ([4], (4, 5), (4, 5), (4, 5)),
        ([2, 3, 4], (2, 5), (2, 5), (2, 5)),
        ([0, 2, 3, 9], (0, 10), (2, 4), (0, 4)),
        ([0, 1, 5, 6], (0, 7), (0, 2), (0, 2)),  # equals: the first
        ([0, 3, 4], (0, 5), (3, 5), (3, 5)),  # two words between are too many
        ([0, 2, 4, 6, 10, 11, 12], (0, 13), (10, 13), (0, 7)),  # gaps add up: the longest range after merging
    ],
)
def test_which_words(
    linked: list[int], min_max: tuple[int, int], longest: tuple[int, int], merge_gap: tuple[int, int]
) -> None:
    entity = Span(0, 1, "PER")
    assert registry.load("matcher", "min-max").match(entity, linked) == min_max
    assert registry.load("matcher", "longest").match(entity, linked) == longest
    assert registry.load("matcher", "merge-gap").match(entity, linked) == merge_gap
    assert registry.load("matcher", "ratio").match(entity, linked) == merge_gap, (
        "of one word, every range is long enough"
    )


@pytest.mark.parametrize(
    ("words", "linked", "wanted"),
    [
        (2, [4], None),  # a compound: 0.5
        (5, [1, 2, 3, 4], None),  # 0.8 is not above 0.8
        (6, [1, 2, 3, 4, 5], (1, 6)),
        (3, [1, 3], (1, 4)),  # the gap counts
        (3, [1, 2, 7, 8], None),
    ],
)
def test_ratio_wants_more_than_four_fifths(words: int, linked: list[int], wanted: tuple[int, int] | None) -> None:
    assert registry.load("matcher", "ratio").match(Span(0, words, "PER"), linked) == wanted


def test_an_entity_that_ratio_rejects_is_unaligned_and_claims_nothing() -> None:
    entities, links = [Span(0, 2, "PER"), Span(2, 3, "LOC")], [(0, 1), (2, 1)]
    done = project(entities, links, 3, registry.load("matcher", "ratio"))
    assert (done.spans, done.outcomes) == ((Span(1, 2, "LOC"),), ("unaligned", "projected"))
    assert project(entities, links, 3, registry.load("matcher", "min-max")).outcomes == ("projected", "conflicting")
