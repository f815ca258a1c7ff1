"""Streams: whole groups, every group once a pass, the same order under a seed whatever else draws random numbers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.api.method import Example, Group, Inputs
from bench.core.sentences import Sentence, Span
from bench.core.subwords import Pieces
from bench.train.batches import POOL, Stream, prefetched, split_inputs


class Counting:
    """Stands in for a collator: remembers what it was given, so that thousands of draws are cheap."""

    def pieces(self, examples: Sequence[Example]) -> list[Pieces]:
        return [Pieces(np.zeros(len(e.sentence.words), np.int64), np.zeros(0, np.int64)) for e in examples]

    def __call__(self, examples: Sequence[Example], pieces: Sequence[Pieces], groups: Sequence[int]) -> Any:
        assert [len(p.ids) for p in pieces] == [len(e.sentence.words) for e in examples]
        return list(zip(groups, (e.sentence.id for e in examples), strict=True))


def groups_of(sizes: Sequence[int], seed: int = 0) -> tuple[Group, ...]:
    """Groups of so many sentences, of random lengths."""
    draw = random.Random(seed)
    return tuple(
        tuple(Example(Sentence(f"{i}.{j}", "en", ("w",) * draw.randint(1, 30))) for j in range(size))
        for i, size in enumerate(sizes)
    )


def stream(sizes: Sequence[int], batch: int, seed: int = 0) -> Stream:
    return Stream(groups_of(sizes), batch, Counting(), np.random.default_rng(seed))  # type: ignore[arg-type]


def take(source: Stream) -> list[tuple[int, str]]:
    drawn: Any = source.take()
    return list(drawn)


group_sizes = st.one_of(
    st.builds(lambda size, count: [size] * count, st.integers(1, 2), st.integers(1, 90)),
    st.lists(st.integers(1, 3), min_size=1, max_size=60),
)


@given(group_sizes, st.integers(3, 16), st.integers(0, 5))
@example([1] * 10, 16, 0)  # smaller than a batch
@example([1] * 40, 8, 0)  # far fewer than a pool
@example([1, 2] * 20, 8, 0)
@example([2] * 5, 5, 0)  # every pool leaves one over
@settings(max_examples=60)
def test_whole_groups_and_full_batches_and_no_group_ahead(sizes: list[int], batch: int, seed: int) -> None:
    source = stream(sizes, batch, seed)
    seen: Counter[int] = Counter(dict.fromkeys(range(len(sizes)), 0))
    passes = -(-batch // sum(sizes))  # of which a batch is made, where the stream is smaller than one
    for _ in range(3 * max(1, sum(sizes) // batch) + 2):
        drawn = take(source)
        assert batch - max(sizes) < len(drawn) <= batch, "batches have `batch` sentences or just fewer"
        times = Counter(group for group, _ in drawn)
        assert drawn == [(i, f"{i}.{j}") for i, _ in _runs(drawn) for j in range(sizes[i])]
        seen.update({i: n // sizes[i] for i, n in times.items()})
        assert max(seen.values()) - min(seen.values()) <= passes + 1, "some groups run ahead of others"


def _runs(drawn: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first sentence of each group, as often as the group was drawn."""
    return [(i, name) for i, name in drawn if name.endswith(".0")]


