"""The device of a run, checked before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch

from bench.core.errors import BadInput
from bench.train.predict import autocast

MOST_JOBS = 4  # by default; each process holds an encoder, its gradients and its optimiser in memory


def default_jobs(device: str, threads: int) -> int:
    """Processes that a run starts unless told: one a GPU, or as many trainings as the cores hold, at most 4."""
    if device == "cuda":
        return max(1, torch.cuda.device_count())
    return max(1, min(MOST_JOBS, len(os.sched_getaffinity(0)) // threads))


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
            raise BadInput(
                f"this torch runs nothing on the card ({why}): install one built for it, or --device cpu"
            ) from error
    for precision in precisions:
        autocast(torch.device(name), precision)
    return name


def device_name(device: torch.device) -> str:
    """What the device is: a card's name, else its kind."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
