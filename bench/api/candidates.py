"""Matching the entities of a source sentence with candidate ranges of target words (Politov et al. 2025).

Candidates are word n-grams or the spans of a tagger; a score says how well an entity and a candidate fit; a solver
gives each entity at most one candidate, greedily or with the greatest sum, such that those chosen do not overlap.

Arrays, E entities, C candidates, W target words: `candidates` (C, 2) first word and word after the last, the shorter
first, then the earlier (as `ngrams` and `ranges_of` give them); `scores` (E, C) not below 0, where 0 is never chosen.
Solvers break ties by the order of the candidates and then of the entities: sort these first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.core.errors import BadInput
from bench.core.sentences import Link, Span

Range = tuple[int, int]  # first word, and the word after the last
Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Solver = Callable[[Ints, Scores], list[Range | None]]

MAX_LENGTH = 10  # words of an n-gram
STOP = frozenset({"!", "?"})  # words that no n-gram holds
ALPHA = 1.15  # of the tagger's score: what one word more is worth
LEAST = 0.05  # the tagger's scores below this are 0
RESOLUTION = 1e-6  # sums that differ by less are equal to `ilp`


def linked_window(entities: Sequence[Span], links: Iterable[Link]) -> Range:
    """The target words from the left-most to the right-most one linked to any entity; (0, 0) if none is.

    For alignment scores only: the best choice never holds a candidate that reaches outside, as it would score more
    without its unlinked ends.
    """
    words = {word for entity in entities for word in range(entity.start, entity.end)}
    linked = [target for source, target in links if source in words]
    return (min(linked), max(linked) + 1) if linked else (0, 0)


def ngrams(words: Sequence[str], window: Range | None = None, max_length: int = MAX_LENGTH) -> Ints:
    """All n-grams of the target words (in the window) of at most `max_length` words, none of them "!" or "?"."""
    first, last = window or (0, len(words))
    candidates = _grid(last - first, max_length)
    if not STOP.isdisjoint(words[first:last]):
        stops = np.cumsum([0, *(word in STOP for word in words[first:last])])
        candidates = candidates[stops[candidates[:, 0]] == stops[candidates[:, 1]]]
    return candidates + first


def ranges_of(spans: Iterable[Range | Span]) -> Ints:
    """Candidates from ranges or spans (whose types do not matter), each once."""
    ranges = sorted({(span[0], span[1]) for span in spans}, key=lambda range_: (range_[1] - range_[0], range_[0]))
    return np.array(ranges, np.int64).reshape(-1, 2)


@lru_cache(maxsize=1024)
def _grid(width: int, max_length: int) -> Ints:
    ranges = [(start, start + n) for n in range(1, min(width, max_length) + 1) for start in range(width - n + 1)]
    grid = np.array(ranges, np.int64).reshape(-1, 2)
    grid.flags.writeable = False  # it is shared
    return grid


def alignment_scores(entities: Sequence[Span], links: Iterable[Link], candidates: Ints) -> Scores:
    """c(s, t) = 2 · links between s and t / (|s| + |t|). Above 1 if words have several links each."""
    width = int(candidates[:, 1].max()) if len(candidates) else 0
    owner = {word: row for row, entity in enumerate(entities) for word in range(entity.start, entity.end)}
    total = np.zeros((len(entities), width + 1))
    for source, target in set(links):
        if source in owner and target < width:
            total[owner[source], target + 1] += 1
    np.cumsum(total, axis=1, out=total)
    inside = total[:, candidates[:, 1]] - total[:, candidates[:, 0]]
    lengths = np.array([entity.end - entity.start for entity in entities], np.int64).reshape(-1, 1)
    scores: Scores = 2 * inside / (lengths + candidates[:, 1] - candidates[:, 0])
    return scores


def tagger_scores(
    entities: Sequence[Span], probabilities: npt.NDArray[np.float32], tags: Sequence[str], candidates: Ints
) -> Scores:
    """α^(|t| − 1) · mean probability that a word of the candidate is of the entity's type; 0 if that is below 0.05.

    `probabilities` (W, tags). As in the authors' code the factor counts only if every word is most probably of that
    type (the formula lets a range of seven such words grow over any eighth), and here only if no word after the first
    most probably begins an entity. Ours: a word's probability of a type is that of its B and I together; theirs is B's
    for the first word, I's for the others.
    """
    kinds = [tag.partition("-")[2] for tag in tags]
    types = sorted(set(kinds))  # O, the type without a name, is the first
    member = np.array([[kind == type_ for type_ in types] for kind in kinds], np.float64)
    by_type = probabilities.astype(np.float64) @ member
    likely = by_type.argmax(1)[:, None] == np.arange(len(types))
    lengths = (candidates[:, 1] - candidates[:, 0])[:, None]
    mean = _sums(by_type, candidates) / lengths
    begins = np.array([tag.startswith("B-") for tag in tags])[probabilities.argmax(1)].cumsum()
    alone = begins[candidates[:, 0]] == begins[candidates[:, 1] - 1]  # no other entity begins inside
    factor = np.where((_sums(likely, candidates) == lengths) & alone[:, None], ALPHA ** (lengths - 1.0), 1.0)
    by_candidate = mean * factor
    by_candidate[by_candidate < LEAST] = 0
    scores: Scores = by_candidate[:, [types.index(entity.type) for entity in entities]].T
    return scores


def fused_scores(scores: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """The weighted sum; rounded, so that the order of addition does not matter."""
    fused: Scores = np.sum([weight * part for weight, part in zip(weights, scores, strict=True)], axis=0).round(12)
    return fused


def _sums(values: npt.NDArray[np.generic], candidates: Ints) -> Scores:
    """Sums over the words of each candidate: (W, n) → (C, n)."""
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    return total[candidates[:, 1]] - total[candidates[:, 0]]


def greedy(candidates: Ints, scores: Scores) -> list[Range | None]:
    """For each entity its range: the largest score is taken first, and all that overlaps its candidate is then out.

    Ties: the shorter candidate, then the earlier, then the earlier entity (ours).
    """
    return _ranges(candidates, _greedy(candidates, scores))


def ilp(candidates: Ints, scores: Scores) -> list[Range | None]:
    """For each entity its range in the choice with exactly the greatest sum of scores (by scipy's milp).

    If every entity can have its best candidate, that is the greedy choice, and no problem is solved. Otherwise sums
    that differ by less than RESOLUTION are equal, and a second objective prefers few words, then earlier entities, then
    earlier candidates (ours).

    Raises:
        BadInput: the solver found no optimum.
    """
    chosen = _greedy(candidates, scores)
    reached = [0.0 if column is None else scores[row, column] for row, column in enumerate(chosen)]
    if (scores.max(1, initial=0) > reached).any():
        chosen = _exact(candidates, scores)
    return _ranges(candidates, chosen)


def match_links(
    entities: Sequence[Span], links: Sequence[Link], words: Sequence[str], solve: Solver, max_length: int = MAX_LENGTH
) -> list[Range | None]:
    """The range of target words of each entity by n-grams and alignment scores, None if it has none.

    BadInput as the solver.
    """
    if not entities:
        return []
    order = sorted(range(len(entities)), key=lambda index: entities[index])
    ordered = [entities[index] for index in order]
    candidates = ngrams(words, linked_window(ordered, links), max_length)
    chosen = dict(zip(order, solve(candidates, alignment_scores(ordered, links, candidates)), strict=True))
    return [chosen[index] for index in range(len(entities))]


def _ranges(candidates: Ints, columns: Sequence[int | None]) -> list[Range | None]:
    return [None if column is None else (int(candidates[column, 0]), int(candidates[column, 1])) for column in columns]


def _greedy(candidates: Ints, scores: Scores) -> list[int | None]:
    chosen: list[int | None] = [None] * len(scores)
    if not scores.size:
        return chosen
    left = scores.T.copy()  # by candidate, whose order breaks ties
    starts, ends = candidates.T
    while True:
        column, row = divmod(int(left.argmax()), len(scores))
        if left[column, row] <= 0:
            return chosen
        chosen[row] = column
        left[:, row] = 0
        left[(starts < ends[column]) & (starts[column] < ends)] = 0


def _exact(candidates: Ints, scores: Scores) -> list[int | None]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    # worthwhile: above 0, and above every candidate inside it, which could always take its place
    starts, ends = candidates.T
    width, longest = int(ends.max()), int((ends - starts).max())
    own = np.zeros((len(scores), width + 2, width + 2))
    own[:, starts, ends] = scores
    inside = np.zeros_like(own)  # the best score of all candidates strictly inside, 0 if there is none
    for length in range(2, longest + 1):
        start = np.arange(width - length + 1)
        end = start + length
        for s, e in ((start + 1, end), (start, end - 1)):
            inside[:, start, end] = np.maximum(inside[:, start, end], np.maximum(own[:, s, e], inside[:, s, e]))
    rows, columns = np.nonzero(scores > inside[:, starts, ends])
    starts, ends = candidates[columns].T
    entities, last = len(scores), int(ends.max())
    every_word = np.arange(last)[:, None]
    once = np.vstack([rows == np.arange(entities)[:, None], (starts <= every_word) & (every_word < ends)])
    # few words, then earlier entities, then earlier places; all this together is worth less than RESOLUTION
    cost = (ends - starts) * 2.0 * entities * last + rows * last + starts * (entities - rows)
    gain = scores[rows, columns] / RESOLUTION - cost / (cost.max() * entities + 1)
    result = milp(
        -gain,
        integrality=np.ones(len(gain)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(once.astype(np.float64), -np.inf, 1),
        options={"mip_rel_gap": 0.0},
    )
    if result.status != 0 or result.x is None:
        problem = f"{entities} entities with {len(gain)} candidates"
        raise BadInput(f"no exact matching of {problem}: {result.message}; the greedy one needs no solver")
    chosen: list[int | None] = [None] * entities
    for at in np.flatnonzero(result.x > 0.5):
        chosen[rows[at]] = int(columns[at])
    return chosen
