"""F1 by groups of languages: script, family, seen by the encoder's pre-training or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.report.frame import Group
from bench.report.head import corpus_notes, interval_note, oracle_note, setting_notes, title_of
from bench.report.languages import UNKNOWN, family_of, pretrained_on, script_of
from bench.report.main_table import head_cells, heads_of, macro_cell
from bench.report.model import Footnotes, Table, frame_of
from bench.report.scores import average_over, rows_of, scores_of
from bench.store.sidecars import GOLD, Damaged, read_sidecar


def groups_table(group: Group, name: str = "groups") -> Table | None:
    """Means over the languages of a script, a family, and those that the encoder's pre-training had and had not.

    Only languages of the main table's average; None where they are all of one group.
    """
    rows, scores = rows_of(group), scores_of(group, group.main_rule)
    languages = average_over(scores, rows, group.targets)
    members = _members(group, languages)
    if not members:
        return None
    footnotes, lines = Footnotes(), []
    for row in rows:
        line = head_cells(group, row, any(scores[row, target].oracle for target in group.targets))
        lines.append(line | {one: macro_cell(scores, row, targets, footnotes) for one, targets in members.items()})
    notes = [
        f"F1: strict IOB2, percent, mean over the languages of a group and over seeds. Checkpoint: {group.main_rule}.",
        *(f"{one}: {', '.join(targets)}." for one, targets in members.items()),
        "Script: of most letters of the test. Languages differ in more than their group: no evidence of its effect.",
        interval_note(
            (score.what for score in scores.values()), "±: mean of the languages' half-widths (a bound) of the"
        ),
    ]
    if any(score.oracle for score in scores.values()):
        notes.append(oracle_note())
    return Table(
        name=name,
        title=title_of(group, "F1 by groups of languages"),
        heads=heads_of(group),
        frame=frame_of(lines, [*heads_of(group), *members]),
        notes=(*corpus_notes(group), *setting_notes(group), *notes),
        footnotes=tuple(footnotes.texts),
    )


def _members(group: Group, languages: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Languages by group, for each way of grouping that tells some apart."""
    ways: list[tuple[str, Callable[[str], str]]] = [
        ("script", lambda target: _script(group, target)),
        ("family", family_of),
        ("pre-training", lambda target: pretrained_on(group.encoder, target)),
    ]
    members: dict[str, tuple[str, ...]] = {}
    for way, of in ways:
        found: dict[str, list[str]] = {}
        for target in languages:
            found.setdefault(of(target), []).append(target)
        if len(found) > 1:
            new = {f"{way}: {one}": tuple(targets) for one, targets in found.items()}
            members |= {one: targets for one, targets in new.items() if targets not in members.values()}
    return members


def _script(group: Group, target: str) -> str:
    """Read off the gold of the first finished record that has it."""
    for one in group.stored:
        if one.target == target and one.record.status == "ok":
            try:
                gold = read_sidecar(one.store.sidecar(one.record.key, GOLD))
            except Damaged:
                continue
            return script_of(word for words in gold.words for word in words)
    return UNKNOWN
