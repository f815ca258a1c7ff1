"""Which English words the words of a translation stand for: eflomal over all parallel lines of a language."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.core.files import canonical_json, sha256_of, write_bytes
from bench.core.sentences import Link, Pair, Sentence
from bench.core.tokenise import UNSPACED
from data_recipes.aligners.statistical import StatisticalAligner, StatisticalParams

Words = Sequence[str]
Links = tuple[Link, ...]
SEED = 4


def links_of(
    pairs: Mapping[str, Sequence[tuple[Words, Words]]], dictionaries: set[str], folder: Path, say: Callable[[str], None]
) -> dict[str, list[Links]]:
    """Links (English word, word) of the (English, other) word lists of each language; kept in `folder` as they come.

    Intersection, whose links are the surest; for languages whose words are characters here grow-diag-final-and, since
    an English word stands for several.

    Raises:
        Unavailable: eflomal is not installed.
    """
    made: dict[str, list[Links]] = {}
    for language, found in pairs.items():
        path, of = folder / f"links-{language}.json", sha256_of(canonical_json([found, language in dictionaries]))
        if path.is_file() and (kept := json.loads(path.read_bytes()))["of"] == of:
            made[language] = [tuple((e, f) for e, f in links) for links in kept["links"]]
            continue
        say(f"linking words, {language}: {len(found)} pairs")
        made[language] = _of_language(language, found, language in dictionaries)
        write_bytes(path, canonical_json({"of": of, "links": made[language]}).encode())
    return made


def _of_language(language: str, pairs: Sequence[tuple[Words, Words]], dictionary: bool) -> list[Links]:
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
