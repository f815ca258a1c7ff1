"""Two methods against each other: difference of F1 by language and on average, interval, test, equivalence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bench.corpus import BadInput, nearest
from bench.measure.statistics import MIN_SEEDS, Clusters, difference, f1_by_seed, holm, macro_difference
from bench.report.contrasts import Differing, declared, factors, own_settings, settings
from bench.report.frame import Group, Row, Stored, groups, read
from bench.report.scores import LEVEL, Score, clusters_of, scores_of

MARGIN = 1.0  # points of F1 inside which two methods count as equivalent
Verdict = Literal["better", "worse", "same", "equivalent", "undecided", "no test", "no interval", "gap"]
Limits = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A language, or the average over languages; F1 and differences in percent (points), p unadjusted.

    `narrow` is the 90 % interval, which lies inside ±1 exactly if both one-sided tests at 5 % reject a difference that
    large (two one-sided tests; Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987).
    """

    name: str
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    interval: Limits | None = None
    narrow: Limits | None = None
    p: float | None = None
    p_holm: float | None = None
    equivalent: bool | None = None
    seeds: tuple[int, ...] = ()
    sentences: int = 0
    what: str = ""
    verdict: Verdict = "gap"
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """One block: the cells of one table in which both methods stand."""

    a: str
    b: str
    group: Group  # the records of the two only
    rule: str
    lines: tuple[Line, ...]
    macro: Line
    factors: Differing
    settings: Differing
    declared: str  # the contrast that this is, "" where it is exploratory

    @property
    def shown(self) -> tuple[Line, ...]:
        """The languages, then the average where there are several."""
        return (*self.lines, *([self.macro] if len(self.lines) > 1 else []))

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that the average is over."""
        return tuple(line.name for line in self.lines if line.difference is not None)

    @property
    def oracles(self) -> tuple[str, ...]:
        """The labels that saw gold labels of the target language."""
        done = [one for one in self.group.stored if one.record.status == "ok"]
        return tuple(label for label in (self.a, self.b) if any(one.oracle for one in done if one.label == label))

    @property
    def imported(self) -> tuple[str, ...]:
        """The labels that are other people's systems."""
        labels = {one.label for one in self.group.stored if one.imported}
        return tuple(label for label in (self.a, self.b) if label in labels)


def compare(out: Path, a: str, b: str, rule: str = "") -> list[Comparison]:
    """The comparisons of labels A and B, one for each table of the folder that has both.

    Args:
        rule: the selection rule, "" for each table's main one.

    Raises:
        BadInput: as `read`; a label or rule is unknown, A is B, or no table has both.
    """
    stored = read([out])
    a, b = (_label(name, {one.label for one in stored}, out) for name in (a, b))
    if a == b:
        raise BadInput(f"'{a}' cannot be compared with itself")
    rules = {name for one in stored for name in one.record.scores}
    if rule and rule not in rules:
        raise BadInput(f"--rule {rule}: no record has this rule{nearest(rule, rules)}")
    both = [group for group in groups(stored) if {a, b} <= {one.label for one in group.stored}]
    if not both:
        places = {name: "; ".join(dict.fromkeys(_place(o) for o in stored if o.label == name)) for name in (a, b)}
        raise BadInput(f"{out}: no table has both: {', '.join(f'{name} in {at}' for name, at in places.items())}")
    return [
        compared(group.only((a, b)), a, b, rule or group.main_rule, own_settings(group.stored)) for group in both
    ]


def _label(name: str, known: set[str], out: Path) -> str:
    """The row that is meant; an axis of [labels] makes several of one method, then which one must be said."""
    rows = [name] if name in known else sorted(label for label in known if label.partition(" (")[0] == name)
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise BadInput(f"{out}: '{name}' is several rows here; name one: {', '.join(map(repr, rows))}")
    raise BadInput(f"{out}: no method '{name}' here{nearest(name, known)}")


def _place(one: Stored) -> str:
    cell = one.record.cell
    parts = (f"corpus {cell.get('corpus')}", f"source {cell.get('source')}", f"encoder {cell.get('encoder')}", one.axes)
    return ", ".join(part for part in (*parts, "intrinsic" if one.intrinsic else "") if part)


