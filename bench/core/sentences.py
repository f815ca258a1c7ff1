"""Sentences, spans, tags and translation pairs. Plain Python, so that names, help and plans stay fast.

Tagging schemes: the entities of tags as scorers read them, complaints about ill-formed ones, and the way back.
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
    """IOB2 tags, one a word. Raises ValueError if a span is empty, leaves the sentence or overlaps another."""
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


Scheme = Literal["IOB2", "IOB1", "BIOES"]
Mode = Literal["strict", "seqeval-default", "conlleval"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
MODES: tuple[Mode, ...] = get_args(Mode)

_PREFIXES = {"IOB2": "BI", "IOB1": "BI", "BIOES": "BIES"}
_SYNONYMS = {"L": "E", "U": "S", "M": "I", "W": "S"}  # BILOU and BMEWO are BIOES with other letters
_WHOLE = {"IOB2": re.compile("BI*"), "IOB1": re.compile("[BI]+"), "BIOES": re.compile("BI*E|S")}
NO_TYPE = frozenset({"O", "o", "0", "_", "-"})  # `I-O` and the like, which copies of CoNLL-2003 have


class IllFormedError(ValueError):
    """The tag at `position` (from 0) is not of its scheme, or breaks it; `known` if a similar tag may be meant."""

    def __init__(self, position: int, message: str, known: bool = False) -> None:
        super().__init__(message)
        self.position, self.known = position, known


def entities(tags: Sequence[str], scheme: Scheme, mode: Mode) -> tuple[Span, ...]:
    """The entities that a scorer finds in tags, ill-formed or not.

    `strict`: as seqeval with mode='strict', a run of tags that is not whole in its scheme is no entity. The others: as
    seqeval without a mode, every run is one; conlleval.pl agrees for O, B-X and I-X, and knows no other tags. IOB1 has
    no ill-formed runs: B-X and I-X open an entity wherever they do not continue one.

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
                found = f"found '{tags[span.end]}'" if span.end < len(tags) else "the sentence ends"
                expected = f"expected I-{span.type} or E-{span.type} after '{tags[span.end - 1]}'"
                raise IllFormedError(min(span.end, len(tags) - 1), f"{expected}, {found}")
            expected = f"expected B-{span.type} or S-{span.type} (an entity starts)"
            if scheme == "IOB2":
                expected = f"expected B-{span.type} where an entity starts (scheme IOB1 takes I-{span.type} too)"
            raise IllFormedError(span.start, f"{expected}, found '{tags[span.start]}'")
    return tuple(span for _, span in runs)


def _runs(tags: Sequence[str], scheme: Scheme, mode: Mode) -> list[tuple[str, Span]]:
    """The runs of tags in which each continues the one before, with their letters (BILOU's as those of BIOES)."""
    found: list[tuple[str, Span]] = []
    if tags.count("O") == len(tags):
        return found
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
            found.append((letters, Span(start, position, open_type)))
        letters, open_type, start = letter, type_, position
    if letters:
        found.append((letters, Span(start, len(tags), open_type)))
    return found


@lru_cache(4096)
def _parts(tag: str, scheme: Scheme, typeless: bool) -> tuple[str, str]:
    """Letter and type of a tag, "" of O; ValueError(message, whether a similar tag may be meant)."""
    if tag == "O":
        return "", ""
    letter, _, type_ = tag.partition("-")
    plain = _SYNONYMS.get(letter, letter)
    if not (type_ and plain and plain in _PREFIXES[scheme] and (scheme == "BIOES" or plain == letter)):
        expected = [f"{one}-X" for one in _PREFIXES[scheme]]
        message = f"tag '{tag}' is not O, {', '.join(expected[:-1])} or {expected[-1]} ({scheme})"
        if type_ and plain and plain in "BIES":
            raise ValueError(f'{message}; a tag of BIOES or BILOU? --scheme BIOES (scheme = "BIOES")', False)
        raise ValueError(message, True)
    if type_ in NO_TYPE and not typeless:
        cure = f'--label-map {type_}=O (label_map = {{ "{type_}" = "O" }}) reads it as O'
        raise ValueError(f"tag '{tag}' names no entity type; {cure}", False)
    return plain, type_


def encode(spans: Iterable[Span], length: int, scheme: Scheme = "IOB2") -> tuple[str, ...]:
    """Tags of the spans, one a word. Raises ValueError as `bench.core.sentences.tags_of`."""
    spans = tuple(spans)
    tags = list(tags_of(spans, length))
    for start, end, type_ in spans:
        if scheme == "IOB1" and not (start and any(span.end == start and span.type == type_ for span in spans)):
            tags[start] = f"I-{type_}"
        elif scheme == "BIOES":
            tags[end - 1] = f"S-{type_}" if end - start == 1 else f"E-{type_}"
    return tuple(tags)
