"""The embedded corpus `demo`: small, parallel in five languages, with known word links, from hand-written frames."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path

from bench.api.recipes import Corpus, Facts
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence, Split
from data_recipes.corpora.demo.grammar import Content, Placeholder, links, render
from data_recipes.corpora.demo.tables import CASES, LANGUAGES, TYPES, Frame, Name, tables

PATIENCE = 500  # after this many repeated draws in a row a split is exhausted
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
                raise BadInput(f"corpus demo: {name} is {value}, but must not be negative")


class DemoCorpus(Corpus):
    """Dev and test say the same in every language (they share group ids). English training text, each other language's
    own training text (for the oracle that trains on it) and unlabelled text are separate draws."""

    name = "demo"
    version = 1
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
        # Dev resembles the training text, as in most corpora, so it must not repeat it.
        others = [*((other, "train") for other in LANGUAGES), ("en", "unlabelled")] if split == "dev" else []
        avoid = tuple(self._draw(*other) for other in others)
        return list(sentences(self.params.seed, self._draw(language, split), language, avoid))

    def pairs(self, source: str, target: str) -> list[Pair]:
        """Translations of all of `read(source, "train")`, with tags and links; any two of the five languages."""
        if source not in LANGUAGES or target not in LANGUAGES or source == target:
            return []
        return [drawn.pair(source, target) for drawn in draw(self.params.seed, *self._draw(source, "train"))]

    def parallel(self, source: str, target: str) -> list[Pair]:
        """As many pairs as there are unlabelled sentences, a draw of their own, without tags and with links."""
        drawn = draw(self.params.seed, "unlabelled", "bitext", self.params.n_unlabelled)
        pairs = [content.pair(source, target) for content in drawn] if {source, target} <= {*LANGUAGES} else []
        return [replace(p, source=replace(p.source, spans=None), target=replace(p.target, spans=None)) for p in pairs]

    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(Path(__file__).parent.glob("*.tsv")))

    def check(self) -> list[str]:
        """Test or dev sentences that also occur in other splits, and names that a translator cannot tell apart."""
        findings: list[str] = []
        for language in LANGUAGES:
            splits: tuple[Split, ...] = ("train", "unlabelled", "dev")
            texts = {split: {sentence.text for sentence in self.read(language, split)} for split in splits}
            for sentence in self.read(language, "test"):
                repeated = [split for split, known in texts.items() if sentence.text in known]
                findings.extend(f"{language}: test sentence {sentence.id} is also in {split}" for split in repeated)
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
        label = f"train-{language}" if split == "train" and language != "en" else split
        return split, label, getattr(self.params, f"n_{split}")


def parallel_text(params: DemoParams, pairs: int = 6000, *, labelled: bool = False) -> list[tuple[Sentence, Sentence]]:
    """`pairs` English sentences with a translation, equally many per language, to pre-train a small encoder on.

    Only frames and names of training and unlabelled text; group ids of their own; tags if `labelled`.
    """
    targets = LANGUAGES[1:]
    drawn = draw(params.seed, "unlabelled", "parallel", -(-pairs // len(targets)))
    sides = ((content, content.sentence("en", labelled=labelled)) for content in drawn)
    translated = ((english, c.sentence(target, labelled=labelled)) for c, english in sides for target in targets)
    return list(islice(translated, pairs))


# --- seeded draws of contents: frames and names by split, no sentence twice -------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A content and its group id."""

    group: str
    content: Content

    def sentence(self, language: str, *, labelled: bool = True) -> Sentence:
        """The content in one language; the id is the group, the same in all languages."""
        side = render(self.content, language)
        return Sentence(self.group, language, side.words, side.spans if labelled else None, self.group)

    def pair(self, source: str, target: str) -> Pair:
        """The content in two languages, with gold links."""
        linked = links(render(self.content, source), render(self.content, target))
        return Pair(self.sentence(source), self.sentence(target), linked)


def frames_of(split: str) -> tuple[Frame, ...]:
    """Frames that a split may use: unlabelled text and dev use those of the training text, never the reverse."""
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

    Different contents read differently in every language, as long as no two names of a type read alike (`check`).

    Raises:
        BadInput: the frames and names of the split do not give as many sentences.
    """
    rng = random.Random(f"xner demo/{seed}/{label}")
    frames = frames_of(split)
    seen = {earlier.content.key for other in avoid for earlier in draw(seed, *other)}
    drawn: list[Drawn] = []
    failures = 0
    while len(drawn) < count:
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
            raise BadInput(f"corpus demo: {count} sentences asked for {label}, only {len(drawn)} different ones found")
        if not failures:
            seen.add(content.key)
            drawn.append(Drawn(f"demo-{label}-{len(drawn):05d}", content))
    return tuple(drawn)


@cache
def sentences(seed: int, own: Draw, language: str, avoid: tuple[Draw, ...] = ()) -> tuple[Sentence, ...]:
    """A draw in one language, with labels; those of `unlabelled` text never reach a method."""
    return tuple(drawn.sentence(language) for drawn in draw(seed, *own, avoid=avoid))
