"""F1 of methods by language over seeds (means, intervals, gaps with reasons), tests between methods, and rankings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from bench.measure import statistics
from bench.report.folder import problem_of
from bench.report.frame import Group, Row, Stored, once_a_group
from bench.store.record import RuleScores
from bench.store.sidecars import GOLD, Damaged, read_sidecar

LEVEL = 0.05  # significance level of all tests
AGREE = 1e-6  # stored F1 and F1 of the counts sidecar differ by rounding only
MOST_ROWS = 30  # with more rows only pairs with the best are tested, so that p is adjusted for 435 pairs at most
Limits = tuple[float, float]
CellStatus = Literal["ok", "skipped", "failed", "missing", "no score"]


@dataclass(frozen=True, eq=False)
class Score:
    """F1 in percent over the seeds that have a score, or the reason why there is none."""

    status: CellStatus
    mean: float | None = None
    limits: Limits | None = None  # of the interval
    what: str = ""  # which variance the interval holds
    f1: Mapping[int, float] = field(default_factory=dict)  # percent, by seed
    counts: np.ndarray | None = None  # (seeds, sentences, 3), in the order of `f1`
    first: Stored | None = None  # the record of the first seed
    oracle: bool = False
    notes: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.f1)

    @property
    def sentences(self) -> int:
        """The number of test sentences; 0 if there is no score."""
        return self.first.record.sentences if self.first else 0

    @property
    def half(self) -> float | None:
        """Half the width of the interval, see `half_width`."""
        return half_width(self.mean, self.limits)


Scores = Mapping[tuple[Row, str], Score]  # by row and target


def half_width(mean: float | None, limits: Limits | None) -> float | None:
    """Half the width of an interval, measured on the side that is not cut off at 0 or 100 %."""
    return None if mean is None or limits is None else max(limits[1] - mean, mean - limits[0])


def scores_of(group: Group, rule: str) -> Scores:
    """The score of each row and target of the group under a selection rule; a gap is a Score too.

    A rule that looked at target labels makes every score an oracle's.
    """
    return group.remembered(("scores", rule), lambda: _scores(group, rule))


def _scores(group: Group, rule: str) -> Scores:
    expected = {suite: sorted({run.seed for run in group.stored if run.suite == suite}) for suite in group.suites}
    scores: dict[tuple[Row, str], Score] = {}
    for cell, stored in group.cells.items():
        row, counts = cell[0], _counts(group)[cell].get(rule)
        score = _score(stored, counts, rule, expected[row[0]])
        scores[cell] = replace(score, oracle=True) if row in group.oracles else score
    return scores


@once_a_group
def _counts(group: Group) -> dict[tuple[Row, str], dict[str, np.ndarray]]:
    """`counts_of` by row and target: each sidecar is read once for all rules."""
    cells = group.cells.items()
    return {cell: counts_of([run for run in stored if run.record.status == "ok"]) for cell, stored in cells}


def _score(stored: Sequence[Stored], counts: np.ndarray | None, rule: str, expected: Sequence[int]) -> Score:
    scored = [(run, score) for run in stored if (score := run.score(rule)) is not None]
    gaps = _gaps(stored, rule, expected)
    if not scored:
        gravest: list[CellStatus] = ["failed", "skipped", "no score", "missing"]
        status: CellStatus = min((status for status, _ in gaps), key=gravest.index, default="missing")
        return Score(status, notes=tuple(dict.fromkeys(text for name, text in gaps if name == status)))
    notes = []
    if gaps:
        reasons = dict.fromkeys(text for _, text in gaps)
        notes.append(f"{len(scored)} of {len(scored) + len(gaps)} seeds; {'; '.join(reasons)}")
    f1 = {run.seed: 100 * score.f1 for run, score in scored}
    mean = sum(f1.values()) / len(f1)
    limits: Limits | None = None
    variance = ""
    if counts is None or counts.shape[1] < 2:
        notes.append("no interval: counts by sentence are missing, of different tests or of one sentence")
    else:
        estimate = statistics.interval(counts)
        if not abs(100 * estimate.mean - mean) <= 100 * AGREE:  # also where it is NaN
            counts = None
            notes.append("no interval: the stored F1 is not that of the stored counts; run `xner verify`")
        else:
            low, high = estimate.limits()
            limits, variance = (100 * low, 100 * high), estimate.spread.what
    oracle = any(score.oracle for _, score in scored)
    return Score("ok", mean, limits, variance, f1, counts, scored[0][0], oracle, tuple(notes))


def _gaps(stored: Sequence[Stored], rule: str, expected: Sequence[int]) -> list[tuple[CellStatus, str]]:
    """(status, reason) of each seed without a score."""
    gaps: list[tuple[CellStatus, str]] = []
    for run in stored:
        if run.record.status != "ok":
            gaps.append((run.record.status, f"{run.record.status}: {problem_of(run.record)}"))
        elif rule not in run.record.scores:
            gaps.append(("no score", f"no score under the rule {rule or '(none)'}"))
    absent = set(expected) - {run.seed for run in stored}
    return gaps + [("missing", "no record: not run, or not finished")] * len(absent)


def counts_of(stored: Sequence[Stored]) -> dict[str, np.ndarray]:
    """By rule the counts (seeds, sentences, 3) of tp, fp, fn over all types, for the seeds that have a score.

    A rule is left out if the counts of a seed are missing, damaged (see `xner verify`) or of another test.
    """
    by_rule: dict[str, list[np.ndarray]] = {}
    for run in stored:
        try:
            arrays = run.store.counts(run.record.key)
        except Damaged:
            arrays = {}
        for rule in run.record.scores:
            array = arrays.get(rule, np.empty(0))
            by_rule.setdefault(rule, []).append(array.sum(axis=1) if array.ndim == 3 else np.empty(0))
    fit = {rule: seeds for rule, seeds in by_rule.items() if len({x.shape for x in seeds}) == 1 and seeds[0].size}
    return {rule: np.stack(seeds) for rule, seeds in fit.items()}


# --- averages ---------------------------------------------------------------------------------------------------------


def average_over(scores: Scores, rows: Sequence[Row], targets: Sequence[str]) -> tuple[str, ...]:
    """The languages of the macro average: those in which every row with the most languages has a number.

    Rows with fewer languages (`partial_rows`) do not narrow the average, nor do oracles unless there are only oracles.
    """
    having = {row: sum(scores[row, t].mean is not None for t in targets) for row in rows}
    competing = [row for row in rows if having[row] and not any(scores[row, t].oracle for t in targets)]
    competing = competing or [row for row in rows if having[row]]
    full = [row for row in competing if having[row] == max(having[other] for other in competing)]
    return tuple(t for t in targets if full and all(scores[row, t].mean is not None for row in full))


def partial_rows(scores: Scores, rows: Sequence[Row], targets: Sequence[str]) -> tuple[Row, ...]:
    """The rows, oracles apart, that have some numbers but lack one in a language of the macro average."""
    languages, oracles = average_over(scores, rows, targets), oracle_rows(scores)
    some = [row for row in rows if row not in oracles and any(scores[row, t].mean is not None for t in targets)]
    return tuple(row for row in some if any(scores[row, t].mean is None for t in languages))


def macro(scores: Scores, row: Row, targets: Sequence[str]) -> tuple[float | None, float | None]:
    """Mean over the languages and a bound on its half-width; (None, None) where a language is missing.

    The languages share seeds and often the sources of their sentences, so their errors are correlated to an unknown
    degree. The mean of the half-widths is the half-width under full correlation, an upper bound.
    """
    parts = [scores[row, target] for target in targets]
    means = [part.mean for part in parts if part.mean is not None]
    if not parts or len(means) < len(parts):
        return None, None
    halves = [half for part in parts if (half := part.half) is not None]
    return mean_or_none(means), mean_or_none(halves) if len(halves) == len(parts) else None


def oracle_rows(scores: Scores) -> frozenset[Row]:
    """The rows with an oracle's score, whether the method or the rule is the oracle."""
    return frozenset(row for (row, _), score in scores.items() if score.oracle)


