"""What is noted while a tagger trains: the loss terms, the dev sets, and the snapshots that a rule may choose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

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

    def count(self, passes: int, tokens: int, drawn: int) -> None:
        """Note a part's forward passes and their sub-words; passes beyond the `drawn` batches are second views."""
        self.forward_passes += passes
        self.tokens += tokens
        if passes > drawn:
            self.ran["second_views"] = self.ran.get("second_views", 0) + passes - drawn


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
    """Score the dev sets, note which rules would choose this evaluation, and keep the snapshots that are chosen."""
    number = len(history.eval_steps)
    history.eval_steps.append(step)
    types = [tag[2:] for tag in tagger.tags if tag.startswith("B-")]
    for rule, sentences in devs.items():
        if not sentences:
            continue
        found = predict(tagger, collator, sentences, history.ran["precision"])
        value = round(f1(count([s.spans or () for s in sentences], found.spans, types)), 6)
        history.dev_f1.setdefault(rule, []).append(value)
        if value > max(history.dev_f1[rule][:-1], default=-1.0):
            history.best[rule] = number
    if step == history.steps:
        history.best["last"] = number
        history.best.setdefault("source-dev", number)  # no dev set: the last is all there is
    if number in history.best.values():
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tagger.state_dict().items()}
        save_file(state, snapshot(folder, number))
    for old in range(number):
        if old not in history.best.values():
            snapshot(folder, old).unlink(missing_ok=True)


def snapshot(folder: Path, evaluation: int) -> Path:
    """Where the weights of an evaluation lie."""
    return folder / f"eval-{evaluation:03d}.safetensors"
