"""Candidate matching: candidates and scores by hand, greedy and exact choices against brute force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.api.candidates import (
    RESOLUTION,
    Range,
    Solver,
    alignment_scores,
    fused_scores,
    greedy,
    ilp,
    linked_window,
    match_links,
    ngrams,
    ranges_of,
    tagger_scores,
)
from bench.api.projection import project
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence, Span, tag_set
from bench.data.projected import load_rules
from bench.plan import registry

PER, LOC = Span(0, 2, "PER"), Span(2, 3, "LOC")


def objective(candidates: Any, scores: Any, chosen: Sequence[Range | None]) -> float:
    """The sum of the scores of a choice."""
    place = {(int(start), int(end)): column for column, (start, end) in enumerate(candidates)}
    return float(sum(scores[row, place[range_]] for row, range_ in enumerate(chosen) if range_ is not None))


def as_pairs(candidates: Any) -> list[Range]:
    return [(int(start), int(end)) for start, end in candidates]


# --- candidates -------------------------------------------------------------------------------------------------------


def test_ngrams_are_all_short_ones_the_shorter_first() -> None:
    assert as_pairs(ngrams("abcd", max_length=2)) == [(0, 1), (1, 2), (2, 3), (3, 4), (0, 2), (1, 3), (2, 4)]
    assert as_pairs(ngrams("abcd", (1, 3))) == [(1, 2), (2, 3), (1, 3)]
    assert as_pairs(ngrams("abcd", (2, 2))) == as_pairs(ngrams("")) == []
    assert len(ngrams("x" * 30)) == sum(30 - n + 1 for n in range(1, 11)), "ten words at most"


def test_no_ngram_holds_an_exclamation_or_question_mark() -> None:
    assert as_pairs(ngrams(("a", "!", "b", "c", "?"))) == [(0, 1), (2, 3), (3, 4), (2, 4)]
    assert as_pairs(ngrams(("!", "b", "a"), (0, 2))) == [(1, 2)], "also of a window"
    assert as_pairs(ngrams(("a!", "??"))) == [(0, 1), (1, 2), (0, 2)], "the word itself, not a part of one"


@given(st.lists(st.sampled_from(["a", "b", "!", "?"]), max_size=9), st.integers(1, 4), st.data())
def test_ngrams_are_what_they_are_said_to_be(words: list[str], longest: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words)))
    last = data.draw(st.integers(first, len(words)))
    wanted = {
        (s, e)
        for s in range(first, last)
        for e in range(s + 1, min(last, s + longest) + 1)
        if not {"!", "?"} & set(words[s:e])
    }
    found = as_pairs(ngrams(words, (first, last), longest))
    assert found == sorted(wanted, key=lambda one: (one[1] - one[0], one[0]))


def test_ranges_of_spans() -> None:
    spans = [Span(3, 5, "PER"), Span(0, 1, "LOC"), Span(3, 5, "LOC"), Span(1, 3, "PER")]
    assert as_pairs(ranges_of(spans)) == [(0, 1), (1, 3), (3, 5)]
    assert ranges_of([]).shape == (0, 2)


def test_the_window_goes_from_the_first_to_the_last_linked_word() -> None:
    assert linked_window([PER, LOC], [(0, 4), (2, 1), (7, 9), (1, 4)]) == (1, 5)
    assert linked_window([LOC], [(0, 4)]) == linked_window([], [(0, 0)]) == (0, 0)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_alignment_scores_by_hand() -> None:
    candidates = ranges_of([(0, 1), (0, 2), (1, 3), (0, 4)])
    found = alignment_scores([PER, LOC], [(0, 0), (1, 1), (2, 3), (1, 1), (9, 9)], candidates)
    # columns are (0, 1), (0, 2), (1, 3), (0, 4)
    assert found.tolist() == [[2 / 3, 4 / 4, 2 / 4, 4 / 6], [0, 0, 0, 2 / 5]]
    assert alignment_scores([], [(0, 0)], candidates).shape == (0, 4)
    assert alignment_scores([PER], [(0, 0)], ranges_of([])).shape == (1, 0)


def test_an_alignment_score_can_exceed_one() -> None:
    both = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert alignment_scores([PER], both, ranges_of([(0, 2)])).tolist() == [[2.0]]


def test_tagger_scores_by_hand() -> None:
    tags = tag_set(("PER", "LOC"))  # O B-PER I-PER B-LOC I-LOC
    rows = [[0.1, 0.5, 0.3, 0.1, 0], [0.2, 0.1, 0.6, 0, 0.1], [0.9, 0.02, 0.02, 0.03, 0.03], [0, 0, 0, 0.2, 0.8]]
    candidates = ranges_of([(0, 1), (2, 3), (3, 4), (0, 2), (2, 4), (0, 3)])
    found = tagger_scores([PER, LOC], np.array(rows, np.float32), tags, candidates)
    assert found.shape == (2, 6)
    # B and I are one; the factor is for ranges all of whose words are most probably of the type
    assert found[0].tolist() == pytest.approx([0.8, 0, 0, 1.15 * 0.75, 0, (0.8 + 0.7 + 0.04) / 3], abs=1e-6)
    assert found[1].tolist() == pytest.approx([0.1, 0.06, 1, 0.1, 1.06 / 2, (0.1 + 0.1 + 0.06) / 3], abs=1e-6)
    assert tagger_scores([], np.array(rows, np.float32), tags, candidates).shape == (0, 6)
    assert tagger_scores([PER], np.array(rows, np.float32), tags, ranges_of([])).shape == (1, 0)


@pytest.mark.parametrize("solve", [greedy, ilp])
def test_adjacent_names_of_one_type_stay_two(solve: Solver) -> None:
    """Anna Lee Bob Ray: a range over both names must not beat each of them."""
    tags = tag_set(("PER",))  # O B-PER I-PER
    rows = np.array([[0.02, 0.95, 0.03], [0.02, 0.03, 0.95]] * 2, np.float32)
    names, candidates = [Span(0, 2, "PER"), Span(2, 4, "PER")], ngrams("abcd")
    links = alignment_scores(names, [(word, word) for word in range(4)], candidates)
    fused = fused_scores([links, tagger_scores(names, rows, tags, candidates)], (0.5, 0.5))
    assert solve(candidates, fused) == [(0, 2), (2, 4)]


def test_a_type_that_the_tagger_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="'MISC'"):
        tagger_scores([Span(0, 1, "MISC")], np.ones((1, 3), np.float32), tag_set(("PER",)), ranges_of([(0, 1)]))


def test_fused_scores_are_weighted_sums() -> None:
    found = fused_scores((np.array([[1.0, 0.1 + 0.2]]), np.array([[0.5, 0.3]])), (0.5, 1.0))
    assert found.tolist() == [[1.0, 0.45]]


# --- solvers ----------------------------------------------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, Any]:
    """Candidates and scores; few different values, so that ties are common."""
    width = draw(st.integers(1, 5))
    every = [(s, e) for s in range(width) for e in range(s + 1, width + 1)]
    candidates = ranges_of(draw(st.lists(st.sampled_from(every), unique=True, max_size=8)))
    value = st.sampled_from([0.0, 0.25, 0.5, 2 / 3, 1.0, 1.5]) | st.integers(0, 1000).map(lambda n: n / 700)
    rows = draw(st.integers(0, 3))
    scores = draw(st.lists(value, min_size=rows * len(candidates), max_size=rows * len(candidates)))
    return candidates, np.array(scores, np.float64).reshape(rows, len(candidates))


def best_by_trying(candidates: Any, scores: Any, row: int = 0, taken: frozenset[int] = frozenset()) -> float:
    if row == len(scores):
        return 0.0
    best = best_by_trying(candidates, scores, row + 1, taken)
    for column, (start, end) in enumerate(candidates):
        words = frozenset(range(start, end))
        if not words & taken:
            best = max(best, scores[row, column] + best_by_trying(candidates, scores, row + 1, taken | words))
    return best


def check_allowed(candidates: Any, scores: Any, chosen: Sequence[Range | None]) -> None:
    assert len(chosen) == len(scores)
    taken = [word for one in chosen if one is not None for word in range(*one)]
    assert len(taken) == len(set(taken)), "no two overlap"
    for row, one in enumerate(chosen):
        if one is not None:
            assert scores[row, as_pairs(candidates).index(one)] > 0


@given(problems())
def test_the_exact_choice_is_the_best_and_never_below_the_greedy_one(problem: tuple[Any, Any]) -> None:
    candidates, scores = problem
    found, quick = ilp(candidates, scores), greedy(candidates, scores)
    for chosen in (found, quick):
        check_allowed(candidates, scores, chosen)
    value = objective(candidates, scores, found)
    assert value == pytest.approx(best_by_trying(candidates, scores), abs=RESOLUTION)
    assert value >= objective(candidates, scores, quick) - RESOLUTION
    assert ilp(candidates, scores) == found and greedy(candidates, scores) == quick


@given(problems())
def test_greedy_leaves_no_candidate_that_could_be_had(problem: tuple[Any, Any]) -> None:
    candidates, scores = problem
    chosen = greedy(candidates, scores)
    taken = {word for one in chosen if one is not None for word in range(*one)}
    for row, one in enumerate(chosen):
        if one is None:
            for column, (start, end) in enumerate(candidates):
                assert scores[row, column] == 0 or taken & set(range(start, end))


def test_greedy_takes_the_largest_and_the_exact_choice_the_sum() -> None:
    candidates = ranges_of([(0, 1), (1, 2), (0, 2)])
    scores = np.array([[0.0, 0.0, 1.0], [0.9, 0.0, 0.0], [0.0, 0.8, 0.0]])
    assert greedy(candidates, scores) == [(0, 2), None, None]
    assert ilp(candidates, scores) == [None, (0, 1), (1, 2)]


def test_greedy_ties() -> None:
    candidates = ranges_of([(0, 1), (2, 3), (0, 2)])
    assert greedy(candidates, np.array([[0.0, 0.5, 0.5]])) == [(2, 3)], "the shorter"
    assert greedy(candidates, np.array([[0.5, 0.5, 0.0]])) == [(0, 1)], "the earlier"
    assert greedy(candidates, np.array([[0.5, 0.0, 0.0]] * 2)) == [(0, 1), None], "the earlier entity"


def test_exact_ties() -> None:
    candidates = ranges_of([(0, 1), (1, 2), (2, 3), (0, 2)])
    one = [0.5, 0.0, 0.0, 0.0]
    assert ilp(candidates, np.array([one, one])) == [(0, 1), None], "the earlier entity"
    two = [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]]
    assert ilp(candidates, np.array(two)) == [(0, 1), (1, 2), None], "in their order"
    # 1.0 + 0.5 either way: the second entity gets two words or one
    assert ilp(candidates, np.array([[1.0, 0, 1.0, 0], [0.5, 0, 0, 0.5], [0, 0, 0, 0]])) == [(2, 3), (0, 1), None]


def test_without_conflict_nothing_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.optimize.milp", None)
    candidates = ranges_of([(0, 1), (1, 2), (0, 2)])
    assert ilp(candidates, np.array([[1.0, 0.5, 0.2], [0.0, 1.0, 0.3]])) == [(0, 1), (1, 2)]
    assert ilp(ranges_of([]), np.zeros((2, 0))) == [None, None]
    assert ilp(candidates, np.zeros((0, 3))) == []


def test_a_solver_that_fails_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.optimize import OptimizeResult

    monkeypatch.setattr("scipy.optimize.milp", lambda *_, **__: OptimizeResult(status=1, x=None, message="time is up"))
    with pytest.raises(BadInput, match=r"no exact matching of 2 entities with 2 candidates: time is up; the greedy"):
        ilp(ranges_of([(0, 1)]), np.array([[1.0], [1.0]]))


# --- by links ---------------------------------------------------------------------------------------------------------

Case = tuple[tuple[Span, ...], list[Link], int]


@st.composite
def linked(draw: st.DrawFn) -> Case:
    n_source, n_target = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    cuts = draw(st.lists(st.integers(0, n_source), unique=True).map(sorted))
    bounds = list(zip(cuts[::2], cuts[1::2], strict=False))
    spans = tuple(Span(a, b, draw(st.sampled_from(("PER", "LOC")))) for a, b in bounds)
    link = st.tuples(st.integers(0, n_source - 1), st.integers(0, n_target - 1))
    return spans, draw(st.lists(link, max_size=12)), n_target


@given(linked())
@example(((PER, LOC), [(0, 1), (1, 1), (2, 1)], 3))  # they share their only candidate
@example(((PER, LOC), [(0, 0), (1, 2), (2, 1)], 3))  # overlap
@example(((PER, LOC), [(0, 1), (1, 2), (2, 0)], 3))  # cross
def test_the_window_loses_nothing_and_two_entities_share_nothing(case: Case) -> None:
    entities, links, n_target = case
    words = ["w"] * n_target
    everywhere = ngrams(words)
    scores = alignment_scores(entities, links, everywhere)
    for solve in (greedy, ilp):
        chosen = match_links(entities, links, words, solve)
        check_allowed(everywhere, scores, chosen)
        for entity, one in zip(entities, chosen, strict=True):
            if one is not None:
                own = {t for s, t in links if entity.start <= s < entity.end}
                assert {one[0], one[1] - 1} <= own, "it begins and ends with linked words"
        wanted = objective(everywhere, scores, solve(everywhere, scores))
        assert objective(everywhere, scores, chosen) == pytest.approx(wanted, abs=RESOLUTION)


def test_equal_scores_prefer_the_shorter() -> None:
    # PER's words 0-4 score 2 · 3 / (2 + 4) = 1, as do its 2-4 and LOC's 1-2
    links = [(0, 0), (1, 2), (1, 3), (2, 1)]
    for name in ("ngram-greedy", "ngram-ilp"):
        done = project([PER, LOC], links, 4, registry.load("matcher", name))
        assert done.spans == (Span(1, 2, "LOC"), Span(2, 4, "PER"))


def test_greedy_takes_all_words_where_the_exact_choice_shares_them() -> None:
    # PER: 0-3 scores 2 · 4 / (2 + 3) = 1.6, 0-1 only 2/3; LOC: 1-2 scores 1
    links = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 1)]
    quick, exact = (
        project([PER, LOC], links, 3, registry.load("matcher", name)) for name in ("ngram-greedy", "ngram-ilp")
    )
    assert (quick.spans, quick.outcomes) == ((Span(0, 3, "PER"),), ("projected", "conflicting"))
    assert exact.spans == (Span(0, 1, "PER"), Span(1, 2, "LOC"))
    assert exact.outcomes == ("projected", "projected")


@pytest.mark.parametrize("name", ["ngram-greedy", "ngram-ilp"])
def test_who_gets_nothing_is_conflicting_or_unaligned(name: str) -> None:
    entities = [PER, LOC, Span(3, 4, "ORG"), Span(4, 5, "LOC")]
    source = Sentence("1", "en", tuple("abcde"), tuple(entities))
    # one word for PER and LOC: 2 · 2 / (2 + 1) and 2 · 1 / (1 + 1); ORG has no link; the second LOC's is to "!"
    pair = Pair(source, Sentence("1", "de", ("x", "y", "!")), ((0, 1), (1, 1), (2, 1), (4, 2)))
    done = load_rules(name).apply(pair)
    assert done.pair.target.spans == (Span(1, 2, "PER"),)
    assert done.outcomes == ("projected", "conflicting", "unaligned", "unaligned")
    assert load_rules(name, ["comp-ins"]).apply(pair).outcomes == ("filtered",) * 4
