"""Runs of linked target words with at most one word between them become one range; the longest is kept, the first of
equals.

The merge is that of Politov et al. 2025 (`merge_distance = 1`), which keeps every range; keeping the longest is
Easy-Label-Projection's (García-Ferrero et al. 2022), which merges only where the result has at most three words. So the
two together are ours, and one entity gives one span at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.projection import longest, ranges
from bench.core.sentences import Span

version = 1

GAP = 1  # words between two runs that are still one range


def match(entity: Span, linked: Sequence[int]) -> tuple[int, int]:
    return longest(ranges(linked, GAP))