def diagnostic(stored: Sequence[Stored], name: str) -> float | None:
    """Mean over the seeds of a diagnostic, in percent; None if no record has it."""
    return mean_or_none([100 * run.record.diagnostics[name] for run in stored if name in run.record.diagnostics])


def mean_of(stored: Sequence[Stored], rule: str, part: Callable[[RuleScores], float | None]) -> float | None:
    """Mean over the seeds of a part of the scores, in percent; None if no seed has it."""
    scores = [score for run in stored if (score := run.score(rule)) is not None]
    return mean_or_none([100 * value for score in scores if (value := part(score)) is not None])


def mean_or_none(values: Sequence[float]) -> float | None:
    """The mean; None of an empty sequence."""
    return sum(values) / len(values) if values else None


# --- tests ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Paired:
    """Two methods over their common seeds; `a` and `b` are counts (seeds, sentences, 3), one array for each language.

    `a` and `b` are empty where counts are missing, of different tests, or of one sentence.
    """

    seeds: tuple[int, ...]
    a: tuple[np.ndarray, ...] = ()
    b: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, a: Sequence[Score], b: Sequence[Score]) -> Paired:
        """From the scores by language."""

        def comparable(a: Score, b: Score) -> bool:
            if a.counts is None or b.counts is None or a.first is None or b.first is None:
                return False
            return a.first.test == b.first.test and a.counts.shape[1] == b.counts.shape[1] >= 2

        seeds = tuple(seed for seed in a[0].f1 if all(seed in score.f1 for score in (*a, *b)))
        if not seeds or not all(comparable(x, y) for x, y in zip(a, b, strict=True)):
            return cls(seeds)
        sides = ([x.counts[[x.seeds.index(s) for s in seeds]] for x in side if x.counts is not None] for side in (a, b))
        return cls(seeds, *map(tuple, sides))

    @property
    def same(self) -> bool:
        """Whether all counts are equal, as of one training under two names; there is no variance to test against."""
        return bool(self.a) and all(np.array_equal(x, y) for x, y in zip(self.a, self.b, strict=True))

    @property
    def testable(self) -> bool:
        return bool(self.a) and len(self.seeds) >= statistics.MIN_SEEDS

    def p(self, estimate: Callable[[], statistics.Estimate]) -> float | None:
        """p of the difference, estimated only if needed; None if no test is possible."""
        return None if not self.testable else 1.0 if self.same else estimate().p


