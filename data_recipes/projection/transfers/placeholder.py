"""`placeholder`: a sentence is translated with PER0 and LOC1 in place of its entities (MulDA, Liu et al. 2021).

As in their code, "PER 0", "Per0" and "per-0" are taken for PER0. *Ours*: only where nothing else is like it, and two
words in capitals alone ("per 0" may be text); each placeholder must then be there exactly once, as a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bench.api.projection import PROJECTED, Marked, Words
from bench.core.sentences import Sentence, Span

version = 2

COUNTS = ("placeholders_lost", "placeholders_doubled", "placeholders_mangled")
IN_CONTEXT_FIRST = True  # theirs: each entity as it is translated in its sentence, where that can be had


def mark(sentence: Sentence) -> Sentence | None:
    """A placeholder for each entity; None where the sentence's own words hold one."""
    spans = sentence.spans or ()
    inside = {word for span in spans for word in range(span.start, span.end)}
    outside = [word for number, word in enumerate(sentence.words) if number not in inside]
    for span, text in zip(spans, _texts(spans), strict=True):
        if _like(span.type, text, outside) or any(text.casefold() in word.casefold() for word in outside):
            return None
    words: list[str] = []
    moved = []
    done = 0
    for span, text in zip(spans, _texts(spans), strict=True):
        words += sentence.words[done : span.start]
        moved.append(Span(len(words), len(words) + 1, span.type))
        words.append(text)
        done = span.end
    return replace(sentence, words=(*words, *sentence.words[done:]), spans=tuple(moved))


def losses(entities: Sequence[Span], words: Words) -> Counter[str]:
    """By cause the placeholders that do not occur exactly once: lost, doubled, or mangled ("PER0-Haus")."""
    counts: Counter[str] = Counter()
    words = _mended(entities, words)
    whole = " ".join(words)
    for entity, text in zip(entities, _texts(entities), strict=True):
        # a damaged placeholder has a character between letters and number, or is glued to something
        like = rf"{re.escape(entity.type)}[\W_]?{text[len(entity.type) :]}(?!\d)"
        similar = len(re.findall(like, whole, re.IGNORECASE))
        exact = words.count(text)
        if similar > 1:
            counts["placeholders_doubled"] += 1
        elif not exact:
            counts["placeholders_mangled" if similar else "placeholders_lost"] += 1
    return counts


def read(entities: Sequence[Span], words: Words, names: Sequence[Words]) -> Marked:
    """The entities' translations in place of the placeholders (`losses` found none)."""
    number_of = {text: number for number, text in enumerate(_texts(entities))}
    full: list[str] = []
    ranges: list[tuple[int, int] | None] = [None] * len(entities)
    for word in _mended(entities, words):
        number = number_of.get(word)
        if number is None:
            full.append(word)
        else:
            ranges[number] = (len(full), len(full) + len(names[number]))
            full += names[number]
    return Marked(tuple(full), tuple(ranges), (PROJECTED,) * len(entities))


def _mended(entities: Sequence[Span], words: Words) -> Words:
    """The words with what is left of a placeholder in its own form, where nothing else is like it."""
    for entity, text in zip(entities, _texts(entities), strict=True):
        places = _like(entity.type, text, words)
        if len(places) == 1:
            start, end = places[0]
            words = (*words[:start], text, *words[end:])
    return words


def _like(type_: str, text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where a word is the placeholder but for case or a sign before its number, or two words are: as in PER 0."""
    number = text[len(type_) :]
    forms = {f"{type_}{sign}{number}".casefold() for sign in ("", "-", "_")}
    one = [(place, place + 1) for place, word in enumerate(words) if word.casefold() in forms]
    two = [(place, place + 2) for place in range(len(words) - 1) if (*words[place : place + 2],) == (type_, number)]
    return [*one, *two]


def _texts(entities: Sequence[Span]) -> list[str]:
    return [f"{entity.type}{number}" for number, entity in enumerate(entities)]
