"""Candidate matching (Politov et al. 2025), exact: as ngram-greedy, but the choice whose scores have the greatest sum.

Their integer linear program with at most one candidate an entity, solved by scipy's milp (bench.api.candidates).
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.candidates import Range, ilp, match_links
from bench.core.sentences import Link, Span

CITES = ("politov2025revisiting",)
version = 1


def assign(entities: Sequence[Span], links: Sequence[Link], words: Sequence[str]) -> list[Range | None]:
    """The target words (start, end) of each entity, None where it has none; they never overlap.

    Raises:
        BadInput: the solver found no optimum.
    """
    return match_links(entities, links, words, ilp)
