"""As merge-gap, but a range needs more than 0.8 of the entity's words: without one the entity has no candidate.

The published rule of Politov et al. 2025 (`length_ratio_threshold = 0.8`), which labels every range that is left; one
span an entity, the longest, is ours. It costs languages with compounds much: one word for two is 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.projection import longest, ranges
from bench.core.sentences import Span

CITES = ("politov2025revisiting",)
version = 1
GAP = 1  # words between two runs that are still one range
LEAST = 0.8  # words of the range / words of the entity must be above this


def match(entity: Span, linked: Sequence[int]) -> tuple[int, int] | None:
    start, end = longest(ranges(linked, GAP))
    return (start, end) if (end - start) / (entity.end - entity.start) > LEAST else None
