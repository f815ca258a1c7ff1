"""The embedded corpus `demo`: small, parallel in five languages, with known word links, from hand-written frames."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from bench.api.recipes import Corpus, Facts
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence, Split
from data_recipes.corpora.demo.grammar import Content, Placeholder, Rendered, links, render
from data_recipes.corpora.demo.tables import CASES, LANGUAGES, TYPES, Frame, Name, tables

PATIENCE = 500  # so many draws in a row that were there already: the split is exhausted
Draw = tuple[str, str, int]  # split, label, count


@dataclass(frozen=True)
class DemoParams:
    """Seed of the draws, and sentences a split."""

    seed: int = 0
    n_train: int = 1000
    n_dev: int = 300
    n_test: int = 300
    n_unlabelled: int = 600

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "seed" and value < 0:
                raise BadInput(f"corpus demo: {name} is {value}, must not be negative")


class DemoCorpus(Corpus):
    """Dev and test say the same in every language (they share group ids). English training text, each other language's
    own training text (for the oracle that trains on it) and unlabelled text are separate draws."""

    name = "demo"
    Params = DemoParams
    types = TYPES
    facts = Facts(
        title="demo",
        licence="CC0-1.0",
        synthetic=True,
        human_translations=False,
        notes=("Sentences are drawn from hand-written frames; scores say nothing about languages or methods.",),
    )

    def languages(self) -> tuple[str, ...]:
        return LANGUAGES

    def read(self, language: str, split: Split) -> list[Sentence]:
        if language not in LANGUAGES:
            return []
        # Dev is of the training text's kind, as in most corpora, so it must not repeat what was trained on.
        others = [*((one, "train") for one in LANGUAGES), ("en", "unlabelled")] if split == "dev" else []
        avoid = tuple(self._draw(*other) for other in others)
        return list(sentences(self.params.seed, self._draw(language, split), language, avoid))

    def pairs(self, source: str, target: str) -> list[Pair]:
        """Translations of all of `read(source, "train")`, with tags and links; any two of the five languages."""
        if source not in LANGUAGES or target not in LANGUAGES or source == target:
            return []
        return [one.pair(source, target) for one in draw(self.params.seed, *self._draw(source, "train"))]

    def parallel(self, source: str, target: str) -> list[Pair]:
        """As many pairs as there is unlabelled text, a draw of their own, without tags and with links."""
        drawn = draw(self.params.seed, "unlabelled", "bitext", self.params.n_unlabelled)
        found = [one.pair(source, target) for one in drawn] if {source, target} <= {*LANGUAGES} else []
        return [replace(p, source=replace(p.source, spans=None), target=replace(p.target, spans=None)) for p in found]

    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(Path(__file__).parent.glob("*.tsv")))

    def check(self) -> list[str]:
        """Test or dev sentences that also occur in other splits, and names that a translator cannot tell apart."""
        findings: list[str] = []
        for language in LANGUAGES:
            splits: tuple[Split, ...] = ("train", "unlabelled", "dev")
            texts = {split: {one.text for one in self.read(language, split)} for split in splits}
            for one in self.read(language, "test"):
                found = [split for split, known in texts.items() if one.text in known]
                findings.extend(f"{language}: test sentence {one.id} is also in {split}" for split in found)
        for language in LANGUAGES:
            for case in CASES.get(language, ("nom",)):
                count = Counter((name.type, name.form(language, case).words) for name in tables().names)
                findings.extend(
                    f"{language} {case}: {times} names of type {type_} read {' '.join(words)}"
                    for (type_, words), times in count.items()
                    if times > 1
                )
        return findings

    def _draw(self, language: str, split: str) -> Draw:
        """What `draw` is asked for: split, label, count."""
        label = f"train-{language}" if split == "train" and language != "en" else split
        return split, label, getattr(self.params, f"n_{split}")


def parallel_text(params: DemoParams, pairs: int = 6000, *, labelled: bool = False) -> list[tuple[Sentence, Sentence]]:
    """English sentences with each other language's translation, to pre-train a small encoder on; tags if asked for.

    Only frames and names of training and unlabelled text; group ids of their own. `pairs` in all, as many a language.
    """
    others = LANGUAGES[1:]
    drawn = draw(params.seed, "unlabelled", "parallel", -(-pairs // len(others)))
    sides = ((one, one.sentence("en", labelled=labelled)) for one in drawn)
    found = [(english, one.sentence(other, labelled=labelled)) for one, english in sides for other in others]
    return found[:pairs]


# --- seeded draws of contents: which frames and names each split may use, and no sentence twice -----------------------


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
        return Pair(self.sentence(source), self.sentence(target), links(self._side(source), self._side(target)))

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


@cache
def draw(seed: int, split: str, label: str, count: int, avoid: tuple[Draw, ...] = ()) -> tuple[Drawn, ...]:
    """`count` different contents, none of which is in the draws to `avoid`; a longer draw starts with a shorter one's.

    Different contents read differently in every language, as long as no two names of a type read alike (`check` says).

    Raises:
        BadInput: the frames and names of the split do not give so many sentences.
    """
    rng = random.Random(f"xner demo/{seed}/{label}")
    frames = frames_of(split)
    seen = {one.content.key for other in avoid for one in draw(seed, *other)}
    found: list[Drawn] = []
    failures = 0
    while len(found) < count:
        frame = frames[rng.randrange(len(frames))]
        names: dict[int, Name | Placeholder] = {}
        for slot in frame.slots:
            able = candidates(split, slot.type, slot.wide, slot.number in frame.singular)
            while (name := able[rng.randrange(len(able))]) in names.values():
                pass
            names[slot.number] = name
        rows = {kind: rng.randrange(len(tables().fillers[kind])) for kind in frame.kinds}
        content = Content(frame, names, rows)
        failures = failures + 1 if content.key in seen else 0
        if failures > PATIENCE:
            raise BadInput(f"corpus demo: {count} sentences asked for {label}, only {len(found)} different ones found")
        if not failures:
            seen.add(content.key)
            found.append(Drawn(f"demo-{label}-{len(found):05d}", content))
    return tuple(found)


@cache
def sentences(seed: int, own: Draw, language: str, avoid: tuple[Draw, ...] = ()) -> tuple[Sentence, ...]:
    """A draw in one language, with its labels: those of `unlabelled` text never reach a method."""
    return tuple(one.sentence(language) for one in draw(seed, *own, avoid=avoid))
