"""F1 of a method on a language over its seeds: mean, interval, gaps and their reasons; tests between methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.measure.statistics import MIN_SEEDS, Clusters, difference, holm, interval
from bench.report.frame import Group, Row, Stored
from bench.store.record import RuleScores
from bench.store.sidecars import GOLD, Damaged, read_sidecar

LEVEL = 0.05  # of all tests
AGREE = 1e-6  # stored F1 and F1 of the counts sidecar differ by rounding only
CellStatus = Literal["ok", "skipped", "failed", "missing", "no score"]


@dataclass(frozen=True, eq=False)
class Score:
    """F1 in percent over the seeds that have one, or why there is none."""

    status: CellStatus
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    what: str = ""  # which variance the interval holds
    seeds: tuple[int, ...] = ()
    sentences: int = 0
    counts: np.ndarray | None = None  # (seeds, sentences, 3), in the order of `seeds`
    test: str = ""  # scores compare where this is equal
    oracle: bool = False
    notes: tuple[str, ...] = ()

    @property
    def half(self) -> float | None:
        """Half the interval's width, that of the side which 0 or 100 does not cut."""
        return half_width(self.mean, self.low, self.high)

    def counts_of(self, seeds: Sequence[int]) -> np.ndarray:
        """The counts of these seeds, in this order."""
        assert self.counts is not None
        return self.counts if tuple(seeds) == self.seeds else self.counts[[self.seeds.index(seed) for seed in seeds]]


Scores = Mapping[tuple[Row, str], Score]  # by row and target


def half_width(mean: float | None, low: float | None, high: float | None) -> float | None:
    """Half of an interval's width: of the side that a limit (0 or 100 %) does not cut short."""
    return None if mean is None or low is None or high is None else max(high - mean, mean - low)


def scores_of(group: Group, rule: str) -> Scores:
    """The score of each row and target of the group under a selection rule; a gap is a Score too.

    A rule that looked at target labels makes every score an oracle's.
    """
    by_rule = group.remembered("scores", lambda: _scores(group, group.rules))
    return by_rule[rule] if rule in by_rule else group.remembered(("scores", rule), lambda: _scores(group, (rule,)))[rule]


def _scores(group: Group, rules: Iterable[str]) -> dict[str, Scores]:
    """By rule; every sidecar is read once for all of them."""
    expected = {suite: sorted({one.seed for one in group.stored if one.suite == suite}) for suite in group.suites}
    scores: dict[str, dict[tuple[Row, str], Score]] = {rule: {} for rule in rules}
    for (row, target), stored in group.cells.items():
        counts = {one.record.key: counts_of(one) for one in stored if one.record.status == "ok"}
        for rule, by_cell in scores.items():
            score = _score(stored, counts, rule, expected[row[0]])
            by_cell[row, target] = replace(score, oracle=True) if row in group.oracles else score
    return dict(scores)


def _score(
    stored: Sequence[Stored], by_key: Mapping[str, Mapping[str, np.ndarray]], rule: str, expected: Sequence[int]
) -> Score:
    scored = [(one, score) for one in stored if (score := one.score(rule)) is not None]
    gaps = _gaps(stored, rule, expected)
    if not scored:
        gravest: tuple[CellStatus, ...] = ("failed", "skipped", "no score", "missing")
        status = next((status for status in gravest if any(gap[0] == status for gap in gaps)), "missing")
        return Score(status, notes=tuple(dict.fromkeys(text for name, text in gaps if name == status)))
    notes = []
    if gaps:
        reasons = dict.fromkeys(text for _, text in gaps)
        notes.append(f"{len(scored)} of {len(scored) + len(gaps)} seeds; {'; '.join(reasons)}")
    mean = sum(score.f1 for _, score in scored) / len(scored)
    counts = pooled([by_key[one.record.key] for one, _ in scored], rule)
    low = high = None
    what = ""
    if counts is None or counts.shape[1] < 2:
        notes.append("no interval: counts by sentence are missing, of different tests or of one sentence")
    else:
        estimate = interval(counts)
        if abs(estimate.mean - mean) > AGREE:
            counts = None
            notes.append("no interval: the stored F1 is not that of the stored counts; run `xner verify`")
        elif math.isfinite(estimate.low) and math.isfinite(estimate.high):
            low, high, what = 100 * estimate.low, 100 * estimate.high, estimate.what
    first = scored[0][0]
    return Score(
        status="ok",
        mean=100 * mean,
        low=low,
        high=high,
        what=what,
        seeds=tuple(one.seed for one, _ in scored),
        sentences=first.record.sentences,
        counts=counts,
        test=first.test,
        oracle=any(score.oracle for _, score in scored),
        notes=tuple(notes),
    )


def _gaps(stored: Sequence[Stored], rule: str, expected: Sequence[int]) -> list[tuple[str, str]]:
    """(status, reason) of each seed without a score."""
    gaps = []
    for one in stored:
        if one.record.status == "failed":
            gaps.append(("failed", f"failed: {one.problem or 'no message'}"))
        elif one.record.status == "skipped":
            gaps.append(("skipped", f"skipped: {one.problem or 'no reason given'}"))
        elif rule not in one.record.scores:
            gaps.append(("no score", f"no score under the rule {rule or '(none)'}"))
    absent = set(expected) - {one.seed for one in stored}
    return gaps + [("missing", "no record: not run, or not finished")] * len(absent)


