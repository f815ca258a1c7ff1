"""The encoder of a tagger: transformers' own model with word embeddings by the row and frozen layers; its optimiser.

By the row: of the word embeddings only the rows that some sentence reads are loaded, and can learn. Frozen: with few
training sentences the lowest layers are often better left alone (Wu & Dredze 2019, section 3.2); their states of a
window of text are then the same for every method, seed and step, and are computed once.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api.method import Inputs
from bench.core.errors import BadInput
from bench.core.memo import Memo, process_memo
from bench.core.subwords import Ints
from bench.data.loading import PLAIN, Loaded, layer_stack, load_encoder, stored_matrix
from bench.plan.sections import EncoderSpec


class Pretrained:
    """Word embeddings (V, H) as pre-trained: all trainings of the process share them, none changes them."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def rows(self, ids: Ints) -> Tensor:
        """A float32 copy of some rows (n, H)."""
        return self.weight[torch.from_numpy(ids)].float()

    def __deepcopy__(self, memo: dict[int, Any]) -> Pretrained:
        return self


class WordRows(nn.Module):
    """Some rows of a table of word embeddings (V, H), in its place.

    `weight` (R, H) learns, and `ids` (R,) tells which rows it holds. `others` (E, H) are read by predictions only: a
    row that training does not read stays as pre-trained, as it would in the whole table, since word embeddings do not
    decay. Frozen embeddings are all among the others.
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
        """Hold these rows, too, to train them; called before an optimiser is made."""
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
        """Hold these rows at least for reading."""
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
    """Let an encoder of transformers hold its word embeddings by the row; `stored` gives the whole stored table.

    If its word embeddings are no plain table, or also part of another module, it keeps them whole.
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
    """Make a tagger's encoder hold the rows of these sub-words."""
    for _, table in row_tables(model):
        table.cover(ids)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], strict: bool = True) -> list[str]:
    """Load a state, whose rows may be others than the model's; names of weights that the state lacks."""
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


def fresh_encoder(key: str, where: str, layers: int | None = None) -> Loaded:
    """`load_encoder` by the row, copied from what this process keeps under the content key. BadInput as there."""
    memo, name = process_memo(), ("encoder", key, layers)
    kept: Loaded | None = memo.get(name)
    if kept is None:
        kept = load_encoder(where, layers)
        size = sum(p.numel() * p.element_size() for p in kept.model.parameters())
        use_rows(kept.model, functools.partial(stored_matrix, where))
        memo.put(name, kept, size)
    return replace(kept, model=copy.deepcopy(kept.model))


