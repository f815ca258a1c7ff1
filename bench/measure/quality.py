"""How right translations and their projected labels were, where the corpus has labelled translations of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.core.sentences import Pair, Sentence
from bench.measure.score import Surface, ratios


def label_quality(kept: Sequence[Pair], translated: Sequence[Pair], known: Sequence[Pair]) -> dict[str, float]:
    """`projection_precision`, `_recall`, `_f1` and `translation_accuracy`, 0 to 1; {} where nothing can be compared.

    `kept` are pairs with projected labels, `translated` those they were made of, `known` the corpus's own, with gold;
    joined by the source's id. *Ours*: an entity is right if the gold of its sentence has one of the same type and
    words. Places are not compared, since a faulty translation has other ones. A translation that was left out misses
    all of its entities. Accuracy is 1 - word edits / words of the corpus's translation, not below 0.
    """
    gold = {pair.source.id: pair.target for pair in known if pair.target.spans is not None}
    both = [(pair.target, gold[pair.source.id]) for pair in translated if pair.source.id in gold]
    if not both:
        return {}
    labels = {pair.source.id: _entities(pair.target) for pair in kept}
    tp = found = there = 0
    for id_ in (pair.source.id for pair in translated if pair.source.id in gold):
        ours, theirs = labels.get(id_, Counter()), _entities(gold[id_])
        tp, found, there = tp + (ours & theirs).total(), found + ours.total(), there + theirs.total()
    score = ratios(tp, found - tp, there - tp)
    words = sum(len(reference.words) for _, reference in both)
    wrong = sum(edits(one.words, reference.words) for one, reference in both)
    return {
        "projection_precision": round(score.precision, 6),
        "projection_recall": round(score.recall, 6),
        "projection_f1": round(score.f1, 6),
        "translation_accuracy": round(max(0.0, 1 - wrong / words), 6) if words else 0.0,
    }


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """Least number of words to insert, delete or replace (Levenshtein)."""
    if one == other:
        return 0
    above = list(range(len(other) + 1))
    for number, word in enumerate(one, 1):
        row = [number]
        for place, reference in enumerate(other, 1):
            row.append(min(above[place] + 1, row[-1] + 1, above[place - 1] + (word != reference)))
        above = row
    return above[-1]


def _entities(sentence: Sentence) -> Counter[Surface]:
    return Counter((" ".join(sentence.words[start:end]), type_) for start, end, type_ in sentence.spans or ())
