"""Errors of a method on a language, gold against predicted spans: how many of each kind, types confused, a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.files import sha256_of
from bench.core.sentences import Span, spans_of
from bench.report.frame import Group, Row, Stored
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


class SidecarPairs:
    """Gold and predictions of records; a test that several share is read once."""

    def __init__(self) -> None:
        self._gold: dict[str, Sidecar] = {}

    def read(self, stored: Stored, rule: str) -> tuple[Sidecar, Sidecar]:
        """Gold and predictions, sentence by sentence the same words.

        Raises:
            Damaged: one of them cannot be read, or they are not of the same sentences.
        """
        key, test = stored.record.key, stored.test
        try:
            if test not in self._gold:
                self._gold[test] = read_sidecar(stored.store.sidecar(key, GOLD))
            predicted = read_sidecar(stored.store.sidecar(key, predictions_name(rule)))
        except Damaged as error:
            raise Damaged(f"gold or predictions of seed {stored.seed}: {error}") from error
        if self._gold[test].words != predicted.words:
            raise Damaged(f"seed {stored.seed}: gold and predictions are not of the same sentences")
        return self._gold[test], predicted


def middle(stored: Sequence[Stored], rule: str) -> Stored | None:
    """The finished record with the middle F1 (the lower of two); None where none is finished."""
    by_f1 = sorted((score.f1, run.seed, run) for run in stored if (score := run.score(rule)) is not None)
    return by_f1[(len(by_f1) - 1) // 2][2] if by_f1 else None


def samples(group: Group, size: int) -> dict[tuple[Row, str], Sample]:
    """By row and target the errors of its middle seed (by F1; the lower of two), `size` sentences shown at most.

    Sentences are drawn in an order that depends on the sentence only, so that all methods show the same ones where they
    err on them. Cells without a finished record are left out.
    """
    made = {}
    for target in group.targets:  # one test in memory at a time
        pairs = SidecarPairs()
        for (row, other), stored in group.cells.items():
            if other == target and (chosen := middle(stored, group.main_rule)) is not None:
                made[row, target] = sample(chosen, group.main_rule, size, pairs)
    return made


def sample(stored: Stored, rule: str, size: int, pairs: SidecarPairs) -> Sample:
    """The errors of one record."""
    try:
        gold, predicted = pairs.read(stored, rule)
    except Damaged as error:
        return Sample(stored, why=str(error))
    kinds: Counter[str] = Counter()
    wrong: list[Wrong] = []
    for id_, words, *tags in zip(gold.ids, gold.words, gold.tags, predicted.tags, strict=True):
        if tags[0] == tags[1] and set(tags[0]) == {"O"}:
            continue
        sentence = judged(id_, words, spans_of(tags[0]), spans_of(tags[1]))
        kinds.update(kind for _, kind in sentence.gold)
        kinds.update(kind for _, kind in sentence.found if kind == "spurious")
        if any(kind != "correct" for _, kind in (*sentence.gold, *sentence.found)):
            wrong.append(sentence)
    chosen = sorted(wrong, key=lambda sentence: sha256_of(f"{sentence.id}\n{' '.join(sentence.words)}"))[:size]
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
    near = [other for other in others if _overlap(span, other) > 0]
    if any((other.start, other.end) == (span.start, span.end) for other in near):
        return "type"
    if any(other.type == span.type for other in near):
        return "boundary"
    return "type and boundary" if near else alone


def confusion(gold: Iterable[Sequence[Span]], found: Iterable[Sequence[Span]], types: Sequence[str]) -> np.ndarray:
    """Counts (types + 1, types + 1): gold type by predicted type, the last row and column for none.

    A gold entity is taken for the type of the predicted one that shares most words with it (the same span before
    others, then its own type, then the first); a predicted entity that shares no word with any gold one stands in the
    last row.
    """

    def closeness(span: Span, other: Span) -> tuple[bool, int, bool]:
        return span[:2] == other[:2], _overlap(span, other), span.type == other.type

    place = {type_: i for i, type_ in enumerate(types)}
    counts = np.zeros((len(types) + 1, len(types) + 1), dtype=np.int64)
    for wanted, predicted in zip(gold, found, strict=True):
        for span in wanted:
            near = [other for other in predicted if _overlap(span, other) > 0]
            best = max(near, key=lambda other: closeness(span, other), default=None)
            counts[place[span.type], place[best.type] if best else -1] += 1
        for span in predicted:
            if all(_overlap(span, other) <= 0 for other in wanted):
                counts[-1, place[span.type]] += 1
    return counts


def _overlap(span: Span, other: Span) -> int:
    """Words that both hold; 0 or less where they hold none."""
    return min(span.end, other.end) - max(span.start, other.start)
