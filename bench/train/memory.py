"""Out of memory: activation checkpointing first; splitting the batch only for additive losses; else the cell fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from bench.api.method import Inputs, Method
from bench.train.batches import Collator, split_inputs

MOST_PARTS = 16


class Backoff:
    """Runs a step's forward and backward passes, backing off when memory runs out; what really ran is recorded.

    A split step adds the parts' gradients, each part weighed by its share of the labelled words, which is exact for a
    loss that is a mean over the words of one stream.
    """

    def __init__(self, method: Method, tagger: Any, collator: Collator) -> None:
        self.method, self.tagger, self.collator = method, tagger, collator
        self.parts = 1
        self.checkpointing = False

    def run(self, drawn: dict[str, Inputs], passes: Callable[[dict[str, Inputs], float], Any]) -> list[Any]:
        """Call `passes(inputs by stream, weight)` on the draw or its parts; on lack of memory back off and repeat."""
        while True:
            state = _random_state(self.collator.device)
            try:
                return [passes(part, weight) for part, weight in self._parts(drawn)]
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._retreat():
                    raise
            self.tagger.zero_grad(set_to_none=True)
            _restore(self.collator.device, state)  # the repeated step sees the same dropout as a first try would
            if self.collator.device.type == "cuda":
                torch.cuda.empty_cache()

    def checkpoint(self) -> None:
        """Keep no activations for the backward pass: it computes them again."""
        self.tagger.encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.checkpointing = True

    def _parts(self, drawn: dict[str, Inputs]) -> Sequence[tuple[dict[str, Inputs], float]]:
        if self.parts == 1:
            return [(drawn, 1.0)]
        # every stream in as many parts, so that no part of one is left without the others' and dropped
        count = min([self.parts, *(len(set(inputs.groups.tolist())) for inputs in drawn.values())])
        split = {name: split_inputs(inputs, count, self.collator) for name, inputs in drawn.items()}
        parts = [{name: of_stream[i] for name, of_stream in split.items()} for i in range(count)]
        sizes = [sum(map(_counted, part.values())) for part in parts]
        if not sum(sizes):
            sizes = [sum(float(inputs.word_mask.sum()) for inputs in part.values()) for part in parts]
        return [(part, size / sum(sizes)) for part, size in zip(parts, sizes, strict=True)]

    def _retreat(self) -> bool:
        """Take the next measure; False when none is left."""
        encoder: Any = getattr(self.tagger, "encoder", None)
        if not self.checkpointing and getattr(encoder, "supports_gradient_checkpointing", False):
            self.checkpoint()
            return True
        if self.method.additive and self.parts < MOST_PARTS:
            self.parts *= 2
            return True
        return False


def _counted(inputs: Inputs) -> float:
    """The words that a mean counts: those with hard or soft labels, each by its sentence's weight."""
    labelled = inputs.labels != -100
    if inputs.soft_mask is not None:
        labelled = labelled | inputs.soft_mask
    return float((labelled * inputs.weights[:, None]).sum())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is a device's or the CPU allocator's lack of memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _random_state(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore(device: torch.device, state: tuple[torch.Tensor, torch.Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
