"""The aligner `statistical`: eflomal, which learns from the pairs themselves which words translate each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bench.api.recipes import Aligner, Consumed
from bench.core.errors import Unavailable, require
from bench.core.sentences import Link, Pair
from data_recipes import parallel_text
from data_recipes.aligners._eflomal import Run, align, version
from data_recipes.wiktionary import files_for, hashes_of

Sides = tuple[tuple[str, ...], tuple[str, ...]]  # the words of a pair
Symmetrisation = Literal["intersection", "grow-diag-final-and", "union"]
_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))  # first beside, then diagonal


@dataclass(frozen=True)
class StatisticalParams(Run):
    """[aligner.statistical]; the defaults were chosen on PUD Portuguese, except for eflomal's own."""

    symmetrisation: Symmetrisation = "intersection"
    extra: tuple[Literal["ntrex", "flores", "wiktionary"], ...] = ()  # further text to learn from
    lowercase: bool = True
    prefix: int = 4  # letters of a word that count, a rough stem; 0: all
    same: float = 1.0  # pseudo-count of two words of the same form: names; 0: none
    dictionary: float = 0.5  # pseudo-count of each translation that `wiktionary` gives

    def __post_init__(self) -> None:
        for name, least in {"prefix": 0, "same": 0, "dictionary": 0, "seed": -1, "samplers": 1}.items():
            hint = " (none)" if name == "seed" else ""
            require(getattr(self, name) >= least, f"{name} must be at least {least}{hint}")
        require(self.iterations > 0, "iterations must be above 0")
        require(0 < self.null_prior < 1, "null_prior must be between 0 and 1")


class StatisticalAligner(Aligner):
    """eflomal (Östling & Tiedemann 2016), trained on all of the given pairs and the extra text, in both directions.

    Rough stems and the prior on words of the same form are ours. The links of a pair depend on the other pairs.
    """

    name = "statistical"
    version = 1
    cites = ("ostling2016efficient",)
    Params: ClassVar[type] = StatisticalParams

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """eflomal's version, and hashes of the extra text."""
        params: StatisticalParams = self.params
        identity: dict[str, object] = {"eflomal": version()}
        try:
            files = parallel_text.files_of([t for t in parallel_text.TEXTS if t in params.extra], source, target)
            dictionaries = files_for(source, target) if "wiktionary" in params.extra else ()
        except Unavailable:  # `align` says what is missing; no links will lie under this key
            return identity
        return identity | {"texts": hashes_of([*files, *dictionaries])}

    def consumed(self, source: str, target: str) -> Consumed:
        """The lines of the extra text, and whether a dictionary is read."""
        names = [name for name in parallel_text.TEXTS if name in self.params.extra]
        lines = sum(len(parallel_text.lines_of(name, source, target)) for name in names)
        return Consumed(lines, "wiktionary" in self.params.extra)

    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair, sorted; each pair of languages is learned separately. Above 1,023 words a side: no links.

        Raises:
            Unavailable: eflomal is not installed, or the extra text has no such language, or is not here.
            BadInput: eflomal fails; with its message.
        """
        links: list[tuple[Link, ...]] = [()] * len(pairs)
        languages = [(pair.source.language, pair.target.language) for pair in pairs]
        for direction in sorted(set(languages)):
            positions = [i for i, of_pair in enumerate(languages) if of_pair == direction]
            sides = [(pairs[i].source.words, pairs[i].target.words) for i in positions]
            for position, linked in zip(positions, self._align(sides, *direction), strict=True):
                links[position] = linked
        return links

    def _align(self, sides: Sequence[Sides], source: str, target: str) -> Iterator[tuple[Link, ...]]:
        params: StatisticalParams = self.params
        vocabularies = Vocabulary(params.lowercase, params.prefix), Vocabulary(params.lowercase, params.prefix)
        text = [*sides, *self._extra(sides, source, target)]
        numbers = [[vocabulary.encode(side[i]) for side in text] for i, vocabulary in enumerate(vocabularies)]
        entries = parallel_text.word_pairs(source, target) if "wiktionary" in params.extra else []
        known = priors(*vocabularies, params.same, params.dictionary, entries)
        for forward, reverse in align(numbers[0], numbers[1], known, params)[: len(sides)]:
            yield symmetrise(forward, reverse, params.symmetrisation)

    def _extra(self, sides: Sequence[Sides], source: str, target: str) -> list[Sides]:
        names = [name for name in parallel_text.TEXTS if name in self.params.extra]
        lines = [line for name in names for line in parallel_text.lines_of(name, source, target)]
        split = [
            parallel_text.splitter(language, {word for side in sides for word in side[i]})
            for i, language in enumerate((source, target))
        ]
        return [(tuple(split[0](source_line)), tuple(split[1](target_line))) for source_line, target_line in lines]


# --- words as numbers, and priors of their translations ---------------------------------------------------------------


@dataclass
class Vocabulary:
    """Numbers of the forms of one language's words, from 0, in the order in which they are first seen."""

    lowercase: bool = True
    prefix: int = 0  # letters of a word that count, a rough stem; 0: all. Words with a digit count whole.
    numbers: dict[str, int] = field(default_factory=dict)

    def form(self, word: str) -> str:
        """The form that a word is counted under; empty only for an empty word."""
        form = word.lower() if self.lowercase else word
        return form[: self.prefix] if self.prefix and not any(map(str.isdigit, form)) else form

    def encode(self, words: Sequence[str]) -> list[int]:
        """Numbers of the words; unseen forms get the next ones."""
        return [self.numbers.setdefault(self.form(word), len(self.numbers)) for word in words]


