"""Sentences, spans, tags and translation pairs. Plain Python, so that names, help and plans stay fast."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

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

    `spans` is None where the sentence has no labels, () where it is labelled and has no entity; spans are sorted and
    never overlap. `group` is the same for all sides of a parallel corpus; the leakage guard compares it.
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
    """Case-folded, compatibility-normalised, without white space and punctuation: what counts as the same sentence."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)


class _Letters(dict[int, str | None]):
    """For `str.translate`: each character as it is, None for white space and punctuation; looked up once a process."""

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
    """A source sentence and its translation; `links` where they are known, None where an aligner must find them."""

    source: Sentence
    target: Sentence
    links: tuple[Link, ...] | None = None


def tag_set(types: Sequence[str]) -> tuple[str, ...]:
    """IOB2 tags of the entity types, O first: the order of a tagger's output layer."""
    return ("O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI"))


def tags_of(spans: Iterable[Span], length: int) -> tuple[str, ...]:
    """IOB2 tags, one a word.

    Raises:
        ValueError: a span is empty, leaves the sentence or overlaps another.
    """
    tags = ["O"] * length
    for start, end, type_ in spans:
        if not 0 <= start < end <= length or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"span {start}-{end} {type_} is empty, outside {length} words, or overlaps another")
        tags[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return tuple(tags)


def spans_of(tags: Sequence[str]) -> tuple[Span, ...]:
    """Spans of IOB2 (or IOB1) tags; an I-X that continues no X opens a span (as conlleval), so any tagging decodes."""
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
