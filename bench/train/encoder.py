"""The encoder of a tagger: transformers' own model, its word embeddings by the row, its lowest layers frozen if asked.

Where few sentences are there to learn from, the lowest layers are often better left alone (Wu & Dredze 2019, section
3.2). What they make of a window of text is then the same for every method, seed and step: it is computed once.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.api.method import Inputs
from bench.core.errors import BadInput
from bench.core.memo import Memo, process_memo
from bench.data.loading import PLAIN, Loaded, layer_stack, load_encoder, stored_matrix
from bench.train.rows import use_rows


def fresh_encoder(key: str, where: str, layers: int | None = None) -> Loaded:
    """`load_encoder` by the row, a copy of what this process keeps under that content key. BadInput as there."""
    memo, name = process_memo(), ("encoder", key, layers)
    kept: Loaded | None = memo.get(name)
    if kept is None:
        kept = load_encoder(where, layers)
        size = sum(p.numel() * p.element_size() for p in kept.model.parameters())
        use_rows(kept.model, functools.partial(stored_matrix, where))
        memo.put(name, kept, size)
    return replace(kept, model=copy.deepcopy(kept.model))


class Encoder(nn.Module):
    """Windows of sub-words (W, L) to last-layer states (W, L, H); counts what it reads.

    `freeze`: the embeddings and so many of the lowest layers learn nothing and are never in training mode. `key` and
    `memo`: under which content key, and where, the states that they give are kept. `whole`: never run layer by layer.

    Raises:
        BadInput: the model has no such number of layers below its last, or no single stack of them.
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
            return self._learning(self._frozen_states(inputs.ids, inputs.mask), inputs.mask), None
        out = self.model(input_ids=inputs.ids, attention_mask=inputs.mask, output_hidden_states=first)
        return out.last_hidden_state, out.hidden_states[1] if first else None

    def train(self, mode: bool = True) -> Encoder:
        """Frozen layers stay as they predict, without dropout."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def checkpoint(self) -> None:
        """Keep no activations for the backward pass: it computes them again."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    # --- frozen layers -----------------------------------------------------------------------------------------------

    def _frozen(self) -> list[nn.Module]:
        """What is below the first layer that learns: modules in the order of the model, embeddings and layers."""
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
        found = []
        for row, length in zip(ids.cpu(), mask.sum(1).tolist(), strict=True):
            name = (*setting, row[:length].numpy().tobytes())
            states = self.memo.get(name) if self.memo is not None else None
            if states is None:
                states = self._below(row[None, :length].to(ids.device))[0]
                if self.memo is not None:
                    self.memo.put(name, states, states.numel() * states.element_size())
            found.append(states)
        return nn.utils.rnn.pad_sequence(found, batch_first=True)

    @torch.no_grad()
    def _below(self, ids: Tensor) -> Tensor:
        """States of one window (1, L) below the first layer that learns."""
        states = self.model.embeddings(input_ids=ids)
        if hasattr(self.model, "embeddings_project"):  # ELECTRA
            states = self.model.embeddings_project(states)
        return self._through(slice(self.freeze), states, None)

    def _learning(self, states: Tensor, mask: Tensor) -> Tensor:
        """The layers that learn: states (W, L, H) at the first of them, mask (W, L), to those after the last."""
        bias = (1.0 - mask[:, None, None, :].to(states.dtype)) * torch.finfo(states.dtype).min
        return self._through(slice(self.freeze, None), states, bias)

    def _through(self, layers: slice, states: Tensor, bias: Tensor | None) -> Tensor:
        """States after some layers; `bias` (W, 1, 1, L) is added to the attention's scores."""
        (stack,) = self._stack
        assert stack is not None
        for layer in list(stack)[layers]:
            out = layer(states, bias)
            states = out[0] if isinstance(out, tuple) else out
        return states


def encoder_of(tagger: nn.Module) -> Encoder | None:
    """The encoder of a tagger, None where it is of another kind."""
    found = getattr(tagger, "encoder", None)
    return found if isinstance(found, Encoder) else None
