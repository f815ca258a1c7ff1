"""Sentences, spans and translation pairs; entities ↔ tags of any scheme, ill-formed tags read as scorers do or refused.

Plain Python, so that names, help and plans stay fast.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

Split = Literal["train", "dev", "test", "unlabelled"]
Link = tuple[int, int]  # (source word, target word), both from 0


class Span(NamedTuple):
    """An entity: words `start` to `end` (exclusive) of its sentence, and its type."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a corpus.

    `spans` is None if the sentence has no labels, () if it is labelled and has no entity; spans are sorted and never
    overlap. All sides of a parallel corpus have the same `group`; the leakage guard compares it.
    """

    id: str
    language: str
    words: tuple[str, ...]
    spans: tuple[Span, ...] | None = None
    group: str = ""

    @property
    def text(self) -> str:
        """The words joined by single spaces."""
        return " ".join(self.words)


def letters_of(text: str) -> str:
    """The text case-folded, compatibility-normalised, without white space and punctuation, to compare sentences by."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)


class _Letters(dict[int, str | None]):
    """For `str.translate`: every character stands for itself, white space and punctuation for nothing."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        self[code] = None if unicodedata.category(character)[0] in "ZPC" else character
        return self[code]


_LETTERS = _Letters()


def digest(sentences: Iterable[Sentence]) -> str:
    """sha256 of ids, languages, words, labels and groups, in order."""
    hasher = hashlib.sha256()
    for s in sentences:
        hasher.update(repr((s.id, s.language, s.words, s.spans, s.group)).encode())
    return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class Pair:
    """A source sentence and its translation; `links` is None if an aligner must find them."""

    source: Sentence
    target: Sentence
    links: tuple[Link, ...] | None = None


def tag_set(types: Sequence[str]) -> tuple[str, ...]:
    """IOB2 tags of the entity types, O first: the order of a tagger's output layer."""
    return ("O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI"))


