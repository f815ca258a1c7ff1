"""The conclusions of a comparison in words, and the comparison as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.measure.statistics import MIN_SEEDS
from bench.report.compare import MARGIN, Comparison, ComparisonLine, Verdict
from bench.report.contrasts import contrasts_of, ratio_of
from bench.report.declared import targets_declared
from bench.report.folder import aligned, printable
from bench.report.frame import Group
from bench.report.notes import corpus_notes, interval_note, is_synthetic, setting_notes, title_of
from bench.report.scores import LEVEL, Limits

HEADS = ("difference", "95 % interval", "p", "at Holm's level", "p (Holm)", f"within ±{MARGIN:g}", "seeds", "sentences")
_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ONLY = "test sentences only"  # what an interval holds with fewer than three seeds
OUTCOMES = ("better", "worse", "equivalent", "undecided", "not tested")
_BY_VERDICT: dict[Verdict, str] = {
    "better": "significantly better in",
    "worse": "significantly worse in",
    "same": "the same (in every sentence) in",
    "equivalent": f"equivalent within ±{MARGIN:g} F1 in",
    "undecided": "not significantly different in",
    "no test": f"not tested (fewer than {MIN_SEEDS} seeds) in",
    "no interval": "not tested (no counts by sentence) in",
    "gap": "not to be compared in",
}
TESTS = f"Significant: p < {LEVEL:g}, by language after Holm."


def conclusions(comparison: Comparison) -> list[str]:
    """Sentences: the outcome of the tests, what the difference may be credited to, and the caveats."""
    group, rule = comparison.group, comparison.rule
    sentences = [sentence(comparison), languages(comparison), _more_seeds(comparison)]
    sentences += [_status(comparison), _credit(comparison)]
    sentences += [f"{x} uses gold labels of the target language: an oracle, no competitor." for x in comparison.oracles]
    sentences += [f"{x} is imported: data, budget and checkpoint choice are unknown here." for x in comparison.imported]
    if is_synthetic(group):
        sentences.append("The corpus is synthetic: no evidence about languages.")
    if any(run.record.scores[rule].oracle for run in group.stored if rule in run.record.scores):
        sentences.append(f"The rule {rule} looks at target labels: an oracle's choice of checkpoint.")
    return [sentence for sentence in sentences if sentence]


def _status(comparison: Comparison) -> str:
    if comparison.declared:
        every = targets_declared(comparison.group.stored[0].store.out, comparison.declared)
        missing = [target for target in every if target not in comparison.languages]
        part = f", for {', '.join(missing)}, too, which is not here" if missing else ""
        return f"Declared in advance: {comparison.declared}{part}."
    why = "this contrast was not declared in advance"
    if comparison.rule != comparison.group.main_rule:
        why = f"the rule {comparison.rule} is not the main one"
    return f"Exploratory: {why}. To be confirmed on other seeds or data."


def _more_seeds(comparison: Comparison) -> str:
    """Whose variance the interval holds, and what twice as many seeds would make of it."""
    estimate = comparison.macro.estimate
    if estimate is None or estimate.p is None or not estimate.spread.se:
        return ""
    spread, twice = estimate.spread, 2 * estimate.seeds
    now, then = (100 * each.half_width(1 - LEVEL) for each in (spread, spread.with_seeds(twice)))
    share = 100 * spread.seeds / spread.se**2
    narrower = f"with {twice} seeds its {percent(1 - LEVEL)} interval would be about ±{then:.1f} instead of ±{now:.1f}"
    return f"Seeds make up {share:.0f} % of the difference's variance, test sentences the rest: {narrower}."


def _credit(comparison: Comparison) -> str:
    """What the difference may be credited to."""
    if comparison.imported:
        return ""
    names = [*(name.replace("_", " ") for name in comparison.factors), *comparison.settings]
    budget = [name for name in ("steps", "batch") if name in comparison.settings]
    unequal = f" The budgets are unequal ({', '.join(budget)})." if budget else ""
    if not names:
        return "They differ in no factor or setting that the records hold."
    if len(names) == 1:
        return f"They differ in {names[0]} only, to which a difference may be credited.{unequal}"
    differences = f"They differ in {len(names)} respects ({', '.join(names)})"
    return f"{differences}: a difference is not due to any one of them alone.{unequal}"


# --- in plain words -------------------------------------------------------------------------------------------------


def sentence(comparison: Comparison) -> str:
    """Difference, interval and verdict, the number of languages for each outcome, and the cost."""
    line, over = comparison.macro, comparison.languages
    if line.difference is None:
        return f"{comparison.title}: nothing to compare ({line.note})."
    where = f"on average over {spelled(len(over))} languages" if len(over) > 1 else f"in {over[0]}"
    limits = line.together or line.interval
    of = f"{percent(line.level)}{', test sentences only:' if line.what == ONLY else ''}"
    interval = f" ({of} {signed(limits[0])} to {signed(limits[1])})" if limits else ""
    sentences = [f"{comparison.title}: {signed(line.difference)} F1 {where}{interval}: {verdict(comparison)}."]
    counts = outcomes(comparison)
    if len(over) > 1 and counts["not tested"] < counts.total():
        names = [x for x in OUTCOMES if counts[x] or x not in ("equivalent", "not tested")]
        sentences.append(f"{', '.join(f'{name} in {spelled(counts[name])}' for name in names)}.".capitalize())
    if (ratio := ratio_of(comparison)) is not None:
        unit = "long" if ratio[1] == "seconds" else "much compute"
        sentences.append(f"Takes as {unit}." if abs(ratio[0] - 1) < 0.05 else f"Takes {ratio[0]:.1f} times as {unit}.")
    return " ".join(sentences)


def verdict(comparison: Comparison) -> str:
    """The verdict on the average, as a clause without a full stop."""
    line = comparison.macro
    p = "" if line.p_holm is None else "p < 0.001" if line.p_holm < 0.001 else f"p = {line.p_holm:.3f}"
    p = f"p = {line.p_holm:.4f}" if p == f"p = {LEVEL:.3f}" else p  # shows on which side of the level p lies
    inside = line.interval is not None and max(map(abs, line.interval)) < MARGIN
    possible = "equivalence is not shown either" if inside else f"a difference above {MARGIN:g} F1 is not excluded"
    small = f", by less than {MARGIN:g} F1" if line.equivalent else ""
    return {
        "better": f"significantly higher ({p}{small})",
        "worse": f"significantly lower ({p}{small})",
        "same": "identical counts in every sentence, as if one training had two names",
        "equivalent": f"no difference shown, and equivalent within ±{MARGIN:g} F1",
        "undecided": f"no difference shown; {possible}",
        "no test": "not tested, with fewer than 3 seeds",
        "no interval": "not tested, for lack of counts by sentence",
    }.get(line.verdict, "nothing to compare")


def outcomes(comparison: Comparison) -> Counter[str]:
    """How many languages show A better, worse, equivalent, undecided or not tested."""
    names = {"better": "better", "worse": "worse", "equivalent": "equivalent", "same": "equivalent"}
    names |= {"no test": "not tested", "no interval": "not tested"}
    return Counter(names.get(x.verdict, "undecided") for x in comparison.lines if x.verdict != "gap")


def languages(comparison: Comparison) -> str:
    """The languages by verdict; undecided ones with the interval at the level at which Holm tests."""
    by_verdict, order = dict[str, list[str]](), list(_BY_VERDICT.values())
    for line in comparison.lines:
        low, high = map(signed, line.together or (0.0, 0.0))
        notes = {"undecided": f" ({low} to {high})", "gap": f" ({line.note})"}
        small = f" (by less than {MARGIN:g} F1)" if line.equivalent and line.verdict in ("better", "worse") else ""
        by_verdict.setdefault(_BY_VERDICT[line.verdict], []).append(f"{line.name}{notes.get(line.verdict, small)}")
    parts = [
        f"{head} {', '.join(names)}" for head, names in sorted(by_verdict.items(), key=lambda x: order.index(x[0]))
    ]
    return f"{comparison.a} is {'; '.join(parts)}."


def percent(level: float) -> str:
    """The level of an interval."""
    return f"{min(99.9, 100 * level):.3g} %"


def spelled(number: int) -> str:
    """The number as a word up to twelve, then in digits."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def signed(value: float) -> str:
    """The value with its sign and one decimal, or two if one would read 0.0."""
    text = next((t for t in (f"{value:+.1f}", f"{value:+.2f}") if float(t)), "0.0")
    return text.replace("-", "−")


