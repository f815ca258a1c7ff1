"""Which device a run takes, and what it refuses before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.core.errors import BadInput
from bench.train.memory import resolve_device


def test_a_card_that_this_torch_was_not_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with …")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", no_kernel)
    with pytest.raises(BadInput, match=r"no kernel image is available .* or --device cpu") as raised:
        resolve_device("auto", ("fp32",))
    assert "\n" not in str(raised.value)
    assert resolve_device("cpu", ("fp32",)) == "cpu"


def test_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto", ()) == "cpu"
    with pytest.raises(BadInput, match="torch sees no CUDA device"):
        resolve_device("cuda", ())
