"""Errors of a method on a language, gold against predicted spans: how many of each kind, types confused, a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.core.files import sha256_of
from bench.core.sentences import Span
from bench.report.contrasts import contrasts_of
from bench.report.frame import Group, Row, Stored, once_a_group
from bench.report.notes import visible
from bench.store.sidecars import GOLD, Damaged, Sidecar, parsed, predictions_name, read_sidecar, unpacked

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
    """Errors of one record: entities counted by kind of error, and its predictions for the sentences with an error."""

    stored: Stored
    gold: Sidecar | None = None
    found: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)  # by sentence that differs from the gold
    kinds: Counter[str] = field(default_factory=Counter)
    why: str = ""  # why nothing can be shown


def middle(stored: Sequence[Stored], rule: str) -> Stored | None:
    """The finished record with the middle F1 (the lower of two); None where none is finished."""
    by_f1 = sorted((score.f1, run.seed, run) for run in stored if (score := run.score(rule)) is not None)
    return by_f1[(len(by_f1) - 1) // 2][2] if by_f1 else None


def samples(group: Group) -> dict[tuple[Row, str], Sample]:
    """The errors of the middle seed by F1 (the lower of two) for each row and target that has a finished record."""
    shown = {cell: middle(stored, group.main_rule) for cell, stored in group.cells.items()}
    every = samples_by_seed(group).items()
    return {cell: errors for cell, by_seed in every for errors in by_seed if errors.stored is shown[cell]}


@once_a_group
def samples_by_seed(group: Group) -> dict[tuple[Row, str], list[Sample]]:
    """The errors of every finished record for each row and target; only the middle seed's keep the predicted spans."""
    rule, tests, made = group.main_rule, dict[str, Sidecar](), {}
    for cell, stored in group.cells.items():
        shown = middle(stored, rule)
        every = [sample(run, rule, tests) for run in stored if run.score(rule) is not None]
        made[cell] = [errors if errors.stored is shown else replace(errors, found={}) for errors in every]
    return made


def sample(stored: Stored, rule: str, tests: dict[str, Sidecar]) -> Sample:
    """The errors of one record; `tests` holds the gold data read so far, by test."""
    try:
        gold, predicted = _read(stored, rule, tests)
    except Damaged as error:
        return Sample(stored, why=f"gold or predictions of seed {stored.seed}: {error}")
    kinds = Counter(correct=sum(len(spans) for i, spans in enumerate(gold.spans) if i not in predicted))
    for i, spans in predicted.items():
        gold_kinds, predicted_kinds = judged(gold.spans[i], spans)
        kinds.update(gold_kinds)
        kinds.update(kind for kind in predicted_kinds if kind == "spurious")
    return Sample(stored, gold, predicted, kinds)


def _read(stored: Stored, rule: str, tests: dict[str, Sidecar]) -> tuple[Sidecar, dict[int, tuple[Span, ...]]]:
    """The gold, and the predicted entities of the sentences that differ from it; only those sentences are parsed.

    Raises:
        Damaged: a file cannot be read, or the two do not hold the same sentences.
    """
    file = stored.store.sidecar(stored.record.key, GOLD)
    if stored.test not in tests:
        tests[stored.test] = read_sidecar(file)
    gold, text = tests[stored.test], unpacked(file.with_name(predictions_name(rule)))
    blocks = text.split("\n\n")[:-1]
    if len(blocks) != len(gold.blocks):
        parsed(text)  # raises a more precise error where the text itself is damaged
        raise Damaged("not of the same sentences")
    differ = [i for i, (block, other) in enumerate(zip(blocks, gold.blocks, strict=True)) if block != other]
    if not differ:
        return gold, {}
    part = parsed("".join(f"{blocks[i]}\n\n" for i in differ))
    if part.words != [gold.words[i] for i in differ]:
        raise Damaged("not of the same sentences")
    return gold, {i: spans for i, spans in zip(differ, part.spans, strict=True) if spans != gold.spans[i]}


def judged(gold: Sequence[Span], predicted: Sequence[Span]) -> tuple[list[str], list[str]]:
    """The kind of each gold span, and the kind of each predicted span."""
    return [_kind(span, predicted, "missed") for span in gold], [_kind(span, gold, "spurious") for span in predicted]


