"""Entity-level scores: exact span and type, micro-averaged (seqeval's definitions), 0 to 1.

Inside the benchmark predictions are spans, and `count` compares them. Files of other systems hold tags, which may be
ill-formed (O I-X, B-X I-Y). What such a tag means is the only point where scorers differ; `bench.core.sentences`
(`entities`) has all answers, and the tests compare the counts with seqeval's and conlleval.pl's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.sentences import Span
from bench.store.record import RuleScores, TypeCounts

Counts = NDArray[np.int32]  # (..., 3): tp, fp, fn
Surface = tuple[str, str]  # the words of an entity joined by single spaces, and its type


class Ratios(NamedTuple):
    """Precision, recall and F1, 0 to 1; 0/0 is 0, as in seqeval and conlleval."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Summary:
    """Micro-averaged scores, 0 to 1, and the counts of each type."""

    precision: float
    recall: float
    f1: float
    types: dict[str, TypeCounts]

    @classmethod
    def of(cls, types: Mapping[str, TypeCounts]) -> Summary:
        """The scores that follow from the counts of each type."""
        sums = (sum(getattr(counts, name) for counts in types.values()) for name in ("tp", "fp", "fn"))
        return cls(*ratios(*sums), dict(types))


class SeenRecall(NamedTuple):
    """Recall of gold entities seen and unseen in training, None if there are none of a kind.

    `counts` is int64 (2, 2): rows seen, unseen; columns correct, gold.
    """

    seen: float | None
    unseen: float | None
    counts: NDArray[np.int64]


def count(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]], types: Sequence[str]) -> Counts:
    """True positives, false positives and false negatives: int32 (sentences, types, 3), in the order of `types`.

    `gold`, `predicted`: the spans of each sentence; a span given twice counts once.

    Raises:
        ValueError: the numbers of sentences differ, or a span has a type outside `types`.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sentences but {len(predicted)} predicted ones")
    column = {type_: index for index, type_ in enumerate(types)}
    counts = np.zeros((len(gold), len(column), 3), np.int32)
    for index, (gold_spans, predicted_spans) in enumerate(zip(gold, predicted, strict=True)):
        if not gold_spans and not predicted_spans:
            continue
        wanted, given = set(gold_spans), set(predicted_spans)
        try:
            for kind, spans in enumerate((wanted & given, given - wanted, wanted - given)):
                for span in spans:
                    counts[index, column[span.type], kind] += 1
        except KeyError as error:
            known = ", ".join(types)
            raise ValueError(f"sentence {index} holds a span of type {error}; the types are {known}") from error
    return counts


def ratios(tp: float, fp: float, fn: float) -> Ratios:
    """Precision, recall and F1 of counts; 0/0 is 0."""
    return Ratios(
        tp / (tp + fp) if tp + fp else 0.0,
        tp / (tp + fn) if tp + fn else 0.0,
        2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    )


def f1(counts: NDArray[np.integer]) -> float:
    """Micro F1, 0 to 1, of counts (..., 3): all leading axes are summed."""
    tp, fp, fn = counts.reshape(-1, 3).sum(axis=0, dtype=np.int64).tolist()
    return ratios(tp, fp, fn).f1


def rule_scores(total: Summary, oracle: bool = False) -> RuleScores:
    """A record's scores, to six digits, without those of a training: step, dev F1, entities seen."""
    f1, precision, recall = (round(value, 6) for value in (total.f1, total.precision, total.recall))
    return RuleScores(f1, precision, recall, total.types, 0, None, None, None, oracle)


def summary(counts: NDArray[np.integer], types: Sequence[str]) -> Summary:
    """Micro precision, recall and F1 of counts (sentences, types, 3), and the sums of each type.

    Raises:
        ValueError: the second axis does not have one column a type.
    """
    if counts.ndim != 3 or counts.shape[1:] != (len(types), 3):
        raise ValueError(f"counts have the shape {counts.shape}, not (sentences, {len(types)}, 3)")
    by_type = counts.sum(axis=0, dtype=np.int64).tolist()
    return Summary.of({type_: TypeCounts(*row) for type_, row in zip(types, by_type, strict=True)})


def summed(first: Mapping[str, TypeCounts], second: Mapping[str, TypeCounts]) -> dict[str, TypeCounts]:
    """The counts of two sets of sentences together, types sorted."""
    none = TypeCounts(0, 0, 0)
    pairs = {type_: (first.get(type_, none), second.get(type_, none)) for type_ in sorted({*first, *second})}
    return {type_: TypeCounts(a.tp + b.tp, a.fp + b.fp, a.fn + b.fn) for type_, (a, b) in pairs.items()}


def surfaces(sentences: Iterable[Sequence[str]], spans: Iterable[Sequence[Span]]) -> set[Surface]:
    """Surface and type of every entity, from words and spans of training sentences, for `recall_by_seen`."""
    return {
        (" ".join(words[start:end]), type_)
        for words, of_sentence in zip(sentences, spans, strict=True)
        for start, end, type_ in of_sentence
    }


def recall_by_seen(
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    sentences_words: Sequence[Sequence[str]],
    seen: AbstractSet[Surface],
) -> SeenRecall:
    """Recall of gold entities whose surface and type are in the training labels, and of the others."""
    counts = np.zeros((2, 2), np.int64)
    for gold_spans, predicted_spans, words in zip(gold, predicted, sentences_words, strict=True):
        given = set(predicted_spans)
        for span in set(gold_spans):
            row = 0 if (" ".join(words[span.start : span.end]), span.type) in seen else 1
            counts[row] += (span in given, 1)
    of_seen, of_unseen = (correct / total if total else None for correct, total in counts.tolist())
    return SeenRecall(of_seen, of_unseen, counts)
