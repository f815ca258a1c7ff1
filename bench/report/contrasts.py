"""What a suite was made to answer, in plain words: its declared contrasts, else each method against the naive pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.report.compare import MARGIN, Comparison, compared, declared_of, judged_together
from bench.report.frame import Group, Row, Stored
from bench.report.scores import LEVEL, mean_or_none
from bench.store.record import Cost

BASELINE, FLOOR = "en_trans", "zero_shot"
_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def contrasts_of(group: Group) -> tuple[Comparison, ...]:
    """The declared contrasts of the group, primary ones first; without any, each competing method minus its baseline.

    Averages are judged as families (Holm): the primary contrasts, the other declared ones, or all that are exploratory.
    Each average is over the languages of its own pair, so that no other method narrows it.
    """
    return group.remembered("contrasts", lambda: _contrasts_of(group))


def _contrasts_of(group: Group) -> tuple[Comparison, ...]:
    if len(group.suites) > 1:  # a row is then a suite and a label, and labels alone name none
        return ()
    pairs = [(c.a, c.b) for c in declared_of(group)]
    if not pairs:
        bases = {row: baseline_of(row, group.rows) for row in group.rows if row not in group.oracles}
        pairs = [(row[1], base[1]) for row, base in bases.items() if base is not None and base != row]
    made = [compared(group, a, b, group.main_rule) for a, b in dict.fromkeys(pairs)]
    families = [[c for c in made if c.primary is primary] for primary in (True, False)]
    return tuple(
        replace(comparison, macro=macro)
        for family in families
        for comparison, macro in zip(family, judged_together([c.macro for c in family]), strict=True)
    )


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """What a row is measured against: the naive pool of the same translations and links, else the first one of its
    suite, else zero-shot transfer."""
    name, _, chosen = row[1].partition(" (")
    same = (row[0], f"{BASELINE} ({chosen}" if chosen else BASELINE)
    if same in rows or name == BASELINE:
        return same
    return _first(row, rows, BASELINE) or _first(row, rows, FLOOR)


def _first(row: Row, rows: Sequence[Row], name: str) -> Row | None:
    return next((other for other in rows if other[0] == row[0] and other[1].partition(" (")[0] == name), None)


# --- in words ---------------------------------------------------------------------------------------------------------


def title_of_contrast(comparison: Comparison) -> str:
    """The declared name, else the two labels."""
    return comparison.declared or f"{comparison.a} − {comparison.b}"


def sentence(comparison: Comparison) -> str:
    """Difference, interval and verdict, languages, and what the gain costs."""
    return " ".join(filter(None, (f"{title_of_contrast(comparison)}: {_size(comparison)}", *_rest(comparison))))


def _size(comparison: Comparison) -> str:
    line, over = comparison.macro, comparison.languages
    if line.difference is None:
        return f"nothing to compare ({line.note})."
    where = f"on average over {spelled(len(over))} languages" if len(over) > 1 else f"in {over[0]}"
    limits = line.together or line.interval
    interval = f" (95 % {signed(limits[0])} to {signed(limits[1])})" if limits else ""
    return f"{signed(line.difference)} F1 {where}{interval}: {verdict(comparison)}."


def verdict(comparison: Comparison) -> str:
    """What may be concluded of the average, without a stop."""
    line = comparison.macro
    p = "" if line.p_holm is None else "p < 0.001" if line.p_holm < 0.001 else f"p = {line.p_holm:.3f}"
    p = f"p = {line.p_holm:.4f}" if p == f"p = {LEVEL:.3f}" else p  # on which side of the level
    inside = line.interval is not None and max(map(abs, line.interval)) < MARGIN
    possible = "equivalence is not shown either" if inside else f"a difference above {MARGIN:g} F1 is not excluded"
    small = f", by less than {MARGIN:g} F1" if line.equivalent else ""
    return {
        "better": f"significantly higher ({p}{small})",
        "worse": f"significantly lower ({p}{small})",
        "same": "the same counts in every sentence, as one training under two names has",
        "equivalent": f"no difference shown, and equivalent within ±{MARGIN:g} F1",
        "undecided": f"no difference shown; {possible}",
        "no test": "not tested, with fewer than 3 seeds",
        "no interval": "not tested, for lack of counts by sentence",
    }.get(line.verdict, "nothing to compare")


def _rest(comparison: Comparison) -> list[str]:
    if comparison.macro.difference is None:
        return []
    return [by_language(comparison) if len(comparison.languages) > 1 else "", cost_words(comparison)]


def outcomes(comparison: Comparison) -> Counter[str]:
    """Languages in which A is better, worse, or neither is shown; or that could not be tested."""
    names = {"better": "better", "worse": "worse", "no test": "not tested", "no interval": "not tested"}
    return Counter(names.get(x.verdict, "undecided") for x in comparison.lines if x.verdict != "gap")


def by_language(comparison: Comparison) -> str:
    """In how many languages the difference goes which way."""
    counts = outcomes(comparison)
    if counts["not tested"] == counts.total():
        return ""
    said = [f"{name} in {spelled(counts[name])}" for name in ("better", "worse", "undecided")]
    said += [f"not tested in {spelled(counts['not tested'])}"] if counts["not tested"] else []
    return f"{', '.join(said)}.".capitalize()


def spelled(number: int) -> str:
    """The number in letters up to twelve."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def signed(value: float) -> str:
    """To a tenth, to a hundredth where that would be nothing, with its sign: a limit above 0 never reads 0.0."""
    text = next((t for t in (f"{value:+.1f}", f"{value:+.2f}") if float(t)), "0.0")
    return text.replace("-", "−")


