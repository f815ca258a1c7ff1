"""Two methods against each other: difference of F1 by language and on average, interval, test, equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bench.core.errors import BadInput, nearest
from bench.measure.macro import Clusters, macro_difference
from bench.measure.statistics import MIN_SEEDS, difference, f1_by_seed, holm
from bench.report.contrasts import Differing, declared, factors, own_settings, settings
from bench.report.frame import Group, Stored, groups, is_oracle, read, test_of
from bench.report.scores import LEVEL, Score, cells_of, scores_of
from bench.store.sidecars import GOLD, Damaged, read_sidecar

OWN = "(own settings)"  # in a group's memo
MARGIN = 1.0  # points of F1 inside which two methods count as equivalent
Verdict = Literal["better", "worse", "same", "equivalent", "undecided", "no test", "no interval", "gap"]


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
    interval: tuple[float, float] | None = None
    narrow: tuple[float, float] | None = None
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
    oracles: tuple[str, ...]  # labels that saw gold labels of the target language

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that the average is over."""
        return tuple(line.name for line in self.lines if line.difference is not None)

    @property
    def imported(self) -> tuple[str, ...]:
        """The labels that are other people's systems."""
        return tuple(
            label for label in (self.a, self.b) if any(s.imported for s in self.group.stored if s.label == label)
        )


def compare(out: Path, a: str, b: str, rule: str = "") -> list[Comparison]:
    """The comparisons of labels A and B, one a table of the folder that has both.

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
        where = [
            f"{name} in {'; '.join(dict.fromkeys(_place(o) for o in stored if o.label == name))}" for name in (a, b)
        ]
        raise BadInput(f"{out}: no table has both: {', '.join(where)}")
    return [compared(replace(group, memo={}), a, b, rule or group.main_rule) for group in both]


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


def compared(group: Group, a: str, b: str, rule: str) -> Comparison:
    """The comparison of two labels that the group has; scores that `group.memo` holds are not made again."""
    pair = replace(group, stored=tuple(one for one in group.stored if one.label in (a, b)))
    sides = [_side(pair, label, rule) for label in (a, b)]
    paired = [_paired(target, *(side[target] for side in sides)) for target in pair.targets]
    adjusted = holm([one.line.p for one in paired])
    lines = tuple(_judged(replace(one.line, p_holm=p)) for one, p in zip(paired, adjusted, strict=True))
    done = [[one for one in pair.stored if one.label == label and one.record.status == "ok"] for label in (a, b)]
    oracles = [label for label, stored in zip((a, b), done, strict=True) if any(is_oracle(s.record) for s in stored)]
    return Comparison(
        a=a,
        b=b,
        group=pair,
        rule=rule,
        lines=lines,
        macro=_judged(_macro(pair, [one for one in paired if one.line.difference is not None])),
        factors=factors(done[0], done[1]),
        settings=settings(done[0], done[1]),
        declared=declared(done[0], done[1], _own(group)) if rule == group.main_rule else "",
        oracles=tuple(oracles),
    )


def _own(group: Group) -> dict[str, str]:
    if OWN not in group.memo:
        group.memo[OWN] = own_settings(group.stored)
    found: dict[str, str] = group.memo[OWN]
    return found


@dataclass(frozen=True, eq=False)
class _Side:
    """A method on a language: its score, F1 in percent by seed, and its records by seed."""

    label: str
    score: Score
    f1: dict[int, float]
    stored: Sequence[Stored]


@dataclass(frozen=True, eq=False)
class _Paired:
    """A language's line; the counts of A and B (seeds, sentences, 3), where they pair, and where its sentences are."""

    line: Line
    counts: tuple[np.ndarray, np.ndarray] | None = None
    stored: Stored | None = None


