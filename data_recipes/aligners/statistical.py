"""The aligner `statistical`: eflomal, which learns from the pairs themselves which words go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Literal

from bench.api.recipes import Aligner
from bench.core.errors import Unavailable
from bench.core.sentences import Link, Pair
from data_recipes import parallel_text
from data_recipes.aligners._eflomal import Run, align, version
from data_recipes.aligners._lexicon import Form, Vocabulary, priors
from data_recipes.aligners._symmetrise import Symmetrisation, symmetrise
from data_recipes.wiktionary import files_for, hashes_of

Sides = tuple[tuple[str, ...], tuple[str, ...]]  # the words of a pair


@dataclass(frozen=True)
class StatisticalParams:
    """[aligner.statistical]; the defaults were chosen on PUD Portuguese (README), but for eflomal's own."""

    symmetrisation: Symmetrisation = "intersection"
    extra: tuple[Literal["ntrex", "flores", "wiktionary"], ...] = ()  # what to learn from besides the pairs
    lowercase: bool = True
    prefix: int = 4  # letters of a word that count, a rough stem; 0: all
    same: float = 1.0  # pseudo-count of two words of the same form: names; 0: none
    dictionary: float = 0.5  # pseudo-count of each translation that `wiktionary` gives
    seed: int = 0  # the same links every time (on one machine); -1: eflomal's own way, other links in every run
    samplers: int = 3  # eflomal's
    iterations: float = 1.0  # eflomal's: a factor on 5,000 / √sentences
    null_prior: float = 0.2  # eflomal's: how readily a word has no link

    def __post_init__(self) -> None:
        if self.prefix < 0:
            raise ValueError("prefix must be at least 0")
        if self.same < 0:
            raise ValueError("same must be at least 0")
        if self.dictionary < 0:
            raise ValueError("dictionary must be at least 0")
        if self.seed < -1:
            raise ValueError("seed must be at least 0, or -1 for none")
        if self.samplers < 1:
            raise ValueError("samplers must be at least 1")
        if self.iterations <= 0:
            raise ValueError("iterations must be above 0")
        if not 0 < self.null_prior < 1:
            raise ValueError("null_prior must be between 0 and 1")


class StatisticalAligner(Aligner):
    """eflomal (Östling & Tiedemann 2016), trained on all of the given pairs and the extra text, in both directions.

    Rough stems and the prior on words of the same form are ours. The links of a pair depend on the other pairs.
    """

    name = "statistical"
    Params: ClassVar[type] = StatisticalParams

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """eflomal's version, and hashes of the extra text."""
        params: StatisticalParams = self.params
        found: dict[str, object] = {"eflomal": version()}
        try:
            files = parallel_text.files_of([t for t in parallel_text.TEXTS if t in params.extra], source, target)
            dictionaries = files_for(source, target) if "wiktionary" in params.extra else ()
        except Unavailable:  # `align` says what is missing; no links will lie under this key
            return found
        return found | {"texts": hashes_of([*files, *dictionaries])}

    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair, sorted; each pair of languages is learned apart. Above 1,023 words a side: no links.

        Raises:
            Unavailable: eflomal is not installed, or the extra text has no such language, or is not here.
            BadInput: eflomal fails: with what it said.
        """
        links: list[tuple[Link, ...]] = [()] * len(pairs)
        ordered = sorted(range(len(pairs)), key=lambda i: _languages(pairs[i]))  # stable
        for languages, group in groupby(ordered, key=lambda i: _languages(pairs[i])):
            positions = list(group)
            sides = [(pairs[i].source.words, pairs[i].target.words) for i in positions]
            for position, found in zip(positions, self._align(sides, *languages), strict=True):
                links[position] = found
        return links

    def _align(self, sides: Sequence[Sides], source: str, target: str) -> Iterator[tuple[Link, ...]]:
        params: StatisticalParams = self.params
        form = Form(params.lowercase, params.prefix)
        vocabularies = Vocabulary(form), Vocabulary(form)
        text = [*sides, *self._extra(sides, source, target)]
        numbers = [[vocabulary.encode(side[i]) for side in text] for i, vocabulary in enumerate(vocabularies)]
        entries = parallel_text.word_pairs(source, target) if "wiktionary" in params.extra else []
        known = priors(*vocabularies, params.same, params.dictionary, entries)
        run = Run(params.seed, params.samplers, params.iterations, params.null_prior)
        for forward, reverse in align(numbers[0], numbers[1], known, run)[: len(sides)]:
            yield symmetrise(forward, reverse, params.symmetrisation)

    def _extra(self, sides: Sequence[Sides], source: str, target: str) -> list[Sides]:
        names = [name for name in parallel_text.TEXTS if name in self.params.extra]
        if not names:
            return []
        lines = [line for name in names for line in parallel_text.lines_of(name, source, target)]
        split = [
            parallel_text.splitter(language, {word for side in sides for word in side[i]})
            for i, language in enumerate((source, target))
        ]
        return [(tuple(split[0](one)), tuple(split[1](other))) for one, other in lines]


def _languages(pair: Pair) -> tuple[str, str]:
    return pair.source.language, pair.target.language
