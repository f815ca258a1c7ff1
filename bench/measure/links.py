"""Scores against gold of word links (error rate, precision, recall and F1, Och & Ney 2003), of translations and of
their projected labels; and gold links in Pharaoh files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence
from bench.measure.score import Surface, ratios


def label_quality(kept: Sequence[Pair], translated: Sequence[Pair], known: Sequence[Pair]) -> dict[str, float]:
    """`projection_precision`, `_recall`, `_f1` and `translation_accuracy`, 0 to 1; {} if nothing can be compared.

    `kept` are pairs with projected labels, `translated` the pairs before projection, `known` the corpus's own, with
    gold; joined by the source's id. *Ours*: an entity is right if the gold of its sentence has one of the same type and
    words; places are not compared, since they differ in a faulty translation. A translation that was left out misses
    all of its entities. Accuracy is 1 - word edits / words of the corpus's translation, not below 0.
    """
    gold = {pair.source.id: pair.target for pair in known if pair.target.spans is not None}
    compared = [pair for pair in translated if pair.source.id in gold]
    if not compared:
        return {}
    labels = {pair.source.id: _entities(pair.target) for pair in kept}
    tp = n_projected = n_gold = words = wrong = 0
    for pair in compared:
        reference = gold[pair.source.id]
        projected, wanted = labels.get(pair.source.id, Counter()), _entities(reference)
        tp += (projected & wanted).total()
        n_projected, n_gold = n_projected + projected.total(), n_gold + wanted.total()
        words += len(reference.words)
        wrong += edits(pair.target.words, reference.words)
    score = ratios(tp, n_projected - tp, n_gold - tp)
    return {
        "projection_precision": round(score.precision, 6),
        "projection_recall": round(score.recall, 6),
        "projection_f1": round(score.f1, 6),
        "translation_accuracy": round(max(0.0, 1 - wrong / words), 6) if words else 0.0,
    }


def edits(words: Sequence[str], other: Sequence[str]) -> int:
    """Least number of words to insert, delete or replace (Levenshtein)."""
    if words == other:
        return 0
    above = list(range(len(other) + 1))
    for number, word in enumerate(words, 1):
        row = [number]
        for place, reference in enumerate(other, 1):
            row.append(min(above[place] + 1, row[-1] + 1, above[place - 1] + (word != reference)))
        above = row
    return above[-1]


def _entities(sentence: Sentence) -> Counter[Surface]:
    return Counter((" ".join(sentence.words[start:end]), type_) for start, end, type_ in sentence.spans or ())


_LINK = re.compile(r"(\d{1,9})([-?p])(\d{1,9})", re.ASCII)


class GoldLinks(NamedTuple):
    """The sure and the possible gold links of a pair; the possible ones need not hold the sure ones."""

    sure: frozenset[Link]
    possible: frozenset[Link]


@dataclass
class LinkLines:
    """Reads lines of links such as `0-1` (sure) and `0?1` or `0p1` (possible) of words counted from `first`.

    It collects signs that the words are counted from another number: 1 in place of 0, or 0 in place of 1.
    """

    first: int = 0
    links: int = 0
    of_first_words: int = 0  # links of the first word of either side
    alike: int = 0  # links of words that look the same
    alike_shifted: int = 0  # the same if words were counted from 1

    def read(self, line: str, pair: Pair, where: str) -> GoldLinks:
        """The links of a line; a pair may have none.

        Raises:
            BadInput: a link is malformed, or one of its words does not exist; the message begins with `where`.
        """
        links: dict[bool, set[Link]] = {True: set(), False: set()}
        for text in line.split():
            match = _LINK.fullmatch(text)
            if not match:
                raise BadInput(f"{where}: '{text}' is not a link such as 3-4 (sure), 3?4 or 3p4 (possible)")
            source, target = int(match[1]) - self.first, int(match[3]) - self.first
            for word, side, name in ((source, pair.source, "source"), (target, pair.target, "target")):
                count = len(side.words)
                if not 0 <= word < count:
                    hint = "; counted from 1? --from 1" if not self.first and word == count else ""
                    hint = "; counted from 0? --from 0" if word == -1 else hint
                    words = f"only {self.first} to {count - 1 + self.first}" if count else "none at all"
                    problem = f"the {name} sentence has no word {word + self.first}, {words}"
                    raise BadInput(f"{where}: link {text}: {problem}{hint}")
            links[match[2] == "-"].add((source, target))
            self.links += 1
            self.of_first_words += not (source and target)
            self.alike += pair.source.words[source] == pair.target.words[target]
            self.alike_shifted += pair.source.words[source - 1] == pair.target.words[target - 1]
        return GoldLinks(frozenset(links[True]), frozenset(links[False]))

    def warning(self) -> str:
        """A warning if the words seem to be counted from 1, else ""."""
        if self.first or self.links < 2 or self.of_first_words or (self.alike and not self.alike_shifted):
            return ""
        return f"none of {self.links} links touches the first word of a sentence: counted from 1? --from 1"


@dataclass
class LinkScore:
    """Links counted over all pairs: found (A), sure (S), possible or sure (P), and the found ones in S and in P."""

    pairs: int = 0
    found: int = 0
    sure: int = 0
    possible: int = 0
    found_sure: int = 0
    found_possible: int = 0

    def add(self, links: Iterable[Link], gold: GoldLinks) -> None:
        """Count another pair; a repeated link counts once."""
        distinct, possible = set(links), gold.possible | gold.sure
        self.pairs += 1
        self.found += len(distinct)
        self.sure += len(gold.sure)
        self.possible += len(possible)
        self.found_sure += len(distinct & gold.sure)
        self.found_possible += len(distinct & possible)

    @property
    def precision(self) -> float | None:
        """|A ∩ P| / |A|, 0 to 1; None if nothing was found."""
        return self.found_possible / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """|A ∩ S| / |S|, 0 to 1; None if no gold link is sure."""
        return self.found_sure / self.sure if self.sure else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 0 if both are 0; None if either is None."""
        if self.precision is None or self.recall is None:
            return None
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    @property
    def aer(self) -> float | None:
        """1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|), 0 (best) to 1; None if nothing was found and nothing is sure."""
        total = self.found + self.sure
        return 1 - (self.found_sure + self.found_possible) / total if total else None