class Encoder(nn.Module):
    """Windows of sub-words (W, L) to last-layer states (W, L, H); counts its passes and sub-words.

    `freeze`: the embeddings and so many of the lowest layers learn nothing and are never in training mode; `memo`
    keeps their states under the content key `key`. `whole`: never run layer by layer.

    Raises:
        BadInput: the model has fewer layers below its last, or no single stack of layers.
    """

    def __init__(
        self, model: Any, freeze: int = 0, key: str = "", memo: Memo | None = None, whole: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.freeze, self.key, self.memo = freeze, key, memo
        self.passes = self.tokens = 0
        self._stack = (layer_stack(model),)  # in a tuple: its layers are the model's, not registered twice
        self._cut = bool(freeze) and not whole and model.config.model_type in PLAIN  # else it is run whole
        for module in self._frozen():
            module.requires_grad_(False)

    @property
    def config(self) -> Any:
        """transformers' configuration of the model."""
        return self.model.config

    def forward(self, inputs: Inputs, first: bool = False) -> tuple[Tensor, Tensor | None]:
        """The last layer's states, and with `first` those of the first layer."""
        self.passes += 1
        self.tokens += inputs.tokens
        if self._cut and not first:
            states = self._frozen_states(inputs.ids, inputs.mask)
            bias = (1.0 - inputs.mask[:, None, None, :].to(states.dtype)) * torch.finfo(states.dtype).min
            return self._through(slice(self.freeze, None), states, bias), None
        out = self.model(input_ids=inputs.ids, attention_mask=inputs.mask, output_hidden_states=first)
        return out.last_hidden_state, out.hidden_states[1] if first else None

    def train(self, mode: bool = True) -> Encoder:
        """As in torch, but frozen layers stay in evaluation mode, without dropout."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def checkpoint(self) -> None:
        """Keep no activations for the backward pass: it computes them again."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    # --- frozen layers -----------------------------------------------------------------------------------------------

    def _frozen(self) -> list[nn.Module]:
        """The modules below the first layer that learns, embeddings and layers, in the order of the model."""
        if not self.freeze:
            return []
        (stack,) = self._stack
        if stack is None or self.freeze >= len(stack):
            have = "no single stack of layers" if stack is None else f"{len(stack)} layers; the last must learn"
            raise BadInput(f"freeze = {self.freeze}, but the encoder has {have}")
        name = next(name for name, module in self.model.named_modules() if module is stack)
        holders = {"", *(name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)), name}
        below = []
        for module_name, module in self.model.named_modules():
            if module is stack[self.freeze]:
                break
            if module_name not in holders:
                below.append(module)
        return below

    def _frozen_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States (W, L, H) below the first layer that learns; zeros where the mask is 0.

        Each window is computed alone, so that its bits depend on nothing else; a window read before is looked up.
        """
        device = ids.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        setting = ("frozen", self.key, self.freeze, str(ids.device), kind, torch.get_num_threads())
        windows = []
        for row, length in zip(ids.cpu(), mask.sum(1).tolist(), strict=True):
            name = (*setting, row[:length].numpy().tobytes())
            states = self.memo.get(name) if self.memo is not None else None
            if states is None:
                with torch.no_grad():
                    embedded = self.model.embeddings(input_ids=row[None, :length].to(ids.device))
                    if hasattr(self.model, "embeddings_project"):  # ELECTRA
                        embedded = self.model.embeddings_project(embedded)
                    states = self._through(slice(self.freeze), embedded, None)[0]
                if self.memo is not None:
                    self.memo.put(name, states, states.numel() * states.element_size())
            windows.append(states)
        return nn.utils.rnn.pad_sequence(windows, batch_first=True)

    def _through(self, layers: slice, states: Tensor, bias: Tensor | None) -> Tensor:
        """States after some layers; `bias` (W, 1, 1, L) is added to the attention's scores."""
        (stack,) = self._stack
        assert stack is not None
        for layer in list(stack)[layers]:
            out = layer(states, bias)
            states = out[0] if isinstance(out, tuple) else out
        return states


def encoder_of(tagger: nn.Module) -> Encoder | None:
    """The encoder of a tagger, None if it is of another kind."""
    encoder = getattr(tagger, "encoder", None)
    return encoder if isinstance(encoder, Encoder) else None


def word_embeddings(tagger: nn.Module) -> Tensor | None:
    """What learns of the word embeddings of a tagger's encoder, None if it has no encoder or its encoder no table."""
    encoder = encoder_of(tagger)
    table = None if encoder is None else encoder.model.get_input_embeddings()
    return getattr(table, "weight", None)


def rate(step: int, total: int, warmup: float) -> float:
    """The share of the full learning rate at a step from 0: linear warm-up, then linear decay."""
    warm = max(1, round(total * warmup))
    return min((step + 1) / warm, (total - step) / max(1, total - warm))


def optimiser_of(tagger: Any, recipe: EncoderSpec) -> torch.optim.AdamW:
    """Fused AdamW; `full` of a group is its rate before the schedule; the head may have its own.

    Matrices decay, as in BERT's own recipe, except word embeddings, so that a row that no sentence reads never changes.
    """
    tables, words = [f"{name}.weight" for name, _ in row_tables(tagger)], word_embeddings(tagger)
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in tagger.named_parameters():
        if parameter.requires_grad:
            table = parameter is words or name in tables
            decay = recipe.weight_decay if parameter.ndim > 1 and not table else 0.0
            lr = recipe.lr if name.startswith("encoder.") else recipe.head_lr or recipe.lr
            groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": own, "lr": lr, "full": lr, "weight_decay": decay} for (lr, decay), own in groups.items()],
        fused=True,
    )
