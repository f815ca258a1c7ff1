"""Square brackets around entities: putting them in, and finding what they hold in a translation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.corpus import Sentence, Span

OPEN, CLOSE = "[", "]"
Range = tuple[int, int]  # first word, and the word after the last


def has_bracket(words: Sequence[str]) -> bool:
    """Whether a word holds a square bracket: brackets of our own could not be told from it."""
    return any(OPEN in word or CLOSE in word for word in words)


def bracketed(sentence: Sentence, which: Collection[int]) -> Sentence:
    """The sentence with brackets around the entities of these numbers; its spans moved, brackets outside of them."""
    words: list[str] = []
    spans = []
    done = 0
    for number, span in enumerate(sentence.spans or ()):
        words += sentence.words[done : span.start]
        words += [OPEN] * (number in which)
        spans.append(Span(len(words), len(words) + span.end - span.start, span.type))
        words += sentence.words[span.start : span.end]
        words += [CLOSE] * (number in which)
        done = span.end
    return replace(sentence, words=(*words, *sentence.words[done:]), spans=tuple(spans))


def unbracketed(words: Sequence[str]) -> tuple[tuple[str, ...], list[Range]] | None:
    """The words without brackets, and what was bracketed, in order.

    None if the brackets do not pair, nest or hold nothing, or if one is glued to a word.
    """
    plain: list[str] = []
    found: list[Range] = []
    start: int | None = None
    for word in words:
        if word == OPEN and start is None:
            start = len(plain)
        elif word == CLOSE and start is not None and start < len(plain):
            found.append((start, len(plain)))
            start = None
        elif has_bracket([word]):
            return None
        else:
            plain.append(word)
    return None if start is not None else (tuple(plain), found)
