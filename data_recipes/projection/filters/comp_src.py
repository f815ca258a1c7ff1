"""COMP-SRC (Ebing & Glavaš 2025): a sentence stays only if every word of every source entity has a link."""

from __future__ import annotations

from bench.api.projection import Projection
from bench.core.sentences import Pair

CITES = ("ebing2025devil",)
version = 1


def keep(pair: Pair, projection: Projection) -> bool:
    linked = {source for source, _ in pair.links or ()}
    return all(word in linked for span in pair.source.spans or () for word in range(span.start, span.end))
