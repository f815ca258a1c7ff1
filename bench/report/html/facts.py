"""What records say beside their scores: flat, what all share told once, what differs in columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.files import canonical_json
from bench.report.frame import Stored
from bench.report.html.tables import boxed
from bench.report.html.text import esc, items, name
from bench.store.record import Cost, Record, Resources

_TOLD = frozenset({"scores", "error", "reason", "status", "schema", "key", "cell.seed", "cell.label", "cell.target"})
_MOST = 8  # values of one field that are listed
Facts = Mapping[str, str]


def flat(record: Record) -> dict[str, str]:
    """Every field by its dotted name; what the page tells elsewhere (scores, key, seed, label, target) left out."""
    return dict(_flat("", vars(record)))


def _flat(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if where in _TOLD:
        return
    if isinstance(value, Resources | Cost):
        value = vars(value)
    if isinstance(value, dict) and value:
        for part, inner in value.items():
            yield from _flat(f"{where}.{part}" if where else str(part), inner)
    elif type(value) is int:  # most values, and a tenth of canonical_json's time
        yield where, str(value)
    elif value not in (None, {}, [], (), ""):
        yield where, value if isinstance(value, str) else canonical_json(value)


def shared(facts: Sequence[Facts]) -> dict[str, str]:
    """The fields that have one value in all of them."""
    if not facts:
        return {}
    return {where: text for where, text in facts[0].items() if all(one.get(where) == text for one in facts)}


def facts_html(facts: Facts) -> str:
    """Fields and values."""
    rows = "".join(f"<tr><th scope=row>{esc(where)}<td>{name(text)}" for where, text in sorted(facts.items()))
    return f'<table class="facts"><tbody>{rows}</tbody></table>' if rows else ""


def seeds_html(stored: Sequence[Stored], facts: Mapping[str, Facts], known: Facts) -> str:
    """The fields of a cell's records, by key in `facts`, that are not `known`: one column where seeds agree."""
    ours = [facts[one.record.key] for one in stored]
    names = sorted({where for one in ours for where in one if where not in known})
    rows = []
    for where in names:
        values = [one.get(where, "–") for one in ours]
        texts = f"<td colspan={len(values)}>{name(values[0])}" if len(set(values)) == 1 else ""
        rows.append(f"<tr><th scope=row>{esc(where)}{texts or ''.join(f'<td>{name(value)}' for value in values)}")
    head = "".join(f"<th scope=col>seed {one.seed}" for one in stored)
    body = "".join(rows)
    table = f'<table class="facts"><thead><tr><th scope=col>field{head}</thead><tbody>{body}</tbody></table>'
    return boxed(table, "Fields of the records")


def environment_html(facts: Sequence[Facts], anchor: str) -> str:
    """Versions, devices, code: every value that occurs, and in how many records."""
    kinds = ("versions.", "ran.", "code", "commit", "matrix")
    counts: dict[str, Counter[str]] = {}
    for one in facts:
        for where, text in one.items():
            if where.startswith(kinds):
                counts.setdefault(where, Counter())[text] += 1
    rows = []
    for where, values in sorted(counts.items()):
        found = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        more = f" and {len(found) - _MOST} more values" if len(found) > _MOST else ""
        texts = items([f"{name(text)} <small>({number} of {len(facts)})</small>" for text, number in found[:_MOST]])
        if more and all(text.isdigit() for text in values):
            texts, more = (
                f"{min(map(int, values))} to {max(map(int, values))}",
                f" <small>({len(found)} values)</small>",
            )
        rows.append(f"<tr><th scope=row>{esc(where)}<td>{texts}{more}")
    head = "<thead><tr><th scope=col>field<th scope=col>values (records)</thead>"
    table = boxed(f'<table class="facts">{head}<tbody>{"".join(rows)}</tbody></table>', "Environment")
    return f'<section id="{anchor}"><h2>Environment</h2>{table}</section>\n'
