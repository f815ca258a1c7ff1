"""Training only the embeddings that are read gives what training them all gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.api.method import EpochState, Method, Tagger, TrainingSet, singles
from bench.core.sentences import Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train import fit as loop
from bench.train.fit import FitPlan, fit
from bench.train.used_rows import UsedRows

TRAIN = TrainSpec(steps=12, batch=8, evals=2)
RECIPE = EncoderSpec(lr=1e-3, max_length=64, weight_decay=0.5)


class Plain(Method):
    """Every default of the interface; notes the rows of the embeddings that it meets."""

    name = "plain"

    def __init__(self) -> None:
        super().__init__()
        self.met: list[int] = []

    def on_epoch(self, tagger: Tagger, state: EpochState) -> None:
        self.met.append(len(table(tagger).weight))


class Every(UsedRows):
    """All rows, the plain way."""

    def __init__(self, tagger: torch.nn.Module, ids: Any) -> None:
        super().__init__(torch.nn.Module(), ids)


def table(tagger: Any) -> torch.nn.Embedding:
    found: torch.nn.Embedding = tagger.encoder.get_input_embeddings()
    return found


def ids_of(*numbers: int) -> Iterator[np.ndarray]:
    return iter([np.asarray(numbers, np.int64)])


def test_it_is_the_training_of_all_rows(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = toy(12)
    taggers = []
    for kind in (UsedRows, Every):
        monkeypatch.setattr(loop, "UsedRows", kind)
        method, tagger = Plain(), new_tagger(1)
        with torch.random.fork_rng(devices=[]):
            fit(
                FitPlan(method, TRAIN, RECIPE, 3, toy(6, 5)),
                TrainingSet(labelled=singles(few)),
                tagger,
                new_collator(),
                tmp_path,
            )
        assert set(method.met) == {len(table(tagger).weight)}, "a hook meets them all"
        taggers.append(tagger)
    before, after = table(new_tagger(1)).weight.detach(), table(taggers[0]).weight.detach()
    moved = (after - before).abs().amax(1)
    used = {int(i) for one in new_collator().pieces([group[0] for group in singles(few)]) for i in one.ids}
    unused = [row for row in range(len(before)) if row not in used and row > 4]
    assert len(used) > 10, "some are read"
    assert len(unused) > 10, "and some are not"
    ratio = (after / before)[unused]
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.mean())), atol=1e-5, rtol=0)
    assert 0.99 < float(ratio.mean()) < 0.999, "what is not read decays"
    assert float(moved[sorted(used)].min()) > 0
    for (name, one), other in zip(taggers[0].named_parameters(), taggers[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=1e-5, msg=name)


def test_inside_it_is_small_and_outside_it_is_whole(new_tagger: Callable[..., Any]) -> None:
    tagger = new_tagger(1)
    before, padding = table(tagger).weight.detach().clone(), table(tagger).padding_idx
    ids = torch.tensor([[2, 7, 9, 3, 0]])
    tagger.eval()
    plain = tagger.encoder(input_ids=ids).last_hidden_state
    rows = UsedRows(tagger, ids_of(0, 2, 3, 7, 9, 9))
    assert table(tagger).weight.shape[0] == 5
    assert torch.equal(tagger.encoder(input_ids=ids).last_hidden_state, plain)
    with pytest.raises(IndexError):
        tagger.encoder(input_ids=torch.tensor([[8]]))
    optimiser = torch.optim.AdamW(
        [{"params": [p for p in tagger.parameters() if p.requires_grad], "weight_decay": 0.1}], lr=0.01
    )
    rows.follow(optimiser)
    tagger.encoder(input_ids=ids).last_hidden_state.square().mean().backward()
    assert not table(tagger).weight.grad[0].any(), "padding learns nothing"  # type: ignore[index]
    optimiser.step()
    assert rows.factor == pytest.approx(0.999)
    for look in (rows.whole, nullcontext):
        if look is nullcontext:
            rows.release()
        with look():
            weight = table(tagger).weight
            assert weight.shape == before.shape
            assert table(tagger).padding_idx == padding
            torch.testing.assert_close(weight[[1, 4, 5, 8]], before[[1, 4, 5, 8]] * 0.999)
            assert ((weight[[2, 7, 9]] - before[[2, 7, 9]] * 0.999).abs().amax(1) > 1e-4).all()
            tagger.encoder(input_ids=torch.tensor([[8]]))
    assert not table(tagger)._forward_pre_hooks


@pytest.mark.parametrize("kind", ["frozen", "shared", "no encoder", "a subclass"])
def test_what_is_no_table_of_its_own_is_left(new_tagger: Callable[..., Any], kind: str) -> None:
    tagger = new_tagger(1)
    if kind == "frozen":
        table(tagger).weight.requires_grad_(False)
    elif kind == "shared":
        tagger.output = torch.nn.Linear(32, len(table(tagger).weight))
        tagger.output.weight = table(tagger).weight
    elif kind == "no encoder":
        tagger = torch.nn.Linear(3, 3)
    else:
        table(tagger).__class__ = type("Scaled", (torch.nn.Embedding,), {})
    before = [p.shape for p in tagger.parameters()]
    rows = UsedRows(tagger, ids_of(0, 1))
    assert [p.shape for p in tagger.parameters()] == before
    rows.follow(torch.optim.AdamW(tagger.parameters()))
    with rows.whole():
        assert [p.shape for p in tagger.parameters()] == before
    rows.release()
