"""Tagged files to score: gold of which a scorer would drop a part is refused, and gold and predictions must match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.conll import Format, TaggedFile, TaggedSentence, conll_text
from bench.core.errors import BadInput, lookalike
from bench.core.sentences import NO_TYPE, Mode, Sentence, Span
from bench.store.record import Record, Records
from bench.store.sidecars import GOLD, Damaged, digest_of, parsed, read_sidecar, sentences_of

LONG = 250  # words of a sentence that may be a whole file
Spans = Sequence[tuple[Span, ...]]  # of each sentence


@dataclass(frozen=True)
class Tagged:
    """A file and its sentences, or a part of them, tags as written."""

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
        """The entities of each sentence as a scorer finds them; BadInput if a tag is not of the scheme."""
        return [self.file.spans(item, mode) for item in self.items]

    def gold(self, mode: Mode = "strict", ways: str = "") -> list[tuple[Span, ...]]:
        """All entities of gold, since a score on a part would be wrong; `ways`: further options that would read them.

        Raises:
            BadInput: as `entities`; or the mode would drop some: where, and how many of how many.
        """
        kept, lost, total = self.entities(mode), self.dropped(mode), 0
        for where, tag in lost[:1]:
            total = sum(len(spans) for spans in self.entities("seqeval-default"))
            other = "--scheme IOB1" if self.file.format.scheme == "IOB2" else "another --scheme"
            raise BadInput(
                f"{where}: {len(lost)} of {total} gold entities are ill-formed in {self.file.format.scheme} and would "
                f"not be scored, the first begins with '{tag}'; {other}{ways} may read them as intended"
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
        """Lines that a user should know about the reading of the file."""
        yield from self.file.notes()
        longest = max(range(len(self.items)), key=lambda i: len(self.items[i].words))
        if (words := len(self.items[longest].words)) > LONG:
            yield f"{self.where(longest)}: a sentence of {words} words: are empty lines between sentences missing?"
        if mode == "conlleval":
            odd = [(i, span) for i, spans in enumerate(self.entities(mode)) for span in spans if span.type in NO_TYPE]
            for i, span in odd[:1]:
                tag = self.items[i].tags[span.start]
                finding = f"conlleval.pl takes tags such as '{tag}' for entities ({len(odd)} here)"
                yield f"{self.where(i, span.start)}: {finding}; --label-map {span.type}=O reads them as O"


def check_same(gold: Tagged, predicted: Tagged) -> None:
    """Raise BadInput at the first difference in sentences, lengths or words."""
    for index, (wanted, given) in enumerate(zip(gold.items, predicted.items, strict=False)):
        for position, (word, other) in enumerate(zip(wanted.words, given.words, strict=False)):
            if word != other:
                places = f"{gold.where(index, position)} has '{word}' where {predicted.where(index, position)}"
                why = lookalike(word, other)
                raise BadInput(f"the files hold different words: {places} has '{other}'{why}")
        if len(wanted.words) != len(given.words):
            raise BadInput(
                f"sentence {index + 1} has {len(wanted.words)} words at {gold.where(index)} "
                f"but {len(given.words)} at {predicted.where(index)}"
            )
    if len(gold.items) != len(predicted.items):
        longer = max(gold, predicted, key=lambda file: len(file.items))
        first = longer.where(min(len(gold.items), len(predicted.items)))
        counts = f"{gold.path} has {len(gold.items)} sentences but {predicted.path} has {len(predicted.items)}"
        raise BadInput(f"{counts}; the first without a partner starts at {first}")


def labelled(file: Tagged, spans: Spans, language: str) -> list[Sentence]:
    """The sentences with these entities: ids and groups from the file's comments, else `<language>-<n>` and none."""
    sentences = []
    for number, (item, entities) in enumerate(zip(file.items, spans, strict=True), 1):
        id_, group = item.comment("sent_id") or f"{language}-{number}", item.comment("parallel_id", "group")
        sentences.append(Sentence(id_, language, item.words, tuple(entities), group))
    return sentences


def test_of(
    corpus: str, file: Tagged, gold: Sequence[Sentence], store: Records, like: Sequence[Record]
) -> tuple[list[Sentence], dict[str, Any]]:
    """The test sentences and the corpus facts: those of the folder's records of this test, if it has any.

    `file`, `gold`: the test, and its sentences, all of one language; `like`: the folder's records of that corpus.

    Raises:
        BadInput: the folder's records of the language were scored on another test, so that nothing could be compared.
    """
    target = gold[0].language
    differs = ""
    of_language = [record for record in like if record.cell.get("target") == target and record.status == "ok"]
    for record in {str(record.corpus.get("test")): record for record in of_language}.values():  # one a test
        path = store.sidecar(record.key, GOLD)
        try:
            stored = sentences_of(read_sidecar(path), target)
        except Damaged as error:
            raise BadInput(f"{path}: {error}; see `xner verify`") from error
        difference = _difference(file, gold, stored)
        if not difference:
            return stored, dict(record.corpus)
        differs = differs or f"{difference} of {path}"
    if differs:
        why = f"the gold is not the test of corpus '{corpus}' in '{target}': {differs}"
        raise BadInput(f"{why}; give another test another --corpus")
    facts: dict[str, Any] = dict(like[0].corpus) if like else {"title": corpus, "name": corpus}
    return list(gold), facts | {"test": digest_of(parsed(conll_text(gold)), target)}


def _difference(file: Tagged, gold: Sequence[Sentence], stored: Sequence[Sentence]) -> str:
    """The first difference in words or entities, with its line; "" if there is none."""
    path = file.path
    for item, sentence, other in zip(file.items, gold, stored, strict=False):
        for line, word, expected in zip(item.lines, sentence.words, other.words, strict=False):
            if word != expected:
                why = lookalike(word, expected)
                return f"{path}:{line} has {word!r}, not the {expected!r} of sentence '{other.id}'{why}"
        if len(sentence.words) != len(other.words):
            return f"{path}:{item.lines[0]}: {len(sentence.words)} words, not the {len(other.words)} of '{other.id}'"
        odd = min(set(sentence.spans or ()) ^ set(other.spans or ()), default=None)
        if odd is not None:
            verb = "has" if odd in (sentence.spans or ()) else "lacks"
            words = " ".join(sentence.words[odd.start : odd.end])
            return f"{path}:{item.lines[odd.start]} {verb} the entity {words!r} {odd.type}, unlike '{other.id}'"
    if len(gold) != len(stored):
        return f"{path} has {len(gold)} sentences, not the {len(stored)}"
    return ""
