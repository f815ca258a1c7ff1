"""Tables of percentages by target language beside the main one: types, seen entities, rules, gap closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bench.report.frame import Group
from bench.report.head import corpus_notes, oracle_note, setting_notes, title_of
from bench.report.main_table import TEXTS, cell_of, head_cells, heads_of, macro_cell, macro_note
from bench.report.model import Cell, Footnotes, Table, frame_of
from bench.report.scores import average_over, cells_of, mean_of, rows_of, scores_of
from bench.store.record import RuleScores

Part = Callable[[RuleScores], float | None]


def _type_f1(type_: str, score: RuleScores) -> float | None:
    """F1 of a type; None where it has no gold entity, since a test without it says nothing of it."""
    counts = score.types.get(type_)
    if counts is None or counts.tp + counts.fn == 0:
        return None
    return 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def _grid(group: Group, table: Table, parts: Sequence[tuple[str, Part]], head: str, none: str) -> Table:
    """`table` with rows (method, part) × languages, from the main rule's scores."""
    rule, footnotes, cells, lines = group.main_rule, Footnotes(), cells_of(group), []
    scores = scores_of(group, rule)
    rows = rows_of(group)
    for row in rows:
        oracle = any(scores[row, target].oracle for target in group.targets)
        for name, part in parts:
            line = head_cells(group, row, oracle) | {head: Cell(text=name)}
            for target in group.targets:
                score = scores[row, target]
                value = mean_of(cells.get((row, target), []), rule, part)
                if score.mean is None:
                    line[target] = cell_of(score, footnotes)
                elif value is None:
                    line[target] = Cell(text="n/a", status="no score", notes=footnotes.add([none]))
                else:
                    line[target] = Cell(value, seeds=len(score.seeds), n=score.sentences)
            lines.append(line)
    notes = [*corpus_notes(group), *setting_notes(group), *table.notes, f"Checkpoint: {rule or 'n/a'}."]
    if any(score.oracle for score in scores.values()):
        notes.append(oracle_note())
    heads = (*heads_of(group), head)
    return Table(
        name=table.name,
        title=table.title,
        heads=heads,
        frame=frame_of(lines, [*heads, *group.targets]),
        columns_are="language",
        notes=tuple(notes),
        footnotes=tuple(footnotes.texts),
    )


def _shell(group: Group, name: str, what: str, *notes: str) -> Table:
    return Table(name, title_of(group, what), heads_of(group), frame_of([], []), notes=notes)


def types_table(group: Group, name: str = "types") -> Table | None:
    """F1 by entity type, method and language, in percent, mean over seeds."""
    types = {t for one in group.stored for score in one.record.scores.values() for t in score.types}
    if not types:
        return None
    parts: list[tuple[str, Part]] = [(type_, partial(_type_f1, type_)) for type_ in sorted(types)]
    shell = _shell(group, name, "F1 by entity type", "F1: strict IOB2, percent, mean over seeds; no intervals.")
    return _grid(group, shell, parts, "type", "no gold entity of the type")


def seen_table(group: Group, name: str = "seen") -> Table | None:
    """Recall of entities that stand in the training labels (surface and type), and of those that do not."""
    parts: list[tuple[str, Part]] = [("seen", lambda s: s.recall_seen), ("unseen", lambda s: s.recall_unseen)]
    found = [part(score) for one in group.stored for score in one.record.scores.values() for _, part in parts]
    if all(value is None for value in found):
        return None
    note = "Recall in percent, mean over seeds. Seen: surface and type stand in that method's training labels."
    shell = _shell(group, name, "Recall of entities seen and unseen in training", note)
    return _grid(group, shell, parts, "entities", "unknown, or no such entity")


def rules_table(group: Group, name: str = "rules") -> Table | None:
    """F1 by selection rule; rules that look at target labels are oracles. None where there is one rule."""
    rules = list(dict.fromkeys(rule for one in group.stored for rule in one.record.rules))
    if len(rules) < 2:
        return None
    footnotes, lines, said = Footnotes(), [], {}
    for rule in rules:
        scores = scores_of(group, rule)
        rows = rows_of(group)
        languages = average_over(scores, rows, group.targets)
        said[rule] = macro_note(languages)
        peeks = any(one.record.scores[rule].oracle for one in group.stored if rule in one.record.scores)
        for row in rows:
            oracle = any(scores[row, target].oracle for target in group.targets)
            line = head_cells(group, row, oracle and not peeks) | {"rule": Cell(text=rule, oracle=peeks)}
            line |= {target: cell_of(scores[row, target], footnotes) for target in group.targets}
            lines.append(line | {"macro": macro_cell(scores, row, languages, footnotes)})
    heads = (*heads_of(group), "rule")
    if len(set(said.values())) == 1:
        said = {"": said[rules[0]]}
    sets = [f"{rule}: {text}" if rule else text for rule, text in said.items()]
    return Table(
        name=name,
        title=title_of(group, "F1 by selection rule"),
        heads=heads,
        frame=frame_of(lines, [*heads, *group.targets, "macro"]),
        columns_are="language",
        notes=(*corpus_notes(group), *setting_notes(group), *sets, oracle_note()),
        footnotes=tuple(footnotes.texts),
    )


def gap_table(group: Group, name: str = "gap") -> Table | None:
    """Share of the gap from zero_shot to target_supervised that a method closes, in percent (DESIGN.md §7).

    None where the matrix lacks either end. A gap below 1 point is not divided by.
    """
    scores = scores_of(group, group.main_rule)
    lines, footnotes = [], Footnotes()
    for row in rows_of(group):
        floor, ceiling = (row[0], "zero_shot"), (row[0], "target_supervised")
        if row in (floor, ceiling) or floor not in rows_of(group) or ceiling not in rows_of(group):
            continue
        line = head_cells(group, row, any(scores[row, target].oracle for target in group.targets))
        for target in group.targets:
            low, here, high = (scores[one, target].mean for one in (floor, row, ceiling))
            if low is None or here is None or high is None:
                line[target] = Cell(text=TEXTS["missing"], status="missing")
            elif high - low < 1:
                why = "the gap is below 1 point: no share"
                line[target] = Cell(text="n/a", status="no score", notes=footnotes.add([why]))
            else:
                line[target] = Cell(100 * (here - low) / (high - low))
        lines.append(line)
    if not lines:
        return None
    note = "100 x (F1 - zero_shot) / (target_supervised - zero_shot), from the means over seeds; no intervals."
    return Table(
        name=name,
        title=title_of(group, "Share of the gap closed"),
        heads=heads_of(group),
        frame=frame_of(lines, [*heads_of(group), *group.targets]),
        columns_are="language",
        notes=(*corpus_notes(group), *setting_notes(group), note, oracle_note()),
        footnotes=tuple(footnotes.texts),
    )
