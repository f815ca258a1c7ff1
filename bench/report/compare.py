"""Comparison of two methods: the difference of F1 by language and on average, and how their settings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.core.files import canonical_json
from bench.measure.statistics import Estimate, difference, f1_by_seed, holm, macro_difference
from bench.report.declared import contrasts_in_order
from bench.report.frame import Group, Stored, once_a_group
from bench.report.scores import LEVEL, Limits, Paired, Score, clusters_of, mean_or_none, scores_of
from bench.store.record import Contrast

MARGIN = 1.0  # points of F1 inside which two methods count as equivalent
Verdict = Literal["better", "worse", "same", "equivalent", "undecided", "no test", "no interval", "gap"]
Differing = dict[str, tuple[str, str]]  # the values of A and B, by name


@dataclass(frozen=True)
class ComparisonLine:
    """A language, or the average over languages; F1 and differences in percent (points), p unadjusted.

    `narrow` is the cautious 90 % interval, which lies inside ±1 exactly if both one-sided tests at 5 % reject a
    difference that large (two one-sided tests; Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987).
    `together` is at the `level` at which Holm tests the line among its family (Serlin, J. Experimental Education 61,
    1993): it leaves out 0 exactly where `p_holm` is below 0.05.
    """

    name: str
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    interval: Limits | None = None
    together: Limits | None = None
    level: float = 1 - LEVEL
    narrow: Limits | None = None
    p: float | None = None
    p_holm: float | None = None
    equivalent: bool | None = None
    seeds: tuple[int, ...] = ()
    sentences: int = 0
    what: str = ""  # which variance the interval holds
    same: bool = False  # the same counts in every sentence
    verdict: Verdict = "gap"
    note: str = ""
    estimate: Estimate | None = None  # in fractions


@dataclass(frozen=True)
class Comparison:
    """Two methods compared over the cells of one table that has both."""

    a: str
    b: str
    group: Group  # the records of the two only
    rule: str
    lines: tuple[ComparisonLine, ...]
    macro: ComparisonLine
    factors: Differing
    settings: Differing
    declared: str  # the contrast that this is, "" where it is exploratory
    primary: bool = False
    title: str = ""  # the name of a declared contrast that has this sign, else both labels

    @property
    def shown(self) -> tuple[ComparisonLine, ...]:
        """The languages, then the average where there are several."""
        return (*self.lines, *([self.macro] if len(self.lines) > 1 else []))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the average is over."""
        return tuple(line.name for line in self.lines if line.difference is not None)

    @property
    def oracles(self) -> tuple[str, ...]:
        """The labels that saw gold labels of the target language."""
        done = [run for run in self.group.stored if run.record.status == "ok"]
        return tuple(label for label in (self.a, self.b) if any(run.oracle for run in done if run.label == label))

    @property
    def imported(self) -> tuple[str, ...]:
        """The labels that are other people's systems."""
        labels = {run.label for run in self.group.stored if run.imported}
        return tuple(label for label in (self.a, self.b) if label in labels)


def compared(group: Group, a: str, b: str, rule: str) -> Comparison:
    """The comparison of two labels of the group."""
    pair, rows = group.only((a, b)), [(group.suites[0], label) for label in (a, b)]
    scores = scores_of(group, rule)
    sides = {target: (scores[rows[0], target], scores[rows[1], target]) for target in pair.targets}
    lines = [_line(group, target, labels=(a, b), a=[x], b=[y]) for target, (x, y) in sides.items()]
    comparable = [sides[line.name] for line in lines if line.difference is not None]
    macro = _line(group, "macro", (a, b), [x for x, _ in comparable], [y for _, y in comparable])
    runs_a, runs_b = ([run for run in pair.stored if run.row == row and run.record.status == "ok"] for row in rows)
    contrast = next((c for c in declared_of(group) if {c.a, c.b} == {a, b} and rule == group.main_rule), None)
    return Comparison(
        a=a,
        b=b,
        group=pair,
        rule=rule,
        lines=tuple(judged_together(lines)),
        macro=judged_together([macro])[0],  # a test alone, with nothing to adjust for
        factors=_differing([run.record.factors for run in runs_a], [run.record.factors for run in runs_b]),
        settings=settings(runs_a, runs_b),
        declared=contrast.name if contrast else "",
        primary=bool(contrast and contrast.primary),
        title=contrast.name if contrast and contrast.a == a else f"{a} − {b}",
    )


