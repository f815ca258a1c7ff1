"""Published parallel text, for aligners and for annotation projection: NTREX, FLORES, Wiktionary's dictionaries."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from bench.api.source_files import here, index
from bench.core.errors import BadInput, Unavailable
from bench.core.files import text_lines
from bench.core.languages import NLLB
from bench.core.sentences import Pair, Sentence
from bench.core.tokenise import UNSPACED, expanded, tokenise
from data_recipes.corpora.uner_pud.ntrex import FILES, Segmenter
from data_recipes.wiktionary import files_for, lexicon

Text = Literal["ntrex", "flores"]
TEXTS: tuple[Text, ...] = get_args(Text)

_NTREX: Mapping[str, str] = {
    "fa": "fas",
    "ms": "msa",
    "sw": "swa",
    "swa": "swa",
    "tl": "fil",
}  # where it is not NLLB's code


def lines_of(text: Text, source: str, target: str) -> list[tuple[str, str]]:
    """Untokenised sentence pairs of a text in two languages, without those that lack a side.

    NTREX's variants of a language (por and por-BR, zho-CN and zho-TW) and its second translations are all taken, each
    with every one of the other side.

    Raises:
        Unavailable: the text has no such language, or a file is not here; with how to fetch it.
        BadInput: the two sides have different numbers of lines.
    """
    variants = itertools.product(_needed(text, source), _needed(text, target))
    return [(s, t) for sides in variants for s, t in _joined(text, sides) if s.strip() and t.strip()]


def _joined(text: str, variants: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The lines of two variants, each a list of files, side by side; BadInput if they are not as many."""
    sides = [[line for name in files for line in text_lines(here(name))] for files in variants]
    if len(sides[0]) != len(sides[1]):
        names = [files[-1] for files in variants]
        raise BadInput(f"{text}: {len(sides[0])} lines in {names[0]}, but {len(sides[1])} in {names[1]}")
    return list(zip(*sides, strict=True))


Side = tuple[str, Callable[[str], Sequence[str]]]  # a language and its tokenizer


def bitext(texts: Iterable[Text], source: Side, target: Side) -> list[Pair]:
    """Sentence pairs of these texts, ids and groups `ntrex/12`; of several variants that of `uner_pud`, or the first.

    Texts that lack one of the languages are left out, and so are lines that lack a side.

    Raises:
        Unavailable: a file is not here.
        BadInput: the two sides have different numbers of lines.
    """
    pairs: list[Pair] = []
    for text in texts:
        variants = [_variants(text, language) for language, _ in (source, target)]
        if source[0] == target[0] or not all(variants):
            continue
        chosen = [
            next((v for v in every if FILES.get(language, "?") in v[0]), every[0])
            for every, (language, _) in zip(variants, (source, target), strict=True)
        ]
        for number, lines in enumerate(_joined(text, chosen), 1):
            id_ = f"{text}/{number}"
            s, t = (
                Sentence(id_, language, tuple(split(line)), None, id_)
                for line, (language, split) in zip(lines, (source, target), strict=True)
            )
            if s.words and t.words:
                pairs.append(Pair(s, t))
    return pairs


def files_of(texts: Iterable[Text], source: str, target: str) -> list[Path]:
    """The files of these texts that `lines_of` reads; Unavailable as `lines_of`."""
    names = {name for text in texts for code in (source, target) for variant in _needed(text, code) for name in variant}
    return [here(name) for name in sorted(names)]


def word_pairs(source: str, target: str) -> list[tuple[str, str]]:
    """The best translation of each headword in Wiktionary's dictionaries, where both are one word; sorted.

    Raises:
        Unavailable: neither language is English, or there is no dictionary, or it is not here.
    """
    best = lexicon(files_for(source, target), source, target).best
    return sorted((head, item) for head, item in best.items() if head and item and " " not in head + item)


def splitter(language: str, words: Iterable[str]) -> Callable[[str], Sequence[str]]:
    """A rough tokenizer of raw text (*ours*) that imitates the given words of the same language.

    Chinese, Japanese and Thai are cut into the longest of these words, else into characters. Portuguese contractions
    stay whole where one is among the words. Others as `tokenise` does for Universal Dependencies.
    """
    if language in UNSPACED:
        return Segmenter(words).split
    whole = language == "pt" and any(len(expanded([word])) > 1 for word in words)
    return lambda line: tokenise(line, language, "moses" if whole else "ud")


def _needed(text: Text, language: str) -> list[list[str]]:
    if variants := _variants(text, language):
        return variants
    raise Unavailable(f"{text.upper()} has no '{language}': take {text} out of the aligner's extra")


def _variants(text: Text, language: str) -> list[list[str]]:
    """The variants of a language, each a list of files: of NTREX one, of FLORES two; [] where a text lacks it."""
    listed = [source.path for source in index()]
    if text == "flores":
        folder = "de" if language == "en" else language  # the English side is the same everywhere
        names = [f"flores/en-{folder}/flores-{part}.{language}" for part in ("dev", "test")]
        return [names] if set(listed).issuperset(names) else []
    if language == "en":
        return [["ntrex/newstest2019-src.eng.txt"]]
    code = _NTREX.get(language, NLLB.get(language, "").partition("_")[0])
    pattern = re.compile(rf"ntrex/newstest2019-ref(-\d+)?\.{code}(-\w+)?\.txt")
    return [[path] for path in listed if pattern.fullmatch(path)]
