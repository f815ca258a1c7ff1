"""The notes above a table: what a reader must know before reading a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bench.report.frame import Group
from bench.store.record import Record

SYNTHETIC = "synthetic: no evidence about languages"


def title_of(group: Group, what: str) -> str:
    """What the table shows, of which corpus, with the synthetic label."""
    title = " / ".join(map(str, group.values("title"))) or group.corpus
    kind = "Intrinsic (labels projected to the test itself), " if group.intrinsic else ""
    return f"{kind}{what}: {title}{f' ({SYNTHETIC})' if is_synthetic(group) else ''}"


def is_synthetic(group: Group) -> bool:
    return any(bool(one.record.corpus.get("synthetic")) for one in group.stored)


def corpus_notes(group: Group) -> list[str]:
    """Labels and licence of the corpus."""
    notes = []
    if is_synthetic(group):
        notes.append(f"{SYNTHETIC[0].upper()}{SYNTHETIC[1:]}.")
    human = any(one.record.resources.translation == "human" for one in group.stored)
    if human:
        notes.append("Human translations: an upper bound on translation quality.")
    tested = {one.label for one in group.stored if one.record.resources.test_translation == "human"}
    if tested:
        notes.append(f"Human translations of the test, an upper bound, too: {', '.join(sorted(tested))}.")
    said = dict.fromkeys(str(note) for one in group.stored for note in one.record.corpus.get("notes") or ())
    notes += [f"{note.rstrip('.')}." for note in said]
    if licences := group.values("licence"):
        notes.append(f"Licence of the corpus: {'; '.join(map(str, licences))}.")
    return notes


def setting_notes(group: Group) -> list[str]:
    """Corpus, encoder, budget and seeds, with every value that occurs: unequal budgets must be visible."""
    records = [one.record for one in group.stored]
    done = [record for record in records if record.status == "ok"]
    parts = [f"Corpus {group.corpus}", f"source {group.source or 'n/a'}", f"encoder {group.encoder}"]
    if group.axes:
        parts.append(group.axes)
    parts.append(f"source sentences {_values(records, lambda r: r.cell.get('n_source'))}")
    parts.append(f"steps {_values(done, lambda r: r.cost.steps or None)}")
    parts.append(f"batch {_values(done, lambda r: r.cost.batch or None)}")
    parts.append(f"seeds {_values(records, lambda r: r.cell.get('seed'))}")
    trials = {int(record.cell.get("trial") or 0) for record in records}
    if max(trials, default=0) > 0:
        parts.append("settings searched, the trial chosen on source dev")
    return ["; ".join(parts) + "."]


def _values(records: Iterable[Record], part: Callable[[Record], Any]) -> str:
    values = {value for record in records if (value := part(record)) is not None}
    return ", ".join(str(value) for value in sorted(values)) or "n/a"


def interval_note(whats: Iterable[str], form: str = "± is half the width of a") -> str:
    """Which variance the intervals hold, in words."""
    found = sorted({what for what in whats if what})
    if not found:
        return "No intervals: no counts by sentence."
    return f"{form} 95 % interval over {' or (fewer than 3 seeds) '.join(found)}."


def oracle_note() -> str:
    return "† uses gold labels of the target language: an oracle, never counted as best."