@once_a_group
def declared_of(group: Group) -> list[Contrast]:
    """The contrasts declared by the matrices of the group's folders, in order, where the group has both rows.

    None for a group of some languages only: what was declared is the average over all; and none of another encoder's.
    """
    if group.narrowed:
        return []
    labels = {run.label for run in group.stored}
    encoders = {"", *(run.record.cell.get("encoder", "") for run in group.stored)}
    every = [c for out in dict.fromkeys(run.store.out for run in group.stored) for c in contrasts_in_order(out)]
    return [c for c in every if {c.a, c.b} <= labels and c.encoder in encoders]


def judged_together(lines: Sequence[ComparisonLine], of: int = 0) -> list[ComparisonLine]:
    """The lines as one family of tests, each with its adjusted p, the matching interval and the verdict.

    `of`: the size of the family where not all of it has been measured; what is missing counts as not rejected.
    """
    order = sorted((line.p, place) for place, line in enumerate(lines) if line.p is not None)
    size = max(of, len(order))
    adjusted = holm([*(line.p for line in lines), *[1.0] * (size - len(order))])[: len(lines)]
    levels, level = {}, LEVEL
    for rank, (_, place) in enumerate(order):
        # from the first hypothesis that Holm retains on, all share its level
        if rank == 0 or (adjusted[order[rank - 1][1]] or 0.0) < LEVEL:
            level = LEVEL / (size - rank)
        levels[place] = 1 - level
    judged, alone = [], 1 - LEVEL / max(size, len(lines), 1)
    for place, (line, p) in enumerate(zip(lines, adjusted, strict=True)):
        level = levels.get(place, alone)
        limits = line.estimate.limits(level) if line.estimate else None
        together = (100 * limits[0], 100 * limits[1]) if limits else None
        judged.append(replace(line, p_holm=p, together=together, level=level, verdict=verdict_of(line, p)))
    return judged


def _line(group: Group, name: str, labels: tuple[str, str], a: Sequence[Score], b: Sequence[Score]) -> ComparisonLine:
    """The line of one language, or of the average if named macro; without a verdict, p not yet adjusted."""
    if not a:
        return ComparisonLine(name, note="no language where both have a number")
    pair = Paired.of(a, b)
    if gap := "" if name == "macro" else _gap(labels, a[0], b[0], pair):
        return ComparisonLine(name, note=gap)
    mean_a, mean_b = (mean_or_none([_mean(score, pair.seeds) for score in side]) or 0.0 for side in (a, b))
    partial = sorted({seed for score in (*a, *b) for seed in score.f1} - set(pair.seeds))
    notes = [f"seeds that not all have are left out: {_list(partial)}"] if partial else []
    if not pair.seeds:
        notes = ["no interval: no seed that all languages have"]
    elif not pair.a:
        why = "counts by sentence are missing, damaged or of one sentence; see `xner verify`"
        notes.append(f"no interval: {why if name != 'macro' else 'counts by sentence are missing in a language'}")
    line = ComparisonLine(name, mean_a, mean_b, mean_a - mean_b, seeds=pair.seeds, note="; ".join(notes))
    line = replace(line, same=pair.same, sentences=sum(score.sentences for score in a))
    if not pair.a:
        return line
    alone = [difference(x, y) for x, y in zip(pair.a, pair.b, strict=True)]
    estimate = alone[0] if name != "macro" else macro_difference(pair.a, pair.b, clusters_of(group, a))
    # The average's seed variance is at least that of independent languages: few seeds may agree in their mean by luck.
    seeds = max(estimate.spread.seeds, sum(each.spread.seeds for each in alone) / len(alone) ** 2)
    cautious = replace(estimate, spread=replace(estimate.spread, seeds=seeds))
    wide, narrow = ((100 * low, 100 * high) for low, high in (estimate.limits(), cautious.limits(1 - 2 * LEVEL)))
    exact = [100 * sum(float(f1_by_seed(x).mean()) for x in side) / len(side) for side in (pair.a, pair.b)]
    line = replace(line, a=exact[0], b=exact[1], difference=100 * estimate.mean, interval=wide)
    line = replace(line, estimate=estimate, what=estimate.spread.what)
    equivalent = (narrow[0] > -MARGIN and narrow[1] < MARGIN) if pair.testable else None
    return replace(line, narrow=narrow, p=pair.p(lambda: estimate), equivalent=equivalent)


