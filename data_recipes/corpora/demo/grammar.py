"""From a frame, names and fillers to the words, spans and links of a sentence, and from the words back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import NamedTuple

from bench.api.projection import CLOSE, OPEN, has_bracket, unbracketed
from bench.core.sentences import Link, Span
from data_recipes.corpora.demo.tables import CASES, TYPES, Element, Filler, Form, Frame, Literal, Name, tables

PLACEHOLDER = re.compile(r"(PER|LOC|ORG)\d+")
Words = tuple[str, ...]
Range = tuple[int, int]
EUPHONY = {"в": ("във", "вфvfw"), "с": ("със", "сзsz")}
BASE = {long: short for short, (long, _) in EUPHONY.items()}


class Placeholder(NamedTuple):
    """`PER0` in place of a name, after the article (`before`) that it had in the language it was read in."""

    text: str
    language: str
    before: tuple[str, ...] = ()

    def form(self, language: str, case: str) -> Form:
        """The placeholder itself; an article cannot be translated without the name."""
        return Form(self.before if language == self.language else (), (self.text,), (), (0,))


class Content(NamedTuple):
    """The meaning of a sentence in any language: its frame, the name in each slot, and the row of each filler."""

    frame: Frame
    names: dict[int, Name | Placeholder]
    rows: dict[str, int]
    bracketed: frozenset[int] = frozenset()

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal contents only."""
        names = sorted((number, name.id) for number, name in self.names.items() if isinstance(name, Name))
        return self.frame.id, *names, *self.rows.values()


class SlotWords(NamedTuple):
    """The positions of a slot's words in a sentence: article, entity, brackets; `order` as in Form."""

    before: tuple[int, ...]
    entity: tuple[int, ...]
    brackets: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Rendered:
    """A sentence, with the `keys` of its words outside slots and the positions of each slot's words."""

    words: tuple[str, ...]
    spans: tuple[Span, ...]
    keys: tuple[frozenset[str], ...]
    slots: dict[int, SlotWords]


def render(content: Content, language: str) -> Rendered:
    """The sentence for `content` in `language`, its first letter upper case where the script has case."""
    words: list[str] = []
    keys: list[frozenset[str]] = []
    slots: dict[int, SlotWords] = {}
    spans = []
    fillers = tables().fillers
    for element in content.frame.sides[language]:
        if isinstance(element, Literal):
            words.append(element.text)
            keys.append(element.keys)
        elif isinstance(element, Filler):
            for text, shared in fillers[element.kind][content.rows[element.kind]][language]:
                words.append(text)
                keys.append(shared)
        else:
            form = content.names[element.number].form(language, element.case)
            bracket = element.number in content.bracketed
            start = len(words)
            inner = start + len(form.before) + bracket
            end = inner + len(form.entity)
            words.extend((*form.before, *[OPEN] * bracket, *form.entity, *[CLOSE] * bracket, *form.after))
            keys.extend([frozenset()] * (len(words) - start))
            before = tuple(range(start, start + len(form.before)))
            brackets = (inner - 1, end) if bracket else ()
            slots[element.number] = SlotWords(before, tuple(range(inner, end)), brackets, form.order)
            spans.append(Span(inner, end, element.type))
    if language == "bg":  # в and с become във and със before their own sound
        entities = {position for slot in slots.values() for position in slot.entity}
        for position, word in enumerate(words[:-1]):
            base = BASE.get(word, word)
            if base in EUPHONY and position not in entities:
                following = next(after for after in words[position + 1 :] if after != OPEN)
                long, sounds = EUPHONY[base]
                words[position] = long if following[0].lower() in sounds else base
    first = 1 if words[0] == OPEN else 0
    words[first] = words[first][:1].upper() + words[first][1:]
    return Rendered(tuple(words), tuple(spans), tuple(keys), slots)


def links(source: Rendered, target: Rendered) -> tuple[Link, ...]:
    """Gold links: words that share a key; names word by word if they have as many words, else each with each."""
    pairs = {
        (i, j)
        for i, keys in enumerate(source.keys)
        for j, other_keys in enumerate(target.keys)
        if not keys.isdisjoint(other_keys)
    }
    for number, source_slot in source.slots.items():
        target_slot = target.slots[number]
        pairs.update((i, j) for i in source_slot.before for j in target_slot.before)
        pairs.update(zip(source_slot.brackets, target_slot.brackets, strict=False))
        if len(source_slot.entity) == len(target_slot.entity):
            place = dict(zip(target_slot.order, target_slot.entity, strict=True))
            pairs.update((i, place[word]) for word, i in zip(source_slot.order, source_slot.entity, strict=True))
        else:
            pairs.update((i, j) for i in source_slot.entity for j in target_slot.entity)
    return tuple(sorted(pairs))


