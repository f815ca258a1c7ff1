"""The aligner `gold`: the links that the pairs already have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.api.recipes import Aligner
from bench.core.errors import Unavailable
from bench.core.sentences import Link, Pair


class GoldAligner(Aligner):
    """An upper bound for aligners, on text whose links are known by construction."""

    name: ClassVar[str] = "gold"
    from_what: ClassVar[str] = "corpus demo or translator frames"

    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """The pairs' own links, sorted.

        Raises:
            Unavailable: a pair has none.
        """
        return [self._known(pair) for pair in pairs]

    def _known(self, pair: Pair) -> tuple[Link, ...]:
        if pair.links is None:
            raise Unavailable(
                f"{pair.source.id}: the {self.name} aligner needs pairs whose links are known ({self.from_what}); "
                "choose another aligner"
            )
        return tuple(sorted(pair.links))
