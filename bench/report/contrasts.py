"""Contrasts of a suite (the declared ones, else each method against its baseline), and costs and their ratios."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.errors import BadInput, nearest
from bench.report.compare import Comparison, compared, declared_of, judged_together, verdict_of
from bench.report.declared import numbers_declared
from bench.report.frame import Group, Row, Stored, groups, once_a_group, read
from bench.report.scores import mean_or_none
from bench.store.record import Cost

BASELINE, FLOOR = "en_trans", "zero_shot"


def compare(out: Path, a: str, b: str, rule: str = "") -> list[Comparison]:
    """The comparisons of labels A and B, one for each table of the folder that has both.

    Args:
        rule: the selection rule, "" for each table's main one.

    Raises:
        BadInput: as `read`; a label or rule is unknown, A is B, or no table has both.
    """
    stored = read([out])
    a, b = (_label(name, {run.label for run in stored}, out) for name in (a, b))
    if a == b:
        raise BadInput(f"'{a}' cannot be compared with itself")
    rules = {name for run in stored for name in run.record.scores}
    if rule and rule not in rules:
        raise BadInput(f"--rule {rule}: no record has this rule{nearest(rule, rules)}")
    having_both = [group for group in groups(stored) if {a, b} <= {run.label for run in group.stored}]
    if not having_both:
        places = {name: "; ".join(dict.fromkeys(_place(o) for o in stored if o.label == name)) for name in (a, b)}
        raise BadInput(f"{out}: no table has both: {', '.join(f'{name} in {at}' for name, at in places.items())}")
    return [_as_declared(g, compared(g.only((a, b)), a, b, rule or g.main_rule)) for g in having_both]


def _as_declared(group: Group, comparison: Comparison) -> Comparison:
    """The comparison; a declared one with its average as tested among the others."""
    if not comparison.declared:
        return comparison
    names = (comparison.a, comparison.b)
    same = next(c for c in contrasts_of(group) if {c.a, c.b} == {*names})
    line, p, limits = comparison.macro, same.macro.p_holm, same.macro.together
    if limits and names != (same.a, same.b):
        limits = (-limits[1], -limits[0])
    line = replace(line, p_holm=p, together=limits, level=same.macro.level, verdict=verdict_of(line, p))
    return replace(comparison, macro=line)


def _label(name: str, known: set[str], out: Path) -> str:
    """The row that `name` means; where an axis of [labels] makes several rows of one method, `name` must be exact."""
    rows = [name] if name in known else sorted(label for label in known if label.partition(" (")[0] == name)
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise BadInput(f"{out}: '{name}' is several rows here; name one: {', '.join(map(repr, rows))}")
    raise BadInput(f"{out}: no method '{name}' here{nearest(name, known)}")


def _place(run: Stored) -> str:
    cell = run.record.cell
    names = (f"{name} {cell.get(name)}" for name in ("corpus", "source", "encoder"))
    return ", ".join(filter(None, (*names, run.axes, "intrinsic" if run.intrinsic else "")))


@once_a_group
def contrasts_of(group: Group) -> tuple[Comparison, ...]:
    """The declared contrasts of the group, primary ones first; without any, each competing method minus its baseline.

    Averages are judged as families (Holm): the primary contrasts, the other declared ones (those that are not measured
    yet count, too), or all that are exploratory. Each average is over the languages of its own pair, so that no other
    method narrows it.
    """
    if len(group.suites) > 1:  # labels alone do not identify rows there
        return ()
    pairs = [(c.a, c.b) for c in declared_of(group)]
    if not pairs:
        bases = {row: baseline_of(row, group.rows) for row in group.rows if row not in group.oracles}
        pairs = [(row[1], base[1]) for row, base in bases.items() if base is not None and base != row]
    made = [compared(group, a, b, group.main_rule) for a, b in dict.fromkeys(pairs)]
    declared = any(comparison.declared for comparison in made)
    sizes = numbers_declared(group.stored[0].store.out) if declared else (0, 0)
    families = [([c for c in made if c.primary is primary], sizes[not primary]) for primary in (True, False)]
    return tuple(
        replace(comparison, macro=macro)
        for family, size in families
        for comparison, macro in zip(family, judged_together([c.macro for c in family], size), strict=True)
    )


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The baseline of a row: the naive pool of the same translations and links, that is of axes' values that the row
    has, too; where its suite has none, zero-shot transfer; for a row without such axes the first naive pool."""
    method, own = _parts(row)
    if method == BASELINE:
        return row
    others = [other for other in rows if other[0] == row[0]]
    pools = [other for other in others if _parts(other)[0] == BASELINE]
    floors = [other for other in others if _parts(other)[0] == FLOOR]
    alike = [pool for pool in pools if _parts(pool)[1] <= own]
    first = max(alike, key=lambda pool: len(_parts(pool)[1])) if alike else None
    return first or next(iter([*floors, *pools] if own else [*pools, *floors]), None)


def _parts(row: Row) -> tuple[str, frozenset[str]]:
    """A row's method or variant, and its values on axes."""
    name, _, chosen = row[1].partition(" (")
    return name, frozenset(chosen.removesuffix(")").split(", ")) if chosen else frozenset()


# --- cost -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanCost:
    """Mean cold cost of a cell, including everything it depends on; None where a cell's cost is unknown."""

    training: float | None  # seconds
    inference: float | None
    tflop: float | None

    @property
    def seconds(self) -> float | None:
        """Training and inference with everything they depend on; human translation counts as none."""
        return None if self.training is None else self.training + (self.inference or 0.0)


def cost_of(stored: Iterable[Stored]) -> MeanCost:
    """The mean over the finished records; unknown if one has no cost at all, as imported predictions have none."""
    costs = [run.record.cost for run in stored if run.record.status == "ok"]
    known = [cost for cost in costs if cost != Cost()]

    def mean(values: Sequence[float | None]) -> float | None:
        sure = [value for value in values if value is not None]
        return mean_or_none(sure) if len(sure) == len(costs) else None

    training = [None if cost.seconds is None else cost.seconds - (cost.inference or 0.0) for cost in known]
    tflops = [None if cost.flops is None else cost.flops / 1e12 for cost in known]
    return MeanCost(mean(training), mean([cost.inference for cost in known]), mean(tflops))


def cost_ratio(a: MeanCost, b: MeanCost) -> tuple[float, str] | None:
    """The cost of A divided by that of B, in "seconds", or in "compute" where the seconds of one are unknown."""
    for x, y, unit in ((a.seconds, b.seconds, "seconds"), (a.tflop, b.tflop, "compute")):
        if x is not None and y:
            return x / y, unit
    return None


def ratio_of(comparison: Comparison) -> tuple[float, str] | None:
    """The cost of A divided by that of B, over the languages in which they are compared.

    In "compute", which does not depend on the machine; in "seconds" where the operations of one are unknown.
    """
    runs = [run for run in comparison.group.stored if run.target in comparison.languages]
    a, b = (cost_of(run for run in runs if run.label == label) for label in (comparison.a, comparison.b))
    return (a.tflop / b.tflop, "compute") if a.tflop is not None and b.tflop else cost_ratio(a, b)
