"""What records say beside their scores: flat, what all share told once, what differs in columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.files import canonical_json
from bench.report.frame import Stored
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
    return {where: text for where, text in facts[0].items() if all(other.get(where) == text for other in facts)}


def by_seed(stored: Sequence[Stored], facts: Mapping[str, Facts], known: Facts) -> list[tuple[str, list[str]]]:
    """Fields of a cell's records, by key in `facts`, that are not `known`: a value a seed, or one where they agree."""
    fields = [facts[run.record.key] for run in stored]
    names = sorted({where for record in fields for where in record if where not in known})
    values = {where: [record.get(where, "–") for record in fields] for where in names}
    return [(where, texts[:1] if len(set(texts)) == 1 else texts) for where, texts in values.items()]


def environment(facts: Sequence[Facts]) -> list[tuple[str, list[tuple[str, int]], int]]:
    """Versions, devices, code: field, its most frequent values with their numbers of records, how many more there are.

    Where more values than can be listed are numbers, their range stands for them.
    """
    counts: dict[str, Counter[str]] = {}
    for where, text in (item for record in facts for item in record.items()):
        if where.startswith(("sources.", "versions.", "ran.", "code", "commit", "matrix")):
            counts.setdefault(where, Counter())[text] += 1
    rows = []
    for where, values in sorted(counts.items()):
        listed = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        if len(listed) > _MOST and all(text.isdigit() for text in values):
            numbers = sorted(map(int, values))
            listed = [(f"{numbers[0]} to {numbers[-1]} ({len(numbers)} values)", values.total())]
        rows.append((where, listed[:_MOST], max(0, len(listed) - _MOST)))
    return rows
