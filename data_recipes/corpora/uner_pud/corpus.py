"""`uner_pud`: 1,000 English sentences with gold labels and human translations; every test is another corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from bench.api.recipes import Corpus, Facts, overlap_findings
from bench.api.source_files import local_files
from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.sentences import Pair, Sentence, Split
from data_recipes.corpora.europarl_ner.corpus import read_side
from data_recipes.corpora.uner_pud.gold import EUROPARL, GOLD, TYPES
from data_recipes.corpora.uner_pud.ntrex import ntrex, splitter
from data_recipes.corpora.uner_pud.pud import LABELLED, TRANSLATIONS, english, translations
from data_recipes.parallel_text import TEXTS, Text, bitext
from data_recipes.serbian import to_latin


@dataclass(frozen=True)
class UnerPudParams:
    """Roles are fixed; see the README."""

    originals_only: bool = False  # the 750 that were written in English
    parallel: tuple[Text, ...] = TEXTS  # unlabelled parallel text
    unlabelled: Literal["ntrex", "in-domain"] = "ntrex"  # in-domain: the training text of the test's own corpus
    german: Literal["surface", "published"] = "surface"  # `am`, as Europarl has it, or `an dem`, as UNER published
    intrinsic: bool = False  # the test is the translation itself: to score projected labels, never for training
    english: Literal["ewt", "europarl"] = "ewt"  # the English test; europarl: 799 sentences of debates, no dev
    tests: Literal["test", "dev"] = "test"  # dev: every test is its corpus's dev set, for choices


class UnerPudCorpus(Corpus):
    """PUD and, as tests, Europarl, Bosque, GSDSimp, Turku, NerKor and others, by language."""

    name: ClassVar[str] = "uner_pud"
    version = 1
    cites = ("mayhew2024universal",)
    Params: ClassVar[type] = UnerPudParams
    sources: ClassVar[tuple[str, ...]] = ("uner", "ud_pud", "europarl_ner", "turku_ner", "nerkor", "ntrex", "flores")
    facts: ClassVar[Facts] = Facts(
        title="UNER PUD, tests of other corpora",
        licence="CC BY-SA 4.0 and 3.0 (UNER, UD, NerKor, Turku, NTREX); Europarl terms (no known restriction)",
        url="https://www.universalner.org",
        human_translations=True,
        notes=(
            "A quarter of the sentences were translated into English first (originals_only leaves them out)",
            "Every test is another corpus: de es it debates of parliament (Europarl), pt newspapers (Bosque),"
            " zh Wikipedia (GSDSimp), fi ten genres (Turku)",
            "de es it: 799 test sentences with about 500 entities, two in three of them organisations",
            "ceb and tl have 188 and 128 test sentences and under 50 entities: too small for tight intervals",
        ),
    )
    params: UnerPudParams
    types = TYPES

    def languages(self) -> tuple[str, ...]:
        """The languages with a test, whether or not its file is here (sv and hr must be fetched)."""
        return ("en", *LABELLED) if self.params.intrinsic else tuple(GOLD)

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split, as the README assigns them."""
        if language not in (known := self.languages()):
            raise BadInput(f"corpus uner_pud: no language '{language}'{nearest(language, known)}")
        if split == "unlabelled" and self.params.unlabelled == "ntrex":
            return ntrex(language, self.tokenisation(language), self._chinese_words)
        if split == "unlabelled":
            return [replace(sentence, spans=None) for sentence in self.read(language, "train")]
        if language == "en" and split == "train":
            return english(originals_only=self.params.originals_only)
        if self.params.intrinsic and language != "en":
            return [pair.target for pair in self.pairs("en", language)] if split == "test" else []
        if split == "test" and language == "en" and self.params.english == "europarl":
            return read_side("en") if self.params.tests == "test" else []
        return GOLD[language].read(language, self.params.tests if split == "test" else split)

    def pairs(self, source: str, target: str) -> list[Pair]:
        """The human translations of `read("en", "train")`, with gold labels for de pt ru sv zh; [] for other languages.

        From de es it into English: the English side of their test (Europarl), text only, for test-time translation.
        """
        if target == "en" and GOLD.get(source) is EUROPARL and not self.params.intrinsic:
            sides = zip(read_side(source), read_side("en"), strict=True)
            return [Pair(replace(s, spans=None), replace(t, spans=None)) for s, t in sides]
        if source != "en" or target not in TRANSLATIONS:
            return []
        joined = translations(target, german=self.params.german)
        sentences = english(originals_only=self.params.originals_only)
        return [Pair(sentence, joined[sentence.id.partition("/")[2]]) for sentence in sentences]

    def parallel(self, source: str, target: str) -> list[Pair]:
        """NTREX and FLORES, tokenised like the corpus of each language; Serbian in Latin script, like its test.

        Raises:
            Unavailable: a file is not here.
        """

        def split(language: str) -> Callable[[str], Sequence[str]]:
            own = splitter(language, self.tokenisation(language), self._chinese_words)
            return (lambda line: own(to_latin(line))) if language == "sr" else own

        return bitext(self.params.parallel, (source, split(source)), (target, split(target)))

    def files(self) -> tuple[Path, ...]:
        return local_files(self.sources)

    def tokenisation(self, language: str) -> str:
        """Moses where the test is Europarl, else ud (without a segmenter, machine-made Chinese becomes characters)."""
        return "moses" if GOLD.get(language) is EUROPARL else "ud"

    def check(self) -> list[str]:
        """Sizes, sentences that splits share, translations joined, entities; a language that is not here is named."""
        lines = []
        for language in self.languages():
            try:
                lines.extend(overlap_findings(self, language))
                pairs = self.pairs("en", language)
            except Unavailable as error:
                lines.append(f"{language}: {error}")
                continue
            if pairs:
                counts = Counter(span.type for pair in pairs for span in pair.target.spans or ())
                totals = ", ".join(f"{type_} {counts[type_]}" for type_ in TYPES) if counts else "no labels"
                lines.append(f"{language}: {len(pairs)} translations joined; {totals}")
        return lines

    def _chinese_words(self) -> list[str]:
        return [word for pair in self.pairs("en", "zh") for word in pair.target.words]
