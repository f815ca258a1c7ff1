"""Word embeddings by the row give what the whole table gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.api.method import EpochState, Method, Tagger, TrainingSet, singles
from bench.core.sentences import Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train.encoder import Pretrained, WordRows, cover, load_weights, row_tables, use_rows, whole_state
from bench.train.fit import FitPlan, fit
from bench.train.predict import predict

TRAIN = TrainSpec(steps=12, batch=8, evals=2)
RECIPE = EncoderSpec(lr=1e-3, max_length=64, weight_decay=0.5)


class Meeting(Method):
    """Every default of the interface; notes how many rows learn."""

    name = "meeting"

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[int] = set()

    def on_epoch(self, tagger: Tagger, state: EpochState) -> None:
        self.rows.add(len(table_of(tagger).weight))


def table_of(tagger: Any) -> WordRows:
    ((_, table),) = row_tables(tagger)
    return table


def by_need(tagger: Any) -> Any:
    """The tagger as a training gets it: without a row."""
    table_of(tagger).hold(np.zeros(0, np.int64))
    return tagger


@pytest.fixture
def trained(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> Callable[..., Any]:
    """`trained(tagger)`: after 12 steps on 12 sentences, its method's notes beside it."""

    def train(tagger: Any, sentences: int = 12) -> tuple[Any, Meeting]:
        method, data = Meeting(), TrainingSet(labelled=singles(toy(sentences)))
        with torch.random.fork_rng(devices=[]):
            fit(FitPlan(method, TRAIN, RECIPE, 3, toy(6, 5)), data, tagger, new_collator(), tmp_path)
        return tagger, method

    return train


def test_a_training_by_the_row_is_the_training_of_the_whole_table(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    trained: Callable[..., Any],
) -> None:
    few, method = trained(by_need(new_tagger(1)))
    every, _ = trained(new_tagger(1))
    total = len(table_of(few).held)
    assert method.rows == {len(table_of(few).weight)} and 10 < len(table_of(few).weight) < total - 10
    assert len(table_of(every).weight) == total
    others = [s for s in toy(40, 9) if s.words] + [Sentence("z", "en", ("Zqx", "q", "7"))]  # rows that none learned
    ours, theirs = (predict(tagger, new_collator(), others) for tagger in (few, every))
    for one, other in zip(ours.probabilities, theirs.probabilities, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    whole = whole_state(every)
    for name, tensor in whole_state(few).items():
        torch.testing.assert_close(tensor, whole[name], atol=2e-6, rtol=1e-5, msg=name)


def test_a_row_that_no_sentence_reads_stays_as_pre_trained(
    new_tagger: Callable[..., Any], trained: Callable[..., Any]
) -> None:
    tagger, _ = trained(new_tagger(1))  # all rows in the optimiser, decay 0.5
    before, after = table_of(tagger).pretrained.weight, table_of(tagger).whole()
    read = {int(i) for i in table_of(trained(by_need(new_tagger(1)))[0]).ids}
    for row in range(len(before)):
        assert torch.equal(before[row], after[row]) == (row not in read or row == 0), row  # 0 is padding


def test_rows_of_an_earlier_round_are_kept_by_the_next(
    new_tagger: Callable[..., Any], trained: Callable[..., Any]
) -> None:
    """The second training reads fewer sentences: what it does not read stays as the first one left it."""
    first, _ = trained(by_need(new_tagger(1)))
    second = by_need(new_tagger(2))
    assert load_weights(second, first.state_dict()) == []
    second, _ = trained(second, sentences=1)
    left, right = table_of(first).whole(), table_of(second).whole()
    rows = table_of(first).ids.tolist()
    same = [row for row in rows if torch.equal(left[row], right[row])]
    assert 3 < len(same) < len(rows)
    assert any(not torch.equal(left[row], table_of(first).pretrained.weight[row]) for row in same if row)


def test_frozen_embeddings_are_read_and_not_learned(
    new_tagger: Callable[..., Any], trained: Callable[..., Any], new_collator: Callable[..., Any]
) -> None:
    tagger = by_need(new_tagger(1))
    table_of(tagger).weight.requires_grad_(False)
    trained(tagger)
    assert len(table_of(tagger).weight) == 0 and len(table_of(tagger).others)
    assert torch.equal(table_of(tagger).whole(), table_of(tagger).pretrained.weight)


@given(st.lists(st.lists(st.integers(0, 19), max_size=8), max_size=4), st.lists(st.integers(0, 19), max_size=8))
@settings(max_examples=60)
def test_whatever_is_held_where_a_lookup_is_the_tables(covered: list[list[int]], learned: list[int]) -> None:
    weight = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    table, plain = WordRows(Pretrained(weight), 0), nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=0)
    table.learn(np.asarray(learned, np.int64))
    for ids in covered:
        table.cover(np.asarray(ids, np.int64))
    held = sorted({*learned, *(i for ids in covered for i in ids)})
    if held:
        ids = torch.tensor([held, held[::-1]])
        out = table(ids)
        assert torch.equal(out, plain(ids))
        if learned:
            out.square().sum().backward()
            plain(ids).square().sum().backward()
            assert torch.equal(table.weight.grad, plain.weight.grad[table.ids])  # type: ignore[index]
    for other in {*range(20)} - set(held):
        with pytest.raises((IndexError, RuntimeError)):
            table(torch.tensor([other]))


@pytest.mark.parametrize("kind", ["a subclass", "shared", "normed"])
def test_what_is_no_plain_table_of_its_own_stays_whole(small_encoder: Callable[..., Any], kind: str) -> None:
    model = small_encoder("bert")
    table = model.get_input_embeddings()
    if kind == "a subclass":
        table.__class__ = type("Scaled", (nn.Embedding,), {})
    elif kind == "shared":
        model.output = nn.Linear(32, 60)
        model.output.weight = table.weight
    else:
        table.max_norm = 1.0
    use_rows(model)
    assert not list(row_tables(model))
    cover(model, np.asarray([1]))  # nothing to do
    assert model.get_input_embeddings() is table
