"""One language of Europarl NER as published: sentence n of a file translates sentence n of the others."""

from __future__ import annotations

from dataclasses import replace

from bench.api.source_files import here
from bench.core.conll import Format, read_conll
from bench.core.errors import BadInput
from bench.core.sentences import Sentence

LANGUAGES = ("en", "de", "es", "it")
TYPES = ("PER", "LOC", "ORG")
SENTENCES = 799


def read_side(language: str, *, misc: bool = False) -> list[Sentence]:
    """The 799 sentences, ids `<language>-europarl/<n>`, groups `europarl/<n>`, n from 1 as in the file.

    Raises:
        Unavailable: the file is not here.
        BadInput: it is malformed, or has another number of sentences: then lines do not translate each other.
    """
    path = here(f"europarl_ner/{language}-europarl.test.conll02")
    types = (*TYPES, "MISC") if misc else TYPES
    form = Format(label_map={} if misc else {"MISC": "O"})
    sentences = read_conll(path, language, types, form, require_entities=True)
    if len(sentences) != SENTENCES:
        raise BadInput(f"{path}: {len(sentences)} sentences, expected {SENTENCES}: the four files are joined by line")
    return [
        replace(sentence, id=f"{language}-europarl/{number}", group=f"europarl/{number}")
        for number, sentence in enumerate(sentences, 1)
    ]
