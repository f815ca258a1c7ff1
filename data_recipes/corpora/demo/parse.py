"""From the words of a demo sentence back to its content: the inverse of grammar.render."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate

from bench.api.projection import has_bracket, unbracketed
from bench.core.sentences import Span
from data_recipes.corpora.demo.grammar import BASE, Content, Inflected, Placeholder
from data_recipes.corpora.demo.tables import CASES, TYPES, Element, Filler, Form, Frame, Literal, Name, tables

PLACEHOLDER = re.compile(r"(PER|LOC|ORG)\d+")
Words = tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """What may stand in the slots of one language's sentences, by folded first word; longest first."""

    names: dict[tuple[str, str], dict[str, list[tuple[Words, Form, Name]]]]
    articles: dict[str, list[Words]]
    fillers: dict[str, list[tuple[Words, int]]]
    frames: tuple[tuple[Frame, frozenset[str]], ...]


def fold(word: str) -> str:
    """How words are compared: without case (a sentence's first letter), Bulgarian `във` and `със` as `в` and `с`."""
    word = word.casefold()
    return BASE.get(word, word)


def _folded(words: Sequence[str]) -> Words:
    return tuple(fold(word) for word in words)


@cache
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language."""
    names: dict[tuple[str, str], dict[str, list[tuple[Words, Form, Name]]]] = {}
    articles: dict[str, set[Words]] = {type_: {()} for type_ in TYPES}
    for name in tables().names:
        for case in CASES.get(language, ("nom",)):
            form = name.form(language, case)
            words = _folded(form.words)
            names.setdefault((name.type, case), {}).setdefault(words[0], []).append((words, form, name))
            articles[name.type].add(_folded(form.before))
    for forms in (forms for table in names.values() for forms in table.values()):
        forms.sort(key=lambda form: -len(form[0]))
    fillers = {
        kind: [(_folded([word.text for word in row[language]]), number) for number, row in enumerate(rows)]
        for kind, rows in tables().fillers.items()
    }
    frames = tuple(
        (frame, frozenset(fold(word.text) for word in frame.sides[language] if isinstance(word, Literal)))
        for frame in tables().frames
    )
    ordered = {type_: sorted(found, key=lambda words: (len(words), words)) for type_, found in articles.items()}
    return Lexicon(names, ordered, fillers, frames)


@dataclass
class _Match:
    """One attempt to read words as a frame's side, with backtracking."""

    language: str
    words: Words  # as written, brackets taken out
    folded: Words
    spans: frozenset[Span] | None
    names: dict[int, Inflected] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    entities: dict[int, tuple[int, int]] = field(default_factory=dict)

    def read(self, side: Sequence[Element], position: int = 0) -> bool:
        """Whether the words from `position` are exactly these elements; fills names, rows and entities if so."""
        if not side:
            return position == len(self.words)
        first, rest = side[0], side[1:]
        if position >= len(self.words):
            return False
        if isinstance(first, Literal):
            return self.folded[position] == fold(first.text) and self.read(rest, position + 1)
        if isinstance(first, Filler):
            for words, number in lexicon(self.language).fillers[first.kind]:
                end = position + len(words)
                if self.folded[position:end] == words and self.read(rest, end):
                    self.rows[first.kind] = number
                    return True
            return False
        for form, name in self._candidates(first.type, first.case, position):
            start = position + len(form.before)
            end = start + len(form.entity)
            known = self.spans is None or Span(start, end, first.type) in self.spans
            if known and self.read(rest, end + len(form.after)):
                self.names[first.number] = name
                self.entities[first.number] = (start, end)
                return True
        return False

    def _candidates(self, type_: str, case: str, position: int) -> list[tuple[Form, Inflected]]:
        """Names, then placeholders, that the words from `position` begin with."""
        known = lexicon(self.language)
        found: list[tuple[Form, Inflected]] = [
            (form, name)
            for words, form, name in known.names[type_, case].get(self.folded[position], ())
            if self.folded[position : position + len(words)] == words
        ]
        for article in known.articles[type_]:
            place = position + len(article)
            if place < len(self.words) and self.folded[position:place] == article:
                match = PLACEHOLDER.fullmatch(self.words[place])
                if match and match[1] == type_:
                    stand_in = Placeholder(self.words[place], self.language, article)
                    found.append((stand_in.form(self.language, case), stand_in))
        return found


def parse(words: Words, language: str, spans: Sequence[Span] | None = None) -> Content | None:
    """The content that `words` say, or None if no frame says it so.

    Square brackets must stand exactly around entities. Of several readings, the one whose entities are `spans` (in
    `words`, brackets counted) is taken; spans that fit no reading are ignored.
    """
    taken_out = unbracketed(words)
    if taken_out is None:
        return None
    plain, marked = taken_out
    place = list(accumulate((not has_bracket([word]) for word in words), initial=0))  # by old position the new one
    moved = frozenset(
        Span(place[s.start], place[s.end - 1] + 1, s.type) for s in spans or () if s.start < s.end <= len(words)
    )
    found = _read(plain, frozenset(marked), language, moved) if spans is not None else None
    return found or _read(plain, frozenset(marked), language, None)


def _read(
    plain: Words, marked: frozenset[tuple[int, int]], language: str, spans: frozenset[Span] | None
) -> Content | None:
    """The first frame that says `plain`, with entities `spans` if they are given."""
    folded = _folded(plain)
    present = frozenset(folded)
    for frame, literals in lexicon(language).frames:
        if not literals <= present or (spans is not None and len(spans) != len(frame.slots)):
            continue
        match = _Match(language, plain, folded, spans)
        if match.read(frame.sides[language]):
            bracketed = frozenset(number for number, entity in match.entities.items() if entity in marked)
            if len(bracketed) == len(marked):
                return Content(frame, match.names, match.rows, bracketed)
    return None
