"""Europarl NER: the same 799 sentences in English, German, Spanish and Italian, gold labels on every side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from bench.api.recipes import Corpus, Facts, normalised
from bench.api.source_files import here, local_files
from bench.core.conll import Format, read_conll
from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.sentences import Pair, Sentence, Split

LANGUAGES = ("en", "de", "es", "it")
TYPES = ("PER", "LOC", "ORG")
SENTENCES = 799


def read_side(language: str, *, misc: bool = False) -> list[Sentence]:
    """The 799 sentences of a language as published: sentence n of a file translates sentence n of the others.

    Ids `<language>-europarl/<n>`, groups `europarl/<n>`, n from 1 as in the file.

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


@dataclass(frozen=True)
class EuroparlParams:
    """`misc` keeps MISC as a fourth type; without it those entities are left out."""

    misc: bool = False


class EuroparlCorpus(Corpus):
    """English is the training text, the other three are tests: the gold of label projection, nothing to train on."""

    name: ClassVar[str] = "europarl_ner"
    version = 1
    cites = ("agerri2018building",)
    Params: ClassVar[type] = EuroparlParams
    sources: ClassVar[tuple[str, ...]] = ("europarl_ner",)
    facts: ClassVar[Facts] = Facts(
        title="Europarl NER, four-way parallel",
        licence="Europarl terms (no known restriction)",
        url="https://github.com/ixa-ehu/ner-evaluation-corpus-europarl",
        human_translations=True,
        notes=(
            "The test is the translation of the training text: for intrinsic scoring of projected labels only",
            "Parliamentary debates; MISC is left out unless the parameter misc keeps it",
        ),
    )
    params: EuroparlParams

    @property
    def types(self) -> tuple[str, ...]:
        return (*TYPES, "MISC") if self.params.misc else TYPES

    def languages(self) -> tuple[str, ...]:
        return LANGUAGES

    def read(self, language: str, split: Split) -> list[Sentence]:
        """English: train. The others: test. Everything else is empty."""
        if language not in LANGUAGES:
            raise BadInput(f"corpus europarl_ner: no language '{language}'{nearest(language, LANGUAGES)}")
        if split != ("train" if language == "en" else "test"):
            return []
        return read_side(language, misc=self.params.misc)

    def pairs(self, source: str, target: str) -> list[Pair]:
        """Line by line, gold labels on both sides; from English only; BadInput as `read`."""
        if source != "en" or target not in LANGUAGES or target == source:
            return []
        return [Pair(*sides) for sides in zip(self.read("en", "train"), self.read(target, "test"), strict=True)]

    def files(self) -> tuple[Path, ...]:
        return local_files(self.sources)

    def tokenisation(self, language: str) -> str:
        return "moses"

    def check(self) -> list[str]:
        """Sizes, entities, and how many sentences repeat another; a file that is not here is named."""
        lines = []
        for language in LANGUAGES:
            try:
                sentences = read_side(language, misc=True)
            except Unavailable as error:
                lines.append(f"{language}: {error}")
                continue
            counts = Counter(span.type for sentence in sentences for span in sentence.spans or ())
            repeated = len(sentences) - len({normalised(sentence.text) for sentence in sentences})
            totals = ", ".join(f"{type_} {counts[type_]}" for type_ in (*TYPES, "MISC"))
            lines.append(f"{language}: {len(sentences)} sentences, {repeated} of them repeated; {totals}")
        return lines
