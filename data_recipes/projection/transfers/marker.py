"""`marker`: a sentence is translated with brackets around its entities (EasyProject, Chen et al. 2023).

What a bracket holds is told by the entities' own translations: the same text first, then the most similar ones
(difflib ratio above 0.5). *Ours*: most similar pairs first, each bracket for one entity; one without is an outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from bench.api.projection import PROJECTED, Marked, Outcome, Words, bracketed, has_bracket, unbracketed
from bench.core.sentences import Sentence, Span

COUNTS = ("brackets_wrong",)
IN_CONTEXT_FIRST = False  # theirs: each entity translated by itself; in its sentence where that fails is ours
LEAST = 0.5  # the ratio must be above


def mark(sentence: Sentence) -> Sentence | None:
    """Brackets around each entity; None where the sentence has brackets of its own."""
    return None if has_bracket(sentence.words) else bracketed(sentence, range(len(sentence.spans or ())))


def losses(entities: Sequence[Span], words: Words) -> Counter[str]:
    """Brackets that are not as many as the entities, do not pair, nest, or hold nothing: one for the sentence."""
    found = unbracketed(words)
    return Counter() if found is not None and len(found[1]) == len(entities) else Counter(brackets_wrong=1)


def read(entities: Sequence[Span], words: Words, names: Sequence[Words]) -> Marked:
    """Each entity's bracket (`losses` found none): unaligned without one, conflicting if others have all of its own."""
    found = unbracketed(words)
    if found is None:
        raise ValueError(f"brackets that do not pair in {' '.join(words)}")
    plain, brackets = found
    texts = [" ".join(plain[start:end]) for start, end in brackets]
    able = []
    for number, name in enumerate(" ".join(name) for name in names):
        for bracket, text in enumerate(texts):
            ratio = 2.0 if name == text else SequenceMatcher(None, name, text, autojunk=False).ratio()
            able += [(-ratio, number, bracket)] * (ratio > LEAST)
    taken: dict[int, int] = {}  # bracket of each entity that has one
    for _, number, bracket in sorted(able):
        if number not in taken and bracket not in taken.values():
            taken[number] = bracket
    wanted = {number for _, number, _ in able}
    outcomes: list[Outcome] = [
        PROJECTED if number in taken else "conflicting" if number in wanted else "unaligned"
        for number in range(len(entities))
    ]
    ranges = tuple(brackets[taken[number]] if number in taken else None for number in range(len(entities)))
    return Marked(plain, ranges, tuple(outcomes))
