"""Dropout for the CPU, where drawing the mask by torch's `bernoulli_` takes as long as a tenth of a training step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STATES = 2**16  # of the 16 random bits that decide on one value


def dropped_out(values: Tensor, p: float, training: bool) -> Tensor:
    """nn.functional.dropout; on a CPU from 16 random bits a value, in a third of the time.

    There p is rounded to a multiple of 1 / 65,536, and what is kept is scaled by the rounded one: the mean stays exact.
    """
    dropped = round(p * STATES)
    if not training or not dropped or dropped == STATES or values.device.type != "cpu":
        return nn.functional.dropout(values, p, training)
    bits = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = bits[: values.numel()].view(values.shape) >= dropped - STATES // 2
    return values * kept.to(values.dtype).mul_(STATES / (STATES - dropped))


class Dropout(nn.Dropout):
    """nn.Dropout by `dropped_out`."""

    def forward(self, input: Tensor) -> Tensor:
        return dropped_out(input, self.p, self.training)


def quicken(model: nn.Module) -> None:
    """Put ours in the place of every nn.Dropout of the model; a subclass of it is left."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p, child.inplace).train(child.training))
