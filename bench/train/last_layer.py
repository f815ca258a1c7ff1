"""The last layer of an encoder on a CPU, only at the sub-words that are read: a tagger reads one of each word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bench.train.attention import NAME, attend
from bench.train.frozen import layer_stack


class LastLayer:
    """The last layer of an encoder whose attention is ours, as `for_cpu` sets it: one layout in every family of PLAIN.

    Every sub-word gives its key and value; queries, and all that comes after the attention, are of those asked for.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    @classmethod
    def of(cls, encoder: Any) -> LastLayer | None:
        """That of an encoder; None where it has to be run whole."""
        config, stack = encoder.config, layer_stack(encoder)
        plain = getattr(config, "_attn_implementation", None) == NAME and not getattr(config, "is_decoder", False)
        if not plain or stack is None or config.chunk_size_feed_forward:
            return None
        return cls(stack[-1])

    @property
    def checkpoints(self) -> bool:
        """Whether the layer is to keep no activations, which it then sees to itself."""
        return bool(getattr(self.layer, "gradient_checkpointing", False))

    @contextmanager
    def left_out(self) -> Iterator[list[Below]]:
        """Within it a call of the encoder ends below the layer; the list then holds what has reached it."""
        found: list[Below] = []

        def reached(hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
            found.append(Below(self.layer, hidden_states, attention_mask))
            return hidden_states

        self.layer.forward = reached
        try:
            yield found
        finally:
            del self.layer.forward


class Below:
    """The input (W, L, H) of a last layer, and what it has made of it so far."""

    def __init__(self, layer: Any, hidden: Tensor, mask: Tensor | None) -> None:
        self.layer, self.hidden = layer, hidden
        self._mask = None if mask is None else mask[:, :, :1]  # (W, 1, 1, L): the same for every query
        own = layer.attention.self
        self._key, self._value = self._heads(own.key(hidden)), self._heads(own.value(hidden))

    def at(self, places: Tensor) -> Tensor:
        """The layer's states (K, H) of sub-words, K places in the windows put one after the other."""
        windows, length, _ = self.hidden.shape
        window = places // length
        counts = torch.bincount(window, minlength=windows)
        order = window.argsort(stable=True)
        slot = torch.empty_like(order)
        slot[order] = torch.arange(len(order)) - (counts.cumsum(0) - counts)[window[order]]
        own, below = self.layer.attention.self, self.hidden.flatten(0, 1).index_select(0, places)
        query = own.query(below)
        padded = query.new_zeros(windows, int(counts.max()), query.shape[-1]).index_put((window, slot), query)
        dropout = own.dropout.p if own.training else 0.0
        mixed, _ = attend(own, self._heads(padded), self._key, self._value, self._mask, dropout, own.scaling)
        attended = self.layer.attention.output(mixed.flatten(2)[window, slot], below)
        states: Tensor = self.layer.output(self.layer.intermediate(attended), attended)
        return states

    def rest(self, mask: Tensor, places: Tensor, states: Tensor) -> Tensor:
        """All states (W, L, H) of sub-words whose mask (W, L) is 1, zeros elsewhere; those of some places are known."""
        others = mask.flatten().bool().index_fill(0, places, False).nonzero()[:, 0]
        both = torch.cat([states, self.at(others)])
        whole = both.new_zeros(mask.numel(), both.shape[-1]).index_put((torch.cat([places, others]),), both)
        return whole.view(*mask.shape, whole.shape[-1])

    def _heads(self, states: Tensor) -> Tensor:
        """(W, N, H) to (W, heads, N, d)."""
        size = self.layer.attention.self.attention_head_size
        return states.view(*states.shape[:-1], states.shape[-1] // size, size).transpose(1, 2)
