"""Who can be told from whom on average over languages: every pair of a table's methods, tested together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.measure.macro import Clusters, Side, difference_of_sides
from bench.measure.statistics import MIN_SEEDS, holm
from bench.report.compare import clusters
from bench.report.frame import Group
from bench.report.scores import LEVEL, Row, Score, average_over, cells_of, macro, rows_of, scores_of

STANDING = "(standing)"  # in a group's memo
MOST_ROWS = 30  # beyond, only pairs with the best are tested: 435 pairs are enough to adjust for


@dataclass(frozen=True)
class Standing:
    """Methods by macro F1, the highest first, and what the tests say of the pairs; F1 and differences in percent.

    The average is that of the main table; p are of `macro_difference` over the seeds that all languages of both have,
    Holm-adjusted over all pairs that are tested (*ours*: the family is this table's methods).
    """

    languages: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    means: Mapping[Row, float] = field(default_factory=dict)
    oracles: frozenset[Row] = frozenset()
    differences: Mapping[tuple[Row, Row], float] = field(default_factory=dict)  # first minus second, both orders
    p_values: Mapping[tuple[Row, Row], float] = field(default_factory=dict)  # adjusted, of the tested pairs

    @property
    def pairs(self) -> int:
        """How many pairs were tested."""
        return len(self.p_values) // 2

    def told(self, a: Row, b: Row) -> bool | None:
        """Whether the two can be told apart; None where they were not tested."""
        p = self.p_values.get((a, b))
        return None if p is None else p < LEVEL


def standing(group: Group) -> Standing:
    """The standing of the group's methods under its main rule; an empty one where no language has all their numbers."""
    if STANDING not in group.memo:
        group.memo[STANDING] = _standing(group)
    found: Standing = group.memo[STANDING]
    return found


def _standing(group: Group) -> Standing:
    scores, rows = scores_of(group, group.main_rule), rows_of(group)
    languages = average_over(scores, rows, group.targets)
    means = {row: mean for row in rows if (mean := macro(scores, row, languages)[0]) is not None}
    order = sorted(means, key=lambda row: -means[row])  # stable: of equals the table's first
    oracles = frozenset(row for row in order if any(scores[row, target].oracle for target in group.targets))
    best = next((row for row in order if row not in oracles), None)
    pairs = _Pairs(scores, languages, _clusters(group, languages))
    raw: dict[tuple[Row, Row], float] = {}
    differences: dict[tuple[Row, Row], float] = {}
    for place, a in enumerate(order):
        for b in order[place + 1 :]:
            differences[a, b] = means[a] - means[b]
            p = pairs.p(a, b) if len(order) <= MOST_ROWS or best in (a, b) else None
            if p is not None:
                raw[a, b] = p
    adjusted = {pair: p for pair, p in zip(raw, holm(list(raw.values())), strict=True) if p is not None}
    return Standing(
        languages=languages,
        rows=tuple(order),
        means=means,
        oracles=oracles,
        differences=differences | {(b, a): -value for (a, b), value in differences.items()},
        p_values=adjusted | {(b, a): p for (a, b), p in adjusted.items()},
    )


def _clusters(group: Group, languages: Sequence[str]) -> Clusters:
    """Which of the languages' sentences move together."""
    cells, tests = cells_of(group), []
    for target in languages:
        stored = next(
            one
            for (_, other), ones in cells.items()
            for one in ones
            if other == target and one.record.status == "ok" and group.main_rule in one.record.scores
        )
        tests.append((stored, stored.record.sentences))
    return clusters(group, tests)


class _Pairs:
    """p of average differences, not adjusted; what a method's counts give is computed once for all its pairs."""

    def __init__(self, scores: Mapping[tuple[Row, str], Score], languages: Sequence[str], clusters: Clusters) -> None:
        self.scores, self.languages = scores, languages
        self.clusters = clusters
        self._sides: dict[tuple[Row, tuple[int, ...]], Side] = {}

    def p(self, a: Row, b: Row) -> float | None:
        """None where a language has no counts, another test, or few seeds."""
        first, second = ([self.scores[row, target] for target in self.languages] for row in (a, b))
        seeds = tuple(s for s in first[0].seeds if all(s in score.seeds for score in (*first, *second)))
        if len(seeds) < MIN_SEEDS:
            return None
        for one, other, sentences in zip(first, second, self.clusters.sizes, strict=True):
            sizes = {None if x.counts is None else x.counts.shape[1] for x in (one, other)}
            if one.test != other.test or sizes != {sentences} or sentences < 2:
                return None
        if all(np.array_equal(_counts(x, seeds), _counts(y, seeds)) for x, y in zip(first, second, strict=True)):
            return 1.0  # one training under two names
        return difference_of_sides(self._side(a, seeds), self._side(b, seeds)).p

    def _side(self, row: Row, seeds: tuple[int, ...]) -> Side:
        if (row, seeds) not in self._sides:
            counts = [_counts(self.scores[row, target], seeds) for target in self.languages]
            self._sides[row, seeds] = Side.of(counts, self.clusters)
        return self._sides[row, seeds]


def _counts(score: Score, seeds: Sequence[int]) -> np.ndarray:
    assert score.counts is not None
    return score.counts if tuple(seeds) == score.seeds else score.counts[[score.seeds.index(seed) for seed in seeds]]
