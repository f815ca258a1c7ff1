"""The aligner `gold`: the links that the pairs already have."""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.recipes import Aligner
from bench.core.errors import Unavailable
from bench.core.sentences import Link, Pair


class GoldAligner(Aligner):
    """An upper bound for aligners, on text whose links are known by construction."""

    name = "gold"

    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """The pairs' own links, sorted.

        Raises:
            Unavailable: a pair has none.
        """
        return [_known(pair) for pair in pairs]


def _known(pair: Pair) -> tuple[Link, ...]:
    if pair.links is None:
        raise Unavailable(
            f"{pair.source.id}: the gold aligner needs pairs whose links are known (corpus demo or translator frames); "
            "choose another aligner"
        )
    return tuple(sorted(pair.links))
