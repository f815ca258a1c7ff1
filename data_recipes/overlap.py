"""What a user should know of a corpus: sentences that two splits share, and text that was read as something else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from bench.api.recipes import Corpus
from bench.core.sentences import Sentence

LONG = 250  # words of a sentence that may be a whole file


def normalised(text: str) -> str:
    """Compatibility-composed, case-folded, white space collapsed: what counts as the same sentence."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shared(test: Iterable[Sentence], training: Iterable[Sentence]) -> int:
    """How many test sentences have their text in the training sentences too."""
    known = {normalised(sentence.text) for sentence in training}
    return sum(normalised(sentence.text) in known for sentence in test)


def suspicions(sentences: Sequence[Sentence], repeated: float = 0.0) -> list[str]:
    """Signs that a file was read as something else, in words; `repeated` is the share above which repetition is one."""
    found = []
    words = {word for sentence in sentences for word in sentence.words}
    for affix, what in ((_start(words), "begins"), (_start({word[::-1] for word in words})[::-1], "ends")):
        if len(words) > 4 and (len(affix) > 1 or (affix and not affix.isalnum())):
            found.append(f"every word {what} with {affix!r}: is that part of the words?")
    longest = max(sentences, key=lambda sentence: len(sentence.words), default=None)
    if longest is not None and len(longest.words) > LONG:
        found.append(
            f"sentence '{longest.id}' has {len(longest.words)} words: are empty lines between sentences missing?"
        )
    again = len(sentences) - len({sentence.words for sentence in sentences})
    if again > repeated * len(sentences):
        found.append(f"{again} of {len(sentences)} sentences repeat another word for word")
    labelled = [sentence for sentence in sentences if sentence.spans is not None]
    if labelled and not any(sentence.spans for sentence in labelled):
        found.append(f"none of {len(labelled)} labelled sentences has an entity")
    return found


def _start(words: Iterable[str]) -> str:
    """What all words begin with: that of the first and the last in their order."""
    first, last = min(words, default=""), max(words, default="")
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def overlap_findings(corpus: Corpus, language: str) -> list[str]:
    """Sizes of the splits of one language, a line for each pair of splits that share sentences, and suspicions.

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
    for name, sentences in (("train", train), ("dev", dev), ("test", test)):
        lines.extend(f"{language} {name}: {line}" for line in suspicions(sentences))
    return lines
