"""Seeded draws of contents: which frames and names each split may use, and no sentence twice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence
from data_recipes.corpora.demo.grammar import Content, Inflected, Rendered, links, render
from data_recipes.corpora.demo.tables import Frame, Name, tables

PATIENCE = 500  # so many draws in a row that were there already: the split is exhausted


Draw = tuple[str, str, int]  # split, label, count


@dataclass(frozen=True)
class Drawn:
    """A content and its group id."""

    group: str
    content: Content
    sides: dict[str, Rendered] = field(default_factory=dict, compare=False, repr=False)  # by language, once rendered

    def sentence(self, language: str, *, labelled: bool = True) -> Sentence:
        """The content in one language; the id is the group, the same in all languages."""
        side = self._side(language)
        return Sentence(self.group, language, side.words, side.spans if labelled else None, self.group)

    def pair(self, source: str, target: str) -> Pair:
        """The content in two languages, with gold links."""
        found = links(self._side(source), self._side(target))
        return Pair(self.sentence(source), self.sentence(target), found)

    def _side(self, language: str) -> Rendered:
        if language not in self.sides:
            self.sides[language] = render(self.content, language)
        return self.sides[language]


def frames_of(split: str) -> tuple[Frame, ...]:
    """Frames that a split may use: unlabelled text and dev use those of the training text, the other way never."""
    own = {split} if split == "test" else {split, "train"}
    return tuple(frame for frame in tables().frames if frame.split in own)


@cache
def candidates(split: str, type_: str, wide: bool, singular: bool) -> tuple[Name, ...]:
    """Names that may stand in a slot of a split."""
    own = "test" if split == "test" else "train"
    return tuple(
        name
        for name in tables().names
        if (name.split, name.type) == (own, type_) and (wide or not name.landscape) and not (singular and name.plural)
    )


def _content(rng: random.Random, split: str, frame: Frame) -> Content:
    """One content of a frame, never with a name twice."""
    names: dict[int, Inflected] = {}
    taken: list[str] = []
    for slot in frame.slots:
        able = candidates(split, slot.type, slot.wide, slot.number in frame.singular)
        name = able[rng.randrange(len(able))]
        while name.id in taken:
            name = able[rng.randrange(len(able))]
        names[slot.number] = name
        taken.append(name.id)
    rows = {kind: rng.randrange(len(tables().fillers[kind])) for kind in frame.kinds}
    return Content(frame, names, rows)


def _key(content: Content) -> tuple[object, ...]:
    """What only equal contents share."""
    names = sorted((number, name.id) for number, name in content.names.items() if isinstance(name, Name))
    return content.frame.id, *names, *content.rows.values()


@cache
def draw(seed: int, split: str, label: str, count: int, avoid: tuple[Draw, ...] = ()) -> tuple[Drawn, ...]:
    """`count` different contents, none of which is in the draws to `avoid`; a longer draw starts with a shorter one's.

    Different contents read differently in every language, as long as no two names of a type read alike (`check` says).

    Raises:
        BadInput: the frames and names of the split do not give so many sentences.
    """
    rng = random.Random(f"xner demo/{seed}/{label}")
    frames = frames_of(split)
    seen = {_key(one.content) for other in avoid for one in draw(seed, *other)}
    found: list[Drawn] = []
    failures = 0
    while len(found) < count:
        content = _content(rng, split, frames[rng.randrange(len(frames))])
        failures = failures + 1 if _key(content) in seen else 0
        if failures > PATIENCE:
            raise BadInput(f"corpus demo: {count} sentences asked for {label}, only {len(found)} different ones found")
        if not failures:
            seen.add(_key(content))
            found.append(Drawn(f"demo-{label}-{len(found):05d}", content))
    return tuple(found)


@cache
def sentences(seed: int, own: Draw, language: str, avoid: tuple[Draw, ...] = ()) -> tuple[Sentence, ...]:
    """A draw in one language, with its labels: those of `unlabelled` text never reach a method."""
    return tuple(one.sentence(language) for one in draw(seed, *own, avoid=avoid))
