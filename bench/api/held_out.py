"""Parallel lines on which encoders are compared, and which no training of ours reads."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bench.api.source_files import here
from bench.core.conll import read_lines
from bench.core.errors import BadInput

Part = Literal["test", "dev"]
FLORES_HELD_OUT = 200  # last lines of FLORES dev: where choices are made; FLORES test is for the final figures
NTREX_HELD_OUT = 400  # last lines of NTREX, of languages that FLORES lacks: the first half for choices (ours)
_NTREX = {"sw": "swa", "yo": "yor"}


class HeldOut(NamedTuple):
    """English lines and their translations, and what text they are of."""

    text: str
    english: list[str]
    other: list[str]


def held_out(language: str, part: Part) -> HeldOut:
    """The lines of a language: FLORES test, or the last 200 lines of FLORES dev; sw and yo: of NTREX's last 400.

    Lines that are empty on a side are left out on both.

    Raises:
        Unavailable: a file is not here: its name, and what brings it here.
        BadInput: the two sides have different numbers of lines, or none.
    """
    if language in _NTREX:
        text, names = "NTREX", ("ntrex/newstest2019-src.eng.txt", f"ntrex/newstest2019-ref.{_NTREX[language]}.txt")
    else:
        text, names = "FLORES", (f"flores/en-de/flores-{part}.en", f"flores/en-{language}/flores-{part}.{language}")
    english, other = (_lines(name) for name in names)
    if len(english) != len(other) or not english:
        raise BadInput(f"$XNER_DATA/{names[1]}: {len(other)} lines, but {len(english)} in {names[0]}")
    if text == "NTREX":
        half = NTREX_HELD_OUT // 2
        chosen = slice(-NTREX_HELD_OUT, -half) if part == "dev" else slice(-half, None)
    else:
        chosen = slice(-FLORES_HELD_OUT, None) if part == "dev" else slice(None)
    kept = [(e, o) for e, o in zip(english[chosen], other[chosen], strict=True) if e.strip() and o.strip()]
    return HeldOut(text, [e for e, _ in kept], [o for _, o in kept])


def _lines(name: str) -> list[str]:
    """All lines; what follows the last end of line is none."""
    *lines, last = read_lines(here(name))
    return [*lines, last] if last else lines
