"""A comparison in words, as text and as JSON: what may be concluded, and what may not."""

from __future__ import annotations

from typing import Any

from bench.measure.statistics import MIN_SEEDS
from bench.report.compare import MARGIN, Comparison, ComparisonLine, Limits, Verdict
from bench.report.folder import aligned, printable
from bench.report.notes import corpus_notes, interval_note, is_synthetic, setting_notes, title_of
from bench.report.scores import LEVEL

HEADS = ("difference", "95 % interval", "p", "simultaneous", "p (Holm)", f"within ±{MARGIN:g}", "seeds", "sentences")
# by verdict: of the languages, and of the average
FORMS: dict[Verdict, tuple[str, str]] = {
    "better": ("{a} is significantly better than {b} in {what}.", "is significantly better than {b} by {what}."),
    "worse": ("{a} is significantly worse than {b} in {what}.", "is significantly worse than {b} by {what}."),
    "same": (
        "{a} and {b} have the same counts in every sentence in {what}, as one training under two names has.",
        "and {b} are the same.",
    ),
    "equivalent": (
        "{a} and {b} are equivalent within ±{margin:g} F1 in {what}.",
        "and {b} are equivalent within ±{margin:g} F1.",
    ),
    "undecided": (
        "{a} and {b} are not significantly different in {what}; the differences in brackets (simultaneous 95 %) "
        "remain possible.",
        "and {b} are not significantly different ({what} is possible).",
    ),
    "no test": ("No test in {what}: fewer than {seeds} seeds.", "and {b} are not tested: fewer than {seeds} seeds."),
    "no interval": ("No test in {what}: no counts by sentence.", "and {b} are not tested: {what}."),
    "gap": ("Nothing to compare in {what}.", ""),
}
TESTS = f"Significant: p < {LEVEL:g}, by language after Holm."


def conclusions(comparison: Comparison) -> list[str]:
    """Sentences: what the tests say, what the difference may be credited to, and what stands against believing it."""
    group, rule = comparison.group, comparison.rule
    said = [*_by_language(comparison), _on_average(comparison), _status(comparison), _credit(comparison)]
    said += [f"{x} uses gold labels of the target language: an oracle, no competitor." for x in comparison.oracles]
    said += [f"{x} is imported: data, budget and checkpoint choice are unknown here." for x in comparison.imported]
    if is_synthetic(group):
        said.append("The corpus is synthetic: no evidence about languages.")
    if any(run.record.scores[rule].oracle for run in group.stored if rule in run.record.scores):
        said.append(f"The rule {rule} looks at target labels: an oracle's choice of checkpoint.")
    return [sentence for sentence in said if sentence]


def _filled(comparison: Comparison, form: str, what: str) -> str:
    return form.format(a=comparison.a, b=comparison.b, what=what, margin=MARGIN, seeds=MIN_SEEDS)


def _by_language(comparison: Comparison) -> list[str]:
    by_verdict: dict[Verdict, list[str]] = {}
    for line in comparison.lines:
        by_verdict.setdefault(line.verdict, []).append(_language(line))
    return [_filled(comparison, FORMS[v][0], ", ".join(by_verdict[v])) for v in FORMS if v in by_verdict]


def _language(line: ComparisonLine) -> str:
    if line.verdict == "gap":
        return f"{line.name} ({line.note})"
    if line.verdict in ("better", "worse") and line.equivalent:
        return f"{line.name} (by less than {MARGIN:g} F1)"
    return f"{line.name} ({_range(line)})" if line.verdict == "undecided" else line.name


def _on_average(comparison: Comparison) -> str:
    line, form = comparison.macro, FORMS[comparison.macro.verdict][1]
    if len(comparison.languages) < 2 or not form:
        return ""
    sign = -1 if line.verdict == "worse" else 1
    whats = {"undecided": _range(line), "no interval": line.note.removeprefix("no interval: ")}
    what = whats.get(line.verdict, f"{sign * (line.difference or 0.0):.1f} F1 ({_range(line, sign)})")
    return f"On average over {', '.join(comparison.languages)}, {comparison.a} {_filled(comparison, form, what)}"


def _range(line: ComparisonLine, sign: int = 1) -> str:
    low, high = sorted(sign * limit for limit in line.together or line.interval or (0.0, 0.0))
    return f"{low:+.1f} to {high:+.1f}"


def _status(comparison: Comparison) -> str:
    if comparison.declared:
        return f"Declared in advance: {comparison.declared}."
    why = "this contrast was not declared in advance"
    if comparison.rule != comparison.group.main_rule:
        why = f"the rule {comparison.rule} is not the main one"
    return f"Exploratory: {why}. To be confirmed on other seeds or data."


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
    what = f"They differ in {len(names)} things ({', '.join(names)})"
    return f"{what}: a difference is not due to any one of them alone.{unequal}"


# --- text and JSON ----------------------------------------------------------------------------------------------------


def text(comparison: Comparison) -> str:
    """A block for the terminal."""
    group = comparison.group
    grid = [["language", comparison.a, comparison.b, *HEADS], *map(cells, comparison.shown)]
    lines = [title_of(group, f"{comparison.a} - {comparison.b}, F1"), "", *aligned(grid), "", *line_notes(comparison)]
    whats = {line.what for line in (*comparison.lines, comparison.macro)}
    lines += [*corpus_notes(group), *setting_notes(group)]
    lines.append(f"F1: strict IOB2, percent, mean over the seeds of both; checkpoint {comparison.rule}.")
    lines.append(
        f"{interval_note(whats, 'The')} p: paired, seeds and sentences crossed; Holm over the languages; "
        "simultaneous: the interval at the level at which Holm tests, which leaves out 0 exactly where p (Holm) is "
        f"below {LEVEL:g}. within ±{MARGIN:g}: two one-sided tests at {100 * LEVEL:g} %, not adjusted; of the average "
        "with no less variance than independent languages would have. "
        f"macro: mean over the languages where both have a number. {TESTS}"
    )
    differing = comparison.factors | comparison.settings
    lines += ["", *(f"{name.replace('_', ' ')}: {a} | {b}" for name, (a, b) in differing.items())] if differing else []
    lines += ["", *(f"- {sentence}" for sentence in conclusions(comparison))]
    return "\n".join(map(printable, lines)) + "\n"


def line_notes(comparison: Comparison) -> list[str]:
    """What must be said of single lines; those of gaps are among the conclusions."""
    lines = (*comparison.lines, comparison.macro)
    return [f"{line.name}: {line.note}" for line in lines if line.note and line.verdict != "gap"]


def cells(line: ComparisonLine) -> list[str]:
    """The line's name, F1 of A and B, and what `HEADS` names."""

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
        "together": "interval_simultaneous",
        "narrow": "interval_90",
        "what": "interval_holds",
    }
    names |= {"equivalent": "equivalent_within_1"}
    values = {names.get(name, name): value for name, value in vars(line).items() if name not in ("same", "estimate")}
    return values | {"interval_holds": line.what or None, "note": line.note or None}
