"""F1 of a method on a language over its seeds: mean, interval, gaps and their reasons; who is best in a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.measure.statistics import MIN_SEEDS, difference, holm, interval
from bench.report.frame import Group, Stored, counts_of, error_line, pooled, test_of
from bench.report.model import CellStatus, half_width
from bench.store.record import RuleScores

LEVEL = 0.05  # of the tests that mark a column's best
AGREE = 1e-6  # stored F1 and F1 of the counts sidecar differ by rounding only

Row = tuple[str, str]  # (suite, label of the method)


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


def rows_of(group: Group) -> list[Row]:
    """The rows of a group's tables: the matrix's order, oracles last."""
    rows = dict.fromkeys((one.suite, one.label) for one in group.stored)
    return sorted(rows, key=lambda row: (group.suites.index(row[0]), row in group.oracles))


def cells_of(group: Group) -> dict[tuple[Row, str], list[Stored]]:
    """The records of each (row, target), by seed."""
    cells: dict[tuple[Row, str], list[Stored]] = {}
    for one in sorted(group.stored, key=lambda s: s.seed):
        cells.setdefault(((one.suite, one.label), one.target), []).append(one)
    return cells


def scores_of(group: Group, rule: str) -> Mapping[tuple[Row, str], Score]:
    """The score of each row and target of the group under a selection rule; a gap is a Score too.

    A rule that looked at target labels makes every score an oracle's.
    """
    if rule not in group.memo:  # all tables and plots of a group read the sidecars once
        group.memo.update(_scores(group, {*group.rules, rule}))
    found: dict[tuple[Row, str], Score] = group.memo[rule]
    return found


def _scores(group: Group, rules: Iterable[str]) -> dict[str, dict[tuple[Row, str], Score]]:
    """By rule; every sidecar is read once for all of them."""
    cells = cells_of(group)
    expected = {suite: sorted({one.seed for one in group.stored if one.suite == suite}) for suite in group.suites}
    scores: dict[str, dict[tuple[Row, str], Score]] = {rule: {} for rule in rules}
    for row in rows_of(group):
        for target in group.targets:
            stored = cells.get((row, target), [])
            counts = {one.record.key: counts_of(one) for one in stored if one.record.status == "ok"}
            for rule, found in scores.items():
                score = _score(stored, counts, rule, expected[row[0]])
                found[row, target] = replace(score, oracle=True) if row in group.oracles else score
    return scores


def _score(
    stored: Sequence[Stored], by_key: Mapping[str, Mapping[str, np.ndarray]], rule: str, expected: Sequence[int]
) -> Score:
    good = [one for one in stored if one.record.status == "ok" and rule in one.record.scores]
    gaps = _gaps(stored, rule, expected)
    if not good:
        status: CellStatus = "missing"
        for name in ("failed", "skipped", "no score"):  # the gravest first
            if any(gap[0] == name for gap in gaps):
                status = name
                break
        return Score(status, notes=tuple(dict.fromkeys(text for name, text in gaps if name == status)))
    notes = []
    if gaps:
        notes.append(f"{len(good)} of {len(good) + len(gaps)} seeds; " + "; ".join(dict.fromkeys(t for _, t in gaps)))
    f1s = [one.record.scores[rule].f1 for one in good]
    counts = pooled([by_key[one.record.key] for one in good], rule)
    low = high = None
    what = ""
    if counts is None or counts.shape[1] < 2:
        notes.append("no interval: counts by sentence are missing, of different tests or of one sentence")
    else:
        estimate = interval(counts)
        if abs(estimate.mean - sum(f1s) / len(f1s)) > AGREE:
            counts = None
            notes.append("no interval: the stored F1 is not that of the stored counts; run `xner verify`")
        elif math.isfinite(estimate.low) and math.isfinite(estimate.high):
            low, high, what = 100 * estimate.low, 100 * estimate.high, estimate.what
    return Score(
        status="ok",
        mean=100 * sum(f1s) / len(f1s),
        low=low,
        high=high,
        what=what,
        seeds=tuple(one.seed for one in good),
        sentences=good[0].record.sentences,
        counts=counts,
        test=test_of(good[0].record),
        oracle=any(one.record.scores[rule].oracle for one in good),
        notes=tuple(notes),
    )


def _gaps(stored: Sequence[Stored], rule: str, expected: Sequence[int]) -> list[tuple[str, str]]:
    """(status, reason) of each seed without a score."""
    gaps = []
    for one in stored:
        record = one.record
        if record.status == "failed":
            gaps.append(("failed", f"failed: {error_line(record) or 'no message'}"))
        elif record.status == "skipped":
            gaps.append(("skipped", f"skipped: {record.reason or 'no reason given'}"))
        elif rule not in record.scores:
            gaps.append(("no score", f"no score under the rule {rule or '(none)'}"))
    absent = set(expected) - {one.seed for one in stored}
    return gaps + [("missing", "no record: not run, or not finished")] * len(absent)


def average_over(
    scores: Mapping[tuple[Row, str], Score], rows: Sequence[Row], targets: Sequence[str]
) -> tuple[str, ...]:
    """The languages of the macro average: where every compared row has a number.

    Compared are the rows with any number; oracles only where nothing else has one, since an oracle that exists for few
    languages would else shrink everybody's average.
    """
    with_numbers = [row for row in rows if any(scores[row, t].mean is not None for t in targets)]
    compared = [row for row in with_numbers if not any(scores[row, t].oracle for t in targets)] or with_numbers
    return tuple(t for t in targets if compared and all(scores[row, t].mean is not None for row in compared))


def macro(
    scores: Mapping[tuple[Row, str], Score], row: Row, targets: Sequence[str]
) -> tuple[float | None, float | None]:
    """Mean over the languages and a bound on its half-width; (None, None) where a language is missing.

    The languages share seeds and often the sentences' sources, so their errors are correlated by an unknown amount. The
    mean of the half-widths is what full correlation would give: no other correlation gives more.
    """
    parts = [scores[row, target] for target in targets]
    means = [part.mean for part in parts if part.mean is not None]
    if not parts or len(means) < len(parts):
        return None, None
    halves = [half for part in parts if (half := part.half) is not None]
    return sum(means) / len(means), sum(halves) / len(halves) if len(halves) == len(parts) else None


def p_value(a: Score, b: Score) -> float | None:
    """p of the paired difference over the seeds that both have; None where no test is possible."""
    if a.counts is None or b.counts is None or a.test != b.test or a.counts.shape[1] != b.counts.shape[1]:
        return None
    seeds = [seed for seed in a.seeds if seed in b.seeds]
    if len(seeds) < MIN_SEEDS:
        return None
    first = a.counts[[a.seeds.index(seed) for seed in seeds]]
    second = b.counts[[b.seeds.index(seed) for seed in seeds]]
    if np.array_equal(first, second):
        return 1.0  # the same training under two names: no variance to test against
    p = difference(first, second).p
    return None if p is None or math.isnan(p) else float(p)


def best_of(column: Mapping[Row, Score]) -> frozenset[Row] | None:
    """The rows that cannot be told from the column's best (Holm inside the column); oracles never count.

    Empty where there is nothing to compare; None where no test was possible, so that nothing may be marked.
    """
    able = {row: score for row, score in column.items() if score.mean is not None and not score.oracle}
    if len(able) < 2:
        return frozenset()
    top = max(able, key=lambda row: able[row].mean or 0.0)
    others = [row for row in able if row != top]
    p_values = [p_value(able[top], able[row]) for row in others]
    if any(p is None for p in p_values):
        return None
    adjusted = holm(p_values)
    return frozenset([top, *(row for row, p in zip(others, adjusted, strict=True) if p is None or p >= LEVEL)])


def diagnostic(stored: Sequence[Stored], name: str) -> float | None:
    """Mean over the seeds, in percent, of a number of the diagnostics; None where no record has it."""
    values = [one.record.diagnostics[name] for one in stored if name in one.record.diagnostics]
    return 100 * sum(values) / len(values) if values else None


def mean_of(stored: Sequence[Stored], rule: str, part: Callable[[RuleScores], float | None]) -> float | None:
    """Mean over the seeds, in percent, of a part of the scores; None where no seed has it."""
    scores = [one.record.scores[rule] for one in stored if one.record.status == "ok" and rule in one.record.scores]
    values = [value for score in scores if (value := part(score)) is not None]
    return 100 * sum(values) / len(values) if values else None
