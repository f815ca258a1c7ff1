"""Frozen lowest layers of an encoder: left as pre-trained, and computed once for each text.

Where few sentences are there to learn from, the lowest layers are often better left alone (Wu & Dredze 2019, section
3.2). What they make of a text is then the same for every method, seed and step, and is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import BadInput

MOST = 2**31  # bytes of states that a process keeps for one encoder; what comes later is computed each time
LEAST = 64  # sub-words that are computed together at least


def layer_stack(encoder: Any) -> nn.ModuleList | None:
    """The Transformer layers of an encoder, the lowest first; None where it is not one stack of whole layers."""
    layers = int(encoder.config.num_hidden_layers)
    stacks = [m for m in encoder.modules() if isinstance(m, nn.ModuleList) and len(m) == layers]
    return stacks[0] if len(stacks) == 1 else None


def freeze_lowest(encoder: Any, layers: int) -> None:
    """Keep the input embeddings and the lowest `layers` layers as pre-trained, without dropout; 0 freezes nothing.

    Raises:
        BadInput: the encoder has no such number of layers below its last, or no single stack of them.
    """
    if not layers:
        return
    stack = layer_stack(encoder)
    if stack is None or layers >= len(stack):
        have = "no single stack of layers" if stack is None else f"{len(stack)} layers, the last of which must learn"
        raise BadInput(f"freeze = {layers}, but the encoder has {have}")
    prefix = next(name for name, module in encoder.named_modules() if module is stack)
    learns = tuple(f"{prefix}.{layer}." for layer in range(layers, len(stack)))
    below = True
    for name, parameter in encoder.named_parameters():  # in the order of the modules: embeddings, layers, what follows
        below = below and not name.startswith(learns)
        parameter.requires_grad_(not below)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Dropout) and not name.startswith(learns):
            module.p = 0.0


class Kept:
    """States (n, H) of windows of n sub-words, by their ids."""

    def __init__(self) -> None:
        self.states: dict[tuple[Any, ...], Tensor] = {}
        self.bytes = 0
        self.in_tuples = False  # whether the encoder's layers give their states in a tuple
        self.together: bool | None = None  # whether windows computed together have the bits of each alone

    def add(self, window: tuple[Any, ...], states: Tensor) -> None:
        size = states.numel() * states.element_size()
        if self.bytes + size <= MOST:
            self.states[window] = states
            self.bytes += size


@functools.cache
def kept_of(encoder: str, layers: int, device: str) -> Kept:
    """The states that this process keeps of the encoder with that key."""
    return Kept()


class _Reached(Exception):
    """The input of the first layer that learns."""

    def __init__(self, states: Tensor) -> None:
        self.states = states


class Prefix:
    """Runs an encoder from its first layer that learns on, over kept states of the frozen ones.

    Windows of one length are computed together, without padding. What is kept must not depend on which batch asked
    first: the first group is also computed one by one, and if its bits differ (some matrix products see to rows by
    where they stand) every window is computed alone.
    """

    def __init__(self, encoder: Any, layers: int, kept: Kept) -> None:
        stack = layer_stack(encoder)
        assert stack is not None
        self.encoder, self.kept = encoder, kept
        self._frozen: list[Any] = list(stack[:layers])
        self._first: Any = stack[layers]

    @torch.no_grad()
    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States (W, N, H) that the frozen layers give windows of sub-words (W, N); zeros where the mask is 0."""
        lengths, rows, device = mask.sum(1).tolist(), ids.tolist(), ids.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        keys = [(kind, *row[:length]) for row, length in zip(rows, lengths, strict=True)]
        found = {key: self.kept.states[key] for key in keys if key in self.kept.states}
        missing: dict[int, dict[tuple[Any, ...], int]] = {}  # by length the row of each window
        for row, (key, length) in enumerate(zip(keys, lengths, strict=True)):
            if key not in found:
                missing.setdefault(length, {})[key] = row
        for length, of_length in missing.items():
            for key, states in zip(of_length, self._group(ids[list(of_length.values()), :length]), strict=True):
                found[key] = states
                self.kept.add(key, states)
        return nn.utils.rnn.pad_sequence([found[key] for key in keys], batch_first=True)

    def _group(self, ids: Tensor) -> list[Tensor]:
        """States (N, H) of each of some windows of one length (B, N)."""
        if self.kept.together is None and len(ids) > 1:
            alone = [self._computed(row) for row in ids.split(1)]
            self.kept.together = torch.equal(torch.cat(alone), self._computed(ids))
        parts = ids.split(len(ids) if self.kept.together else 1)
        return [states.clone() for part in parts for states in self._computed(part)]

    def _computed(self, ids: Tensor) -> Tensor:
        """States (B, N, H); of few sub-words with copies of them, as products of few rows take other paths."""
        copies = -(-LEAST // ids.numel())

        def look(module: nn.Module, args: Any, output: Any) -> None:
            self.kept.in_tuples = isinstance(output, tuple)

        def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else kwargs["hidden_states"])

        training = self.encoder.training
        self.encoder.eval()
        handles = [
            self._frozen[-1].register_forward_hook(look),
            self._first.register_forward_pre_hook(stop, with_kwargs=True),
        ]
        try:
            several = ids.repeat(copies, 1)
            self.encoder(input_ids=several, attention_mask=torch.ones_like(several))
        except _Reached as reached:
            return reached.states[: len(ids)]
        finally:
            for handle in handles:
                handle.remove()
            self.encoder.train(training)
        raise RuntimeError("the encoder did not run its layers one after the other")

    @contextmanager
    def replayed(self, ids: Tensor, mask: Tensor) -> Iterator[None]:
        """Within it, a call of the encoder on these windows skips the frozen layers."""
        states = self.states(ids, mask)

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})

        handle = self._first.register_forward_pre_hook(enter, with_kwargs=True)
        for layer in self._frozen:
            layer.forward = _passed_on if self.kept.in_tuples else _unchanged
        try:
            yield
        finally:
            handle.remove()
            for layer in self._frozen:
                del layer.forward


def _unchanged(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Stands in for a frozen layer's forward pass: what comes out of it is replaced above."""
    return hidden_states


def _passed_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor]:
    """The same for layers that give tuples."""
    return (hidden_states,)
