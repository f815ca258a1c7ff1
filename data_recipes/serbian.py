"""Serbo-Croatian: Cyrillic to Latin script, marks of stress and tone off, Ekavian and Ijekavian forms."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_CYRILLIC = "абвгдђежзијклљмнњопрстћуфхцчџш"
_LATIN = "a b v g d đ e ž z i j k l lj m n nj o p r s t ć u f h c č dž š"
_LOWER = dict(zip(_CYRILLIC, _LATIN.split(" "), strict=True))
_MARKS = frozenset("\u0300\u0301\u0302\u0304\u030f\u0311")  # grave, acute, circumflex, macron, double grave, arch
_OWN = frozenset("cszCSZ")  # letters whose acute is a letter of its own: ć, and Montenegrin ś ź


def to_latin(text: str) -> str:
    """Serbian Cyrillic as Latin, letter by letter, with the digraphs lj nj dž; in a word of capitals LJ NJ DŽ."""
    out = []
    for position, letter in enumerate(text):
        latin = _LOWER.get(letter.lower(), letter)
        if letter.lower() in _LOWER and letter.isupper():
            beside = text[position + 1 : position + 2] or text[position - 1 : position]
            latin = latin.upper() if len(latin) == 1 or beside.isupper() else latin.capitalize()
        out.append(latin)
    return "".join(out)


def without_tones(text: str) -> str:
    """Dictionary spelling to plain spelling: kùća and ку̏ћа lose their marks, ć č š ž й keep theirs."""
    out: list[str] = []
    for character in unicodedata.normalize("NFD", text):
        own = character == "\u0301" and bool(out) and out[-1] in _OWN
        if character not in _MARKS or own:
            out.append(character)
    return unicodedata.normalize("NFC", "".join(out))


def of_dialect(words: Sequence[str], language: str) -> list[str]:
    """Of forms that differ in old yat only (vera, vjera) the language's own: Ekavian for sr, else Ijekavian."""
    forms: dict[str, list[str]] = {}
    for word in words:
        forms.setdefault(word.replace("ije", "e").replace("je", "e"), []).append(word)
    choose = min if language == "sr" else max
    return [choose(group, key=len) for group in forms.values()]
