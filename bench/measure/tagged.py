"""Tagged files to be scored: gold is refused where a scorer would drop some of it, predictions are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.conll import Format, TaggedFile, TaggedSentence
from bench.core.errors import BadInput, lookalike
from bench.core.sentences import Span
from bench.core.tags import NO_TYPE, Mode

LONG = 250  # words of a sentence that may be a whole file
Spans = Sequence[tuple[Span, ...]]  # of each sentence


@dataclass(frozen=True)
class Tagged:
    """A file, or a part of it, and the sentences that it holds, tags as written."""

    file: TaggedFile
    items: Sequence[TaggedSentence]

    @classmethod
    def read(cls, path: Path, format: Format) -> Tagged:
        """All of a file; BadInput as `TaggedFile`."""
        file = TaggedFile(path, format)
        return cls(file, list(file))

    @property
    def path(self) -> Path:
        return self.file.path

    def where(self, sentence: int, token: int = 0) -> str:
        """File and line of a word."""
        return f"{self.path}:{self.items[sentence].lines[token]}"

    def entities(self, mode: Mode) -> list[tuple[Span, ...]]:
        """The entities of each sentence as a scorer finds them; BadInput where a tag is not of the scheme."""
        return [self.file.spans(item, mode) for item in self.items]

    def gold(self, mode: Mode = "strict", ways: str = "") -> list[tuple[Span, ...]]:
        """The entities of gold: all of them, since a score on a part of the gold is wrong.

        Args:
            ways: options, beside --scheme, that would read it.

        Raises:
            BadInput: as `entities`; or the mode would drop some: where, and how many of how many.
        """
        kept, lost, total = self.entities(mode), self.dropped(mode), 0
        for where, tag in lost[:1]:
            total = sum(len(spans) for spans in self.entities("seqeval-default"))
            other = "--scheme IOB1" if self.file.format.scheme == "IOB2" else "another --scheme"
            raise BadInput(
                f"{where}: {len(lost)} of {total} gold entities are ill-formed in {self.file.format.scheme} and would "
                f"not be scored, the first begins with '{tag}'; {other}{ways} may read them as they are meant"
            )
        return kept

    def dropped(self, mode: Mode) -> list[tuple[str, str]]:
        """Place and first tag of each ill-formed entity that the mode ignores."""
        if mode != "strict":
            return []
        return [
            (f"{self.path}:{item.lines[span.start]}", item.tags[span.start])
            for item in self.items
            for span in sorted(set(self.file.spans(item, "seqeval-default")) - set(self.file.spans(item, "strict")))
        ]

    def notes(self, mode: Mode) -> Iterator[str]:
        """What a user should know of how the file was read."""
        yield from self.file.notes()
        longest = max(range(len(self.items)), key=lambda i: len(self.items[i].words))
        if (words := len(self.items[longest].words)) > LONG:
            yield f"{self.where(longest)}: a sentence of {words} words: are empty lines between sentences missing?"
        if mode == "conlleval":
            odd = [(i, span) for i, spans in enumerate(self.entities(mode)) for span in spans if span.type in NO_TYPE]
            for i, span in odd[:1]:
                tag = self.items[i].tags[span.start]
                said = f"conlleval.pl takes tags such as '{tag}' for entities ({len(odd)} here)"
                yield f"{self.where(i, span.start)}: {said}; --label-map {span.type}=O reads them as O"


def check_same(gold: Tagged, predicted: Tagged) -> None:
    """Raise BadInput at the first difference in sentences, lengths or words."""
    for index, (wanted, found) in enumerate(zip(gold.items, predicted.items, strict=False)):
        for position, (word, other) in enumerate(zip(wanted.words, found.words, strict=False)):
            if word != other:
                places = f"{gold.where(index, position)} has '{word}' where {predicted.where(index, position)}"
                why = lookalike(word, other)
                raise BadInput(f"the files hold different words: {places} has '{other}'{why}")
        if len(wanted.words) != len(found.words):
            raise BadInput(
                f"sentence {index + 1} has {len(wanted.words)} words at {gold.where(index)} "
                f"but {len(found.words)} at {predicted.where(index)}"
            )
    if len(gold.items) != len(predicted.items):
        longer = max(gold, predicted, key=lambda file: len(file.items))
        first = longer.where(min(len(gold.items), len(predicted.items)))
        counts = f"{gold.path} has {len(gold.items)} sentences but {predicted.path} has {len(predicted.items)}"
        raise BadInput(f"{counts}; the first without a partner starts at {first}")
