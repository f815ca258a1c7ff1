"""The device of a run, checked before anything is trained; its memory, its peak, and backing off when it runs out.

First activation checkpointing; then the batch is split, for additive losses only; else the cell fails.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.api.method import Inputs, Method
from bench.core.errors import BadInput
from bench.core.memo import process_memo
from bench.train.batches import Collator, split_inputs
from bench.train.encoder import encoder_of
from bench.train.predict import autocast

MOST_JOBS = 4  # by default; each process holds an encoder, its gradients and its optimiser in memory


def default_jobs(device: str, threads: int) -> int:
    """The default number of processes: one a GPU, or as many trainings as the cores hold, at most 4."""
    if device == "cuda":
        return max(1, torch.cuda.device_count())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_JOBS, cores // threads))


def resolve_device(asked: str, precisions: Iterable[str]) -> str:
    """ "cpu" or "cuda".

    Raises:
        BadInput: cuda is asked for and there is none, this torch has no kernels for the card, or the device lacks a
            precision of the matrix.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: torch sees no CUDA device; --device cpu runs here")
    name = "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"
    if name == "cuda":
        try:
            torch.ones(1, device=name).add_(1).item()  # an architecture that this torch was not built for fails here
        except RuntimeError as error:
            why = str(error).strip().partition("\n")[0]
            cure = "install one built for it, or --device cpu"
            raise BadInput(f"this torch cannot run on the graphics card ({why}): {cure}") from error
    for precision in precisions:
        autocast(torch.device(name), precision)
    return name


def device_name(device: torch.device) -> str:
    """A graphics card's name, else the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


MOST_PARTS = 16
# messages of libraries below torch, beside torch.OutOfMemoryError; a handle or plan that cannot be made is one, too
LACK = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED")


class Backoff:
    """Runs a step's forward and backward passes, backing off when memory runs out; the record says how it ran.

    A split step adds the parts' gradients, each weighted by its share of the labelled words, which is exact for a loss
    that is a mean over the words of one stream.
    """

    def __init__(self, method: Method, tagger: Any, collator: Collator) -> None:
        self.method, self.tagger, self.collator = method, tagger, collator
        self.parts = 1
        self.checkpointing = False
        self._collected = False

    def run(self, drawn: dict[str, Inputs], passes: Callable[[dict[str, Inputs], float], Any]) -> list[Any]:
        """Call `passes(inputs by stream, weight)` on the draw or its parts; on lack of memory back off and repeat.

        The first time only garbage is collected, which may free enough.
        """
        while True:
            state = self.random_state()
            try:
                return [passes(part, weight) for part, weight in self._parts(drawn)]
            except RuntimeError as error:
                if not is_out_of_memory(error) or (self._collected and not self._retreat()):
                    raise
            self._collected = True
            self.tagger.zero_grad(set_to_none=True)
            process_memo().forget("frozen")  # states that the device keeps for speed alone
            gc.collect()
            give_back()
            self.restore_random(state)  # the repeated step sees the same dropout as a first try would

    def checkpoint(self) -> None:
        """Keep no activations for the backward pass: it computes them again."""
        encoder = encoder_of(self.tagger)
        assert encoder is not None
        encoder.checkpoint()
        self.checkpointing = True

    def random_state(self) -> dict[str, torch.Tensor]:
        """The states of the generators that dropout draws from, by device."""
        device = self.collator.device
        cuda = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
        return {"cpu": torch.get_rng_state(), **cuda}

    def restore_random(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the states of `random_state`."""
        torch.set_rng_state(state["cpu"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.collator.device)

    def _parts(self, drawn: dict[str, Inputs]) -> Sequence[tuple[dict[str, Inputs], float]]:
        if self.parts == 1:
            return [(drawn, 1.0)]
        # every stream in as many parts, so that no part lacks a stream
        count = min([self.parts, *(len(set(inputs.groups.tolist())) for inputs in drawn.values())])
        split = {name: split_inputs(inputs, count, self.collator) for name, inputs in drawn.items()}
        parts = [{name: of_stream[i] for name, of_stream in split.items()} for i in range(count)]
        sizes = [sum(map(_counted, part.values())) for part in parts]
        if not sum(sizes):
            sizes = [sum(float(inputs.word_mask.sum()) for inputs in part.values()) for part in parts]
        return [(part, size / sum(sizes)) for part, size in zip(parts, sizes, strict=True)]

    def _retreat(self) -> bool:
        """Take the next measure; False when none is left."""
        encoder = encoder_of(self.tagger)
        if not self.checkpointing and encoder is not None and encoder.model.supports_gradient_checkpointing:
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
    lack = any(words in str(error) for words in LACK)
    return isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and lack)


def give_back() -> None:
    """Return freed memory to the device and to the system (glibc would keep and fragment it)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Peak:
    """Peak memory since its creation; on other systems than Linux that of the whole process so far."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.resets = True
        try:
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM to the current resident size
        except OSError:  # another system, or a sandbox that forbids it
            self.resets = False
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def read(self) -> dict[str, int]:
        """`peak_rss_mb`, and `peak_gpu_mb` if there is a GPU."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if self.resets:
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        peaks = {"peak_rss_mb": peak // (2**20 if sys.platform == "darwin" else 2**10)}  # bytes there, else KiB
        if self.device.type == "cuda":
            peaks["peak_gpu_mb"] = torch.cuda.max_memory_allocated(self.device) // 2**20
        return peaks