def status_note(comparisons: Sequence[Comparison]) -> str:
    """Whether the contrasts were declared, and what their averages are over."""
    declared = any(comparison.declared for comparison in comparisons)
    status = "Declared before the runs." if declared else "Exploratory: the matrix declares no contrast for this table."
    return f"{status} Each average is over the languages that both methods have."


def exploratory_note(group: Group) -> str:
    """What tells tests over all pairs from those of declared contrasts, as a sentence after another; "" without any."""
    if not any(comparison.declared for comparison in contrasts_of(group)):
        return ""
    return " Exploratory: the declared contrasts are a smaller family of tests, and are in the figure of contrasts."


def untested_note(comparisons: Sequence[Comparison]) -> str:
    """What the intervals of contrasts of few seeds are over, as a sentence after another; "" where none is of few."""
    few = any(line.what == ONLY for comparison in comparisons for line in comparison.shown)
    return f" With fewer than {MIN_SEEDS} seeds: over test sentences only, and not tested." if few else ""


def family_note(comparisons: Sequence[Comparison]) -> str:
    """How the numbers of the contrasts were computed and tested."""
    number, declared = len(comparisons), any(comparison.declared for comparison in comparisons)
    exploratory = f"the {number} contrasts" if number > 1 else "one"
    kinds = "the declared primary contrasts and over the other declared ones of all tables, measured or not"
    family = kinds if declared else exploratory
    return (
        f"{status_note(comparisons)} p: paired, seeds and sentences crossed, "
        f"Holm over {family}, by language over its languages; intervals are at the level at "
        f"which Holm tests: they leave out 0 exactly where p < {LEVEL:g}.{untested_note(comparisons)} "
        "Cost: A's compute, training and inference, divided by B's; human translation is not counted."
    )


