"""Two directions of word links made one: intersection, union, and grow-diag-final-and between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from bench.core.sentences import Link

Symmetrisation = Literal["intersection", "grow-diag-final-and", "union"]
SYMMETRISATIONS: tuple[Symmetrisation, ...] = get_args(Symmetrisation)

_BESIDE = ((-1, 0), (0, -1), (1, 0), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrise(forward: Iterable[Link], reverse: Iterable[Link], how: Symmetrisation) -> tuple[Link, ...]:
    """Links (source word, target word), sorted and once each, of a pair that was aligned in both directions.

    For any input intersection ⊆ grow-diag-final-and ⊆ union.
    """
    first, second = set(forward), set(reverse)
    if how == "intersection":
        return tuple(sorted(first & second))
    if how == "union":
        return tuple(sorted(first | second))
    return tuple(sorted(_grow_diag_final_and(first, second)))


def _grow_diag_final_and(forward: set[Link], reverse: set[Link]) -> set[Link]:
    """Koehn, Och & Marcu 2003 as Moses runs it: neighbours of kept links first, then links of two free words.

    A link of the union is added beside a kept one where one of its words is still free, until nothing is added; then
    each direction, forward first, adds its links whose words are both free.
    """
    either = forward | reverse
    kept = forward & reverse
    sources = {s for s, _ in kept}
    targets = {t for _, t in kept}

    def add(link: Link) -> None:
        kept.add(link)
        sources.add(link[0])
        targets.add(link[1])

    grown = True
    while grown:
        grown = False
        for source, target in sorted(kept):
            for down, right in (*_BESIDE, *_DIAGONAL):
                link = (source + down, target + right)
                if link in either and link not in kept and (link[0] not in sources or link[1] not in targets):
                    add(link)
                    grown = True
    for direction in (forward, reverse):
        for link in sorted(direction - kept):
            if link[0] not in sources and link[1] not in targets:
                add(link)
    return kept
