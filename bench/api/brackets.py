"""Square brackets around entities: putting them in, and finding what they hold in a translation.

A translator into Chinese may write them wide (［ ］) or as its own kind of bracket (【 】, 〔 〕, 〖 〗): these pair
like ours (*ours*). Quotes, parentheses and corner brackets are its punctuation and no marks: brackets that became such
are lost, and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.core.sentences import Sentence, Span

OPEN, CLOSE = "[", "]"
KINDS = {OPEN: CLOSE, "［": "］", "【": "】", "〔": "〕", "〖": "〗"}  # what opens: what closes it
_LETTERS = frozenset(KINDS) | frozenset(KINDS.values())
Range = tuple[int, int]  # first word, and the word after the last


def has_bracket(words: Sequence[str]) -> bool:
    """Whether a word holds a square bracket of any kind: brackets of our own could not be told from it."""
    return any(not _LETTERS.isdisjoint(word) for word in words)


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

    None if the brackets do not pair (each with its own kind), nest or hold nothing, or if one is glued to a word.
    """
    plain: list[str] = []
    found: list[Range] = []
    start, closing = 0, ""  # of the bracket that is open
    for word in words:
        if word in KINDS and not closing:
            start, closing = len(plain), KINDS[word]
        elif word and word == closing and start < len(plain):
            found.append((start, len(plain)))
            closing = ""
        elif has_bracket([word]):
            return None
        else:
            plain.append(word)
    return None if closing else (tuple(plain), found)