# --- text and JSON ----------------------------------------------------------------------------------------------------


def text(comparison: Comparison) -> str:
    """The comparison as a block of text for the terminal."""
    group = comparison.group
    grid = [["language", comparison.a, comparison.b, *HEADS], *map(cells, comparison.shown)]
    lines = [title_of(group, f"{comparison.a} - {comparison.b}, F1"), "", *aligned(grid), "", *line_notes(comparison)]
    variances = {line.what for line in (*comparison.lines, comparison.macro)}
    lines += [*corpus_notes(group), *setting_notes(group)]
    lines.append(f"F1: strict IOB2, percent, mean over the seeds of both; checkpoint {comparison.rule}.")
    lines.append(
        f"{interval_note(variances, 'The')} p: paired, seeds and sentences crossed; Holm over the languages, and for "
        "the average of a declared contrast over the declared ones of its kind; at Holm's level: the interval at the "
        f"level at which Holm tests, which leaves out 0 exactly where p (Holm) is below {LEVEL:g}. within ±{MARGIN:g}: "
        f"two one-sided tests at {100 * LEVEL:g} %, not adjusted; of the average with no less "
        "variance than independent languages would have. "
        f"macro: mean over the languages where both have a number. {TESTS}"
    )
    differing = comparison.factors | comparison.settings
    lines += ["", *(f"{name.replace('_', ' ')}: {a} | {b}" for name, (a, b) in differing.items())] if differing else []
    lines += ["", *(f"- {sentence}" for sentence in conclusions(comparison))]
    return "\n".join(map(printable, lines)) + "\n"


def line_notes(comparison: Comparison) -> list[str]:
    """The notes on lines, one line for equal ones; notes on gaps are among the conclusions."""
    named: dict[str, list[str]] = {}
    for line in (*comparison.lines, comparison.macro):
        if line.note and line.verdict != "gap":
            named.setdefault(line.note, []).append(line.name)
    return [f"{', '.join(names)}: {note}" for note, names in named.items()]


def cells(line: ComparisonLine) -> list[str]:
    """The line's name, F1 of A and B, then the columns of `HEADS`."""

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else f"{value:{form}}"

    def p(value: float | None) -> str:
        return "<0.001" if value is not None and value < 0.001 else number(value, ".3f")

    def limits(value: Limits | None) -> str:
        return "-" if value is None else f"{value[0]:+.2f} to {value[1]:+.2f}"

    return [
        line.name,
        number(line.a, ".2f"),
        number(line.b, ".2f"),
        number(line.difference, "+.2f"),
        limits(line.interval),
        p(line.p),
        limits(line.together),
        p(line.p_holm),
        {None: "-", True: "yes", False: "no"}[line.equivalent],
        str(len(line.seeds) or "-"),
        str(line.sentences or "-"),
    ]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values; F1 in percent, differences in points."""
    group = comparison.group
    return {
        "a": comparison.a,
        "b": comparison.b,
        "table": {name: getattr(group, name) for name in ("corpus", "source", "encoder", "axes", "intrinsic")}
        | {"synthetic": is_synthetic(group)},
        "rule": comparison.rule,
        "languages": [_json(line) for line in comparison.lines],
        "macro": _json(comparison.macro) | {"over": list(comparison.languages)},
        "factors": {name: {"a": a, "b": b} for name, (a, b) in comparison.factors.items()},
        "settings": {name: {"a": a, "b": b} for name, (a, b) in comparison.settings.items()},
        "declared": comparison.declared or None,
        "oracles": list(comparison.oracles),
        "imported": list(comparison.imported),
        "conclusions": conclusions(comparison),
    }


def _json(line: ComparisonLine) -> dict[str, Any]:
    names = {
        "name": "language",
        "interval": "interval_95",
        "together": "interval_at_holms_level",
        "narrow": "equivalence_interval_90",
        "level": "holms_level",
        "what": "interval_holds",
    }
    names |= {"equivalent": "equivalent_within_1"}
    values = {names.get(name, name): value for name, value in vars(line).items() if name not in ("same", "estimate")}
    return values | {"interval_holds": line.what or None, "note": line.note or None}
