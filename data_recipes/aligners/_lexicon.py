"""Words as numbers for a statistical aligner, and what is known of word pairs before any sentence is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Form:
    """What counts as the same word."""

    lowercase: bool = True
    prefix: int = 0  # letters of a word that count, a rough stem; 0: all. Words with a digit count whole.

    def of(self, word: str) -> str:
        """The word's form; never empty for a word that is not."""
        form = word.lower() if self.lowercase else word
        return form[: self.prefix] if self.prefix and not any(map(str.isdigit, form)) else form


@dataclass
class Vocabulary:
    """Numbers of the forms of one language, from 0, in the order in which they are first seen."""

    form: Form
    numbers: dict[str, int] = field(default_factory=dict)

    def encode(self, words: Sequence[str]) -> list[int]:
        """Numbers of the words; unseen forms get the next ones."""
        return [self.numbers.setdefault(self.form.of(word), len(self.numbers)) for word in words]

    def number(self, word: str) -> int | None:
        """The number of a word's form, None where it was never seen."""
        return self.numbers.get(self.form.of(word))


def priors(
    source: Vocabulary, target: Vocabulary, same: float, dictionary: float, entries: Iterable[tuple[str, str]]
) -> Mapping[tuple[int, int], float]:
    """Pseudo-counts of (source form, target form): `same` where they are one form, `dictionary` where an entry says so.

    A name is mostly written alike in both languages, and rare: of rare words nothing else is known. Both add up.
    """
    counts: dict[tuple[int, int], float] = {}
    if same:
        counts = {(n, target.numbers[form]): same for form, n in source.numbers.items() if form in target.numbers}
    known = {(source.number(s), target.number(t)) for s, t in entries} if dictionary else set()
    for s, t in known:
        if s is not None and t is not None:
            counts[s, t] = counts.get((s, t), 0.0) + dictionary
    return counts
