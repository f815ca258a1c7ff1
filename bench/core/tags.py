"""Tagging schemes: the entities of tags as scorers read them, complaints about ill-formed ones, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, get_args

from bench.core.sentences import Span, tags_of

Scheme = Literal["IOB2", "IOB1", "BIOES"]
Mode = Literal["strict", "seqeval-default", "conlleval"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
MODES: tuple[Mode, ...] = get_args(Mode)

_LETTERS = {"IOB2": "BI", "IOB1": "BI", "BIOES": "BIES"}
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
    whole = _WHOLE[scheme]
    return tuple(
        span for letters, span in _runs(tags, scheme, mode) if mode != "strict" or whole.fullmatch(letters) is not None
    )


def decode(tags: Sequence[str], scheme: Scheme = "IOB2") -> tuple[Span, ...]:
    """Spans of well-formed tags; IOB1 takes an I-X that opens a span; BIOES also takes the letters of BILOU and BMEWO.

    Raises:
        IllFormedError: a tag is not of the scheme or does not follow from the one before it.
    """
    runs = _runs(tags, scheme, "strict")
    for letters, span in runs:
        if not _WHOLE[scheme].fullmatch(letters):
            raise _ill_formed(tags, letters, span, scheme)
    return tuple(span for _, span in runs)


def _ill_formed(tags: Sequence[str], letters: str, span: Span, scheme: Scheme) -> IllFormedError:
    if letters[0] == "B":  # of BIOES, without its end
        found = f"found '{tags[span.end]}'" if span.end < len(tags) else "the sentence ends"
        expected = f"expected I-{span.type} or E-{span.type} after '{tags[span.end - 1]}'"
        return IllFormedError(min(span.end, len(tags) - 1), f"{expected}, {found}")
    expected = f"expected B-{span.type} or S-{span.type} (an entity starts)"
    if scheme == "IOB2":
        expected = f"expected B-{span.type} where an entity starts (scheme IOB1 takes I-{span.type} too)"
    return IllFormedError(span.start, f"{expected}, found '{tags[span.start]}'")


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
    if not (type_ and plain and plain in _LETTERS[scheme] and (scheme == "BIOES" or plain == letter)):
        expected = [f"{one}-X" for one in _LETTERS[scheme]]
        message = f"tag '{tag}' is not O, {', '.join(expected[:-1])} or {expected[-1]} ({scheme})"
        if type_ and plain and plain in "BIES":
            raise ValueError(f'{message}; a tag of BIOES or BILOU? --scheme BIOES (scheme = "BIOES")', False)
        raise ValueError(message, True)
    if type_ in NO_TYPE and not typeless:
        cure = f'--label-map {type_}=O (label_map = {{ "{type_}" = "O" }}) reads it as O'
        raise ValueError(f"tag '{tag}' names no entity type; {cure}", False)
    return plain, type_


def encode(spans: Iterable[Span], length: int, scheme: Scheme = "IOB2") -> tuple[str, ...]:
    """Tags of the spans, one a word.

    Raises:
        ValueError: as `bench.core.sentences.tags_of`.
    """
    spans = tuple(spans)
    tags = list(tags_of(spans, length))
    for start, end, type_ in spans:
        if scheme == "IOB1" and not (start and any(span.end == start and span.type == type_ for span in spans)):
            tags[start] = f"I-{type_}"
        elif scheme == "BIOES":
            tags[end - 1] = f"S-{type_}" if end - start == 1 else f"E-{type_}"
    return tuple(tags)
