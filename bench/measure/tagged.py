"""Entities of another system's tags: any scheme, ill-formed tags read as a scorer reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

from bench.core.conll import Scheme
from bench.core.sentences import Span
from bench.measure.score import Mode

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_LETTERS = {"IOB2": "BI", "IOB1": "BI", "BIOES": "BIESLU"}  # L and U are BILOU's E and S
_WHOLE = {"IOB2": re.compile("BI*"), "IOB1": re.compile("[BI]+"), "BIOES": re.compile("BI*E|S")}


class NoTag(ValueError):
    """The tag at `position` (from 0) is none of the scheme's."""

    def __init__(self, position: int, tag: str, scheme: Scheme) -> None:
        letters = [f"{letter}-X" for letter in _LETTERS[scheme][:4]]
        super().__init__(f"tag '{tag}' is not O, {', '.join(letters[:-1])} or {letters[-1]} ({scheme})")
        self.position = position


def entities(tags: Sequence[str], scheme: Scheme, mode: Mode) -> tuple[Span, ...]:
    """The entities that a scorer finds in tags, ill-formed or not.

    `strict`: as seqeval with mode='strict', a run of tags that is not whole in its scheme is no entity. The others: as
    seqeval without a mode, every run is one; conlleval.pl agrees for O, B-X and I-X, and knows no other tags. IOB1 has
    no ill-formed runs: B-X and I-X open an entity wherever they do not continue one.

    Raises:
        NoTag: a tag is not of the scheme.
    """
    found: list[Span] = []
    letters, open_type, start = "", "", 0

    def close(end: int) -> None:
        if letters and (mode != "strict" or _WHOLE[scheme].fullmatch(letters)):
            found.append(Span(start, end, open_type))

    for position, tag in enumerate(tags):
        letter, _, type_ = tag.partition("-")
        if tag != "O" and not (type_ and letter and letter in _LETTERS[scheme]):
            raise NoTag(position, tag, scheme)
        letter = {"L": "E", "U": "S"}.get(letter, letter)
        if letters and letters[-1] in "BI" and letter in ("I", "E") and type_ == open_type:
            letters += letter
            continue
        close(position)
        letters, open_type, start = ("", "", 0) if tag == "O" else (letter, type_, position)
    close(len(tags))
    return tuple(found)
