"""Word links against gold ones: alignment error rate, precision, recall and F1 (Och & Ney 2003)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bench.core.sentences import Link


class GoldLinks(NamedTuple):
    """The gold links of a pair: those that must be there, and those that may; the second need not hold the first."""

    sure: frozenset[Link]
    possible: frozenset[Link]


@dataclass
class LinkScore:
    """Links counted over all pairs: found (A), sure (S), possible or sure (P), and found ones among the two."""

    pairs: int = 0
    found: int = 0
    sure: int = 0
    possible: int = 0
    found_sure: int = 0
    found_possible: int = 0

    def add(self, links: Iterable[Link], gold: GoldLinks) -> None:
        """Count another pair; a link that is given twice counts once."""
        found, possible = set(links), gold.possible | gold.sure
        self.pairs += 1
        self.found += len(found)
        self.sure += len(gold.sure)
        self.possible += len(possible)
        self.found_sure += len(found & gold.sure)
        self.found_possible += len(found & possible)

    @property
    def precision(self) -> float | None:
        """|A ∩ P| / |A|, 0 to 1; None where nothing was found."""
        return self.found_possible / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """|A ∩ S| / |S|, 0 to 1; None where no gold link is sure."""
        return self.found_sure / self.sure if self.sure else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 0 where both are; None where one of them is."""
        if self.precision is None or self.recall is None:
            return None
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def aer(self) -> float | None:
        """1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|), 0 (best) to 1; None where nothing was found and nothing is sure."""
        known = self.found + self.sure
        return 1 - (self.found_sure + self.found_possible) / known if known else None
