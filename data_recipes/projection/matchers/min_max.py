"""The plain span rule: from the first to the last linked target word, whatever lies between."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.sentences import Span

version = 1


def match(entity: Span, linked: Sequence[int]) -> tuple[int, int]:
    return linked[0], linked[-1] + 1
