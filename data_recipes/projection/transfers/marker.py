"""`marker`: a sentence is translated with brackets around its entities (EasyProject, Chen et al. 2023).

Brackets are matched with the entities' own translations, in lower case: the same text first, then the most similar
(difflib ratio above 0.5). Where what is left is of one type, as a single entity is, it takes the brackets that are left
in their order: no match is needed to label them. *Ours*: most similar pairs first, each bracket for one entity; where
entities of several types are left, these have no bracket, which is an outcome (theirs drops the sentence, after a match
with the entity's own text).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from bench.api.projection import PROJECTED, Marked, Outcome, Words, bracketed, has_bracket, unbracketed
from bench.core.sentences import Sentence, Span

version = 2

COUNTS = ("brackets_wrong",)
IN_CONTEXT_FIRST = False  # theirs: each entity translated by itself; in its sentence where that fails is ours
LEAST = 0.5  # the ratio must be above


def mark(sentence: Sentence) -> Sentence | None:
    """Brackets around each entity; None where the sentence has brackets of its own."""
    return None if has_bracket(sentence.words) else bracketed(sentence, range(len(sentence.spans or ())))


def losses(entities: Sequence[Span], words: Words) -> Counter[str]:
    """One for a sentence whose brackets are not as many as the entities, do not pair, nest, or are empty."""
    unpacked = unbracketed(words)
    return Counter() if unpacked is not None and len(unpacked[1]) == len(entities) else Counter(brackets_wrong=1)


def read(entities: Sequence[Span], words: Words, names: Sequence[Words]) -> Marked:
    """Each entity's bracket (`losses` found none).

    Of several types that are left, an entity is unaligned without a match, and conflicting if others took them all.
    """
    unpacked = unbracketed(words)
    if unpacked is None:
        raise ValueError(f"brackets that do not pair in {' '.join(words)}")
    plain, brackets = unpacked
    texts = [" ".join(plain[start:end]).casefold() for start, end in brackets]
    able = []
    for number, name in enumerate(" ".join(name).casefold() for name in names):
        for bracket, text in enumerate(texts):
            ratio = 2.0 if name == text else SequenceMatcher(None, name, text, autojunk=False).ratio()
            able += [(-ratio, number, bracket)] * (ratio > LEAST)
    taken: dict[int, int] = {}  # bracket of each entity that has one
    for _, number, bracket in sorted(able):
        if number not in taken and bracket not in taken.values():
            taken[number] = bracket
    left = [number for number in range(len(entities)) if number not in taken]
    if len({entities[number].type for number in left}) == 1:
        free = [bracket for bracket in range(len(brackets)) if bracket not in taken.values()]
        taken |= dict(zip(left, free, strict=True))
    wanted = {number for _, number, _ in able}
    outcomes: list[Outcome] = [
        PROJECTED if number in taken else "conflicting" if number in wanted else "unaligned"
        for number in range(len(entities))
    ]
    ranges = tuple(brackets[taken[number]] if number in taken else None for number in range(len(entities)))
    return Marked(plain, ranges, tuple(outcomes))
