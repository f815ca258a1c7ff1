"""Word embeddings by the row: of a vocabulary only the rows that some sentence reads are loaded, and can learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.subwords import Ints


class Pretrained:
    """Word embeddings (V, H) as they were pre-trained: every training of the process reads these, none changes them."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def rows(self, ids: Ints) -> Tensor:
        """A float32 copy of some rows (n, H)."""
        return self.weight[torch.from_numpy(ids)].float()

    def __deepcopy__(self, memo: dict[int, Any]) -> Pretrained:
        return self


class WordRows(nn.Module):
    """Stands in for a table of word embeddings (V, H), of which it holds the rows that are asked for.

    `weight` (R, H) learns, and `ids` (R,) tells which rows it holds. `others` (E, H) are read by predictions only: a
    row that training does not read stays as pre-trained, as it would with all rows, since word embeddings are not
    decayed. Frozen embeddings are all among the others.
    """

    ids: Tensor
    others: Tensor
    place: Tensor

    def __init__(self, pretrained: Pretrained, padding: int | None) -> None:
        super().__init__()
        self.pretrained, self.padding = pretrained, padding
        self._padding_place: int | None = None
        size, width = pretrained.weight.shape
        self.held = np.zeros(size, bool)
        self.weight = nn.Parameter(torch.empty(0, width))
        self.register_buffer("ids", torch.empty(0, dtype=torch.int64))
        self.register_buffer("others", torch.empty(0, width), persistent=False)
        self.register_buffer("place", torch.full((size,), -1), persistent=False)  # of a row in weight, then in others

    def learn(self, ids: Ints) -> None:
        """Hold these rows, too, to learn them; before an optimiser is made."""
        if not self.weight.requires_grad:
            return self.cover(ids)
        known = self.ids.cpu().numpy()
        new = np.setdiff1d(ids, known)
        rows = self.pretrained.rows(new).to(self.weight.device)
        self._hold(np.concatenate([known, new]), torch.cat([self.weight.detach(), rows]))

    def hold(self, ids: Ints) -> None:
        """Hold exactly these rows, as pre-trained."""
        self._hold(ids, self.pretrained.rows(ids).to(self.weight.device))

    def _hold(self, ids: Ints, rows: Tensor) -> None:
        device = self.weight.device
        self.weight = nn.Parameter(rows, self.weight.requires_grad)
        self.ids = torch.from_numpy(ids).to(device)
        self.others = self.others[:0]
        self.place = torch.full_like(self.place, -1)
        self.place[self.ids] = torch.arange(len(ids), device=device)
        self._padding_place = next(iter(np.flatnonzero(ids == self.padding).tolist()), None)
        self.held[:] = False
        self.held[ids] = True

    def cover(self, ids: Ints) -> None:
        """Hold these rows at least to read them."""
        new = np.unique(ids[~self.held[ids]])
        if len(new):
            first, device = len(self.weight) + len(self.others), self.place.device
            self.others = torch.cat([self.others, self.pretrained.rows(new).to(device)])
            self.place[torch.from_numpy(new).to(device)] = torch.arange(first, first + len(new), device=device)
            self.held[new] = True

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings (…, H) of sub-words (…); those of padding learn nothing."""
        place, learnt = self.place[ids], len(self.weight)
        if not len(self.others):
            return F.embedding(place, self.weight, self._padding_place)
        if not learnt:
            return F.embedding(place, self.others)
        own = F.embedding(place.clamp_max(learnt - 1), self.weight, self._padding_place)  # -1, no row, is an error
        return torch.where((place < learnt)[..., None], own, F.embedding((place - learnt).clamp_min(0), self.others))

    def whole(self) -> Tensor:
        """All rows (V, H), on the CPU."""
        table = self.pretrained.weight.float().clone()
        table[self.ids.cpu()] = self.weight.detach().cpu()
        return table


def use_rows(model: Any, stored: Callable[[str, Tensor], Tensor] = lambda name, weight: weight) -> None:
    """Let an encoder of transformers hold its word embeddings by the row; `stored` tells where all rows lie.

    One whose word embeddings are no plain table, or are part of another module as well, keeps them whole.
    """
    table = model.get_input_embeddings()
    if type(table) is not nn.Embedding or table.max_norm is not None:
        return
    others = [m for m in model.modules() if m is not table and any(p is table.weight for p in m.parameters(False))]
    if not others:
        name = next(name for name, parameter in model.named_parameters() if parameter is table.weight)
        model.set_input_embeddings(WordRows(Pretrained(stored(name, table.weight.detach())), table.padding_idx))


def row_tables(model: nn.Module) -> Iterator[tuple[str, WordRows]]:
    """The tables by the row of a model, by name."""
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, WordRows):
            yield name, module


def cover(model: nn.Module, ids: Ints) -> None:
    """Let a tagger's encoder read these sub-words."""
    for _, table in row_tables(model):
        table.cover(ids)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], strict: bool = True) -> list[str]:
    """Load a state of other rows than the model has; names of what the state lacks."""
    for name, table in row_tables(model):
        table.hold(weights[f"{name}.ids"].numpy())
    return list(model.load_state_dict(weights, strict=strict).missing_keys)


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state with its word embeddings whole, as transformers has them."""
    state = dict(model.state_dict())
    for name, table in row_tables(model):
        state[f"{name}.weight"] = table.whole()
        del state[f"{name}.ids"]
    return state
