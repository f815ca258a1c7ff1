"""Aligning files of any size: pairs read, linked, scored and written a part at a time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.core.lines import beside, read_parallel, text_lines
from bench.core.sentences import Pair
from bench.data.aligning import Aligning, pharaoh
from bench.measure.links import GoldLinks, LinkLines, LinkScore

PART = 8192  # pairs between two writes, of aligners that take text a part at a time
Row = tuple[Pair, GoldLinks | None]


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
    links: LinkLines = field(default_factory=LinkLines)  # how the gold links are read

    @property
    def files(self) -> list[Path]:
        """All that are read."""
        return [self.source, self.target, *([self.gold] if self.gold else [])]

    def __iter__(self) -> Iterator[Row]:
        pairs = read_parallel(self.source, self.target, self.languages)
        if self.gold is None:
            yield from ((pair, None) for pair in pairs)
            return
        rows = beside(pairs, text_lines(self.gold), lambda n, all_: f"{self.gold} has {n} gold lines for {all_} pairs")
        for number, (pair, line) in enumerate(rows, 1):
            yield pair, self.links.read(line or "", pair, f"{self.gold}:{number}")


@dataclass(frozen=True)
class Checked:
    """What a first pass over the rows found: nothing wrong; how many pairs, how many of them with words; a hash."""

    pairs: int
    full: int
    content: str
    untranslated: int = 0  # pairs of which only the source has words


def checked(rows: Iterable[Row]) -> Checked:
    """Read everything once, so that a bad line is found now and not in hours; BadInput as `Rows`."""
    pairs = full = untranslated = 0
    digest = hashlib.sha256()
    for pair, gold in rows:
        pairs += 1
        full += bool(pair.target.words)
        untranslated += bool(pair.source.words) and not pair.target.words
        known = None if gold is None else (sorted(gold.sure), sorted(gold.possible))
        digest.update(repr((pair.source.words, pair.target.words, known)).encode())
    return Checked(pairs, full, digest.hexdigest(), untranslated)


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
    before = sum(bool(pair.target.words) for pair, _ in itertools.islice(rest, done.pairs))
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