def _mean(score: Score, seeds: Sequence[int]) -> float:
    """The mean F1 over these seeds, or over all seeds if none are given."""
    return sum(score.f1[seed] for seed in seeds or score.f1) / len(seeds or score.f1)


def _gap(labels: tuple[str, str], a: Score, b: Score, pair: Paired) -> str:
    """Why two scores cannot be compared; "" if they can."""
    missing = [(label, score) for label, score in zip(labels, (a, b), strict=True) if score.mean is None]
    if missing:
        return "; ".join(f"{label}: {'; '.join(score.notes) or score.status}" for label, score in missing)
    if a.first is None or b.first is None or a.first.test != b.first.test:
        return "scored on different tests"
    return "" if pair.seeds else f"no seed in common ({_list(a.seeds)} and {_list(b.seeds)})"


def verdict_of(line: ComparisonLine, p: float | None) -> Verdict:
    """The verdict on a line whose p, adjusted for its family, is this."""
    if line.difference is None:
        return "gap"
    if line.interval is None:
        return "no interval"
    if line.same or p is None:
        return "same" if line.same else "no test"
    if p < LEVEL:
        return "better" if line.difference > 0 else "worse"
    return "equivalent" if line.equivalent else "undecided"


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


# --- how the two differ -----------------------------------------------------------------------------------------------


def settings(a: Sequence[Stored], b: Sequence[Stored]) -> Differing:
    """The axes, budget and chosen settings in which A and B differ; also the parameters if both are the same method."""

    def facts(run: Stored) -> dict[str, Any]:
        cell, cost = run.record.cell, run.record.cost
        values = {
            name: value
            for name, value in (cell.get("axes") or {}).items()
            if name in axes and not name.startswith("method.")
        }  # those are params, too
        values |= {"source sentences": cell.get("n_source")}
        values |= {"steps": cost.steps, "batch": cost.batch} if cost.steps else {}
        return values | _chosen(cell) | (dict(cell.get("params") or {}) if same else {})

    same = {run.record.cell.get("method") for run in a} == {run.record.cell.get("method") for run in b}
    # an axis that only one of the two has is not a difference in setting
    axes = set.intersection(*({name for run in side for name in run.record.cell.get("axes") or {}} for side in (a, b)))
    return _differing(list(map(facts, a)), list(map(facts, b)), unknown="n/a")


def _chosen(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What a search chose for a cell: the recipe's values, and what is the method's own or how labels are projected."""
    settings = dict(cell.get("settings") or {})
    own = {**settings.pop("params", {}), **settings.pop("labels", {})}
    recipe = {name: value for name, value in settings.items() if name not in ("trial", "dev_f1")}
    return recipe | ({"own settings": own} if own else {})


def _differing(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], unknown: str = "unknown") -> Differing:
    def values(facts: Sequence[Mapping[str, Any]], name: str) -> str:
        every = [run.get(name, unknown) for run in facts]
        texts = {canonical_json(value) if isinstance(value, list | dict) else str(value) for value in every}
        return " / ".join(sorted("unknown" if text == "None" else text for text in texts))

    by_name = {name: (values(a, name), values(b, name)) for name in sorted({n for facts in (*a, *b) for n in facts})}
    return {name: pair for name, pair in by_name.items() if pair[0] != pair[1]}
