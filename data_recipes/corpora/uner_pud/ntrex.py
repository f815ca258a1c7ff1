"""Unlabelled text: news from NTREX, tokenised like the test of the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from bench.api.source_files import here
from bench.core.conll import read_lines
from bench.core.sentences import Sentence
from bench.core.tokenise import tokenise

# NTREX's files by our code; Cebuano has none.
_NAMES = """
en src.eng, de ref.deu, pt ref.por, zh ref.zho-CN, es ref.spa, it ref.ita, fi ref.fin, sv ref.swe, ru ref.rus,
hu ref.hun, da ref.dan, sk ref.slk, sr ref.srp-Latn, hr ref.hrv, tl ref.fil
"""
FILES: dict[str, str] = dict(row.split() for row in _NAMES.split(","))
_FOREIGN = re.compile(r"[^\W_\u3400-\u9fff]+(?:[.,·'’-][^\W_\u3400-\u9fff]+)*%?")  # numbers and Latin words in Chinese


def ntrex(language: str, scheme: str, chinese_words: Callable[[], Iterable[str]]) -> list[Sentence]:
    """NTREX's lines in a language, ids `ntrex/<line>` from 1; [] where it has none.

    Words are the scheme's (`bench.core.tokenise`). Then (*ours*) Italian apostrophes are straight, as in Europarl;
    Chinese is cut into the longest of `chinese_words`.

    Raises:
        Unavailable: the file is not here.
    """
    if language not in FILES:
        return []
    split = splitter(language, scheme, chinese_words)
    lines = read_lines(here(f"ntrex/newstest2019-{FILES[language]}.txt"))
    rows = ((number, tuple(split(line))) for number, line in enumerate(lines, 1))
    return [Sentence(f"ntrex/{number}", language, words) for number, words in rows if words]


def splitter(language: str, scheme: str, chinese_words: Callable[[], Iterable[str]]) -> Callable[[str], Sequence[str]]:
    """The tokenizer of a line that `ntrex` describes."""
    if language == "zh":
        return Segmenter(chinese_words()).split
    if language == "it":
        return lambda line: tokenise(line.replace("’", "'"), language, scheme)
    return lambda line: tokenise(line, language, scheme)


class Segmenter:
    """Longest match, from left to right, in a list of words; anything else becomes characters."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._longest = max(map(len, self._words), default=1)

    def split(self, line: str) -> list[str]:
        """The line's words; white space separates and is dropped."""
        out: list[str] = []
        for part in line.split():
            start = 0
            while start < len(part):
                ends = range(min(len(part), start + self._longest), start + 1, -1)
                if foreign := _FOREIGN.match(part, start):
                    end = foreign.end()
                else:
                    end = next((end for end in ends if part[start:end] in self._words), start + 1)
                out.append(part[start:end])
                start = end
        return out
