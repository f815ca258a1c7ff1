"""COMP-INS (Ebing & Glavaš 2025): a sentence stays only if both sides have as many entities of each type."""

from __future__ import annotations

from collections import Counter

from bench.api.projection import Projection
from bench.core.sentences import Pair

CITES = ("ebing2025devil",)
version = 1


def keep(pair: Pair, projection: Projection) -> bool:
    wanted = Counter(span.type for span in pair.source.spans or ())
    return wanted == Counter(span.type for span in projection.spans)
