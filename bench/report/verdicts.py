"""A comparison in words, as text and as JSON: what may be concluded, and what may not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.measure.statistics import MIN_SEEDS
from bench.report.compare import MARGIN, Comparison, Line, Verdict
from bench.report.head import corpus_notes, interval_note, is_synthetic, setting_notes, title_of
from bench.report.scores import LEVEL

HEADS = (
    "language",
    "",
    "",
    "difference",
    "95 % interval",
    "p",
    "p (Holm)",
    f"within ±{MARGIN:g}",
    "seeds",
    "sentences",
)


def conclusions(found: Comparison) -> list[str]:
    """Sentences: what the tests say, what the difference may be credited to, and what stands against believing it."""
    said = [*_by_language(found), *_on_average(found)]
    said.append(_status(found))
    said.append(_credit(found))
    said += [f"{label} uses gold labels of the target language: an oracle, no competitor." for label in found.oracles]
    said += [f"{label} is imported: data, budget and checkpoint choice are unknown here." for label in found.imported]
    if is_synthetic(found.group):
        said.append("The corpus is synthetic: no evidence about languages.")
    if any(one.record.scores[found.rule].oracle for one in found.group.stored if found.rule in one.record.scores):
        said.append(f"The rule {found.rule} looks at target labels: an oracle's choice of checkpoint.")
    return [sentence for sentence in said if sentence]


def _by_language(found: Comparison) -> list[str]:
    a, b = found.a, found.b
    by_verdict: dict[Verdict, list[Line]] = {}
    for line in found.lines:
        by_verdict.setdefault(line.verdict, []).append(line)
    forms: dict[Verdict, str] = {
        "better": f"{a} is better than {b} in {{}}.",
        "worse": f"{a} is worse than {b} in {{}}.",
        "same": f"{a} and {b} have the same counts in every sentence in {{}}, as one training under two names has.",
        "equivalent": f"{a} and {b} are equivalent within ±{MARGIN:g} F1 in {{}}.",
        "undecided": f"{a} and {b} cannot be told apart in {{}}; what stands in brackets is possible.",
        "no test": f"No test in {{}}: fewer than {MIN_SEEDS} seeds.",
        "no interval": "No test in {}: no counts by sentence.",
        "gap": "Nothing to compare in {}.",
    }
    return [form.format(_names(by_verdict[verdict])) for verdict, form in forms.items() if verdict in by_verdict]


def _names(lines: Sequence[Line]) -> str:
    def one(line: Line) -> str:
        if line.verdict == "gap":
            return f"{line.name} ({line.note})"
        if line.verdict in ("better", "worse") and line.equivalent:
            return f"{line.name} (by less than {MARGIN:g} F1)"
        if line.verdict == "undecided" and line.interval is not None:
            return f"{line.name} ({line.interval[0]:+.1f} to {line.interval[1]:+.1f})"
        return line.name

    return ", ".join(map(one, lines))


def _on_average(found: Comparison) -> list[str]:
    line = found.macro
    if len(found.languages) < 2:
        return []
    start = f"On average over {', '.join(found.languages)}, {found.a}"
    ends: dict[Verdict, str] = {
        "better": f"is better than {found.b} by {_size(line)}.",
        "worse": f"is worse than {found.b} by {_size(line)}.",
        "same": f"and {found.b} are the same.",
        "equivalent": f"and {found.b} are equivalent within ±{MARGIN:g} F1.",
        "undecided": f"and {found.b} cannot be told apart ({_range(line, 1)} is possible).",
        "no test": f"and {found.b} are not tested: fewer than {MIN_SEEDS} seeds.",
        "no interval": f"and {found.b} are not tested: {line.note.removeprefix('no interval: ')}.",
        "gap": "",
    }
    return [f"{start} {ends[line.verdict]}"] if ends[line.verdict] else []


def _size(line: Line) -> str:
    sign = -1 if line.verdict == "worse" else 1
    return f"{sign * (line.difference or 0.0):.1f} F1 ({_range(line, sign)})"


def _range(line: Line, sign: int) -> str:
    low, high = sorted(sign * limit for limit in line.interval or (0.0, 0.0))
    return f"{low:+.1f} to {high:+.1f}"


def _status(found: Comparison) -> str:
    if found.declared:
        return f"Declared in advance: {found.declared}."
    if found.rule != found.group.main_rule:
        return f"Exploratory: the rule {found.rule} is not the main one. To be confirmed on other seeds or data."
    return "Exploratory: this contrast was not declared in advance. To be confirmed on other seeds or data."


def _credit(found: Comparison) -> str:
    """What the difference may be credited to."""
    if found.imported:
        return ""
    names = [*(name.replace("_", " ") for name in found.factors), *found.settings]
    budget = [name for name in ("steps", "batch") if name in found.settings]
    unequal = f" The budgets are unequal ({', '.join(budget)})." if budget else ""
    if not names:
        return "They differ in no factor or setting that the records hold."
    if len(names) == 1:
        return f"They differ in {names[0]} only, to which a difference may be credited.{unequal}"
    return f"They differ in {len(names)} things ({', '.join(names)}): no difference is any single one's.{unequal}"


# --- text and JSON ----------------------------------------------------------------------------------------------------


def text(found: Comparison) -> str:
    """A block for the terminal."""
    group = found.group
    grid = [[*HEADS[:1], found.a, found.b, *HEADS[3:]]]
    grid += [cells(line) for line in (*found.lines, *([found.macro] if len(found.lines) > 1 else []))]
    lines = [title_of(group, f"{found.a} - {found.b}, F1"), "", *_aligned(grid), ""]
    lines += [
        f"{line.name}: {line.note}" for line in (*found.lines, found.macro) if line.note and line.verdict != "gap"
    ]
    whats = {line.what for line in (*found.lines, found.macro)}
    lines += [*corpus_notes(group), *setting_notes(group)]
    lines.append(f"F1: strict IOB2, percent, mean over the seeds of both; checkpoint {found.rule}.")
    lines.append(
        f"{interval_note(whats, 'The')} p: paired, seeds and sentences crossed; Holm over the languages. "
        f"within ±{MARGIN:g}: two one-sided tests at {100 * LEVEL:g} %, not adjusted. "
        "macro: mean over the languages where both have a number."
    )
    differing = {**found.factors, **found.settings}
    lines += ["", *(f"{name.replace('_', ' ')}: {a} | {b}" for name, (a, b) in differing.items())] if differing else []
    lines += ["", *(f"- {sentence}" for sentence in conclusions(found))]
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines) + "\n"


def cells(line: Line) -> list[str]:
    """The line as `HEADS` names its parts; p below 0.001 as that."""

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else f"{value:{form}}"

    interval = "-" if line.interval is None else f"{line.interval[0]:+.2f} to {line.interval[1]:+.2f}"
    within = {None: "-", True: "yes", False: "no"}[line.equivalent]
    return [
        line.name,
        number(line.a, ".2f"),
        number(line.b, ".2f"),
        number(line.difference, "+.2f"),
        interval,
        _p(line.p),
        _p(line.p_holm),
        within,
        str(len(line.seeds) or "-"),
        str(line.sentences or "-"),
    ]


def _p(value: float | None) -> str:
    return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in grid) for i in range(len(grid[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in grid
    ]


def as_json(found: Comparison) -> dict[str, Any]:
    """The comparison as JSON values; F1 in percent, differences in points."""
    group = found.group
    return {
        "a": found.a,
        "b": found.b,
        "table": {"corpus": group.corpus, "source": group.source, "encoder": group.encoder, "axes": group.axes}
        | {"intrinsic": group.intrinsic, "synthetic": is_synthetic(group)},
        "rule": found.rule,
        "languages": [_json(line) for line in found.lines],
        "macro": _json(found.macro) | {"over": list(found.languages)},
        "factors": _pairs(found.factors.items()),
        "settings": _pairs(found.settings.items()),
        "declared": found.declared or None,
        "oracles": list(found.oracles),
        "imported": list(found.imported),
        "conclusions": conclusions(found),
    }


def _pairs(items: Iterable[tuple[str, tuple[str, str]]]) -> dict[str, dict[str, str]]:
    return {name: {"a": a, "b": b} for name, (a, b) in items}


def _json(line: Line) -> dict[str, Any]:
    return {
        "language": line.name,
        "a": line.a,
        "b": line.b,
        "difference": line.difference,
        "interval_95": line.interval,
        "interval_90": line.narrow,
        "interval_holds": line.what or None,
        "p": line.p,
        "p_holm": line.p_holm,
        "equivalent_within_1": line.equivalent,
        "seeds": list(line.seeds),
        "sentences": line.sentences,
        "verdict": line.verdict,
        "note": line.note or None,
    }
