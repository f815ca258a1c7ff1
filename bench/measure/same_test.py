"""Which test a gold file is: that of a folder's own records, to the last word and entity, or a new one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.core.conll import conll_text
from bench.core.errors import BadInput, lookalike
from bench.core.sentences import Sentence
from bench.measure.tagged import Spans, Tagged
from bench.store.record import Record, Records
from bench.store.sidecars import GOLD, Damaged, digest_of, parsed, read_sidecar, sentences_of


def labelled(file: Tagged, spans: Spans, language: str) -> list[Sentence]:
    """The sentences with these entities: ids and groups from the file's comments, else `<language>-<n>` and none."""
    ids = [item.comment("sent_id") or f"{language}-{number}" for number, item in enumerate(file.items, 1)]
    groups = [item.comment("parallel_id", "group") for item in file.items]
    rows = zip(ids, file.items, spans, groups, strict=True)
    return [Sentence(id_, language, item.words, tuple(found), group) for id_, item, found, group in rows]


def test_of(
    corpus: str, file: Tagged, gold: Sequence[Sentence], store: Records, like: Sequence[Record]
) -> tuple[list[Sentence], dict[str, Any]]:
    """The test sentences and the corpus facts: those of the folder's records of this test where it has any.

    Args:
        corpus: its name.
        file, gold: the test, and its sentences, all of one language.
        like: the folder's records of that corpus.

    Raises:
        BadInput: the folder's records of the language were scored on another test, so that nothing could be compared.
    """
    target = gold[0].language
    differs = ""
    for one in _by_test(one for one in like if one.cell.get("target") == target and one.status == "ok"):
        path = store.sidecar(one.key, GOLD)
        try:
            stored = sentences_of(read_sidecar(path), target)
        except Damaged as error:
            raise BadInput(f"{path}: {error}; see `xner verify`") from error
        difference = _difference(file, gold, stored)
        if not difference:
            return stored, dict(one.corpus)
        differs = differs or f"{difference} of {path}"
    if differs:
        raise BadInput(
            f"the gold is not the test of corpus '{corpus}' in '{target}': {differs}; "
            "give another test another --corpus"
        )
    facts: dict[str, Any] = dict(like[0].corpus) if like else {"title": corpus, "name": corpus}
    return list(gold), facts | {"test": digest_of(parsed(conll_text(gold)), target)}


def _by_test(records: Iterable[Record]) -> list[Record]:
    """One record a test."""
    return list({str(one.corpus.get("test")): one for one in records}.values())


def _difference(file: Tagged, gold: Sequence[Sentence], stored: Sequence[Sentence]) -> str:
    """The first difference in words or entities, with its line; "" where there is none."""
    path = file.path
    for item, ours, other in zip(file.items, gold, stored, strict=False):
        for line, word, expected in zip(item.lines, ours.words, other.words, strict=False):
            if word != expected:
                why = lookalike(word, expected)
                return f"{path}:{line} has {word!r}, not the {expected!r} of sentence '{other.id}'{why}"
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
