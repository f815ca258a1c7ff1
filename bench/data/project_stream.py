"""Projecting files of any size: sentences, translations and links read a part at a time, and what came of them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from bench.core.conll import Scheme
from bench.core.errors import BadInput
from bench.core.lines import Lines, labelled_sentences
from bench.core.sentences import Link, Pair, Sentence, tags_of
from bench.data.projected import NO_COUNTS, counts_of
from bench.data.rules import Projected
from bench.measure.score import Summary, score_tags, summary, summed
from bench.store.record import TypeCounts

PART = 8192  # pairs between two writes
T = TypeVar("T")

_LINK = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)  # Pharaoh: source word, target word, both from 0


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """Labelled source sentences with their translations, without links; both have the id of the source sentence.

    Read again for every pass, never held.

    Raises:
        BadInput: while it is read: a file cannot be read, the tags break the scheme, a line is empty, or the numbers of
            sentences differ.
    """

    source: Path
    target: Path
    scheme: Scheme = "IOB2"

    def __iter__(self) -> Iterator[Pair]:
        labelled, lines = labelled_sentences(self.source, "", self.scheme), iter(Lines(self.target, ""))
        for number, (sentence, line) in enumerate(itertools.zip_longest(labelled, lines), 1):
            if sentence is None or line is None:
                longer = number + sum(1 for _ in (lines if sentence is None else labelled))
                one, two = (number - 1, longer) if sentence is None else (longer, number - 1)
                raise BadInput(f"{self.source} has {one} sentences but {self.target} has {two} lines")
            if not line.words:
                raise BadInput(f"{self.target}:{number}: an empty line where a translation should be")
            yield Pair(sentence, Sentence(sentence.id, "", line.words, None, sentence.group))


def parts(pairs: Iterable[Pair], size: int = PART) -> Iterator[list[Pair]]:
    """The pairs, `size` at a time."""
    rest = iter(pairs)
    while part := list(itertools.islice(rest, size)):
        yield part


class Beside(Generic[T]):
    """A file with an item for every pair, read beside the pairs; `say` words how many items, and how many pairs."""

    def __init__(self, items: Iterable[T], say: Callable[[int, int], str]) -> None:
        self._items, self._say, self.taken = iter(items), say, 0

    def take(self, pairs: int, rest: Iterable[Sequence[Pair]]) -> list[T]:
        """The items of the next `pairs` pairs; `rest` are the pairs after them, counted where items are missing.

        Raises:
            BadInput: the items end before.
        """
        found = list(itertools.islice(self._items, pairs))
        if len(found) < pairs:
            raise BadInput(self._say(self.taken + len(found), self.taken + pairs + sum(map(len, rest))))
        self.taken += pairs
        return found

    def finish(self) -> None:
        """Raise BadInput where items are left."""
        if left := sum(1 for _ in self._items):
            raise BadInput(self._say(self.taken + left, self.taken))


def links_of(line: str, pair: Pair, where: str) -> tuple[Link, ...]:
    """The links of a line such as `0-0 1-2`, sorted; an empty line is a pair without links.

    Raises:
        BadInput: a link is malformed, or one of its words is not there; the message begins with `where`.
    """
    return tuple(sorted({_link(text, pair, where) for text in line.split()}))


def _link(text: str, pair: Pair, where: str) -> Link:
    match = _LINK.fullmatch(text)
    if not match:
        raise BadInput(f"{where}: '{text}' is no link such as 3-4")
    link = int(match[1]), int(match[2])
    for word, side, name in zip(link, (pair.source, pair.target), ("source", "target"), strict=True):
        if word >= len(side.words):
            raise BadInput(
                f"{where}: link {text}: the {name} sentence has no word {word}, only 0 to {len(side.words) - 1}"
            )
    return link


# --- what came of it --------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of all entities and sentences, and the scores of the sentences that are written."""

    counts: Counter[str] = field(default_factory=lambda: Counter(NO_COUNTS))
    refused: Counter[str] = field(default_factory=Counter)
    written: int = 0
    tokens: int = 0
    types: Mapping[str, TypeCounts] = field(default_factory=dict)

    def add(
        self, done: Sequence[Projected], keep_filtered: bool, gold: Sequence[Sequence[str]] | None
    ) -> list[Sentence]:
        """Count what the rules gave, score it where there are gold tags; the targets to write."""
        self.counts.update(counts_of(done))
        self.refused.update(one.refused_by for one in done if one.refused_by)
        chosen = [i for i, one in enumerate(done) if keep_filtered or not one.refused_by]
        targets = [done[i].pair.target for i in chosen]
        self.written += len(targets)
        if gold is not None and targets:
            found = [tags_of(target.spans or (), len(target.words)) for target in targets]
            scored = score_tags([gold[i] for i in chosen], found, "strict")
            self.types = summed(self.types, summary(scored.counts, scored.types).types)
            self.tokens += sum(map(len, found))
        return targets

    @property
    def score(self) -> Summary:
        """The scores of all that is written."""
        return Summary.of(self.types)
