"""Projecting files of any size: sentences, translations and links read a part at a time, and what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.conll import TaggedFile
from bench.core.files import Lines, beside
from bench.core.sentences import Pair, Sentence, Span
from bench.data.projected import NO_COUNTS, Projected, counts_of
from bench.measure.score import Summary, count, summary, summed
from bench.store.record import TypeCounts

PART = 8192  # pairs between two writes
_UNTRANSLATED = {"untranslated": 0, "pairs_untranslated": 0}


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """Labelled source sentences with their translations, without links; both have the source's id.

    An empty line is a target without words: no translation. Read again for every pass, never held.

    Raises:
        BadInput: while it is read: a file cannot be read, tags break the scheme, or the numbers of sentences differ.
    """

    source: TaggedFile
    target: Path

    def __iter__(self) -> Iterator[Pair]:
        def says(lines: int, sentences: int) -> str:
            return f"{self.source.path} has {sentences} sentences but {self.target} has {lines} lines"

        lines = Lines(self.target, "", self.source.format.normalise)
        for number, (item, line) in enumerate(beside(self.source, lines, says), 1):
            sentence = self.source.sentence(item, number, "")
            yield Pair(sentence, Sentence(sentence.id, "", line.words if line else (), None, sentence.group))


# --- what came of it --------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of all entities and sentences, and the scores of the sentences that are written.

    Beside the outcomes of projection, `untranslated` counts the entities of sentences that have no translation, and
    `pairs_untranslated` these sentences.
    """

    counts: Counter[str] = field(default_factory=lambda: Counter({**NO_COUNTS, **_UNTRANSLATED}))
    refused: Counter[str] = field(default_factory=Counter)
    written: int = 0
    tokens: int = 0
    types: Mapping[str, TypeCounts] = field(default_factory=dict)

    def skip(self, pairs: Sequence[Pair]) -> None:
        """Count pairs without a translation."""
        entities = sum(len(pair.source.spans or ()) for pair in pairs)
        self.counts.update(entities=entities, untranslated=entities, pairs_untranslated=len(pairs))

    def add(
        self, done: Sequence[Projected], keep_filtered: bool, gold: Sequence[Sequence[Span]] | None
    ) -> list[Sentence]:
        """Count what the rules gave, score it where there is gold; the targets to write."""
        self.counts.update(counts_of(done))
        self.refused.update(one.refused_by for one in done if one.refused_by)
        chosen = [i for i, one in enumerate(done) if keep_filtered or not one.refused_by]
        targets = [done[i].pair.target for i in chosen]
        self.written += len(targets)
        if gold is not None and targets:
            wanted, found = [gold[i] for i in chosen], [target.spans or () for target in targets]
            types = sorted({span.type for side in (wanted, found) for spans in side for span in spans})
            self.types = summed(self.types, summary(count(wanted, found, types), types).types)
            self.tokens += sum(len(target.words) for target in targets)
        return targets

    @property
    def score(self) -> Summary:
        """The scores of all that is written."""
        return Summary.of(self.types)