def p_value(a: Score, b: Score) -> float | None:
    """p of the paired difference over the common seeds; None if no test is possible."""
    pair = Paired.of([a], [b])
    return pair.p(lambda: statistics.difference(pair.a[0], pair.b[0]))


def clusters_of(group: Group, scores: Sequence[Score]) -> statistics.Clusters:
    """The clusters of parallel sentences across the languages' tests; `scores` has one score for each language."""

    def names(run: Stored, sentences: int) -> list[str]:
        """The group of each sentence in a parallel corpus; "" if it has none or the gold cannot be read."""
        try:
            clusters = read_sidecar(run.store.sidecar(run.record.key, GOLD)).groups
        except Damaged:
            clusters = []
        return clusters if len(clusters) == sentences else [""] * sentences

    tests = [(x.first, x.counts.shape[1]) for x in scores if x.first is not None and x.counts is not None]
    keys = [(run.target, run.test, sentences) for run, sentences in tests]
    return group.remembered(("clusters", *keys), lambda: statistics.Clusters.of([names(*test) for test in tests]))


@dataclass(frozen=True)
class Marks:
    """The marks of a column of the main table; oracles have none."""

    best: tuple[Row, ...] = ()  # the highest row that can be tested, then those not significantly different (Holm)
    untested: tuple[Row, ...] = ()  # rows with too few seeds, or without counts of the same test: they get no mark


def marks_of(column: Mapping[Row, Score]) -> Marks:
    """The marks of a column; none where there are fewer than two rows, or no two of them can be tested."""
    means = {row: score.mean for row, score in column.items() if score.mean is not None and not score.oracle}
    able = [row for row in means if column[row].counts is not None and len(column[row].seeds) >= statistics.MIN_SEEDS]
    best = max(able, key=means.__getitem__, default=("", ""))
    raw = {row: p for row in able if row != best and (p := p_value(column[best], column[row])) is not None}
    if not raw:
        return Marks(untested=tuple(means) if len(means) > 1 else ())
    pairs = len(able) * (len(able) - 1) // 2  # the best was chosen by the data, so that all pairs are the family
    adjusted = statistics.holm([*raw.values(), *[1.0] * (pairs - len(raw))])
    near = [row for row, p in zip(raw, adjusted, strict=False) if p is None or p >= LEVEL]
    return Marks((best, *near), tuple(row for row in means if row != best and row not in raw))