def tags_of(spans: Iterable[Span], length: int) -> tuple[str, ...]:
    """IOB2 tags, one a word. Raises ValueError if a span is empty, leaves the sentence or overlaps another."""
    tags = ["O"] * length
    for start, end, type_ in spans:
        if not 0 <= start < end <= length or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"span {start}-{end} {type_} is empty, outside {length} words, or overlaps another")
        tags[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return tuple(tags)


_OUTSIDE = frozenset("O")


def spans_of(tags: Sequence[str]) -> tuple[Span, ...]:
    """Spans of IOB2 (or IOB1) tags; an I-X that continues no X opens a span (as conlleval), so any tagging decodes."""
    if _OUTSIDE.issuperset(tags):  # most sentences
        return ()
    spans: list[Span] = []
    start, current = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, type_ = tag.partition("-")
        if current and (prefix != "I" or type_ != current):
            spans.append(Span(start, position, current))
            current = ""
        if prefix in ("B", "I") and not current:
            start, current = position, type_
    return tuple(spans)


Scheme = Literal["IOB2", "IOB1", "BIOES"]
Mode = Literal["strict", "seqeval-default", "conlleval"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
MODES: tuple[Mode, ...] = get_args(Mode)

_PREFIXES = {"IOB2": "BI", "IOB1": "BI", "BIOES": "BIES"}
_SYNONYMS = {"L": "E", "U": "S", "M": "I", "W": "S"}  # BILOU and BMEWO are BIOES with other letters
_WHOLE = {"IOB2": re.compile("BI*"), "IOB1": re.compile("[BI]+"), "BIOES": re.compile("BI*E|S")}
NO_TYPE = frozenset({"O", "o", "0", "_", "-"})  # `I-O` and the like, which copies of CoNLL-2003 have


class IllFormedError(ValueError):
    """The tag at `position` (from 0) is not of its scheme, or breaks it; `known` if it may be a misspelt tag."""

    def __init__(self, position: int, message: str, known: bool = False) -> None:
        super().__init__(message)
        self.position, self.known = position, known


def entities(tags: Sequence[str], scheme: Scheme, mode: Mode) -> tuple[Span, ...]:
    """The entities that a scorer finds in tags, ill-formed or not.

    `strict`: as with seqeval's mode='strict', a run of tags that is incomplete in its scheme is no entity. Otherwise
    every run is one, as in seqeval without a mode; conlleval.pl agrees for O, B-X and I-X, and knows no other tags. In
    IOB1 no run is ill-formed: B-X and I-X open an entity wherever they do not continue one.

    Raises:
        IllFormedError: a tag is not of the scheme; or, except for conlleval, its type is "O".
    """
    runs = _runs(tags, scheme, mode)
    return tuple(span for letters, span in runs if mode != "strict" or _WHOLE[scheme].fullmatch(letters))


def decode(tags: Sequence[str], scheme: Scheme = "IOB2") -> tuple[Span, ...]:
    """Spans of well-formed tags; IOB1 takes an I-X that opens a span; BIOES also takes the letters of BILOU and BMEWO.

    Raises:
        IllFormedError: a tag is not of the scheme or does not follow from the one before it.
    """
    runs = _runs(tags, scheme, "strict")
    for letters, span in runs:
        if not _WHOLE[scheme].fullmatch(letters):
            if letters[0] == "B":  # of BIOES, without its end
                follows = f"found '{tags[span.end]}'" if span.end < len(tags) else "the sentence ends"
                expected = f"expected I-{span.type} or E-{span.type} after '{tags[span.end - 1]}'"
                raise IllFormedError(min(span.end, len(tags) - 1), f"{expected}, {follows}")
            expected = f"expected B-{span.type} or S-{span.type} (an entity starts)"
            if scheme == "IOB2":
                expected = f"expected B-{span.type} where an entity starts (scheme IOB1 takes I-{span.type} too)"
            raise IllFormedError(span.start, f"{expected}, found '{tags[span.start]}'")
    return tuple(span for _, span in runs)


def _runs(tags: Sequence[str], scheme: Scheme, mode: Mode) -> list[tuple[str, Span]]:
    """The runs of tags of which each continues the last, with their letters (BILOU's as those of BIOES)."""
    runs: list[tuple[str, Span]] = []
    if tags.count("O") == len(tags):
        return runs
    letters, open_type, start = "", "", 0
    for position, tag in enumerate(tags):
        try:
            letter, type_ = _parts(tag, scheme, mode == "conlleval")
        except ValueError as error:
            raise IllFormedError(position, *error.args) from None
        if letters and letters[-1] in "BI" and letter in ("I", "E") and type_ == open_type:
            letters += letter
            continue
        if letters:
            runs.append((letters, Span(start, position, open_type)))
        letters, open_type, start = letter, type_, position
    if letters:
        runs.append((letters, Span(start, len(tags), open_type)))
    return runs


@lru_cache(4096)
def _parts(tag: str, scheme: Scheme, typeless: bool) -> tuple[str, str]:
    """Letter and type of a tag, "" of O; ValueError(message, whether it may be a misspelt tag)."""
    if tag == "O":
        return "", ""
    letter, _, type_ = tag.partition("-")
    plain = _SYNONYMS.get(letter, letter)
    if not (type_ and plain and plain in _PREFIXES[scheme] and (scheme == "BIOES" or plain == letter)):
        expected = [f"{prefix}-X" for prefix in _PREFIXES[scheme]]
        message = f"tag '{tag}' is not O, {', '.join(expected[:-1])} or {expected[-1]} ({scheme})"
        if type_ and plain and plain in "BIES":
            raise ValueError(f'{message}; a tag of BIOES or BILOU? --scheme BIOES (scheme = "BIOES")', False)
        raise ValueError(message, True)
    if type_ in NO_TYPE and not typeless:
        cure = f'--label-map {type_}=O (label_map = {{ "{type_}" = "O" }}) reads it as O'
        raise ValueError(f"tag '{tag}' names no entity type; {cure}", False)
    return plain, type_
