"""Errors of a user's input and of cells that cannot run on this machine, and hints that end their messages."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

LONGEST_MESSAGE = 1000  # characters


class BadInput(ValueError):
    """Something that a user gave is wrong: one message, exit code 2.

    The message may quote any input, so unprintable characters (control sequences, line ends) are escaped and a long
    text is cut.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def require(holds: bool, otherwise: str) -> None:
    """Raise ValueError with the message `otherwise` unless `holds`; the caller of the plug-in adds the place."""
    if not holds:
        raise ValueError(otherwise)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the known names if none is near, to end a BadInput message with."""
    known = sorted(known)
    alike = [word for word in known if unicodedata.normalize("NFKC", word) == unicodedata.normalize("NFKC", name)]
    close = difflib.get_close_matches(name, known, cutoff=0.6)  # best first; letters that changed places before others
    if close := alike or sorted(close, key=lambda word: sorted(word) != sorted(name)):
        return f"; did you mean '{close[0]}'?{lookalike(name, close[0])}"
    return f"; known: {', '.join(known)}" if known else ""


def lookalike(word: str, other: str) -> str:
    """Why two different words may look the same, with the code points in which they differ, to end a message with.

    "" if they differ in ASCII only, or in too much to be mistaken for each other.
    """
    if word == other or (word + other).isascii():
        return ""
    forms = {form: [unicodedata.normalize(form, text) for text in (word, other)] for form in ("NFC", "NFKC")}
    seen = [
        "".join(" " if c.isspace() else c for c in text if unicodedata.category(c) not in ("Cf", "Mn"))
        for text in forms["NFKC"]
    ]
    matcher = difflib.SequenceMatcher(None, word, other, autojunk=False)
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    parts = [word[changes[0][1] : changes[-1][2]], other[changes[0][3] : changes[-1][4]]]
    scripts = [[unicodedata.name(character, "?").split(" ")[0] for character in part] for part in parts]
    if forms["NFC"][0] == forms["NFC"][1]:
        why = "the same letters in two normal forms: --normalise NFC"
    elif forms["NFKC"][0] == forms["NFKC"][1]:
        why = "compatible characters, such as another kind of space or width: --normalise NFKC"
    elif seen[0] == seen[1]:
        why = "a mark, or a character without width"
    elif len(word) == len(other) and not any(a == b for a, b in zip(*scripts, strict=False)):
        why = " and ".join(dict.fromkeys(unicodedata.name(part[0], "?") for part in parts))
    else:
        return ""
    points = [" ".join(f"U+{ord(c):04X}" for c in part) or "nothing" for part in parts]
    return f" ({points[0]} and {points[1]}: {why})"


class Unavailable(BadInput):
    """Something that a cell needs is not on this machine: the cell is skipped with this reason, the others run."""


class Stopped(BaseException):
    """A signal ends the process, which nothing may take for the result of a cell."""

    raised = False

    def __init__(self) -> None:
        Stopped.raised = True

    @classmethod
    def is_not_lost(cls) -> None:
        """Raise it again where a library, called back from C, has turned it into an error of its own."""
        if cls.raised:
            raise cls