# --- ranking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranking:
    """Methods by macro F1, highest first, and the tests between pairs of them; F1 in percent.

    The average is that of the main table; p are of `macro_difference` over the seeds that all languages of both have,
    Holm-adjusted over all pairs that are tested (*ours*: the family is this table's methods). Oracles are in `rows`,
    but are not compared: no pair with an oracle is tested.
    """

    languages: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    means: Mapping[Row, float] = field(default_factory=dict)
    oracles: frozenset[Row] = frozenset()
    p_values: Mapping[tuple[Row, Row], float] = field(default_factory=dict)  # adjusted, tested pairs in both orders

    @property
    def competing(self) -> tuple[Row, ...]:
        """The rows that are not oracles."""
        return tuple(row for row in self.rows if row not in self.oracles)

    @property
    def pairs(self) -> int:
        """The number of tested pairs."""
        return len(self.p_values) // 2

    def differ(self, a: Row, b: Row) -> bool | None:
        """Whether the two differ significantly; None where they were not tested."""
        p = self.p_values.get((a, b))
        return None if p is None else p < LEVEL

    def average_ranks(self, scores: Scores) -> dict[Row, float]:
        """Mean over the languages of each competing method's rank by F1 (1: best; ties share the mean), best first."""
        f1 = pd.DataFrame({t: {row: scores[row, t].mean for row in self.competing} for t in self.languages})
        ranks = f1.rank(ascending=False).mean(axis=1).sort_values(kind="stable")
        return {row: float(ranks[row]) for row in ranks.index}

    def ties(self, rows: Sequence[Row]) -> list[tuple[Row, ...]]:
        """The longest runs of two or more neighbours in `rows` of which no two differ significantly."""
        runs: list[tuple[Row, ...]] = []
        for start in range(len(rows)):
            end = start + 1
            while end < len(rows) and all(self.differ(row, rows[end]) is False for row in rows[start:end]):
                end += 1
            run = tuple(rows[start:end])
            if len(run) > 1 and not (runs and set(run) <= set(runs[-1])):
                runs.append(run)
        return runs


@once_a_group
def ranking(group: Group) -> Ranking:
    """The ranking of the methods under the main rule; empty if no language has a number of every method."""
    scores = scores_of(group, group.main_rule)
    languages = average_over(scores, group.rows, group.targets)
    means = {row: mean for row in group.rows if (mean := macro(scores, row, languages)[0]) is not None}
    order = tuple(sorted(means, key=lambda row: -means[row]))  # stable: ties keep the table's order
    ranked = Ranking(languages, order, means, oracle_rows(scores) & means.keys())
    best = ranked.competing[:1]
    pairs = [pair for pair in combinations(ranked.competing, 2) if len(order) <= MOST_ROWS or pair[:1] == best]
    raw = {pair: p for pair in pairs if (p := _average_p(group, languages, *pair)) is not None}
    adjusted = {pair: p for pair, p in zip(raw, statistics.holm(list(raw.values())), strict=True) if p is not None}
    return replace(ranked, p_values=adjusted | {(b, a): p for (a, b), p in adjusted.items()})


def average_gap(group: Group, languages: Sequence[str], a: Row, b: Row) -> float:
    """The average difference a - b in points, over the seeds that both have in every language, else over each's own."""
    scores = scores_of(group, group.main_rule)
    first, second = ([scores[row, target] for target in languages] for row in (a, b))
    seeds = Paired.of(first, second).seeds

    def mean(score: Score) -> float:
        return sum(score.f1[seed] for seed in seeds or score.f1) / len(seeds or score.f1)

    return sum(mean(x) - mean(y) for x, y in zip(first, second, strict=True)) / len(languages)


def _average_p(group: Group, languages: Sequence[str], a: Row, b: Row) -> float | None:
    """Unadjusted p of the average difference; None if a language lacks counts, common seeds or a common test."""
    scores = scores_of(group, group.main_rule)
    first, second = ([scores[row, target] for target in languages] for row in (a, b))
    pair, clusters = Paired.of(first, second), clusters_of(group, first)

    def side(row: Row, counts: Sequence[np.ndarray]) -> statistics.MacroSide:  # once for all pairs of a method
        return group.remembered((row, pair.seeds, clusters.sizes), lambda: statistics.MacroSide.of(counts, clusters))

    return pair.p(lambda: statistics.difference_of_sides(side(a, pair.a), side(b, pair.b)))
