"""The leakage guard: no training text may stand in the test, by normalised text or by parallel group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.api.method import Group, TrainingSet
from bench.core.sentences import Sentence, letters_of


@dataclass(frozen=True)
class Overlap:
    """How many training sentences equal a test sentence, or share its parallel group; `examples` are their ids."""

    by_text: int = 0
    by_group: int = 0
    examples: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.by_text + self.by_group

    def reason(self) -> str:
        """Why the cell is skipped."""
        return (
            f"leakage: {self.by_text} training sentences equal a test sentence, {self.by_group} more translate one"
            f' (e.g. {", ".join(self.examples[:3])}); data.overlap = "drop-from-train" removes them from training'
        )


class Guard:
    """Compares training text with one test set."""

    def __init__(self, test: Sequence[Sentence]) -> None:
        # A sentence of punctuation alone normalises to nothing and proves nothing.
        self.texts = {t for s in test if (t := letters_of(s.text))}
        self.groups = {s.group for s in test if s.group}

    def clashes(self, sentence: Sentence) -> str:
        """ "text", "group" or ""."""
        if letters_of(sentence.text) in self.texts:
            return "text"
        return "group" if sentence.group in self.groups else ""

    def overlap(self, sentences: Iterable[Sentence]) -> Overlap:
        """Count the clashes, each distinct sentence once."""
        found = {"text": set[str](), "group": set[str]()}
        for sentence in sentences:
            kind = self.clashes(sentence)
            if kind:
                found[kind].add(sentence.id)
        examples = tuple(sorted(found["text"] | found["group"])[:5])
        return Overlap(len(found["text"]), len(found["group"] - found["text"]), examples)

    def overlap_of_texts(self, texts: Mapping[str, str]) -> Overlap:
        """The same for bare text by its normalised form, such as what an encoder was pre-trained on."""
        hits = sorted(texts[text] for text in self.texts & texts.keys())
        return Overlap(by_text=len(hits), examples=tuple(text[:60] for text in hits[:3]))

    def dropped(self, data: TrainingSet) -> TrainingSet:
        """The training set without the groups of which any sentence clashes."""

        def clean(groups: tuple[Group, ...]) -> tuple[Group, ...]:
            return tuple(group for group in groups if not any(self.clashes(example.sentence) for example in group))

        return replace(
            data, labelled=clean(data.labelled), paired=clean(data.paired), unlabelled=clean(data.unlabelled)
        )


def sentences_of(data: TrainingSet) -> Iterable[Sentence]:
    """Every sentence of every stream."""
    for groups in data.streams().values():
        for group in groups:
            for example in group:
                yield example.sentence
