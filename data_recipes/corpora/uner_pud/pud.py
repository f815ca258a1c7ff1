"""Parallel Universal Dependencies (PUD) with UNER's labels: English, and its human translations joined to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from bench.api.source_files import here
from bench.core.conll import read_conll, read_tagged
from bench.core.errors import BadInput
from bench.core.sentences import Sentence
from data_recipes.corpora.uner_pud.conllu import Block, read_conllu
from data_recipes.corpora.uner_pud.gold import TYPES, UNER
from data_recipes.corpora.uner_pud.words import contracted, simplifier

LABELLED = ("de", "pt", "ru", "sv", "zh")  # gold on both sides
UNLABELLED = ("es", "fi", "it")
TRANSLATIONS = tuple(sorted((*LABELLED, *UNLABELLED)))
_PARALLEL = "es"  # any UD file has the order of zh_pud and the English text of each sentence
_WRITTEN_IN_ENGLISH = ("n01", "w01")  # news and Wikipedia; 02 to 05 were German, French, Italian, Spanish

_LOOSE = replace(UNER, scheme="IOB1")  # some entities of the translations start with I-

Join = dict[str, Sentence]  # a translation by the English id as published


def english(*, originals_only: bool = False) -> list[Sentence]:
    """The 1,000 English sentences, or the 750 that were written in English; ids `en_pud/…`, groups `pud/…`.

    Raises:
        Unavailable, BadInput: the file is not here, or malformed.
    """
    path = _uner("en")
    sentences = _english(path, path.stat().st_mtime_ns)
    return [
        replace(sentence, id=f"en_pud/{sentence.id}", group=_group(sentence.id))
        for sentence in sentences
        if not originals_only or sentence.id.startswith(_WRITTEN_IN_ENGLISH)
    ]


@lru_cache(maxsize=2)  # every language is joined to it
def _english(path: Path, _changed: int) -> tuple[Sentence, ...]:
    return tuple(read_conll(path, "en", TYPES, UNER, require_entities=True))


def translations(language: str, *, german: str = "surface") -> Join:
    """All translations into a language by the id of their English sentence (published form: no prefix).

    es, fi and it come without labels. Ids `<language>_pud/<id as published>`, groups as in English.

    Raises:
        Unavailable: a file is not here.
        BadInput: it is malformed, or an English sentence has no translation or two: file, and the id or line.
    """
    if language in UNLABELLED:
        joined, path = _by_text(language)
    elif language == "zh":
        joined, path = _by_position()
    else:
        path = _uner(language)
        joined = {one.id: one for one in read_conll(path, language, TYPES, _LOOSE)}
    known = set(_english_ids().values())
    if missing := sorted(known - joined.keys()):
        raise BadInput(f"{path}: no translation of en_pud's sentence {missing[0]} ({len(missing)} are missing)")
    rewrite = _rewriting(language, german)
    return {
        key: rewrite(replace(one, id=f"{language}_pud/{one.id}", group=_group(key)))
        for key, one in joined.items()
        if key in known
    }


def _rewriting(language: str, german: str) -> Callable[[Sentence], Sentence]:
    if language == "zh":
        return simplifier()
    return contracted if language == "de" and german == "surface" else lambda sentence: sentence


def _uner(language: str) -> Path:
    return here(f"uner/{language}_pud/{language}_pud-ud-test.iob2")


def _group(published: str) -> str:
    return f"pud/{published}"


# --- joins ------------------------------------------------------------------------------------------------------------


def _english_ids() -> Mapping[str, str]:
    """Ids as published by the text, white space collapsed.

    Raises:
        BadInput: a sentence has no text or id, or two have the same.
    """
    path = _uner("en")
    return _ids(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _ids(path: Path, _changed: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for item in read_tagged(path, UNER):
        text, id_ = " ".join(item.comment("text").split()), item.comment("sent_id")
        if not text or not id_ or text in found:
            raise BadInput(f"{path}:{item.lines[0]}: sentence '{id_}' has no text, no id, or another's text")
        found[text] = id_
    return found


def _parallel(language: str) -> tuple[list[tuple[str, Block]], Path]:
    """The sentences of a UD file, each with the id of the English sentence that its `# text_en` is."""
    path = here(f"ud_pud/{language}_pud/{language}_pud-ud-test.conllu")
    ids = _english_ids()
    rows: list[tuple[str, Block]] = []
    for block in read_conllu(path):
        text = block.comments.get("text_en", "")
        if text not in ids:
            name = block.comments.get("sent_id", "?")
            raise BadInput(f"{path}:{block.line}: {name}: its text_en is no sentence of en_pud: {text[:60]!r}")
        rows.append((ids[text], block))
    return rows, path


def _by_text(language: str) -> tuple[Join, Path]:
    rows, path = _parallel(language)
    joined = {
        key: Sentence(block.comments.get("sent_id", f"{number}"), language, block.words)
        for number, (key, block) in enumerate(rows, 1)
    }
    _refuse_twice(len(rows), joined, path)
    return joined, path


def _by_position() -> tuple[Join, Path]:
    """Chinese has ids of its own; its sentence i is the i-th of every UD file."""
    path = _uner("zh")
    chinese = read_conll(path, "zh", TYPES, _LOOSE)
    rows, other = _parallel(_PARALLEL)
    if len(rows) != len(chinese):
        raise BadInput(
            f"{path}: {len(chinese)} sentences, but {len(rows)} in {other.name}: they are joined by position"
        )
    joined = {key: one for (key, _), one in zip(rows, chinese, strict=True)}
    _refuse_twice(len(rows), joined, other)
    return joined, path


def _refuse_twice(count: int, joined: Mapping[str, Sentence], path: Path) -> None:
    if len(joined) != count:
        raise BadInput(f"{path}: {count - len(joined)} sentences translate an English sentence that another translates")
