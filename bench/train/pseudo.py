"""How right a method's pseudo-labels were, after the fact: against gold that no method may reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.core.sentences import Span
from bench.measure.score import count, f1

Labels = Mapping[tuple[str, ...], tuple[Span, ...]]  # by words


def pseudo_f1(tagger: Any, gold: Callable[[], Labels], types: Sequence[str]) -> dict[str, list[float]]:
    """`pseudo_f1`: strict F1 of each of the trained tagger's `pseudo_labels`, the first before training.

    Only sentences count whose gold is known; {} where none is, or where the tagger kept no pseudo-labels.
    """
    kept: Sequence[Labels] = getattr(tagger, "pseudo_labels", ())
    known = gold() if kept else {}
    found: list[float] = []
    for labels in kept:
        words = [w for w in labels if w in known]
        if words:
            found.append(round(f1(count([known[w] for w in words], [labels[w] for w in words], types)), 6))
    return {"pseudo_f1": found} if found else {}
