"""COMP-TGT (Ebing & Glavaš 2025): a sentence stays only if the words linked to each source entity stand together.

An entity without links breaks nothing here, as in their code (that is COMP-SRC's and COMP-INS's). What counts is the
links, not the span that the matcher made of them.
"""

from __future__ import annotations

from bench.api.projection import Projection, linked_words, ranges
from bench.core.sentences import Pair

CITES = ("ebing2025devil",)
version = 1


def keep(pair: Pair, projection: Projection) -> bool:
    return all(len(ranges(linked_words(span, pair.links or ()))) <= 1 for span in pair.source.spans or ())
