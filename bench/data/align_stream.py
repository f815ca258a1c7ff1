"""Aligning files of any size: pairs read, linked, scored and written a part at a time."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.core.lines import read_parallel, text_lines
from bench.core.sentences import Link, Pair
from bench.data.aligning import Aligning, pharaoh
from bench.measure.links import GoldLinks, LinkScore

PART = 8192  # pairs between two writes, of aligners that take text a part at a time
Row = tuple[Pair, GoldLinks | None]

_GOLD = re.compile(r"(\d{1,9})([-?p])(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Rows:
    """Pairs of the lines of two files, with the gold links of a third; read again for every pass, never held.

    Raises:
        BadInput: while it is read: a file cannot be read, is empty or holds a control character, the files do not
            correspond, or a gold link is malformed or not of its pair: file:line.
    """

    source: Path
    target: Path
    languages: tuple[str, str] = ("", "")
    gold: Path | None = None
    first: int = 0  # the number of a sentence's first word in the gold links

    @property
    def files(self) -> list[Path]:
        """All that are read."""
        return [self.source, self.target, *([self.gold] if self.gold else [])]

    def __iter__(self) -> Iterator[Row]:
        pairs = read_parallel(self.source, self.target, self.languages)
        if self.gold is None:
            yield from ((pair, None) for pair in pairs)
            return
        lines, number = _lines(self.gold), 0
        for number, (pair, line) in enumerate(itertools.zip_longest(pairs, lines), 1):
            if line is None:
                raise BadInput(f"{self.gold}: {number - 1} lines of gold links, but {self.source}:{number} goes on")
            if pair is None:
                raise BadInput(f"{self.gold}:{number}: gold links, but {self.source} has only {number - 1} lines")
            yield pair, gold_links(line, pair, self.first, f"{self.gold}:{number}")


def _lines(path: Path) -> Iterator[str]:
    lines = text_lines(path)
    first = next(lines, None)
    if first is None:
        raise BadInput(f"{path}: no line in this file")
    yield from (line.strip() for line in itertools.chain([first], lines))


def gold_links(line: str, pair: Pair, first: int, where: str) -> GoldLinks:
    """Links such as `0-1` (sure) and `0?1` or `0p1` (possible) of words counted from `first`; a pair may have none.

    Raises:
        BadInput: a link is malformed, or one of its words is not there; the message begins with `where`.
    """
    links: dict[bool, set[Link]] = {True: set(), False: set()}
    for text in line.split():
        match = _GOLD.fullmatch(text)
        if not match:
            raise BadInput(f"{where}: '{text}' is no gold link such as 3-4 (sure), 3?4 or 3p4 (possible)")
        words = int(match[1]), int(match[3])
        for word, side, name in zip(words, (pair.source, pair.target), ("source", "target"), strict=True):
            last = len(side.words) - 1 + first
            if not first <= word <= last:
                hint = "; counted from 1? --from 1" if not first and word == last + 1 else ""
                there = f"only {first} to {last}" if side.words else "none at all"
                raise BadInput(f"{where}: link {text}: the {name} sentence has no word {word}, {there}{hint}")
        links[match[2] == "-"].add((words[0] - first, words[1] - first))
    return GoldLinks(frozenset(links[True]), frozenset(links[False]))


@dataclass(frozen=True)
class Checked:
    """What a first pass over the rows found: nothing wrong; how many pairs, how many of them with words; a hash."""

    pairs: int
    full: int
    content: str


def checked(rows: Iterable[Row]) -> Checked:
    """Read everything once, so that a bad line is found now and not in hours; BadInput as `Rows`."""
    pairs = full = 0
    digest = hashlib.sha256()
    for pair, gold in rows:
        pairs += 1
        full += bool(pair.source.words)
        known = None if gold is None else (sorted(gold.sure), sorted(gold.possible))
        digest.update(repr((pair.source.words, pair.target.words, known)).encode())
    return Checked(pairs, full, digest.hexdigest())


@dataclass
class Done:
    """How far an alignment is."""

    pairs: int = 0
    links: int = 0
    score: LinkScore = field(default_factory=LinkScore)

    def notes(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> Done:
        """What `notes` gave; nothing yet of {}."""
        return cls(**{**notes, "score": LinkScore(**notes["score"])}) if notes else cls()


def align_rows(
    job: Aligning, rows: Iterable[Row], size: Checked, done: Done, write: Callable[[Sequence[str]], None]
) -> None:
    """Link what follows the `done.pairs` rows that are done; `write` gets the Pharaoh lines of each part.

    A part is `PART` pairs, or all of them where the aligner learns from all.

    Raises:
        BadInput: the aligner cannot link these pairs.
    """
    rest = iter(rows)
    before = sum(bool(pair.source.words) for pair, _ in itertools.islice(rest, done.pairs))
    if before:
        job.tick(2 * before)
    while part := list(itertools.islice(rest, PART if job.aligner.streams else size.pairs)):
        links = job.links([pair for pair, _ in part])
        for found, (_, gold) in zip(links, part, strict=True):
            if gold is not None:
                done.score.add(found, gold)
        done.pairs += len(part)
        done.links += sum(map(len, links))
        write([pharaoh(links)])
