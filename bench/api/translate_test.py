"""Translate-test: a tagger reads the translation of a sentence, and its entities are carried back over word links.

After Ebing & Glavaš 2025 (released code, bebing93/devil-in-details): the first word of a projected entity takes the
probabilities of the entity's first word in the translation, the others those of its last word, or, of a one-word
entity, its own with B and I of its type exchanged. Every other word is O. With RSTR-TGT a one-word entity takes only
the first word that it is linked to. Ours: the matrix's matcher chooses an entity's words, and entities never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.api.method import Ask, Floats, Model
from bench.core.sentences import Pair, Sentence, Span


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Spans and probabilities (words, tags) carried back to a sentence, and which words an entity reached (words,).

    A sentence without a translation has no spans, is O throughout, and is not `translated`.
    """

    spans: tuple[Span, ...]
    probabilities: Floats
    reached: npt.NDArray[np.bool_]
    translated: bool = True


def carried_back(ask: Ask, model: Model, sentences: Sequence[Sentence], *, restrict: bool = True) -> list[Carried]:
    """The sentences' entities as the model finds them in their translations; `restrict` is RSTR-TGT.

    Raises:
        Unavailable: not one of the sentences has a translation.
    """
    pairs = ask.test_translations(sentences)
    seen = model.predict([pair.source for pair in pairs])
    tagged = [
        replace(pair, source=replace(pair.source, spans=tuple(sorted(spans))))
        for pair, spans in zip(pairs, seen.spans, strict=True)
    ]
    if restrict:
        tagged = [restricted(pair) for pair in tagged]
    outside = np.zeros(len(ask.tags), np.float32)
    outside[ask.tags.index("O")] = 1
    carried: dict[str, Carried] = {}
    for pair, probabilities, spans in zip(tagged, seen.probabilities, ask.project(tagged), strict=True):
        length = len(pair.target.words)
        rows, reached = np.tile(outside, (length, 1)), np.zeros(length, bool)
        for entity, span in zip(pair.source.spans or (), spans, strict=True):
            if span is not None:
                last = probabilities[entity.end - 1]
                rows[span.start] = probabilities[entity.start]
                single = entity.end - entity.start == 1
                rows[span.start + 1 : span.end] = inside(last, ask.tags) if single else last
                reached[span.start : span.end] = True
        carried[pair.target.id] = Carried(tuple(sorted(span for span in spans if span)), rows, reached)
    for sentence in sentences:
        length = len(sentence.words)
        nothing = Carried((), np.tile(outside, (length, 1)), np.zeros(length, bool), translated=False)
        carried.setdefault(sentence.id, nothing)
    return [carried[sentence.id] for sentence in sentences]


def restricted(pair: Pair) -> Pair:
    """The pair with each one-word entity of the source linked to its first target word only."""
    single = {span.start for span in pair.source.spans or () if span.end - span.start == 1}
    kept: list[tuple[int, int]] = []
    for source, target in sorted(pair.links or ()):
        if source not in single or not kept or kept[-1][0] != source:
            kept.append((source, target))
    return replace(pair, links=tuple(kept))


def inside(probabilities: Floats, tags: Sequence[str]) -> Floats:
    """The probabilities (tags,) of an entity's first word for the words that follow it: B and I change places."""
    best = tags[int(probabilities.argmax())]
    following = probabilities.copy()
    if best.startswith("B-"):
        first, then = tags.index(best), tags.index(f"I-{best[2:]}")
        following[[first, then]] = probabilities[[then, first]]
    return following
