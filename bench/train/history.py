"""What is watched while a tagger trains: the loss terms, the dev sets, and the snapshots that a rule may choose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from bench.api.method import Batch, Inputs
from bench.core.sentences import Sentence
from bench.measure.score import count, f1
from bench.train.batches import Collator
from bench.train.predict import predict


@dataclass
class History:
    """What a training did. `best` maps a rule ("last", "source-dev", "target-dev:<lang>") to its evaluation."""

    steps: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    eval_steps: list[int] = field(default_factory=list)
    dev_f1: dict[str, list[float]] = field(default_factory=dict)  # "source-dev", "target-dev:<lang>"
    best: dict[str, int] = field(default_factory=dict)
    sentences: int = 0
    tokens: int = 0  # real sub-words read, a second view's counted again
    forward_passes: int = 0
    seconds: float = 0.0
    ran: dict[str, Any] = field(default_factory=dict)

    def count(self, reads: Sequence[int], drawn: int) -> None:
        """Note a step's forward passes by the sub-words of each; those beyond the `drawn` batches are second views."""
        self.forward_passes += len(reads)
        self.tokens += sum(reads)
        if len(reads) > drawn:
            self.ran["second_views"] = self.ran.get("second_views", 0) + len(reads) - drawn


@contextmanager
def readings(tagger: Any) -> Iterator[list[int]]:
    """Sub-words of each batch that the tagger reads meanwhile: a loss may read one again, for a second view."""
    found: list[int] = []
    plain, own = tagger.read, vars(tagger).get("read")

    def read(inputs: Inputs) -> Batch:
        found.append(inputs.tokens)
        batch: Batch = plain(inputs)
        return batch

    tagger.read = read
    try:
        yield found
    finally:
        del tagger.read
        if own is not None:
            tagger.read = own


def drain(log: list[list[tuple[str, torch.Tensor]]], history: History) -> None:
    """Read the logged terms off the device, once an evaluation so that no step waits; refuse what is not finite."""
    for terms in log:
        for name, value in terms:
            number = float(value)
            values = history.losses.setdefault(name, [])
            if not math.isfinite(number):
                raise FloatingPointError(f"loss term '{name}' became {number} at step {len(values) + 1}")
            values.append(number)
    log.clear()


def evaluate(
    devs: Mapping[str, Sequence[Sentence]], tagger: Any, collator: Collator, history: History, step: int, folder: Path
) -> None:
    """Score the dev sets, remember which evaluation each rule would choose, and keep the snapshots that are chosen."""
    number = len(history.eval_steps)
    history.eval_steps.append(step)
    history.best["last"] = number
    types = [tag[2:] for tag in tagger.tags if tag.startswith("B-")]
    for rule, sentences in devs.items():
        if not sentences:
            continue
        found = predict(tagger, collator, sentences, history.ran["precision"])
        value = round(f1(count([s.spans or () for s in sentences], found.spans, types)), 6)
        history.dev_f1.setdefault(rule, []).append(value)
        if value > max(history.dev_f1[rule][:-1], default=-1.0):
            history.best[rule] = number
    if not devs["source-dev"]:
        history.best["source-dev"] = number  # no dev set: the last is all there is
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tagger.state_dict().items()}
    save_file(state, snapshot(folder, number))
    for old in range(number):
        if old not in history.best.values():
            snapshot(folder, old).unlink(missing_ok=True)


def snapshot(folder: Path, evaluation: int) -> Path:
    """Where the weights of an evaluation lie."""
    return folder / f"eval-{evaluation:03d}.safetensors"
