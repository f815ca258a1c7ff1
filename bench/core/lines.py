"""Sentences of anybody's files: plain text, a tokenised sentence a line, and labelled CoNLL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.conll import IllFormedError, Scheme, decode, has_control, lines_of, tagged_sentences
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a file, a line at a time; what follows the last end of line is none. BadInput as `lines_of`."""
    before: str | None = None
    for line in lines_of(path):
        if before is not None:
            yield before
        before = line
    if before:
        yield before


@dataclass(frozen=True)
class Lines:
    """A file of tokenised sentences, read again for every pass, never held: empty lines are sentences without words.

    Raises:
        BadInput: while it is read: file:line of what is not UTF-8 or a control character; no line at all.
    """

    path: Path
    language: str

    def __iter__(self) -> Iterator[Sentence]:
        number = 0
        for number, line in enumerate(text_lines(self.path), 1):
            words = tuple(word for word in line.replace("\t", " ").split(" ") if word)  # it may hold a no-break space
            bad = next((word for word in words if has_control(word)), None)
            if bad is not None:
                raise BadInput(f"{self.path}:{number}: a control character in {bad!r}")
            yield Sentence(f"{self.path.stem}-{number}", self.language, words)
        if not number:
            raise BadInput(f"{self.path}: no line in this file")


def read_parallel(source: Path, target: Path, languages: tuple[str, str] = ("", "")) -> Iterator[Pair]:
    """Pairs of the lines of two files; two empty lines are a pair without words.

    Raises:
        BadInput: as `Lines`; or the two do not correspond: file:line.
    """
    sides = iter(Lines(source, languages[0])), iter(Lines(target, languages[1]))
    for number, (one, two) in enumerate(itertools.zip_longest(*sides), 1):
        if one is None or two is None:
            longer, other, rest = (target, source, sides[1]) if one is None else (source, target, sides[0])
            here = number + sum(1 for _ in rest)
            raise BadInput(
                f"{longer}:{number}: no line of {other} goes with this one: {here} lines here, {number - 1} there"
            )
        if bool(one.words) != bool(two.words):
            empty, other = (target, source) if one.words else (source, target)
            raise BadInput(f"{empty}:{number}: an empty line, but {other}:{number} has words")
        yield Pair(one, two)


def labelled_sentences(
    path: Path, language: str, scheme: Scheme = "IOB2", *, unique: bool = False
) -> Iterator[Sentence]:
    """The sentences of a CoNLL file of any entity types, one at a time, with the ids that corpus conll would give them.

    Raises:
        BadInput: when its line is reached: as `tagged_sentences`; or the tags break the scheme, or two sentences have
            one id though it is `unique`.
    """
    ids = set()
    for number, item in enumerate(tagged_sentences(path), 1):
        try:
            spans = decode(item.tags, scheme)
        except IllFormedError as error:
            raise BadInput(f"{path}:{item.lines[error.position]}: {error}") from error
        id_, group = item.comment("sent_id") or f"{path.stem}-{number}", item.comment("parallel_id", "group")
        if unique:
            if id_ in ids:
                raise BadInput(f"{path}:{item.lines[0]}: two sentences have the id '{id_}'")
            ids.add(id_)
        yield Sentence(id_, language, item.words, spans, group)
