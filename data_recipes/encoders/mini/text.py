"""The training text of `mini`: parallel lines and dictionary entries, without the held-out part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bench.api.source_files import FLORES_HELD_OUT, NTREX_HELD_OUT, here, index
from bench.core.errors import BadInput
from bench.core.files import text_lines
from bench.core.sentences import letters_of

SHORTEST = 12  # letters and digits: shorter lines, such as "Não fui eu.", also occur in tests
# Bosnian, close to Croatian, gives 2,000 lines more; zho-TW is read in simplified characters
_VARIANTS = """
de ref.deu, es ref.spa ref.spa-MX ref-2.spa, it ref.ita, pt ref.por ref.por-BR, fi ref.fin, hu ref.hun, bg ref.bul,
ru ref.rus, sv ref.swe, da ref.dan, sr ref.srp-Latn, hr ref.hrv ref.bos, sk ref.slk, tr ref.tur,
zh ref.zho-CN ref.zho-TW, sw ref.swa, yo ref.yor
"""
_NTREX = {row.split()[0]: row.split()[1:] for row in _VARIANTS.split(",")}
LANGUAGES = tuple(_NTREX)
_MACHINE = ("bergamot-base-memory", "bergamot-base", "bergamot-tiny")  # the first that exists


@dataclass(frozen=True, slots=True)
class Line:
    """A translation; `english` numbers the line of `Text.english` that it translates."""

    language: str
    text: str
    english: int


@dataclass(frozen=True)
class Text:
    """The English lines, and the translations of them."""

    english: tuple[str, ...]
    foreign: tuple[Line, ...]

    def sentences(self) -> Iterator[str]:
        """Every sentence, for the leakage guard."""
        yield from self.english
        yield from (line.text for line in self.foreign)


@lru_cache(maxsize=1)
def training_text() -> Text:
    """NTREX and FLORES dev in every language, with machine translations of FLORES dev.

    Raises:
        Unavailable: a file is not here; with how to fetch it.
        BadInput: two sides of a text have different numbers of lines.
    """
    ntrex, flores = (
        list(text_lines(here(name))) for name in ("ntrex/newstest2019-src.eng.txt", "flores/en-de/flores-dev.en")
    )
    from opencc import OpenCC

    used = len(flores) - FLORES_HELD_OUT
    foreign: list[Line] = []
    for language in LANGUAGES:
        for variant in _NTREX[language]:
            lines = _parallel(f"ntrex/newstest2019-{variant}.txt", len(ntrex))
            kept = lines if _flores(language) else lines[:-NTREX_HELD_OUT]
            plain = OpenCC("tw2s").convert if variant == "ref.zho-TW" else str
            foreign += [Line(language, plain(text), i) for i, text in enumerate(kept)]
        for name in _flores(language):
            lines = _parallel(name, len(flores))[:used]
            foreign += [Line(language, text, len(ntrex) + i) for i, text in enumerate(lines)]
    return Text((*ntrex, *flores[:used]), tuple(line for line in foreign if len(letters_of(line.text)) >= SHORTEST))


def _flores(language: str) -> list[str]:
    """The human and one machine translation of FLORES dev, where they exist."""
    listed = {entry.path for entry in index()}
    machine = [f"flores/en-{language}/flores-dev.{system}.{language}" for system in _MACHINE]
    names = [f"flores/en-{language}/flores-dev.{language}", *[name for name in machine if name in listed][:1]]
    return [name for name in names if name in listed]


def _parallel(name: str, lines: int) -> Sequence[str]:
    texts = list(text_lines(here(name)))
    if len(texts) != lines:
        raise BadInput(f"{name}: {len(texts)} lines, but the English side has {lines}")
    return texts
