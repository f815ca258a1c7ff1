"""Of a large vocabulary only the embeddings that the training data read are trained: as many rows as XLM-R's 250,002
cost a small encoder a third of its step on a CPU, and 1,000 sentences read a few thousand of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.api.method import Ints


class UsedRows:
    """Stands a matrix of the rows that are read, (R, H), in for an encoder's word embeddings (V, H) while it trains.

    The result is that of training them all, up to rounding: a row that no batch reads has a zero gradient, so that
    AdamW changes it by weight decay alone, the same factor for each. Adam's moments, the norm that is clipped and what
    a save holds shrink with the matrix. An encoder whose word embeddings are frozen, shared with another module or no
    plain table is left as it is.
    """

    def __init__(self, tagger: nn.Module, ids: Iterable[Ints]) -> None:
        """Swap the matrix; `ids` are all sub-words that any batch will hold, special ones with them."""
        self.factor = 1.0  # what the decay of all steps so far left of the other rows
        self._embedding = _trained_table(tagger)
        if self._embedding is None:
            return
        self._all = self._embedding.weight.detach()
        self._used = torch.from_numpy(np.unique(np.concatenate(list(ids)))).to(self._all.device)
        self._row = torch.full((len(self._all),), len(self._used), device=self._all.device)  # no row: an error
        self._row[self._used] = torch.arange(len(self._used), device=self._all.device)
        self._padding = self._embedding.padding_idx
        self._rows = nn.Parameter(self._all[self._used])
        self._hook = self._embedding.register_forward_pre_hook(self._renumber)
        self._put(self._rows)

    def follow(self, optimiser: torch.optim.Optimizer) -> None:
        """Keep count of the weight decay of the optimiser, an AdamW over the swapped matrix."""
        if self._embedding is None:
            return

        def decayed(*_: Any) -> None:  # a restored optimiser has other groups
            group = next(g for g in optimiser.param_groups if any(p is self._rows for p in g["params"]))
            self.factor *= 1 - float(group["lr"]) * float(group["weight_decay"])

        optimiser.register_step_post_hook(decayed)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within it the encoder has all its embeddings, as trained so far."""
        if self._embedding is None:
            yield
            return
        self._put(nn.Parameter(self._filled()))
        try:
            yield
        finally:
            self._put(self._rows)

    def release(self) -> None:
        """Give the encoder all its embeddings for good."""
        if self._embedding is not None:
            self._hook.remove()
            self._put(nn.Parameter(self._filled()))

    @torch.no_grad()
    def _filled(self) -> Tensor:
        filled = self._all * self.factor
        filled[self._used] = self._rows
        return filled

    def _put(self, weight: nn.Parameter) -> None:
        assert self._embedding is not None
        self._embedding.weight = weight
        if self._padding is not None and weight is self._rows:
            self._embedding.padding_idx = int(self._row[self._padding])
        else:
            self._embedding.padding_idx = self._padding

    def _renumber(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        return (self._row[args[0]], *args[1:]) if module.weight is self._rows else args


def _trained_table(tagger: nn.Module) -> nn.Embedding | None:
    """The encoder's word embeddings, if they are a plain table of its own that learns."""
    encoder: Any = getattr(tagger, "encoder", None)
    table = encoder.get_input_embeddings() if hasattr(encoder, "get_input_embeddings") else None
    if type(table) is not nn.Embedding or not table.weight.requires_grad or table.max_norm is not None:
        return None
    owners = [m for m in tagger.modules() for p in m.parameters(recurse=False) if p is table.weight]
    return table if len(owners) == 1 else None
