"""Another system's tags: entities in any scheme, ill-formed ones read as a scorer reads them; and whose test it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.conll import Scheme, TaggedSentence, conll_text
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, Span
from bench.measure.score import Mode, NoTag, entities
from bench.store.record import Record, Records
from bench.store.sidecars import GOLD, Damaged, digest_of, parsed, read_sidecar, sentences_of


@dataclass(frozen=True)
class TaggedFile:
    """A CoNLL file and the sentences that it holds, tags as written."""

    path: Path
    sentences: Sequence[TaggedSentence]

    def entities(self, scheme: Scheme, mode: Mode, *, ill_formed: bool = True) -> list[tuple[Span, ...]]:
        """The entities of each sentence, as `bench.measure.score` reads them.

        Raises:
            BadInput: a tag is not of the scheme; or tags are ill-formed and may not be: with the line.
        """
        found = []
        for item in self.sentences:
            try:
                spans = entities(item.tags, scheme, mode)
                runs = spans if ill_formed else entities(item.tags, scheme, "seqeval-default")
            except NoTag as error:
                raise BadInput(f"{self.path}:{item.lines[error.position]}: {error}") from error
            odd = next((span.start for span in runs if span not in spans), None)
            if odd is not None:
                raise BadInput(
                    f"{self.path}:{item.lines[odd]}: the entity that '{item.tags[odd]}' begins is ill-formed in "
                    f"{scheme}; another --scheme, or --mode seqeval-default, may read it as it is meant"
                )
            found.append(spans)
        return found

    def with_entities(self, spans: Sequence[tuple[Span, ...]], language: str) -> list[Sentence]:
        """The file as labelled sentences: ids and groups from its comments, else `<language>-<n>` and none."""
        sentences = []
        for number, (item, of_sentence) in enumerate(zip(self.sentences, spans, strict=True), 1):
            id_, group = item.comment("sent_id") or f"{language}-{number}", item.comment("parallel_id", "group")
            sentences.append(Sentence(id_, language, item.words, of_sentence, group))
        return sentences


def test_of(
    corpus: str, file: TaggedFile, gold: Sequence[Sentence], store: Records, like: Sequence[Record]
) -> tuple[Sequence[Sentence], dict[str, Any]]:
    """The test sentences and the corpus facts: those of the folder's records of this test where it has any.

    Args:
        corpus: its name.
        file, gold: the gold and its sentences, all of one language.
        like: the folder's records of that corpus.

    Raises:
        BadInput: the folder's records of the language were scored on another test, so that nothing could be compared.
    """
    target, differs = gold[0].language, ""
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
    return gold, facts | {"test": digest_of(parsed(conll_text(gold)), target)}


def _difference(file: TaggedFile, gold: Sequence[Sentence], stored: Sequence[Sentence]) -> str:
    """The first difference in words or entities, with its line; "" where there is none."""
    path = file.path
    for item, ours, other in zip(file.sentences, gold, stored, strict=False):
        for line, word, expected in zip(item.lines, ours.words, other.words, strict=False):
            if word != expected:
                return f"{path}:{line} has {word!r}, not the {expected!r} of sentence '{other.id}'"
        if len(ours.words) != len(other.words):
            return f"{path}:{item.lines[0]}: {len(ours.words)} words, not the {len(other.words)} of '{other.id}'"
        odd = min(set(ours.spans or ()) ^ set(other.spans or ()), default=None)
        if odd is not None:
            verb = "has" if odd in (ours.spans or ()) else "lacks"
            words = " ".join(ours.words[odd.start : odd.end])
            return f"{path}:{item.lines[odd.start]} {verb} the entity {words!r} {odd.type}, unlike '{other.id}'"
    if len(gold) != len(stored):
        return f"{path} has {len(gold)} sentences, not the {len(stored)}"
    return ""
