"""Our dropout and attention on the CPU do what torch's and transformers' do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.train.attention import NAME, PLAIN, attention_of, for_cpu
from bench.train.dropout import Dropout, dropped_out, quicken


@settings(max_examples=40, deadline=None)
@given(
    p=st.floats(0.001, 0.999),
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    kind=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 2**31),
)
def test_every_value_is_dropped_or_scaled(p: float, shape: list[int], kind: torch.dtype, seed: int) -> None:
    torch.manual_seed(seed)
    values = torch.ones(shape, dtype=kind, requires_grad=True)
    found = dropped_out(values, p, True)
    assert found.shape == values.shape
    assert found.dtype == kind
    scale = torch.tensor(1 / (1 - round(p * 65536) / 65536)).to(kind)
    assert ((found == 0) | (found == scale)).all()
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())  # type: ignore[arg-type]
    torch.manual_seed(seed)
    assert torch.equal(dropped_out(values, p, True), found), "the seed decides"


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_the_share_is_p_and_values_are_independent(p: float) -> None:
    torch.manual_seed(0)
    count = 400_000
    gone = (dropped_out(torch.ones(count), p, True) == 0).float()
    error = math.sqrt(p * (1 - p) / count)
    assert abs(float(gone.mean()) - p) < 4.5 * error
    for lag in (1, 2, 3, 4, 8):  # four values share a draw of 64 bits
        together = float((gone[lag:] * gone[:-lag]).mean())
        assert abs(together - p * p) < 5 * error


def test_in_evaluation_and_at_the_ends_it_is_torchs() -> None:
    values = torch.randn(50)
    assert dropped_out(values, 0.3, False) is values or torch.equal(dropped_out(values, 0.3, False), values)
    assert torch.equal(dropped_out(values, 0.0, True), values)
    assert not dropped_out(values, 1.0, True).any()


def test_modules_are_replaced_wherever_they_stand() -> None:
    class Own(torch.nn.Dropout):
        """A subclass, whose behaviour is its own."""

    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.4))
    model = torch.nn.Sequential(torch.nn.Dropout(0.2), inner)
    model.append(Own(0.3))
    model[1].eval()
    quicken(model)
    kinds = [type(m) for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    assert kinds == [Dropout, Dropout, Own]
    assert (model[0].p, model[1][1].p) == (0.2, 0.4)
    assert (model[0].training, model[1][1].training) == (True, False)


@pytest.mark.parametrize("kind", PLAIN)
def test_attention_is_that_of_transformers(small_encoder: Callable[..., Any], kind: str) -> None:
    model = small_encoder(kind)
    ids = torch.randint(3, 60, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    ids[1, 5:] = 0
    plain = model(input_ids=ids, attention_mask=mask).last_hidden_state
    for_cpu(model)
    assert model.config._attn_implementation == NAME
    ours = model(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(ours[mask.bool()], plain[mask.bool()], atol=1e-5, rtol=1e-5)
    model.train()
    torch.manual_seed(1)
    one = model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert not torch.allclose(one, model(input_ids=ids, attention_mask=mask).last_hidden_state), "dropout is on"


def test_an_encoder_whose_attention_is_another_keeps_it(small_encoder: Callable[..., Any]) -> None:
    model = small_encoder("deberta-v2", relative_attention=True, pos_att_type=["p2c", "c2p"])
    tagger = torch.nn.ModuleDict({"encoder": model})
    before = attention_of(tagger)
    for_cpu(model)
    assert attention_of(tagger) == before != NAME
    assert attention_of(torch.nn.Module()) == "", "no encoder of transformers"
