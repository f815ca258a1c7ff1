"""Projected labels against gold: what was left out counts as missed, what was never read is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.errors import Unavailable
from bench.core.sentences import Pair, Sentence, Span
from methods.gold_projection.method import GoldProjection

TAGS = ("O", "B-PER", "I-PER")
ENGLISH = [Sentence(f"en{n}", "en", ("Anna", "came"), (Span(0, 1, "PER"),), f"g{n}") for n in range(3)]
GERMAN = [Sentence(f"de{n}", "de", ("Anna", "kam"), (Span(0, 1, "PER"),), f"g{n}") for n in range(3)]


def predicted(read: int, kept: int) -> list[tuple[Span, ...]]:
    """The labels of three test sentences, of which the source of `read` was read and `kept` passed the filters."""
    pairs = [Pair(english, german, ()) for english, german in zip(ENGLISH[:kept], GERMAN[:kept], strict=True)]
    ask: Any = SimpleNamespace(labelled_translations=lambda: pairs, source=lambda: ENGLISH[:read], tags=TAGS)
    return list(GoldProjection(GoldProjection.Params()).predict(ask, {}, GERMAN).spans)


def test_a_sentence_that_a_filter_left_out_has_no_labels() -> None:
    assert predicted(read=3, kept=2) == [(Span(0, 1, "PER"),), (Span(0, 1, "PER"),), ()]


def test_fewer_source_sentences_than_the_test_translates_are_refused() -> None:
    with pytest.raises(Unavailable, match=r"1 of the test's 3 sentences translate none of the 2 .*raise data.n_source"):
        predicted(read=2, kept=2)
