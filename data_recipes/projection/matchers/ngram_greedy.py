"""Candidate matching (Politov et al. 2025), greedy: every n-gram is a candidate, the best pair is taken first.

All entities of a sentence are matched together: the score of an entity and an n-gram is 2 · links between them / words
of both; the largest is taken, and its entity and every n-gram that overlaps are out (`candidates`). No n-gram holds
"!" or "?" or more than ten words.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.candidates import Range, greedy, match_links
from bench.core.sentences import Link, Span

CITES = ("politov2025revisiting",)
version = 1


def assign(entities: Sequence[Span], links: Sequence[Link], words: Sequence[str]) -> list[Range | None]:
    return match_links(entities, links, words, greedy)