def counts_of(one: Stored) -> dict[str, np.ndarray]:
    """Counts (sentences, 3) of tp, fp, fn by rule, types summed; {} where the sidecar is missing or damaged.

    `xner verify` says more of such a sidecar.
    """
    try:
        arrays = one.store.counts(one.record.key)
    except Damaged:
        return {}
    return {rule: np.einsum("stc->sc", array) for rule, array in arrays.items() if array.ndim == 3}


def pooled(counts: Sequence[Mapping[str, np.ndarray]], rule: str) -> np.ndarray | None:
    """Counts (seeds, sentences, 3), in the order given.

    None where a seed has no counts, or the seeds were not scored on the same number of sentences.
    """
    arrays = [by_rule[rule] for by_rule in counts if rule in by_rule]
    if not arrays or len(arrays) < len(counts) or len({array.shape for array in arrays}) > 1:
        return None
    return np.stack(arrays)


def clusters_of(group: Group, tests: Sequence[tuple[Stored, int]]) -> Clusters:
    """Which sentences of the languages' tests move together; for each language a record and its number of sentences."""
    names = [_sentence_groups(group, one, sentences) for one, sentences in tests]
    key = ("clusters", *((one.target, one.test, sentences) for one, sentences in tests))
    return group.remembered(key, lambda: Clusters.of(names))


def _sentence_groups(group: Group, one: Stored, sentences: int) -> list[str]:
    """By sentence the group that a parallel corpus gives it, "" where it has none or the gold is lost."""

    def read() -> list[str]:
        try:
            return read_sidecar(one.store.sidecar(one.record.key, GOLD)).groups
        except Damaged:
            return []

    names = group.remembered(("sentence groups", one.target, one.test), read)
    return names if len(names) == sentences else [""] * sentences


# --- averages ---------------------------------------------------------------------------------------------------------


def average_over(scores: Scores, rows: Sequence[Row], targets: Sequence[str]) -> tuple[str, ...]:
    """The languages of the macro average: where every compared row has a number.

    Compared are the rows with any number; oracles only where nothing else has one, since an oracle that exists for few
    languages would else shrink everybody's average.
    """
    with_numbers = [row for row in rows if any(scores[row, t].mean is not None for t in targets)]
    compared = [row for row in with_numbers if not any(scores[row, t].oracle for t in targets)] or with_numbers
    return tuple(t for t in targets if compared and all(scores[row, t].mean is not None for row in compared))


def macro(scores: Scores, row: Row, targets: Sequence[str]) -> tuple[float | None, float | None]:
    """Mean over the languages and a bound on its half-width; (None, None) where a language is missing.

    The languages share seeds and often the sentences' sources, so their errors are correlated by an unknown amount. The
    mean of the half-widths is what full correlation would give: no other correlation gives more.
    """
    parts = [scores[row, target] for target in targets]
    means = [part.mean for part in parts if part.mean is not None]
    if not parts or len(means) < len(parts):
        return None, None
    halves = [half for part in parts if (half := part.half) is not None]
    return mean_or_none(means), mean_or_none(halves) if len(halves) == len(parts) else None


def oracle_rows(scores: Scores) -> frozenset[Row]:
    """The rows with an oracle's score: of the method, or of the rule."""
    return frozenset(row for (row, _), score in scores.items() if score.oracle)


def diagnostic(stored: Sequence[Stored], name: str) -> float | None:
    """Mean over the seeds, in percent, of a number of the diagnostics; None where no record has it."""
    return mean_or_none([100 * one.record.diagnostics[name] for one in stored if name in one.record.diagnostics])


def mean_of(stored: Sequence[Stored], rule: str, part: Callable[[RuleScores], float | None]) -> float | None:
    """Mean over the seeds, in percent, of a part of the scores; None where no seed has it."""
    scores = [score for one in stored if (score := one.score(rule)) is not None]
    return mean_or_none([100 * value for score in scores if (value := part(score)) is not None])


def mean_or_none(values: Sequence[float]) -> float | None:
    """The mean, None of nothing."""
    return sum(values) / len(values) if values else None


# --- tests ------------------------------------------------------------------------------------------------------------


def p_value(a: Score, b: Score) -> float | None:
    """p of the paired difference over the seeds that both have; None where no test is possible."""
    if a.counts is None or b.counts is None or a.test != b.test or a.counts.shape[1] != b.counts.shape[1]:
        return None
    seeds = [seed for seed in a.seeds if seed in b.seeds]
    if len(seeds) < MIN_SEEDS:
        return None
    first, second = a.counts_of(seeds), b.counts_of(seeds)
    if np.array_equal(first, second):
        return 1.0  # the same training under two names: no variance to test against
    p = difference(first, second).p
    return None if p is None or math.isnan(p) else float(p)


def best_of(column: Mapping[Row, Score]) -> frozenset[Row] | None:
    """The rows that are not significantly different from the column's best (Holm within it); oracles never count.

    Empty where there is nothing to compare; None where no test was possible, so that nothing may be marked.
    """
    means = {row: score.mean for row, score in column.items() if score.mean is not None and not score.oracle}
    if len(means) < 2:
        return frozenset()
    best = max(means, key=means.__getitem__)
    others = [row for row in means if row != best]
    p_values = [p_value(column[best], column[row]) for row in others]
    if any(p is None for p in p_values):
        return None
    adjusted = holm(p_values)
    return frozenset([best, *(row for row, p in zip(others, adjusted, strict=True) if p is None or p >= LEVEL)])
