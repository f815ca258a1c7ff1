"""Titles and notes of tables, plots and comparisons: corpus, licence, settings and intervals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from bench.report.frame import Group
from bench.store.record import Record

SYNTHETIC = "synthetic: no evidence about languages"
ORACLE = "† uses gold labels of the target language: an oracle, never counted as best."


# Controls, marks that change the direction of text, zero-width spaces, halves of surrogate pairs, characters that HTML
# forbids. The joiners U+200C and U+200D belong to the spelling (Persian, Hindi, emoji) and stay.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)


def visible(value: Any) -> Any:
    """Text with each hidden character replaced by its picture or ⟨code⟩; other values unchanged."""
    return _HIDDEN.sub(_shown, value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return " " if match[0] in "\t\n\r" else chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def title_of(group: Group, subject: str) -> str:
    """A title: the subject and the corpus, marked if it is synthetic."""
    title = " / ".join(map(str, group.values("title"))) or group.corpus
    kind = "Intrinsic (labels projected to the test itself), " if group.intrinsic else ""
    return f"{kind}{subject}: {title}{f' ({SYNTHETIC})' if is_synthetic(group) else ''}"


def is_synthetic(group: Group) -> bool:
    """Whether the corpus is synthetic, hence no evidence about languages."""
    return any(bool(run.record.corpus.get("synthetic")) for run in group.stored)


def corpus_notes(group: Group) -> list[str]:
    """Notes on the corpus: synthetic or not, human translations, its own notes, the licence."""
    notes = []
    if is_synthetic(group):
        notes.append(f"{SYNTHETIC[0].upper()}{SYNTHETIC[1:]}.")
    if any(run.record.resources.translation == "human" for run in group.stored):
        notes.append("Human translations: an upper bound on translation quality.")
    tested = {run.label for run in group.stored if run.record.resources.test_translation == "human"}
    if tested:
        notes.append(f"Human translations of the test, an upper bound, too: {', '.join(sorted(tested))}.")
    corpus_texts = dict.fromkeys(str(note) for run in group.stored for note in run.record.corpus.get("notes") or ())
    notes += [f"{note.rstrip('.')}." for note in corpus_texts]
    if licences := group.values("licence"):
        notes.append(f"Licence of the corpus: {'; '.join(map(str, licences))}.")
    return notes


def source_notes(group: Group) -> list[str]:
    """The sources read from the hub, with their commits."""
    read = {
        (role, source) for run in group.stored for role, text in run.record.sources.items() for source in text.split()
    }
    if not read:
        return []
    return [f"Read from the hub: {'; '.join(f'{role} {source}' for role, source in sorted(read))}."]


def setting_notes(group: Group) -> list[str]:
    """Corpus, encoder, budget and seeds, with every value that occurs: unequal budgets must be visible."""
    records = [run.record for run in group.stored]
    done = [record for record in records if record.status == "ok"]
    parts = [
        f"Corpus {group.corpus}",
        f"source {group.source or 'n/a'}",
        f"encoder {group.encoder}",
        group.axes,
        f"source sentences {_values(records, lambda r: r.cell.get('n_source'))}",
        f"steps {(steps := _values(done, lambda r: r.cost.steps or None))}",
        "rounds of teachers and students counted, by method in the table of costs" if "," in steps else "",
        f"batch {_values(done, lambda r: r.cost.batch or None)}",
        f"seeds {_values(records, lambda r: r.cell.get('seed'))}",
        "settings searched, the trial chosen on source dev" if any(run.trial for run in group.stored) else "",
    ]
    return ["; ".join(filter(None, parts)) + "."]


def _values(records: Iterable[Record], part: Callable[[Record], Any]) -> str:
    values = {value for record in records if (value := part(record)) is not None}
    return ", ".join(str(value) for value in sorted(values)) or "n/a"


def interval_note(variances: Iterable[str], form: str = "± is half the width of a") -> str:
    """Which variance the intervals cover, in words."""
    kinds = sorted({variance for variance in variances if variance})
    if not kinds:
        return "No intervals: no counts by sentence."
    return f"{form} 95 % interval over {' or (fewer than 3 seeds) '.join(kinds)}."
