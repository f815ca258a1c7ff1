"""The main table: methods × target languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.report.frame import Group
from bench.report.head import corpus_notes, interval_note, oracle_note, setting_notes, title_of
from bench.report.model import Cell, Footnotes, Table, frame_of
from bench.report.scores import Row, Score, average_over, best_of, macro, rows_of, scores_of

TEXTS = {"skipped": "–", "failed": "failed", "missing": "–", "no score": "–"}
MARKS = (
    "Marked (bold; * in plain text): not distinguishable from the column's best "
    "(paired test, Holm inside the column, level 0.05)."
)


def cell_of(score: Score, footnotes: Footnotes) -> Cell:
    """The printed form of a score."""
    notes = footnotes.add(score.notes)
    if score.mean is None:
        return Cell(text=TEXTS[score.status], status=score.status, notes=notes)
    return Cell(score.mean, score.low, score.high, notes=notes, seeds=len(score.seeds), n=score.sentences)


def heads_of(group: Group) -> tuple[str, ...]:
    """The columns that name a row: the suite only where there are several."""
    return ("suite", "method") if len(group.suites) > 1 else ("method",)


def head_cells(group: Group, row: Row, oracle: bool) -> dict[str, Cell]:
    """The cells that name a row."""
    cells = {"suite": Cell(text=row[0]), "method": Cell(text=row[1], oracle=oracle)}
    return {name: cells[name] for name in heads_of(group)}


def macro_cell(
    scores: Mapping[tuple[Row, str], Score], row: Row, languages: Sequence[str], footnotes: Footnotes
) -> Cell:
    """The macro average, or a gap with its reason."""
    mean, half = macro(scores, row, languages)
    if mean is None:
        absent = [target for target in languages if scores[row, target].mean is None]
        why = f"no macro average: no number for {', '.join(absent)}" if absent else "no language that all methods have"
        return Cell(text="–", status="missing", notes=footnotes.add([why]))
    if half is None:
        return Cell(mean)
    return Cell(mean, mean - half, mean + half)


def macro_note(languages: Sequence[str]) -> str:
    """The set of languages that the macro average is over."""
    if not languages:
        return "No macro average: no language where all compared methods have numbers."
    return (
        f"macro: mean over {', '.join(languages)} (where all compared methods have numbers); "
        "its ± is the mean of theirs, an upper bound whatever their correlation."
    )


def main_table(group: Group, name: str = "main") -> Table:
    """F1 (percent, mean over seeds) ± half the 95 % interval, by method and target language, with the macro average.

    The rule is the first of the records' rules; the column `last` gives the macro average of the last checkpoint.
    """
    rule, footnotes = group.main_rule, Footnotes()
    scores, last = scores_of(group, rule), scores_of(group, "last")
    rows = rows_of(group)
    languages = average_over(scores, rows, group.targets)
    best = {target: best_of({row: scores[row, target] for row in rows}) for target in group.targets}
    with_last = rule != "last" and any(score.mean is not None for score in last.values())
    lines = []
    for row in rows:
        line = head_cells(group, row, any(scores[row, target].oracle for target in group.targets))
        for target in group.targets:
            cell = cell_of(scores[row, target], footnotes)
            line[target] = replace(cell, bold=row in (best[target] or ()))
        line["macro"] = macro_cell(scores, row, languages, footnotes)
        if with_last:
            line["last"] = replace(macro_cell(last, row, languages, footnotes), low=None, high=None)
        lines.append(line)
    columns = [*heads_of(group), *group.targets, "macro", *(["last"] if with_last else [])]
    return Table(
        name=name,
        title=title_of(group, "F1 by method and target language"),
        heads=heads_of(group),
        frame=frame_of(lines, columns),
        columns_are="language",
        notes=(*corpus_notes(group), *setting_notes(group), *_notes(rule, scores, languages, best, with_last)),
        footnotes=tuple(footnotes.texts),
    )


def _notes(
    rule: str,
    scores: Mapping[tuple[Row, str], Score],
    languages: Sequence[str],
    best: Mapping[str, frozenset[Row] | None],
    with_last: bool,
) -> list[str]:
    notes = ["F1: entities, strict IOB2, micro-averaged, percent, mean over seeds.", f"Checkpoint: {rule or 'n/a'}."]
    if with_last:
        notes.append("last: the macro average when the last checkpoint is taken instead.")
    notes.append(interval_note(score.what for score in scores.values()))
    notes.append(macro_note(languages))
    untested = [target for target, marked in best.items() if marked is None]
    if any(best.values()):
        notes.append(MARKS)
    if untested:
        notes.append(f"No marks in {', '.join(untested)}: the test needs at least 3 seeds and counts of the same test.")
    if any(score.oracle for score in scores.values()):
        notes.append(oracle_note())
    return notes
