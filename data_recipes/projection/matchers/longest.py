"""The longest run of consecutive linked target words, the first of equals; words linked elsewhere are left out.

The last step of Easy-Label-Projection (García-Ferrero et al. 2022), on its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.projection import longest, ranges
from bench.core.sentences import Span

version = 1


def match(entity: Span, linked: Sequence[int]) -> tuple[int, int]:
    return longest(ranges(linked))
