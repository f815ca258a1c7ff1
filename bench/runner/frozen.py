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

from bench.corpus import BadInput

MOST = 2**31  # bytes of states that a process keeps for one encoder; what comes later is computed each time


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

    A window is computed alone, so that its states do not depend on the batch that asked first.
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
        lengths = mask.sum(1).tolist()
        rows = ids.tolist()
        kind = (
            torch.get_autocast_dtype(ids.device.type) if torch.is_autocast_enabled(ids.device.type) else torch.float32
        )
        found = []
        for row, (window, length) in enumerate(zip(rows, lengths, strict=True)):
            key = (kind, *window[:length])
            states = self.kept.states.get(key)
            if states is None:
                states = self._computed(ids[row : row + 1, :length])
                self.kept.add(key, states)
            found.append(states)
        return nn.utils.rnn.pad_sequence(found, batch_first=True)

    def _computed(self, ids: Tensor) -> Tensor:
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
            self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
        except _Reached as reached:
            return reached.states[0].clone()
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
