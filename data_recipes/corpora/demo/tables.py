"""The three hand-written tables of the demo corpus, as typed values: names, fillers and sentence frames."""

from __future__ import annotations

import csv
import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import BadInput

LANGUAGES = ("en", "de", "hu", "bg", "zh")
TYPES = ("PER", "LOC", "ORG")
CASES = {"de": ("nom", "acc", "dat", "gen"), "hu": ("nom", "acc", "dat", "ins", "loc", "abl", "lat")}
FINAL = (".", "?", "。", "？")


class Form(NamedTuple):
    """One inflected form of a name: `entity` is what a span covers, `before` its article, `after` what follows.

    `order[i]` is the word of the English name that entity word i stands for, when both have as many words: a Hungarian
    person's family name comes first.
    """

    before: tuple[str, ...]
    entity: tuple[str, ...]
    after: tuple[str, ...] = ()
    order: tuple[int, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All words of the form."""
        return self.before + self.entity + self.after


@dataclass(frozen=True)
class Name:
    """A row of names.tsv; `plural` where the German form takes a plural verb, `landscape` a river, mountain, desert."""

    id: str
    type: str
    split: str
    forms: dict[tuple[str, str], Form]
    plural: bool
    landscape: bool

    def form(self, language: str, case: str) -> Form:
        """The form in a language and case."""
        return self.forms[language, case]


class Literal(NamedTuple):
    """A word of a frame or filler; two words of two languages are linked when they share a key."""

    text: str
    keys: frozenset[str]


class Slot(NamedTuple):
    """A place for a name; `wide` also takes rivers and mountains (one is not born in the Danube)."""

    type: str
    number: int
    case: str
    wide: bool


class Filler(NamedTuple):
    """A place for one row of fillers.tsv."""

    kind: str


Element = Literal | Slot | Filler


@dataclass(frozen=True)
class Frame:
    """One sentence frame in all languages. `slots` are the English ones, in order; `singular` those that a German verb
    agrees with, so that a plural name cannot stand there."""

    id: str
    split: str
    sides: dict[str, tuple[Element, ...]]
    slots: tuple[Slot, ...]
    kinds: tuple[str, ...]
    singular: frozenset[int]


@dataclass(frozen=True)
class Tables:
    """All hand-written tables; `fillers[kind][row][language]`."""

    names: tuple[Name, ...]
    fillers: dict[str, tuple[dict[str, tuple[Literal, ...]], ...]]
    frames: tuple[Frame, ...]


def rows(file: str) -> list[dict[str, str]]:
    """Rows of a tab-separated file of this folder, by column name."""
    with Path(__file__).with_name(file).open(encoding="utf-8", newline="") as lines:
        table = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n"))
    for number, row in enumerate(table, start=2):
        if None in row or None in row.values():
            raise BadInput(f"demo corpus, {file} line {number}: not as many cells as columns")
    return table


def parse_form(cell: str, english: tuple[str, ...] = (), *, person: bool = False) -> Form:
    """A cell of names.tsv, such as `der [Weltbank]`; without brackets the whole cell is the entity."""
    match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]+)\]([^\[\]]*)", cell)
    before, entity, after = (tuple(part.split()) for part in (match.groups() if match else ("", cell, "")))
    order = tuple(range(len(entity)))
    if person and len(entity) == len(english) > 1 and entity != english:
        # surface similarity, summed word by word, tells `Bartók Béla` from `Béla Bartók`
        similarities = [
            difflib.SequenceMatcher(None, word.casefold(), english_word.casefold()).ratio()
            for side in (english, english[::-1])
            for word, english_word in zip(entity, side, strict=True)
        ]
        order = order[::-1] if sum(similarities[len(entity) :]) > sum(similarities[: len(entity)]) else order
    return Form(before, entity, after, order)


def parse_name(row: dict[str, str], landscape: frozenset[str] = frozenset()) -> Name:
    """A row of names.tsv; empty German cases are the nominative."""
    english = parse_form(row["en"]).entity
    forms = {}
    for language in LANGUAGES:
        for case in CASES.get(language, ("nom",)):
            cell = row[language if case == "nom" else f"{language}_{case}"] or (row["de"] if language == "de" else "")
            if not cell:
                raise BadInput(f"demo corpus, names.tsv, {row['id']}: no {language} {case}")
            forms[language, case] = parse_form(cell, english, person=row["type"] == "PER")
    nominative, dative = (forms["de", case].before for case in ("nom", "dat"))
    plural = nominative == ("die",) and dative == ("den",)
    return Name(row["id"], row["type"], row["split"], forms, plural, row["id"] in landscape)


def parse_words(cell: str, kind: str = "") -> tuple[Literal, ...]:
    """`hétfőn/ab`: the word, and the keys (after the filler's kind) that it shares with the words it is linked to.

    Sentence-final marks are linked to each other.
    """
    words = []
    for token in cell.split():
        text, _, keys = token.partition("/")
        words.append(Literal(text, frozenset(kind + key for key in keys or ("." if text in FINAL else ""))))
    return tuple(words)


def parse_frame(row: dict[str, str]) -> Frame:
    """A row of frames.tsv, with the same slots and fillers in every language."""
    sides = {language: _side(row[language], language) for language in LANGUAGES}
    slots = {language: [e for e in side if isinstance(e, Slot)] for language, side in sides.items()}
    kinds = {language: [e.kind for e in side if isinstance(e, Filler)] for language, side in sides.items()}
    contents = {of: sorted([(e.type, e.number) for e in slots[of]] + [(kind, 0) for kind in kinds[of]]) for of in sides}
    for language, content in contents.items():
        if content != contents["en"] or len(set(content)) != len(content):
            raise BadInput(f"demo corpus, frames.tsv, {row['id']}: slots of {language} are not those of en")
    singular = frozenset(slot.number for slot in slots["de"] if slot.case == "nom")
    return Frame(row["id"], row["split"], sides, tuple(slots["en"]), tuple(kinds["en"]), singular)


def _side(cell: str, language: str) -> tuple[Element, ...]:
    elements: list[Element] = []
    for token in cell.split():
        if token.startswith("{#"):
            elements.append(Filler(token[2:-1]))
        elif token.startswith("{"):
            type_, number, case = (token[1:-1] + ":nom").split(":")[:3]
            if type_ not in TYPES or case not in CASES.get(language, ("nom",)):
                raise BadInput(f"demo corpus, frames.tsv: {token} in {language}")
            elements.append(Slot(type_, int(number.rstrip("*")), case, number.endswith("*")))
        else:
            elements.extend(parse_words(token))
    return tuple(elements)


@cache
def tables() -> Tables:
    """The tables, read once per process."""
    landscape = frozenset(row["id"] for row in rows("landscape.tsv"))
    fillers: dict[str, list[dict[str, tuple[Literal, ...]]]] = {}
    for row in rows("fillers.tsv"):
        fillers.setdefault(row["kind"], []).append(
            {language: parse_words(row[language], row["kind"]) for language in LANGUAGES}
        )
    return Tables(
        names=tuple(parse_name(row, landscape) for row in rows("names.tsv")),
        fillers={kind: tuple(filled) for kind, filled in fillers.items()},
        frames=tuple(parse_frame(row) for row in rows("frames.tsv")),
    )
