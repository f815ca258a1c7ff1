"""From WikiAnn's rows, in either layout, to sentences; what is repaired on the way is counted, never hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from bench.core.conll import has_control
from bench.core.errors import BadInput, nearest
from bench.core.sentences import Sentence, spans_of, tag_set

TYPES = ("PER", "ORG", "LOC")
TAGS = tag_set(TYPES)  # in the order of the hub's ClassLabel
REPLACEMENT = "\ufffd"


class Row(NamedTuple):
    """Tokens and tags as published, and where they stand, for a message."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    where: str


def sentences_of(rows: Iterable[Row], language: str, split: str, repairs: Counter[str]) -> list[Sentence]:
    """Sentences `<language>-<split>-<n>`, n from 1 counting published rows; adds to `repairs` what it changed.

    The labels are made by machine, so three defects are repaired rather than refused: an I-X without its B-X opens an
    entity (as conlleval), an empty token or one with a control character becomes U+FFFD, a row without tokens is left
    out.

    Raises:
        BadInput: a tag is none of WikiAnn's, or tokens and tags differ in number.
    """
    sentences = []
    for number, row in enumerate(rows, 1):
        if len(row.tokens) != len(row.tags):
            raise BadInput(f"{row.where}: {len(row.tokens)} tokens but {len(row.tags)} tags")
        for tag in row.tags:
            if tag not in TAGS:
                raise BadInput(f"{row.where}: '{tag}' is no tag of WikiAnn{nearest(tag, TAGS)}")
        if not row.tokens:
            repairs["rows without tokens, left out"] += 1
            continue
        repairs["entities that start with I-"] += _loose_starts(row.tags)
        words = tuple(REPLACEMENT if not token or has_control(token) else token for token in row.tokens)
        repairs["tokens empty or with control characters, now U+FFFD"] += sum(
            word != token for word, token in zip(words, row.tokens, strict=True)
        )
        sentences.append(Sentence(f"{language}-{split}-{number}", language, words, spans_of(row.tags)))
    return sentences


def _loose_starts(tags: tuple[str, ...]) -> int:
    return sum(tag.startswith("I-") and before[2:] != tag[2:] for before, tag in zip(("O", *tags), tags, strict=False))
