"""Which English words the words of a translation stand for: eflomal over all parallel lines of a language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.corpus import Link, Pair, Sentence
from data_recipes.aligners.statistical import StatisticalAligner, StatisticalParams
from data_recipes.tokenise import UNSPACED

Words = Sequence[str]
SEED = 4


def links_of(
    pairs: Mapping[str, Sequence[tuple[Words, Words]]], dictionaries: set[str]
) -> dict[str, list[tuple[Link, ...]]]:
    """Links (English word, word) of the (English, other) word lists of each language.

    Intersection, whose links are the surest; for languages whose words are characters here grow-diag-final-and, since
    an English word stands for several.

    Raises:
        Unavailable: eflomal is not installed.
    """
    return {language: _of_language(language, found, language in dictionaries) for language, found in pairs.items()}


def _of_language(language: str, pairs: Sequence[tuple[Words, Words]], dictionary: bool) -> list[tuple[Link, ...]]:
    params = StatisticalParams(
        symmetrisation="grow-diag-final-and" if language in UNSPACED else "intersection",
        prefix=5,
        extra=("wiktionary",) if dictionary else (),
        seed=SEED,
    )
    sides = [
        Pair(Sentence(f"{i}", "en", tuple(english)), Sentence(f"{i}", language, tuple(other)))
        for i, (english, other) in enumerate(pairs)
    ]
    return StatisticalAligner(params).align(sides)
