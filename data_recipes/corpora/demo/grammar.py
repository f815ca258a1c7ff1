"""From a frame, names and fillers to the words of a sentence, its spans, and the links between two such sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bench.api.projection import CLOSE, OPEN
from bench.core.sentences import Link, Span
from data_recipes.corpora.demo.tables import Filler, Form, Frame, Literal, Slot, tables

EUPHONY = {"в": ("във", "вфvfw"), "с": ("със", "сзsz")}
BASE = {long: short for short, (long, _) in EUPHONY.items()}


class Inflected(Protocol):
    """What stands in a slot: a name, or a placeholder in its place."""

    def form(self, language: str, case: str) -> Form:
        """The form in a language and case."""


class Placeholder(NamedTuple):
    """`PER0` in place of a name, after the article (`before`) that it had in the language it was read in."""

    text: str
    language: str
    before: tuple[str, ...] = ()

    def form(self, language: str, case: str) -> Form:
        """The placeholder itself; an article cannot be translated without the name."""
        return Form(self.before if language == self.language else (), (self.text,), (), (0,))


class Content(NamedTuple):
    """What a sentence says, in no language: its frame, what stands in each slot, and the row of each filler."""

    frame: Frame
    names: dict[int, Inflected]
    rows: dict[str, int]
    bracketed: frozenset[int] = frozenset()


class SlotWords(NamedTuple):
    """Where a slot's words are in a sentence: article, entity, brackets; `order` as in Form."""

    before: tuple[int, ...]
    entity: tuple[int, ...]
    brackets: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Rendered:
    """A sentence and what is known of each word: `keys` of words outside slots, and the words of each slot."""

    words: tuple[str, ...]
    spans: tuple[Span, ...]
    keys: tuple[frozenset[str], ...]
    slots: dict[int, SlotWords]


def render(content: Content, language: str) -> Rendered:
    """The sentence that says `content` in `language`, its first letter upper case where the script has case."""
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
            found = _fill(words, content, element, language)
            keys.extend([frozenset()] * (len(words) - len(keys)))
            slots[element.number] = found
            spans.append(Span(found.entity[0], found.entity[-1] + 1, element.type))
    if language == "bg":
        _soften(words, {position for found in slots.values() for position in found.entity})
    first = 1 if words[0] == OPEN else 0
    words[first] = words[first][:1].upper() + words[first][1:]
    return Rendered(tuple(words), tuple(spans), tuple(keys), slots)


def _fill(words: list[str], content: Content, slot: Slot, language: str) -> SlotWords:
    """Append the words of a slot, square brackets around the entity where the content has them; say where they are."""
    form = content.names[slot.number].form(language, slot.case)
    bracket = slot.number in content.bracketed
    start = len(words)
    inner = start + len(form.before) + bracket
    end = inner + len(form.entity)
    words.extend(form.before)
    words.extend([OPEN] * bracket + list(form.entity) + [CLOSE] * bracket)
    words.extend(form.after)
    return SlotWords(
        before=tuple(range(start, start + len(form.before))),
        entity=tuple(range(inner, end)),
        brackets=(inner - 1, end) if bracket else (),
        order=form.order,
    )


def _soften(words: list[str], entities: set[int]) -> None:
    """Bulgarian `в` and `с` become `във` and `със` before their own sound."""
    for position, word in enumerate(words[:-1]):
        base = BASE.get(word, word)
        if base in EUPHONY and position not in entities:
            following = next(other for other in words[position + 1 :] if other != OPEN)
            long, sounds = EUPHONY[base]
            words[position] = long if following[0].lower() in sounds else base


def links(source: Rendered, target: Rendered) -> tuple[Link, ...]:
    """Gold links: words that share a key; names word by word when they have as many, else each word with each."""
    found = {
        (i, j)
        for i, keys in enumerate(source.keys)
        if keys
        for j, others in enumerate(target.keys)
        if others and not keys.isdisjoint(others)
    }
    for number, one in source.slots.items():
        other = target.slots[number]
        found.update((i, j) for i in one.before for j in other.before)
        found.update(zip(one.brackets, other.brackets, strict=False))
        if len(one.entity) == len(other.entity):
            place = dict(zip(other.order, other.entity, strict=True))
            found.update((i, place[word]) for word, i in zip(one.order, one.entity, strict=True))
        else:
            found.update((i, j) for i in one.entity for j in other.entity)
    return tuple(sorted(found))
