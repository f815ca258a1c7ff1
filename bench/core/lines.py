"""Plain text files: a tokenised sentence a line, and two files whose lines correspond."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.core.conll import NormalForm, has_control, in_form, lines_of
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence

R = TypeVar("R")
T = TypeVar("T")


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a file, a line at a time; what follows the last end of line is none. BadInput as `lines_of`."""
    before: str | None = None
    for line in lines_of(path):
        if before is not None:
            yield before
        before = line
    if before:
        yield before


def beside(
    rows: Iterable[R],
    items: Iterable[T],
    says: Callable[[int, int], str],
    takes: Callable[[R], bool] = lambda row: True,
) -> Iterator[tuple[R, T | None]]:
    """Rows, each with the next item; None for a row that takes none.

    Raises:
        BadInput: there are more or fewer items than rows that take one: `says`, of both numbers.
    """
    left, others, count = iter(items), iter(rows), 0
    for row in others:
        if not takes(row):
            yield row, None
            continue
        found = list(itertools.islice(left, 1))
        if not found:
            raise BadInput(says(count, count + 1 + sum(map(takes, others))))
        count += 1
        yield row, found[0]
    if more := sum(1 for _ in left):
        raise BadInput(says(count + more, count))


@dataclass(frozen=True)
class Lines:
    """A file of tokenised sentences, read again for every pass, never held: empty lines are sentences without words.

    Raises:
        BadInput: while it is read: file:line of what is not UTF-8 or a control character; no line at all.
    """

    path: Path
    language: str
    normalise: NormalForm = ""

    def __iter__(self) -> Iterator[Sentence]:
        number = 0
        for number, line in enumerate(text_lines(self.path), 1):
            line = in_form(line, self.normalise).replace("\t", " ")
            words = tuple(word for word in line.split(" ") if word)  # it may hold a no-break space
            bad = next((word for word in words if has_control(word)), None)
            if bad is not None:
                raise BadInput(f"{self.path}:{number}: a control character in {bad!r}")
            yield Sentence(f"{self.path.stem}-{number}", self.language, words)
        if not number:
            raise BadInput(f"{self.path}: no line in this file")


def read_parallel(source: Path, target: Path, languages: tuple[str, str] = ("", "")) -> Iterator[Pair]:
    """Pairs of the lines of two files; an empty target line is a sentence without a translation, two are no sentence.

    Raises:
        BadInput: as `Lines`; or the two do not correspond: file:line.
    """

    def says(theirs: int, ours: int) -> str:
        return f"{source} has {ours} lines but {target} has {theirs}: line {min(ours, theirs) + 1} has no partner"

    pairs = beside(Lines(source, languages[0]), Lines(target, languages[1]), says)
    for number, (one, two) in enumerate(pairs, 1):
        if two is not None and two.words and not one.words:
            raise BadInput(f"{source}:{number}: an empty line, but {target}:{number} has words")
        yield Pair(one, two or one)