def browsable(group: Group, made: Mapping[tuple[Row, str], Sample], most: int) -> dict[str, Any]:
    """JSON for the page's error browser: for each target the sentences with an error, and each row's predictions there.

    A span is three numbers in a flat list: first word, word after the last, index of the type. There are at most `most`
    sentences for each target, in an order that depends on the sentences only.
    """
    types: dict[str, int] = {}
    tests = [_test(target, [made.get((row, target)) for row in group.rows], types, most) for target in group.targets]
    first = next(iter(contrasts_of(group)), None)
    labels = [row[1] for row in group.rows]
    start = [labels.index(first.a), labels.index(first.b)] if first else [0, min(1, len(labels) - 1)]
    content = {"tests": [test for test in tests if test], "types": list(types), "kinds": KINDS}
    return {"rows": list(map(visible, labels)), "start": start, **content}


def _test(target: str, row_samples: Sequence[Sample | None], types: dict[str, int], most: int) -> dict[str, Any]:
    gold = next((sample.gold for sample in row_samples if sample and sample.gold), None)
    if gold is None:
        return {}
    same = [sample if sample and sample.gold is gold else None for sample in row_samples]
    wrong = {i for sample in same if sample for i in sample.found}
    chosen = sorted(wrong, key=lambda i: sha256_of(f"{gold.ids[i]}\n{' '.join(gold.words[i])}"))[:most]

    def flat(spans: Iterable[Span]) -> list[int]:
        return [n for span in spans for n in (span.start, span.end, types.setdefault(span.type, len(types)))]

    return {
        "target": target,
        "wrong": len(wrong),
        "ids": [visible(gold.ids[i]) for i in chosen],
        "words": ["\n".join(visible(word) for word in gold.words[i]) for i in chosen],
        "gold": [flat(gold.spans[i]) for i in chosen],
        "seeds": [sample.stored.seed if sample else None for sample in same],
        "found": [
            {n: flat(sample.found[i]) for n, i in enumerate(chosen) if i in sample.found} if sample else None
            for sample in same
        ],
    }


def _kind(span: Span, others: Sequence[Span], alone: str) -> str:
    """How a span compares with the other side's spans; an overlap with the same type takes precedence."""
    if span in others:
        return "correct"
    near = [other for other in others if _overlap(span, other) > 0]
    if any((other.start, other.end) == (span.start, span.end) for other in near):
        return "type"
    if any(other.type == span.type for other in near):
        return "boundary"
    return "type and boundary" if near else alone


def confused(sample: Sample, types: Sequence[str]) -> np.ndarray | None:
    """The `confusion` of one record; None if it cannot be read or holds a type that the corpus does not name."""
    if sample.gold is None:
        return None
    spans, predicted = sample.gold.spans, sample.found
    if not {span.type for entities in (*spans, *predicted.values()) for span in entities} <= set(types):
        return None
    return confusion(spans, (predicted.get(i, entities) for i, entities in enumerate(spans)), types)


def confusion(
    gold: Iterable[Sequence[Span]], predictions: Iterable[Sequence[Span]], types: Sequence[str]
) -> np.ndarray:
    """Counts (types + 1, types + 1): gold type by predicted type, the last row and column for none.

    A gold entity counts under the type of the predicted entity that shares most words with it (ties: the same span,
    then the same type, then the first); a predicted entity that shares no word with any gold one counts in the last
    row.
    """

    def closeness(span: Span, other: Span) -> tuple[bool, int, bool]:
        return span[:2] == other[:2], _overlap(span, other), span.type == other.type

    place = {type_: i for i, type_ in enumerate(types)}
    counts = np.zeros((len(types) + 1, len(types) + 1), dtype=np.int64)
    for wanted, predicted in zip(gold, predictions, strict=True):
        for span in wanted:
            near = [other for other in predicted if _overlap(span, other) > 0]
            best = max(near, key=lambda other: closeness(span, other), default=None)
            counts[place[span.type], place[best.type] if best else -1] += 1
        for span in predicted:
            if all(_overlap(span, other) <= 0 for other in wanted):
                counts[-1, place[span.type]] += 1
    return counts


def _overlap(span: Span, other: Span) -> int:
    """The number of words that the two spans share; 0 or less if there are none."""
    return min(span.end, other.end) - max(span.start, other.start)
