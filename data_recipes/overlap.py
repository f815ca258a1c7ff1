"""Sentences that two splits share, found by normalised text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from bench.api.recipes import Corpus
from bench.core.sentences import Sentence


def normalised(text: str) -> str:
    """Compatibility-composed, case-folded, white space collapsed: what counts as the same sentence."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shared(test: Iterable[Sentence], training: Iterable[Sentence]) -> int:
    """How many test sentences have their text in the training sentences too."""
    known = {normalised(sentence.text) for sentence in training}
    return sum(normalised(sentence.text) in known for sentence in test)


def overlap_findings(corpus: Corpus, language: str) -> list[str]:
    """Sizes of the splits of one language, and a line for each pair of splits that share sentences.

    Raises:
        BadInput: as `Corpus.read`.
    """
    train, dev, test = (corpus.read(language, split) for split in ("train", "dev", "test"))
    lines = [f"{language}: train {len(train)}, dev {len(dev)}, test {len(test)} sentences"]
    for name, held_out, other, training in (
        ("test", test, "train", train),
        ("dev", dev, "train", train),
        ("test", test, "dev", dev),
    ):
        if count := shared(held_out, training):
            lines.append(f"{language}: {count} of {len(held_out)} {name} sentences are also in {other}")
    return lines
