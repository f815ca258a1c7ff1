"""The embedded corpus `demo`: small, parallel in five languages, with known word links, from hand-written frames."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from bench.api.recipes import Corpus, Facts
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence, Split
from data_recipes.corpora.demo.draw import Draw, draw, sentences
from data_recipes.corpora.demo.tables import CASES, LANGUAGES, TYPES, tables


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
    facts = Facts(
        title="demo",
        licence="CC0-1.0",
        synthetic=True,
        human_translations=False,
        notes=("Sentences are drawn from hand-written frames; scores say nothing about languages or methods.",),
    )

    @property
    def types(self) -> tuple[str, ...]:
        """PER, LOC, ORG."""
        return TYPES

    def languages(self) -> tuple[str, ...]:
        """English, German, Hungarian, Bulgarian, Chinese."""
        return LANGUAGES

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split, in drawn order."""
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
        """The tables beside this file."""
        return tuple(sorted(Path(__file__).parent.glob("*.tsv")))

    def check(self) -> list[str]:
        """Test or dev sentences that also occur in other splits, and names that a translator cannot tell apart."""
        return [*self._overlaps(), *_homographs()]

    def _draw(self, language: str, split: str) -> Draw:
        """What `draw` is asked for: split, label, count."""
        label = f"train-{language}" if split == "train" and language != "en" else split
        return split, label, getattr(self.params, f"n_{split}")

    def _overlaps(self) -> list[str]:
        findings: list[str] = []
        for language in LANGUAGES:
            splits: tuple[Split, ...] = ("train", "unlabelled", "dev")
            texts = {split: {one.text for one in self.read(language, split)} for split in splits}
            for one in self.read(language, "test"):
                found = [split for split, known in texts.items() if one.text in known]
                findings.extend(f"{language}: test sentence {one.id} is also in {split}" for split in found)
        return findings


def _homographs() -> list[str]:
    """Two names of one type with the same words in one language and case."""
    findings: list[str] = []
    for language in LANGUAGES:
        for case in CASES.get(language, ("nom",)):
            count = Counter((name.type, name.form(language, case).words) for name in tables().names)
            findings.extend(
                f"{language} {case}: {times} names of type {type_} read {' '.join(words)}"
                for (type_, words), times in count.items()
                if times > 1
            )
    return findings


def parallel_text(params: DemoParams, pairs: int = 6000, *, labelled: bool = False) -> list[tuple[Sentence, Sentence]]:
    """English sentences with each other language's translation, to pre-train a small encoder on; tags if asked for.

    Only frames and names of training and unlabelled text; group ids of their own. `pairs` in all, as many a language.
    """
    others = LANGUAGES[1:]
    drawn = draw(params.seed, "unlabelled", "parallel", -(-pairs // len(others)))
    sides = ((one, one.sentence("en", labelled=labelled)) for one in drawn)
    found = [(english, one.sentence(other, labelled=labelled)) for one, english in sides for other in others]
    return found[:pairs]
