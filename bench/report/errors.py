"""A sample of a method's errors on a language, and how many there are of each kind: gold against predicted spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.core.files import sha256_of
from bench.core.sentences import Span, spans_of
from bench.report.frame import Group, Stored, test_of
from bench.report.scores import Row, cells_of
from bench.store.sidecars import GOLD, Damaged, Sidecar, predictions_name, read_sidecar

KINDS = {  # *ours*: what becomes of an entity, by the predicted ones that overlap it
    "correct": "same words, same type",
    "type": "same words, another type",
    "boundary": "other words that overlap, same type",
    "type and boundary": "other words that overlap, another type",
    "missed": "in the gold only: nothing predicted overlaps it",
    "spurious": "predicted only: no gold entity overlaps it",
}
WIDEST = 60  # words of a sentence that are shown


@dataclass(frozen=True)
class Wrong:
    """A sentence whose entities were not all found, or not only they; spans with their kind, by start."""

    id: str
    words: tuple[str, ...]
    gold: tuple[tuple[Span, str], ...]
    found: tuple[tuple[Span, str], ...]

    @property
    def window(self) -> tuple[int, int]:
        """The words to show: all, or those around the first error where the sentence is long."""
        if len(self.words) <= WIDEST:
            return 0, len(self.words)
        starts = [span.start for span, kind in (*self.gold, *self.found) if kind != "correct"]
        first = max(0, min(min(starts) - WIDEST // 4, len(self.words) - WIDEST))
        return first, first + WIDEST


@dataclass(frozen=True)
class Sample:
    """Errors of one record: of its entities by kind, of its sentences how many are wrong, and some of those."""

    stored: Stored
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    sentences: int = 0
    shown: tuple[Wrong, ...] = ()
    why: str = ""  # nothing can be shown


def samples(group: Group, size: int) -> dict[tuple[Row, str], Sample]:
    """By row and target the errors of its middle seed (by F1; the lower of two), `size` sentences shown at most.

    Sentences are drawn in an order that depends on the sentence only, so that all methods show the same ones where they
    err on them. Cells without a finished record are left out.
    """
    rule, cells = group.main_rule, cells_of(group)
    found = {}
    for target in group.targets:  # one test in memory at a time
        golds: dict[str, Sidecar] = {}
        for (row, other), stored in cells.items():
            if other == target and (chosen := middle(stored, rule)) is not None:
                found[row, target] = sample(chosen, rule, size, golds)
    return found


def middle(stored: Sequence[Stored], rule: str) -> Stored | None:
    """The finished record with the middle F1 (the lower of two); None where none is finished."""
    done = [one for one in stored if one.record.status == "ok" and rule in one.record.scores]
    by_f1 = sorted(done, key=lambda one: (one.record.scores[rule].f1, one.seed))
    return by_f1[(len(by_f1) - 1) // 2] if by_f1 else None


def sample(stored: Stored, rule: str, size: int, golds: dict[str, Sidecar]) -> Sample:
    """The errors of one record; `golds` keeps the tests that were read."""
    key, test = stored.record.key, test_of(stored.record)
    try:
        if test not in golds:
            golds[test] = read_sidecar(stored.store.sidecar(key, GOLD))
        predicted = read_sidecar(stored.store.sidecar(key, predictions_name(rule)))
    except Damaged as error:
        return Sample(stored, why=f"gold or predictions of seed {stored.seed}: {error}")
    gold = golds[test]
    if gold.words != predicted.words:
        return Sample(stored, why=f"seed {stored.seed}: gold and predictions are not of the same sentences")
    kinds: Counter[str] = Counter()
    wrong: list[Wrong] = []
    for place, words in enumerate(gold.words):
        if gold.tags[place] == predicted.tags[place] and not any(tag != "O" for tag in gold.tags[place]):
            continue
        one = judged(gold.ids[place], words, *(spans_of(side.tags[place]) for side in (gold, predicted)))
        kinds.update(kind for _, kind in one.gold)
        kinds.update(kind for _, kind in one.found if kind == "spurious")
        if any(kind != "correct" for _, kind in (*one.gold, *one.found)):
            wrong.append(one)
    chosen = sorted(wrong, key=lambda one: sha256_of(f"{one.id}\n{' '.join(one.words)}"))[:size]
    return Sample(stored, kinds, len(wrong), len(gold.words), tuple(chosen))


def judged(id_: str, words: Sequence[str], gold: Sequence[Span], found: Sequence[Span]) -> Wrong:
    """The spans of a sentence with their kinds."""
    ours = tuple((span, _kind(span, found, "missed")) for span in gold)
    theirs = tuple((span, _kind(span, gold, "spurious")) for span in found)
    return Wrong(id_, tuple(words), ours, theirs)


def _kind(span: Span, others: Sequence[Span], alone: str) -> str:
    """What a span is against the other side's; an overlap of the same type counts before one of another."""
    if span in others:
        return "correct"
    near = [other for other in others if other.start < span.end and span.start < other.end]
    if any((other.start, other.end) == (span.start, span.end) for other in near):
        return "type"
    if any(other.type == span.type for other in near):
        return "boundary"
    return "type and boundary" if near else alone


def totals(found: Mapping[tuple[Row, str], Sample]) -> Iterator[str]:
    """The kinds that occur, in the order of `KINDS`."""
    seen = {kind for one in found.values() for kind in one.kinds}
    return (kind for kind in KINDS if kind in seen)