# --- from the words of a sentence back to its content: the inverse of `render` ----------------------------------------


@dataclass(frozen=True)
class Lexicon:
    """Names, articles and fillers of one language by folded first word, longest first; and its frames."""

    names: dict[tuple[str, str], dict[str, list[tuple[Words, Form, Name]]]]
    articles: dict[str, list[Words]]
    fillers: dict[str, list[tuple[Words, int]]]
    frames: tuple[tuple[Frame, frozenset[str]], ...]


def fold(word: str) -> str:
    """A word as it is compared: without case, Bulgarian `във` and `със` as `в` and `с`."""
    word = word.casefold()
    return BASE.get(word, word)


@cache
def lexicon(language: str) -> Lexicon:
    names: dict[tuple[str, str], dict[str, list[tuple[Words, Form, Name]]]] = {}
    articles: dict[str, set[Words]] = {type_: {()} for type_ in TYPES}
    for name in tables().names:
        for case in CASES.get(language, ("nom",)):
            form = name.form(language, case)
            words = tuple(map(fold, form.words))
            names.setdefault((name.type, case), {}).setdefault(words[0], []).append((words, form, name))
            articles[name.type].add(tuple(map(fold, form.before)))
    for forms in (forms for table in names.values() for forms in table.values()):
        forms.sort(key=lambda form: -len(form[0]))
    fillers = {
        kind: [(tuple(fold(word.text) for word in row[language]), number) for number, row in enumerate(rows)]
        for kind, rows in tables().fillers.items()
    }
    frames = tuple(
        (frame, frozenset(fold(word.text) for word in frame.sides[language] if isinstance(word, Literal)))
        for frame in tables().frames
    )
    ordered = {type_: sorted(befores, key=lambda words: (len(words), words)) for type_, befores in articles.items()}
    return Lexicon(names, ordered, fillers, frames)


@dataclass
class _Match:
    """One attempt to read words as a frame's side, with backtracking."""

    language: str
    words: Words  # as written, brackets taken out
    folded: Words
    spans: frozenset[Span] | None
    names: dict[int, Name | Placeholder] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    entities: dict[int, Range] = field(default_factory=dict)

    def read(self, side: Sequence[Element], position: int = 0) -> bool:
        """Whether the words from `position` are exactly these elements; fills names, rows and entities if so."""
        if not side:
            return position == len(self.words)
        first, later = side[0], side[1:]
        if position >= len(self.words):
            return False
        if isinstance(first, Literal):
            return self.folded[position] == fold(first.text) and self.read(later, position + 1)
        if isinstance(first, Filler):
            for words, number in lexicon(self.language).fillers[first.kind]:
                end = position + len(words)
                if self.folded[position:end] == words and self.read(later, end):
                    self.rows[first.kind] = number
                    return True
            return False
        for form, name in self._candidates(first.type, first.case, position):
            start = position + len(form.before)
            end = start + len(form.entity)
            known = self.spans is None or Span(start, end, first.type) in self.spans
            if known and self.read(later, end + len(form.after)):
                self.names[first.number] = name
                self.entities[first.number] = (start, end)
                return True
        return False

    def _candidates(self, type_: str, case: str, position: int) -> list[tuple[Form, Name | Placeholder]]:
        """Names, then placeholders, that the words from `position` begin with."""
        known = lexicon(self.language)
        fitting: list[tuple[Form, Name | Placeholder]] = [
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
                    fitting.append((stand_in.form(self.language, case), stand_in))
        return fitting


def parse(words: Words, language: str, spans: Sequence[Span] | None = None) -> Content | None:
    """The content of `words`, or None if no frame gives them.

    Square brackets must stand exactly around entities. Of several readings, the one whose entities are `spans` (in
    `words`, brackets counted) is taken; spans that fit no reading are ignored.
    """
    taken_out = unbracketed(words)
    if taken_out is None:
        return None
    plain, marked = taken_out
    place = list(accumulate((not has_bracket([word]) for word in words), initial=0))  # old position → new position
    moved = frozenset(
        Span(place[s.start], place[s.end - 1] + 1, s.type) for s in spans or () if s.start < s.end <= len(words)
    )
    reading = _read(plain, frozenset(marked), language, moved) if spans is not None else None
    return reading or _read(plain, frozenset(marked), language, None)


def _read(plain: Words, marked: frozenset[Range], language: str, spans: frozenset[Span] | None) -> Content | None:
    """The content of the first frame that gives `plain`, with entities `spans` if they are not None."""
    folded = tuple(map(fold, plain))
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