def priors(
    source: Vocabulary, target: Vocabulary, same: float, dictionary: float, entries: Iterable[tuple[str, str]]
) -> Mapping[tuple[int, int], float]:
    """Pseudo-counts of (source form, target form): `same` for equal forms, plus `dictionary` for each entry.

    Names are mostly spelled alike in both languages, and rare: their form is the best evidence for a link.
    """
    counts: dict[tuple[int, int], float] = {}
    if same:
        counts = {(n, target.numbers[form]): same for form, n in source.numbers.items() if form in target.numbers}
    forms = {(source.form(s), target.form(t)) for s, t in entries} if dictionary else set()
    for s, t in forms:
        if s in source.numbers and t in target.numbers:
            key = source.numbers[s], target.numbers[t]
            counts[key] = counts.get(key, 0.0) + dictionary
    return counts


# --- symmetrisation of the two directions -----------------------------------------------------------------------------


def symmetrise(forward: Iterable[Link], reverse: Iterable[Link], how: Symmetrisation) -> tuple[Link, ...]:
    """Links (source word, target word), sorted and once each, of a pair that was aligned in both directions.

    For any input intersection ⊆ grow-diag-final-and ⊆ union.
    """
    first, second = set(forward), set(reverse)
    if how == "union":
        return tuple(sorted(first | second))
    kept = first & second
    if how == "grow-diag-final-and":
        _grow_diag_final_and(kept, first, second)
    return tuple(sorted(kept))


def _grow_diag_final_and(kept: set[Link], forward: set[Link], reverse: set[Link]) -> None:
    """Koehn, Och & Marcu 2003 as Moses runs it: neighbours of kept links first, then links of two free words.

    A link of the union is added beside a kept one where one of its words is still free, until nothing is added; then
    each direction, forward first, adds its links whose words are both free.
    """
    linked = {source for source, _ in kept}, {target for _, target in kept}

    def add(link: Link) -> None:
        kept.add(link)
        linked[0].add(link[0])
        linked[1].add(link[1])

    grown = True
    while grown:
        grown = False
        for source, target in sorted(kept):
            for down, right in _NEIGHBOURS:
                link = (source + down, target + right)
                free = link[0] not in linked[0] or link[1] not in linked[1]
                if free and link not in kept and (link in forward or link in reverse):
                    add(link)
                    grown = True
    for direction in (forward, reverse):
        for link in sorted(direction - kept):
            if link[0] not in linked[0] and link[1] not in linked[1]:
                add(link)
