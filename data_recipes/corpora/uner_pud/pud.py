"""Parallel Universal Dependencies (PUD) with UNER's labels: English, and its human translations joined to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from bench.api.source_files import here
from bench.core.conll import has_control, read_conll, read_lines, read_tagged
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, Span
from data_recipes.corpora.uner_pud.gold import TYPES, UNER

LABELLED = ("de", "pt", "ru", "sv", "zh")  # gold on both sides
UNLABELLED = ("es", "fi", "it")
TRANSLATIONS = tuple(sorted((*LABELLED, *UNLABELLED)))
_PARALLEL = "es"  # any UD file has the order of zh_pud and the English text of each sentence
_WRITTEN_IN_ENGLISH = ("n01", "w01")  # news and Wikipedia; 02 to 05 were German, French, Italian, Spanish

_LOOSE = replace(UNER, scheme="IOB1")  # some entities of the translations start with I-
_ID = re.compile(r"(\d+)(?:-(\d+)|\.\d+)?")  # of a row of CoNLL-U

# German prepositions and articles that Universal Dependencies take apart. Only forms that are nearly always
# contracted: of these word pairs NTREX's German writes 93 % in one word (where no comma stands before), but `in das` in
# half of the cases only.
_CONTRACTED = {"an dem": "am", "bei dem": "beim", "in dem": "im", "von dem": "vom", "zu dem": "zum", "zu der": "zur"}


def english(*, originals_only: bool = False) -> list[Sentence]:
    """The 1,000 English sentences, or the 750 that were written in English; ids `en_pud/…`, groups `pud/…`.

    Raises:
        Unavailable, BadInput: the file is not here, or malformed.
    """
    path = _uner("en")
    return [
        replace(sentence, id=f"en_pud/{sentence.id}", group=f"pud/{sentence.id}")
        for sentence in _english(path, path.stat().st_mtime_ns)
        if not originals_only or sentence.id.startswith(_WRITTEN_IN_ENGLISH)
    ]


@lru_cache(maxsize=2)  # every language is joined to it
def _english(path: Path, _changed: int) -> tuple[Sentence, ...]:
    return tuple(read_conll(path, "en", TYPES, UNER, require_entities=True))


def translations(language: str, *, german: str = "surface") -> dict[str, Sentence]:
    """All translations into a language by the id of their English sentence (published form: no prefix).

    es, fi and it come without labels. Ids `<language>_pud/<id as published>`, groups as in English.

    Raises:
        Unavailable: a file is not here.
        BadInput: it is malformed, or an English sentence has no translation or two: file, and the id or line.
    """
    ids = _ids_by_text()
    if language in UNLABELLED:
        path = _ud(language)
        rows = [
            (key, Sentence(block.comments.get("sent_id", f"{number}"), language, block.words))
            for number, (key, block) in enumerate(_parallel(path, ids), 1)
        ]
    elif language == "zh":  # its ids are its own; its sentence i is the i-th of every UD file
        path, chinese = _ud(_PARALLEL), read_conll(_uner("zh"), "zh", TYPES, _LOOSE)
        keys = [key for key, _ in _parallel(path, ids)]
        if len(keys) != len(chinese):
            count = f"{len(chinese)} sentences, but {len(keys)} in {path.name}"
            raise BadInput(f"{_uner('zh')}: {count}: they are joined by position")
        rows = list(zip(keys, chinese, strict=True))
    else:
        path = _uner(language)
        rows = [(sentence.id, sentence) for sentence in read_conll(path, language, TYPES, _LOOSE)]
    joined = dict(rows)
    if more := len(rows) - len(joined):
        raise BadInput(f"{path}: {more} sentences translate an English sentence that another translates")
    known = set(ids.values())
    if missing := sorted(known - joined.keys()):
        raise BadInput(f"{path}: no translation of en_pud's sentence {missing[0]} ({len(missing)} are missing)")
    named = {
        key: replace(sentence, id=f"{language}_pud/{sentence.id}", group=f"pud/{key}")
        for key, sentence in joined.items()
        if key in known
    }
    surface = language == "de" and german == "surface"
    rewrite = simplifier() if language == "zh" else contracted if surface else None
    return {key: rewrite(sentence) for key, sentence in named.items()} if rewrite else named


def _uner(language: str) -> Path:
    return here(f"uner/{language}_pud/{language}_pud-ud-test.iob2")


def _ud(language: str) -> Path:
    return here(f"ud_pud/{language}_pud/{language}_pud-ud-test.conllu")


def _ids_by_text() -> dict[str, str]:
    """Ids of the English sentences as published by their text, white space collapsed.

    Raises:
        BadInput: a sentence has no text or id, or two have the same.
    """
    path = _uner("en")
    ids: dict[str, str] = {}
    for item in read_tagged(path, UNER):
        text, id_ = " ".join(item.comment("text").split()), item.comment("sent_id")
        if not text or not id_ or text in ids:
            raise BadInput(f"{path}:{item.lines[0]}: sentence '{id_}' has no text, no id, or another's text")
        ids[text] = id_
    return ids


# --- the part of CoNLL-U that translations need -----------------------------------------------------------------------


class Block(NamedTuple):
    """A sentence: its comments by key (white space collapsed), its surface words, and its first line in the file."""

    comments: dict[str, str]
    words: tuple[str, ...]
    line: int


def _parallel(path: Path, ids: Mapping[str, str]) -> list[tuple[str, Block]]:
    """The sentences of a UD file, each with the id of the English sentence in its `# text_en`."""
    blocks = read_conllu(path)
    for block in blocks:
        if (text := block.comments.get("text_en", "")) not in ids:
            name = block.comments.get("sent_id", "?")
            raise BadInput(f"{path}:{block.line}: {name}: its text_en is not a sentence of en_pud: {text[:60]!r}")
    return [(ids[block.comments["text_en"]], block) for block in blocks]


def read_conllu(path: Path) -> list[Block]:
    """The sentences of a file. A range `5-6 della` gives its surface word; its parts and nodes `8.1` are dropped.

    A form with a space in it (`25 000`) becomes several words, as in other tokenisers.

    Raises:
        BadInput: file:line of a row that is not CoNLL-U, or of parts that do not follow their range.
    """
    numbered = enumerate(read_lines(path), 1)
    parts = groupby(numbered, key=lambda row: bool(row[1].strip()))
    if not (blocks := [_block(path, list(rows)) for filled, rows in parts if filled]):
        raise BadInput(f"{path}:1: no sentence in this file")
    return blocks


def _block(path: Path, rows: list[tuple[int, str]]) -> Block:
    comments: dict[str, str] = {}
    words: list[str] = []
    covered = 0  # the last part of the range before
    expected = 1  # the next id
    for number, line in rows:
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            comments.setdefault(key.strip(), " ".join(value.split()))
            continue
        fields = line.split("\t")
        match = _ID.fullmatch(fields[0])
        if match is None or len(fields) < 2 or not fields[1].strip() or has_control(fields[1]):
            raise BadInput(f"{path}:{number}: not a row of CoNLL-U (an id TAB a form …): {line[:60]!r}")
        first, last = int(match[1]), int(match[2] or 0)
        if "." in fields[0]:
            continue  # an empty node: no word of the sentence
        if first != expected or (last and last < first):
            raise BadInput(f"{path}:{number}: id {fields[0]}, expected {expected}: a row is missing or out of place")
        if last:
            covered = last
        else:
            expected += 1
        if last or first > covered:
            words.extend(fields[1].split())
    if not words or covered >= expected:
        raise BadInput(f"{path}:{rows[-1][0]}: the sentence ends {'before its range' if words else 'without a word'}")
    return Block(comments, tuple(words), rows[0][0])


# --- words as in the test of the language -----------------------------------------------------------------------------


def simplifier() -> Callable[[Sentence], Sentence]:
    """Traditional characters as simplified ones, word by word, so that words and spans stay (OpenCC's t2s)."""
    from opencc import OpenCC

    converter = OpenCC("t2s")  # reads its dictionaries, once for all sentences
    return lambda sentence: replace(sentence, words=tuple(converter.convert(word) for word in sentence.words))


def contracted(sentence: Sentence) -> Sentence:
    """German `an dem` as `am` and the like, spans moved with the words.

    Not after a comma, where it is mostly a relative clause (", in dem"), and not across the edge of an entity.
    """
    edges = {edge for span in sentence.spans or () for edge in (span.start, span.end)}
    words: list[str] = []
    place: list[int] = []  # new position of each word
    for number, word in enumerate(sentence.words):
        before = sentence.words[number - 1] if number else ""
        joined = _CONTRACTED.get(f"{before.lower()} {word}", "")
        comma = number > 1 and sentence.words[number - 2] == ","
        if joined and not comma and number not in edges:
            words[-1] = joined.capitalize() if before[0].isupper() else joined
        else:
            words.append(word)
        place.append(len(words) - 1)
    spans = tuple(Span(place[start], place[end - 1] + 1, type_) for start, end, type_ in sentence.spans or ())
    return replace(sentence, words=tuple(words), spans=None if sentence.spans is None else spans)
