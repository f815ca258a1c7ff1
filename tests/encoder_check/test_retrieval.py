"""Accuracy@1 of translations by cosine: what it finds, and that ties and scale do not flatter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.encoder_check import check as module
from bench.encoder_check.check import retrieval


def test_what_is_found_each_way() -> None:
    """Rows 0 and 1 of the first side both lie nearest to row 0 of the second; from there every row is found."""
    first = np.asarray([[1.0, 0.0], [0.8, 0.1], [0.0, 1.0]])
    second = np.asarray([[1.0, 0.05], [0.8, 0.4], [0.0, 2.0]])
    assert retrieval(first, second) == (2 / 3, 1.0)
    assert retrieval(second, first) == (1.0, 2 / 3)
    assert retrieval(first, first) == (1.0, 1.0)


def test_a_collapsed_encoder_finds_nothing() -> None:
    same = np.full((5, 3), 0.3, np.float32)
    assert retrieval(same, same) == (0.0, 0.0)
    assert retrieval(np.zeros((5, 3)), np.eye(5, 3)) == (0.0, 0.0)
    assert retrieval(same[:1], same[:1]) == (1.0, 1.0), "one sentence has no other"


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    first = draw.normal(size=(23, 4))
    second = first + draw.normal(size=(23, 4))
    whole = retrieval(first, second)
    assert 0 < whole[0] < 1
    monkeypatch.setattr(module, "BLOCK", 5)
    assert retrieval(first, second) == whole


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_order_and_length_of_vectors_do_not_matter(seed: int, scale: float) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.normal(size=(2, 12, 3))
    order = draw.permutation(12)
    found = retrieval(first, second)
    assert retrieval(first[order] * scale, second[order]) == found
    assert retrieval(second, first) == found[::-1]


@pytest.mark.parametrize("shapes", [((3, 2), (2, 2)), ((0, 2), (0, 2)), ((3,), (3,))])
def test_sides_must_go_together(shapes: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="two sides of the same shape"):
        retrieval(np.ones(shapes[0]), np.ones(shapes[1]))
