"""What is said to a user whose input is wrong, and what is said of a cell that cannot run here."""

from __future__ import annotations

import difflib
import unicodedata
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


def require(holds: bool, otherwise: str) -> None:
    """For parameters and formats: ValueError with what is said otherwise; the caller of the plug-in adds where."""
    if not holds:
        raise ValueError(otherwise)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the known names when none is near, to end a BadInput message with."""
    known = sorted(known)
    alike = [one for one in known if unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", name)]
    close = alike or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?{lookalike(name, close[0])}"
    return f"; known: {', '.join(known)}" if known else ""


def lookalike(one: str, other: str) -> str:
    """Why two different words may look the same, with the code points in which they differ, to end a message with.

    "" where they differ in ASCII only, or in too much to be taken for each other.
    """
    if one == other or (one + other).isascii():
        return ""
    forms = {form: [unicodedata.normalize(form, word) for word in (one, other)] for form in ("NFC", "NFKC")}
    seen = [
        "".join(" " if c.isspace() else c for c in word if unicodedata.category(c) not in ("Cf", "Mn"))
        for word in forms["NFKC"]
    ]
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    odd = [op for op in matcher.get_opcodes() if op[0] != "equal"]
    parts = [one[odd[0][1] : odd[-1][2]], other[odd[0][3] : odd[-1][4]]]
    scripts = [[unicodedata.name(character, "?").split(" ")[0] for character in part] for part in parts]
    if forms["NFC"][0] == forms["NFC"][1]:
        why = "the same letters in two normal forms: --normalise NFC"
    elif forms["NFKC"][0] == forms["NFKC"][1]:
        why = "compatible characters, such as another kind of space or width: --normalise NFKC"
    elif seen[0] == seen[1]:
        why = "a mark, or a character without width"
    elif len(one) == len(other) and not any(a == b for a, b in zip(*scripts, strict=False)):
        why = " and ".join(dict.fromkeys(unicodedata.name(part[0], "?") for part in parts))
    else:
        return ""
    points = [" ".join(f"U+{ord(c):04X}" for c in part) or "nothing" for part in parts]
    return f" ({points[0]} and {points[1]}: {why})"


class Unavailable(BadInput):
    """What a cell needs does not exist here: the cell is skipped with this reason, the others go on."""