# --- cost -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanCost:
    """What a cell takes on average, cold: with all that it rests on; None where a cell does not say."""

    training: float | None  # seconds
    inference: float | None
    tflop: float | None

    @property
    def seconds(self) -> float | None:
        """Of training, inference and what they rest on; human translation has none."""
        return None if self.training is None else self.training + (self.inference or 0.0)


def cost_of(stored: Iterable[Stored]) -> MeanCost:
    """The mean over the finished records. A record without any cost (imported predictions) knows nothing."""
    costs = [run.record.cost for run in stored if run.record.status == "ok"]
    known = [cost for cost in costs if cost != Cost()]

    def mean(values: Sequence[float | None]) -> float | None:
        sure = [value for value in values if value is not None]
        return mean_or_none(sure) if len(sure) == len(costs) else None

    training = [None if cost.seconds is None else cost.seconds - (cost.inference or 0.0) for cost in known]
    tflops = [None if cost.flops is None else cost.flops / 1e12 for cost in known]
    return MeanCost(mean(training), mean([cost.inference for cost in known]), mean(tflops))


def cost_ratio(a: MeanCost, b: MeanCost) -> tuple[float, str] | None:
    """How many times A takes what B takes, in "seconds", or in "compute" where the seconds of one are unknown."""
    for x, y, what in ((a.seconds, b.seconds, "seconds"), (a.tflop, b.tflop, "compute")):
        if x is not None and y:
            return x / y, what
    return None


def ratio_of(comparison: Comparison) -> tuple[float, str] | None:
    """`cost_ratio` of A and B over the languages that they are compared in."""
    runs = [run for run in comparison.group.stored if run.target in comparison.languages]
    a, b = (cost_of(run for run in runs if run.label == label) for label in (comparison.a, comparison.b))
    return cost_ratio(a, b)


def cost_words(comparison: Comparison) -> str:
    """The ratio of cost in a sentence; "" where neither seconds nor operations are known."""
    if (found := ratio_of(comparison)) is None:
        return ""
    ratio, what = found
    unit = "long" if what == "seconds" else "much compute"
    return f"Takes as {unit}." if abs(ratio - 1) < 0.05 else f"Takes {ratio:.1f} times as {unit}."


def family_note(comparisons: Sequence[Comparison]) -> str:
    """What the numbers of the contrasts hold, and how far they may be believed."""
    declared = any(comparison.declared for comparison in comparisons)
    status = "Declared before the runs." if declared else "Exploratory: the matrix declares no contrast."
    family = "the primary contrasts, and over the others" if declared else f"the {len(comparisons)} of them"
    return (
        f"{status} Each average is over the languages that both methods have. p: paired, seeds and sentences crossed, "
        f"Holm over {family}, for languages over those of a contrast; intervals are at the level at which Holm tests, "
        f"so that they leave out 0 exactly where p < {LEVEL:g}. Cost: training and inference, human translation not "
        "counted."
    )
