"""Who can be told from whom on average over languages: every pair of a table's methods, tested together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.measure.macro import macro_difference
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
    names = _names(group, languages)
    raw: dict[tuple[Row, Row], float] = {}
    differences: dict[tuple[Row, Row], float] = {}
    for place, a in enumerate(order):
        for b in order[place + 1 :]:
            differences[a, b] = means[a] - means[b]
            p = _p(scores, a, b, languages, names) if len(order) <= MOST_ROWS or best in (a, b) else None
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


def _names(group: Group, languages: Sequence[str]) -> list[list[str]]:
    """By language the sentences' groups in a parallel corpus."""
    cells, found = cells_of(group), []
    for target in languages:
        stored = next(
            one
            for (_, other), ones in cells.items()
            for one in ones
            if other == target and one.record.status == "ok" and group.main_rule in one.record.scores
        )
        found.append(clusters(group, stored, stored.record.sentences))
    return found


def _p(
    scores: Mapping[tuple[Row, str], Score], a: Row, b: Row, languages: Sequence[str], names: Sequence[Sequence[str]]
) -> float | None:
    """p of the average difference, not adjusted; None where a language has no counts, another test, or few seeds."""
    sides = [[scores[row, target] for target in languages] for row in (a, b)]
    every = [*sides[0], *sides[1]]
    seeds = [seed for seed in every[0].seeds if all(seed in score.seeds for score in every)]
    if len(seeds) < MIN_SEEDS:
        return None
    counts: list[list[np.ndarray]] = [[], []]
    for first, second, of_language in zip(*sides, names, strict=True):
        shapes = {None if x.counts is None else x.counts.shape[1] for x in (first, second)}
        if first.test != second.test or shapes != {len(of_language)} or len(of_language) < 2:
            return None
        for kept, side in zip(counts, (first, second), strict=True):
            assert side.counts is not None
            kept.append(side.counts[[side.seeds.index(seed) for seed in seeds]])
    if all(np.array_equal(x, y) for x, y in zip(*counts, strict=True)):
        return 1.0  # one training under two names
    return macro_difference(counts[0], counts[1], names).p