def compared(group: Group, a: str, b: str, rule: str, own: Mapping[str, str]) -> Comparison:
    """The comparison of two labels of the group; `own`: `own_settings` of its table."""
    pair, rows = group.only((a, b)), [(group.suites[0], label) for label in (a, b)]
    paired = [_paired(target, *(_side(group, rule, row, target) for row in rows)) for target in pair.targets]
    adjusted = holm([one.line.p for one in paired])
    lines = tuple(_judged(replace(one.line, p_holm=p)) for one, p in zip(paired, adjusted, strict=True))
    done = [[one for one in pair.stored if one.row == row and one.record.status == "ok"] for row in rows]
    return Comparison(
        a=a,
        b=b,
        group=pair,
        rule=rule,
        lines=lines,
        macro=_judged(_macro(group, [one for one in paired if one.line.difference is not None])),
        factors=factors(*done),
        settings=settings(*done),
        declared=declared(*done, own) if rule == group.main_rule else "",
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """A method on a language: its score, and F1 in percent by seed."""

    label: str
    score: Score
    f1: dict[int, float]
    first: Stored | None  # a record of it


def _side(group: Group, rule: str, row: Row, target: str) -> _Side:
    cell = group.cells[row, target]
    f1 = {one.seed: 100 * score.f1 for one in cell if (score := one.score(rule)) is not None}
    first = next((one for one in cell if one.seed in f1), None)
    return _Side(row[1], scores_of(group, rule)[row, target], f1, first)


@dataclass(frozen=True, eq=False)
class _Paired:
    """A language's line; the counts of A and B (seeds, sentences, 3), where they pair, and where its sentences are."""

    line: Line
    counts: tuple[np.ndarray, np.ndarray] | None = None
    stored: Stored | None = None


def _paired(target: str, a: _Side, b: _Side) -> _Paired:
    """The line of a language, tested but not yet judged: the p of the other languages count too."""
    gaps = [f"{x.label}: {'; '.join(x.score.notes) or x.score.status}" for x in (a, b) if x.score.mean is None]
    seeds = tuple(seed for seed in a.score.seeds if seed in b.score.seeds)
    if not gaps and a.score.test != b.score.test:
        gaps = ["scored on different tests"]
    if not gaps and not seeds:
        gaps = [f"no seed in common ({_list(a.score.seeds)} and {_list(b.score.seeds)})"]
    if gaps:
        return _Paired(Line(target, note="; ".join(gaps)))
    means = [sum(side.f1[seed] for seed in seeds) / len(seeds) for side in (a, b)]
    unpaired = sorted(set(a.score.seeds) ^ set(b.score.seeds))
    note = f"seeds that only one has are left out: {_list(unpaired)}" if unpaired else ""
    line = Line(target, *means, means[0] - means[1], seeds=seeds, sentences=a.score.sentences, note=note)
    counts = [x.score.counts_of(seeds) for x in (a, b) if x.score.counts is not None]
    if len(counts) < 2 or counts[0].shape != counts[1].shape or counts[0].shape[1] < 2:
        why = "no interval: counts by sentence are missing, damaged or of one sentence; see `xner verify`"
        return _Paired(replace(line, note="; ".join(filter(None, (note, why)))))
    return _Paired(_tested(line, counts[:1], counts[1:], None), (counts[0], counts[1]), a.first)


def _macro(group: Group, paired: Sequence[_Paired]) -> Line:
    """The average over the languages where both have a number; tested where all can be, over the seeds of all."""
    lines = [one.line for one in paired]
    if not lines:
        return Line("macro", note="no language where both have a number")
    means = [sum(values) / len(lines) for values in zip(*((x.a or 0.0, x.b or 0.0) for x in lines), strict=True)]
    line = Line("macro", *means, means[0] - means[1], sentences=sum(x.sentences for x in lines))
    seeds = tuple(seed for seed in lines[0].seeds if all(seed in other.seeds for other in lines))
    if any(one.counts is None for one in paired):
        return replace(line, note="no interval: counts by sentence are missing in a language")
    if not seeds:
        return replace(line, note="no interval: no seed that all languages have")
    a, b = (
        [both[side][[one.line.seeds.index(seed) for seed in seeds]] for one in paired if (both := one.counts)]
        for side in (0, 1)
    )
    partial = {seed for x in lines for seed in x.seeds} - set(seeds)
    note = f"seeds that not all languages have are left out: {_list(sorted(partial))}" if partial else ""
    tests = [(one.stored, one.line.sentences) for one in paired if one.stored is not None]
    return _tested(replace(line, seeds=seeds, note=note), a, b, clusters_of(group, tests))


def _tested(line: Line, a: Sequence[np.ndarray], b: Sequence[np.ndarray], clusters: Clusters | None) -> Line:
    """The line with what the counts by language say: one language is a pair, several are averaged."""
    estimate = difference(a[0], b[0]) if line.name != "macro" else macro_difference(a, b, clusters)
    wide, narrow = ((100 * low, 100 * high) for low, high in map(estimate.limits, (0.95, 1 - 2 * LEVEL)))
    same = all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    tested = estimate.seeds >= MIN_SEEDS
    return replace(
        line,
        a=100 * sum(float(f1_by_seed(x).mean()) for x in a) / len(a),
        b=100 * sum(float(f1_by_seed(x).mean()) for x in b) / len(b),
        difference=100 * estimate.mean,
        interval=wide,
        narrow=narrow,
        p=None if not tested else 1.0 if same else estimate.p,
        equivalent=(narrow[0] > -MARGIN and narrow[1] < MARGIN) if tested else None,
        what=estimate.what,
        verdict="same" if same else "undecided",
    )


def _judged(line: Line) -> Line:
    """The line with its verdict; a language's test is adjusted for the others, the average's is one alone."""
    p = line.p if line.name == "macro" else line.p_holm
    verdict: Verdict
    if line.difference is None:
        verdict = "gap"
    elif line.interval is None:
        verdict = "no interval"
    elif line.verdict == "same":
        verdict = "same"
    elif p is None:
        verdict = "no test"
    elif p < LEVEL:
        verdict = "better" if line.difference > 0 else "worse"
    else:
        verdict = "equivalent" if line.equivalent else "undecided"
    return replace(line, verdict=verdict)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
