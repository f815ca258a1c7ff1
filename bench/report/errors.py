"""Errors of a method on a language, gold against predicted spans: how many of each kind, types confused, a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.core.files import sha256_of
from bench.core.sentences import Span, spans_of
from bench.report.contrasts import contrasts_of
from bench.report.frame import Group, Row, Stored
from bench.report.notes import visible
from bench.store.sidecars import GOLD, Damaged, Sidecar, predictions_name, read_sidecar

KINDS = {  # *ours*: what becomes of an entity, by the predicted ones that overlap it
    "correct": "same words, same type",
    "type": "same words, another type",
    "boundary": "other words that overlap, same type",
    "type and boundary": "other words that overlap, another type",
    "missed": "in the gold only: nothing predicted overlaps it",
    "spurious": "predicted only: no gold entity overlaps it",
}


@dataclass(frozen=True)
class Sample:
    """Errors of one record: of its entities by kind, how many of its sentences are wrong, and what it predicted."""

    stored: Stored
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    gold: Sidecar | None = None
    found: tuple[tuple[Span, ...], ...] = ()  # by sentence
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


def samples(group: Group) -> dict[tuple[Row, str], Sample]:
    """By row and target the errors of its middle seed (by F1; the lower of two), where a record is finished."""
    pairs, made = SidecarPairs(), {}
    for (row, target), stored in group.cells.items():
        if (chosen := middle(stored, group.main_rule)) is not None:
            made[row, target] = sample(chosen, group.main_rule, pairs)
    return made


def sample(stored: Stored, rule: str, pairs: SidecarPairs) -> Sample:
    """The errors of one record."""
    try:
        gold, predicted = pairs.read(stored, rule)
    except Damaged as error:
        return Sample(stored, why=str(error))
    kinds: Counter[str] = Counter()
    wrong, found = 0, []
    for tags in zip(gold.tags, predicted.tags, strict=True):
        found.append(tuple(spans_of(tags[1])))
        if tags[0] == tags[1] and set(tags[0]) == {"O"}:
            continue
        ours, theirs = judged(spans_of(tags[0]), found[-1])
        kinds.update(ours)
        kinds.update(kind for kind in theirs if kind == "spurious")
        wrong += any(kind != "correct" for kind in (*ours, *theirs))
    return Sample(stored, kinds, wrong, gold, tuple(found))


def judged(gold: Sequence[Span], found: Sequence[Span]) -> tuple[list[str], list[str]]:
    """What becomes of each gold span, and what each predicted one is."""
    return [_kind(span, found, "missed") for span in gold], [_kind(span, gold, "spurious") for span in found]


def browsable(group: Group, made: Mapping[tuple[Row, str], Sample], most: int) -> dict[str, Any]:
    """JSON for the page's browser: by target the sentences on which a row errs, and where rows differ from the gold.

    Spans are flat lists of first word, word after the last, and place of the type. Of each target at most `most`
    sentences, in an order that depends on the sentence only.
    """
    types: dict[str, int] = {}
    tests = [_test(target, [made.get((row, target)) for row in group.rows], types, most) for target in group.targets]
    first = next(iter(contrasts_of(group)), None)
    labels = [row[1] for row in group.rows]
    start = [labels.index(first.a), labels.index(first.b)] if first else [0, min(1, len(labels) - 1)]
    found = {"tests": [test for test in tests if test], "types": list(types), "kinds": KINDS}
    return {"rows": list(map(visible, labels)), "start": start, **found}


def _test(target: str, found: Sequence[Sample | None], types: dict[str, int], most: int) -> dict[str, Any]:
    first = next((sample for sample in found if sample and sample.gold), None)
    if first is None or first.gold is None:
        return {}
    test, gold = first.gold, list(first.gold.spans)
    same = [sample if sample and sample.gold is test else None for sample in found]
    wrong = {i for sample in same if sample for i, spans in enumerate(sample.found) if list(spans) != list(gold[i])}
    chosen = sorted(wrong, key=lambda i: sha256_of(f"{test.ids[i]}\n{' '.join(test.words[i])}"))[:most]

    def flat(spans: Iterable[Span]) -> list[int]:
        return [n for span in spans for n in (span.start, span.end, types.setdefault(span.type, len(types)))]

    return {
        "target": target,
        "wrong": len(wrong),
        "ids": [visible(test.ids[i]) for i in chosen],
        "words": ["\n".join(visible(word) for word in test.words[i]) for i in chosen],
        "gold": [flat(gold[i]) for i in chosen],
        "seeds": [sample.stored.seed if sample else None for sample in same],
        "found": [
            {n: flat(sample.found[i]) for n, i in enumerate(chosen) if list(sample.found[i]) != list(gold[i])}
            if sample
            else None
            for sample in same
        ],
    }


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
