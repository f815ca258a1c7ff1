"""Methods by their average over languages, and which pairs of them differ significantly: all tested together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from bench.measure.statistics import MacroSide, difference_of_sides, holm
from bench.report.frame import Group, Row
from bench.report.scores import LEVEL, Paired, Scores, average_over, clusters_of, macro, oracle_rows, scores_of

MOST_ROWS = 30  # beyond, only pairs with the best are tested: 435 pairs are enough to adjust for


@dataclass(frozen=True)
class Ranking:
    """Methods by macro F1, the highest first, and what the tests say of the pairs; F1 and differences in percent.

    The average is that of the main table; p are of `macro_difference` over the seeds that all languages of both have,
    Holm-adjusted over all pairs that are tested (*ours*: the family is this table's methods). Oracles are in `rows`,
    but compete with nobody: no pair with one is tested.
    """

    languages: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    means: Mapping[Row, float] = field(default_factory=dict)
    oracles: frozenset[Row] = frozenset()
    p_values: Mapping[tuple[Row, Row], float] = field(
        default_factory=dict
    )  # adjusted, of the tested pairs, both orders

    @property
    def competing(self) -> tuple[Row, ...]:
        """The rows that are no oracles."""
        return tuple(row for row in self.rows if row not in self.oracles)

    @property
    def pairs(self) -> int:
        """How many pairs were tested."""
        return len(self.p_values) // 2

    def differ(self, a: Row, b: Row) -> bool | None:
        """Whether the two differ significantly; None where they were not tested."""
        p = self.p_values.get((a, b))
        return None if p is None else p < LEVEL

    def average_ranks(self, scores: Scores) -> dict[Row, float]:
        """Mean over the languages of each competing method's rank by F1 (1: best; equals share theirs), best first."""
        f1 = pd.DataFrame({t: {row: scores[row, t].mean for row in self.competing} for t in self.languages})
        ranks = f1.rank(ascending=False).mean(axis=1).sort_values(kind="stable")
        return {row: float(ranks[row]) for row in ranks.index}

    def ties(self, rows: Sequence[Row]) -> list[tuple[Row, ...]]:
        """The longest runs of neighbours in `rows` of which no two differ significantly; runs of one left out."""
        runs: list[tuple[Row, ...]] = []
        for start in range(len(rows)):
            end = start + 1
            while end < len(rows) and all(self.differ(row, rows[end]) is False for row in rows[start:end]):
                end += 1
            run = tuple(rows[start:end])
            if len(run) > 1 and not (runs and set(run) <= set(runs[-1])):
                runs.append(run)
        return runs


def ranking(group: Group) -> Ranking:
    """The ranking of the group's methods under its main rule; an empty one where no language has all their numbers."""
    return group.remembered("ranking", lambda: _ranking(group))


def _ranking(group: Group) -> Ranking:
    scores = scores_of(group, group.main_rule)
    languages = average_over(scores, group.rows, group.targets)
    means = {row: mean for row in group.rows if (mean := macro(scores, row, languages)[0]) is not None}
    order = tuple(sorted(means, key=lambda row: -means[row]))  # stable: of equals the table's first
    ranked = Ranking(languages, order, means, oracle_rows(scores) & means.keys())
    competing = ranked.competing
    pairs = [(a, b) for a, b in combinations(competing, 2) if len(order) <= MOST_ROWS or a == competing[0]]
    raw = {pair: p for pair in pairs if (p := _p_value(group, languages, *pair)) is not None}
    adjusted = {pair: p for pair, p in zip(raw, holm(list(raw.values())), strict=True) if p is not None}
    both = adjusted | {(b, a): p for (a, b), p in adjusted.items()}
    return Ranking(languages, order, means, ranked.oracles, both)


def _p_value(group: Group, languages: Sequence[str], a: Row, b: Row) -> float | None:
    """p of the average difference, not adjusted; None where a language has no counts, another test, or few seeds."""
    scores = scores_of(group, group.main_rule)
    first, second = ([scores[row, target] for target in languages] for row in (a, b))
    pair = Paired.of(first, second)
    if not pair.testable:
        return None
    if pair.same:
        return 1.0
    clusters = clusters_of(group, first)

    def side(row: Row, counts: Sequence[np.ndarray]) -> MacroSide:  # computed once for all pairs of a method
        return group.remembered((row, pair.seeds, clusters.sizes), lambda: MacroSide.of(counts, clusters))

    return difference_of_sides(side(a, pair.a), side(b, pair.b)).p
