"""What is said to a user whose input is wrong, and what is said of a cell that cannot run here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_MESSAGE = 1000  # characters


class BadInput(ValueError):
    """Something a user gave is wrong: one message, exit code 2.

    As text it quotes what was given, which may be anything: what is no printable character (a terminal may obey it; a
    line end makes two messages of one) is escaped, what is long is cut.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the known names when none is near, to end a BadInput message with."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""


class Unavailable(BadInput):
    """What a cell needs does not exist here: the cell is skipped with this reason, the others go on."""