def _side(pair: Group, label: str, rule: str) -> dict[str, _Side]:
    """By target language."""
    scores, cells, row = scores_of(pair, rule), cells_of(pair), (pair.suites[0], label)
    sides = {}
    for target in pair.targets:
        stored = [
            one for one in cells.get((row, target), []) if one.record.status == "ok" and rule in one.record.scores
        ]
        f1 = {one.seed: 100 * one.record.scores[rule].f1 for one in stored}
        sides[target] = _Side(label, scores[row, target], f1, stored)
    return sides


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
    left = sorted(set(a.score.seeds) ^ set(b.score.seeds))
    note = f"seeds that only one has are left out: {_list(left)}" if left else ""
    line = Line(target, means[0], means[1], means[0] - means[1], seeds=seeds, sentences=a.score.sentences, note=note)
    counts = [x.score.counts[[x.score.seeds.index(s) for s in seeds]] for x in (a, b) if x.score.counts is not None]
    if len(counts) < 2 or counts[0].shape != counts[1].shape or counts[0].shape[1] < 2:
        why = "no interval: counts by sentence are missing, damaged or of one sentence; see `xner verify`"
        return _Paired(replace(line, note="; ".join(filter(None, (note, why)))))
    return _Paired(_tested(line, counts[:1], counts[1:], None), (counts[0], counts[1]), a.stored[0])


def _macro(pair: Group, paired: Sequence[_Paired]) -> Line:
    """The average over the languages where both have a number; tested where all can be, over the seeds of all."""
    lines = [one.line for one in paired]
    if not lines:
        return Line("macro", note="no language where both have a number")
    seeds = tuple(seed for seed in lines[0].seeds if all(seed in line.seeds for line in lines))
    means = [sum(values) / len(lines) for values in zip(*((x.a or 0.0, x.b or 0.0) for x in lines), strict=True)]
    line = Line("macro", means[0], means[1], means[0] - means[1], sentences=sum(x.sentences for x in lines))
    if any(one.counts is None for one in paired):
        return replace(line, note="no interval: counts by sentence are missing in a language")
    if not seeds:
        return replace(line, note="no interval: no seed that all languages have")
    kept = [
        [both[side][[one.line.seeds.index(s) for s in seeds]] for one in paired if (both := one.counts)]
        for side in (0, 1)
    ]
    left = {seed for x in lines for seed in x.seeds} - set(seeds)
    note = f"seeds that not all languages have are left out: {_list(sorted(left))}" if left else ""
    tests = [(one.stored, one.line.sentences) for one in paired if one.stored is not None]
    return _tested(replace(line, seeds=seeds, note=note), kept[0], kept[1], clusters(pair, tests))


def clusters(group: Group, tests: Sequence[tuple[Stored, int]]) -> Clusters:
    """Which sentences of the languages' tests move together; of each language a record and its number of sentences."""
    place = f"clusters of all: {[(one.target, test_of(one.record), sentences) for one, sentences in tests]}"
    if place not in group.memo:
        group.memo[place] = Clusters.of([_names(group, one, sentences) for one, sentences in tests])
    found: Clusters = group.memo[place]
    return found


def _names(group: Group, one: Stored, sentences: int) -> list[str]:
    """By sentence of the test the group that a parallel corpus gives it, "" where it has none or the gold is lost."""
    place = f"clusters of {one.target}: {test_of(one.record)}"  # read once a test; a rule's name has no colon
    if place not in group.memo:
        try:
            group.memo[place] = read_sidecar(one.store.sidecar(one.record.key, GOLD)).groups
        except Damaged:
            return [""] * sentences
    names: list[str] = group.memo[place]
    return names if len(names) == sentences else [""] * sentences


def _tested(line: Line, a: Sequence[np.ndarray], b: Sequence[np.ndarray], clusters: Clusters | None) -> Line:
    """The line with what the counts by language say: one language is a pair, several are averaged."""

    found = difference(a[0], b[0]) if line.name != "macro" else macro_difference(a, b, clusters)
    wide, narrow = found.limits(0.95), found.limits(1 - 2 * LEVEL)
    same = all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    tested = found.seeds >= MIN_SEEDS
    low, high = 100 * narrow[0], 100 * narrow[1]
    return replace(
        line,
        a=100 * sum(float(f1_by_seed(x).mean()) for x in a) / len(a),
        b=100 * sum(float(f1_by_seed(x).mean()) for x in b) / len(b),
        difference=100 * found.mean,
        interval=(100 * wide[0], 100 * wide[1]),
        narrow=(low, high),
        p=None if not tested else 1.0 if same else found.p,
        equivalent=(low > -MARGIN and high < MARGIN) if tested else None,
        what=found.what,
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
