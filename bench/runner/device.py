"""The device of a run, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from bench.corpus import BadInput
from bench.runner.predict import autocast


def resolve_device(asked: str, precisions: Iterable[str]) -> str:
    """ "cpu" or "cuda".

    Raises:
        BadInput: cuda is asked for and there is none, or the device lacks a precision of the matrix.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: torch sees no CUDA device; --device cpu runs here")
    name = "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"
    for precision in precisions:
        autocast(torch.device(name), precision)
    return name