@pytest.mark.parametrize(("sizes", "batch"), [([1] * 96, 8), ([2] * 48, 8), ([1] * 8, 8), ([1] * 800, 8)])
def test_every_group_once_a_pass(sizes: list[int], batch: int) -> None:
    assert POOL * 8 < 800  # so the last case draws several pools a pass
    source = stream(sizes, batch)
    for done in range(1, 4):
        drawn = [i for _ in range(sum(sizes) // batch) for i, _ in _runs(take(source))]
        assert len(drawn) == len(set(drawn)) == len(sizes)
        assert source.drawn == done * len(sizes)


def test_batches_of_small_streams_hold_different_sentences() -> None:
    """Sorting several passes together by length would fill a batch with copies of a few sentences."""
    for size, batch in ((50, 32), (33, 32), (32, 32), (100, 16)):
        source = stream([1] * size, batch)
        assert {len({i for i, _ in take(source)}) for _ in range(100)} == {batch}
    tiny = stream([1] * 10, 32)
    assert {len({i for i, _ in take(tiny)}) for _ in range(100)} == {10}


def test_batches_differ_from_pass_to_pass() -> None:
    source = stream([1] * 128, 16)
    first = {frozenset(i for i, _ in take(source)) for _ in range(8)}
    second = {frozenset(i for i, _ in take(source)) for _ in range(8)}
    assert len(first & second) <= 4, "sentences of one length are mixed anew"


def test_batches_are_bucketed_by_length_but_drawn_in_random_order() -> None:
    source = stream([1] * 512, 16)
    lengths = {f"{i}.0": len(group[0].sentence.words) for i, group in enumerate(source.groups)}
    drawn = [[lengths[name] for _, name in take(source)] for _ in range(32)]
    padded = sum(max(own) * len(own) for own in drawn)
    assert padded < 1.1 * sum(map(sum, drawn))
    means = [sum(own) / len(own) for own in drawn]
    assert means != sorted(means)
    assert means != sorted(means, reverse=True)


@given(group_sizes, st.integers(3, 16), st.integers(0, 60))
@settings(max_examples=30)
def test_draws_from_a_later_one_on_are_those_of_a_stream_from_the_start(
    sizes: list[int], batch: int, first: int
) -> None:
    whole, tail = ({"labelled": stream(sizes, batch, 3)} for _ in range(2))
    assert list(prefetched(whole, first + 8))[first:] == list(prefetched(tail, first + 8, first))
    assert whole["labelled"].drawn == tail["labelled"].drawn


def test_same_seed_same_order_and_another_seed_another() -> None:
    def order(seed: int) -> list[list[tuple[int, str]]]:
        source = stream([1, 2] * 30, 8, seed)
        return [take(source) for _ in range(40)]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_global_random_numbers_change_nothing() -> None:
    def order(noise: int) -> list[list[tuple[int, str]]]:
        random.seed(noise)
        np.random.seed(noise)
        torch.manual_seed(noise)
        source = stream([1] * 50, 8)
        return [take(source) for _ in range(40)]

    states = (random.getstate(), torch.get_rng_state())
    assert order(1) == order(2)
    random.setstate(states[0])
    torch.set_rng_state(states[1])
    stream([1] * 50, 8).take()
    assert random.getstate() == states[0], "drawing takes nothing from the global streams"
    assert torch.equal(torch.get_rng_state(), states[1])


def test_prefetching_changes_nothing() -> None:
    def both() -> dict[str, Stream]:
        return {"labelled": stream([1] * 37, 8, 1), "unlabelled": stream([1] * 20, 8, 2)}

    ahead: Any = list(prefetched(both(), 30))
    one_by_one = both()
    assert ahead == [{name: take(source) for name, source in one_by_one.items()} for _ in range(30)]
    stopped = both()
    for _ in prefetched(stopped, 5):
        pass
    assert stopped["labelled"].drawn == 5 * 8, "not one draw more than asked for"


def test_a_failing_draw_is_not_lost_in_its_thread() -> None:
    class Failing(Counting):
        def __call__(self, *_: Any) -> Any:
            raise KeyError("B-UNKNOWN")

    source = Stream(groups_of([1] * 20), 8, Failing(), np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="B-UNKNOWN"):
        list(prefetched({"labelled": source}, 3))


def test_a_group_that_fits_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="group of 3 sentences does not fit a batch of 2"):
        stream([1, 3], 2)


# --- tensors ----------------------------------------------------------------------------------------------------------


def inputs_of(collator: Any, examples: Sequence[Example], groups: Sequence[int] | None = None) -> Inputs:
    made: Inputs = collator(examples, collator.pieces(examples), groups or range(len(examples)))
    return made


def test_labels_soft_labels_and_weights_are_laid_out(new_collator: Callable[..., Any]) -> None:
    soft = np.full((2, 5), 0.2, np.float32)
    both = (Span(0, 2, "PER"), Span(3, 4, "LOC"))
    inputs = inputs_of(
        new_collator(),
        [
            Example(Sentence("a", "en", ("Anna", "Bob", "saw", "Rome"), both), None, 2.0),
            Example(Sentence("b", "de", ("dog", "dog"), None), soft),
            Example(Sentence("c", "de", ("dog",), ())),
        ],
        [7, 7, 9],
    )
    assert inputs.labels.tolist() == [[1, 2, 0, 3], [-100] * 4, [0, -100, -100, -100]]
    assert inputs.soft is not None
    assert inputs.soft_mask is not None
    assert inputs.soft_mask.tolist() == [[False] * 4, [True, True, False, False], [False] * 4]
    assert np.array_equal(inputs.soft[1, :2], soft)
    assert inputs.weights.tolist() == [2.0, 1.0, 1.0]
    assert inputs.groups.tolist() == [7, 7, 9]
    assert inputs.languages == ("en", "de", "de")
    assert inputs.tokens == int(inputs.mask.sum()) == 4 + 2 + 1 + 3 * 2
    without = inputs_of(new_collator(), [Example(Sentence("c", "de", ("dog",), ()))])
    assert without.soft is None
    assert without.soft_mask is None


def test_split_inputs_keeps_groups_labels_and_soft_labels(
    new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    collator = new_collator()
    rng = np.random.default_rng(0)
    examples = []
    for number, one in enumerate(toy(10)):
        soft = rng.dirichlet(np.ones(5), len(one.words)).astype(np.float32) if number % 3 else None
        examples.append(Example(one, soft, weight=1 + number / 8))
    groups = [0, 0, 3, 3, 1, 1, 5, 5, 2, 2]
    whole = inputs_of(collator, examples, groups)
    for count in (2, 3, 5, 16):
        parts = split_inputs(whole, count, collator)
        assert len(parts) == min(count, 5)
        assert sorted(s.id for part in parts for s in part.sentences) == sorted(e.sentence.id for e in examples)
        for part in parts:
            assert set(Counter(part.groups.tolist()).values()) == {2}
            for row, one in enumerate(part.sentences):
                at = whole.sentences.index(one)
                words = len(one.words)
                assert part.groups[row] == whole.groups[at]
                assert part.weights[row] == whole.weights[at]
                assert torch.equal(part.labels[row, :words], whole.labels[at, :words])
                mask = torch.zeros(words, dtype=torch.bool) if part.soft_mask is None else part.soft_mask[row, :words]
                assert whole.soft_mask is not None
                assert torch.equal(mask, whole.soft_mask[at, :words])
                if part.soft is not None and whole.soft is not None:
                    assert torch.equal(part.soft[row, :words], whole.soft[at, :words])
