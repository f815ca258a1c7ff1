"""The history of a training: loss terms, dev F1, and the snapshots that a rule may choose; and saving a long one.

A long training that is stopped resumes at its last evaluation and ends with the same bytes.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.api.method import Inputs, Method
from bench.core.files import write_json
from bench.core.sentences import Sentence
from bench.measure.score import count, f1
from bench.plan.keys import key_of
from bench.store.artefacts import Artefacts
from bench.train.batches import Collator
from bench.train.memory import Backoff
from bench.train.predict import predict

STAGE = "unfinished"
WORTH = 600.0  # estimated seconds of a training; a shorter one starts again
STATE, TENSORS = "state.json", "state.safetensors"


@dataclass
class History:
    """The record of a training. `best` maps a rule ("last", "source-dev", "target-dev:<lang>") to its evaluation."""

    steps: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    eval_steps: list[int] = field(default_factory=list)
    dev_f1: dict[str, list[float]] = field(default_factory=dict)  # "source-dev", "target-dev:<lang>"
    best: dict[str, int] = field(default_factory=dict)
    sentences: int = 0
    tokens: int = 0  # real sub-words read, counted again for a second view
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
    """Read the logged terms off the device, once an evaluation so that no step waits; FloatingPointError if one is not
    finite."""
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
    """Score the dev sets, note which rules would choose this evaluation, and keep only chosen snapshots."""
    number = len(history.eval_steps)
    history.eval_steps.append(step)
    types = [tag[2:] for tag in tagger.tags if tag.startswith("B-")]
    for rule, sentences in devs.items():
        if not sentences:
            continue
        predicted = predict(tagger, collator, sentences, history.ran["precision"]).spans
        value = round(f1(count([s.spans or () for s in sentences], predicted, types)), 6)
        history.dev_f1.setdefault(rule, []).append(value)
        if value > max(history.dev_f1[rule][:-1], default=-1.0):
            history.best[rule] = number
    if step == history.steps:
        history.best["last"] = number
        history.best.setdefault("source-dev", number)  # without a dev set: the last
    if number in history.best.values():
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tagger.state_dict().items()}
        save_file(state, snapshot(folder, number))
    for old in range(number):
        if old not in history.best.values():
            snapshot(folder, old).unlink(missing_ok=True)


def snapshot(folder: Path, evaluation: int) -> Path:
    """The file with the weights of an evaluation."""
    return folder / f"eval-{evaluation:03d}.safetensors"


# --- a training that may be stopped -----------------------------------------------------------------------------------


@dataclass
class Reached:
    """The state of a training, on which its next step depends beside the order of the batches."""

    method: Method
    tagger: Any
    optimiser: Any
    backoff: Backoff
    history: History
    size: int  # sentences of the first stream, a pass over which is an epoch
    log: list[list[tuple[str, torch.Tensor]]] = field(default_factory=list)  # loss terms not read off the device yet
    step: int = 0  # steps done
    seen: int = 0  # sentences of the first stream

    def count(self, drawn: Mapping[str, Inputs]) -> bool:
        """Note a step on these batches; whether an epoch ended with it."""
        self.history.sentences += sum(len(inputs.sentences) for inputs in drawn.values())
        before = self.epoch
        self.step, self.seen = self.step + 1, self.seen + len(next(iter(drawn.values())).sentences)
        return self.epoch > before

    @property
    def epoch(self) -> int:
        """Completed passes over the first stream."""
        return self.seen // self.size


class Keeper:
    """Saves and restores one training, in two places by turns, so that one is complete whenever it is killed.

    `identity` tells it from others; without artefacts it keeps nothing.
    """

    def __init__(self, artefacts: Artefacts | None = None, **identity: Any) -> None:
        self.artefacts = artefacts
        self.keys = tuple(key_of(STAGE, slot=slot, **identity) for slot in range(2))
        self.before = 0.0  # seconds of the steps that earlier attempts saved
        self.first = 0  # number of those steps
        self._begin = time.perf_counter()

    def save(self, run: Reached, folder: Path) -> None:
        """Save a long training after an evaluation, whose snapshots are in `folder`; on a full disk only warn."""
        if self.artefacts is None or run.step == run.history.steps:
            return
        taken = time.perf_counter() - self._begin
        estimated = self.before + taken / (run.step - self.first) * (run.history.steps - self.first)
        if not self.first and estimated <= WORTH:
            return
        run.history.seconds = self.before + taken
        key = self.keys[len(run.history.eval_steps) % 2]
        self.artefacts.remove(STAGE, key)
        try:
            self.artefacts.get_or_make(STAGE, key, lambda place: _write(run, folder, place))
        except OSError as error:
            warnings.warn(f"the training could not be saved at step {run.step}: {error}", stacklevel=2)

    def restore(self, run: Reached, folder: Path) -> None:
        """Bring a fresh training to its last saved state, if there is one."""
        saves = [] if self.artefacts is None else [self.artefacts.get(STAGE, key) for key in self.keys]
        saved = max((save for save in saves if save), key=lambda save: int(save.details["step"]), default=None)
        if saved is not None:
            _read(run, saved.folder, folder)
            self.before, self.first = run.history.seconds, run.step
        self._begin = time.perf_counter()

    def remove(self) -> None:
        if self.artefacts is not None:
            for key in self.keys:
                self.artefacts.remove(STAGE, key)


def _write(run: Reached, folder: Path, place: Path) -> Mapping[str, Any]:
    carried = run.method.carried(run.tagger)
    tensors = {f"tagger.{name}": tensor for name, tensor in run.tagger.state_dict().items()}
    for number, of_parameter in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in of_parameter.items()}
    tensors |= {f"carried.{name}": value for name, value in carried.items() if isinstance(value, torch.Tensor)}
    tensors |= {f"random.{name}": state for name, state in run.backoff.random_state().items()}
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, place / TENSORS)
    state = {"step": run.step, "seen": run.seen, "history": asdict(run.history)}
    state |= {"checkpointing": run.backoff.checkpointing, "parts": run.backoff.parts}
    state |= {"carried": {name: value for name, value in carried.items() if not isinstance(value, torch.Tensor)}}
    write_json(place / STATE, state)
    for number in set(run.history.best.values()):
        shutil.copyfile(snapshot(folder, number), snapshot(place, number))
    return {"step": run.step}


def _read(run: Reached, place: Path, folder: Path) -> None:
    state, tensors = json.loads((place / STATE).read_text(encoding="utf-8")), load_file(place / TENSORS)

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): t.clone() for name, t in tensors.items() if name.startswith(prefix)}

    run.tagger.load_state_dict(part("tagger."))
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("optimiser.")})
    moments = {number: part(f"optimiser.{number}.") for number in numbers}
    run.optimiser.load_state_dict({**run.optimiser.state_dict(), "state": moments})
    if state["checkpointing"]:
        run.backoff.checkpoint()
    run.backoff.parts = state["parts"]
    run.method.carry_on(run.tagger, state["carried"] | part("carried."))
    run.history.__dict__.update(state["history"])
    run.history.ran["resumed"] = run.history.ran.get("resumed", 0) + 1
    run.step, run.seen = state["step"], state["seen"]
    for number in set(run.history.best.values()):
        shutil.copyfile(snapshot(place, number), snapshot(folder, number))
    run.backoff.restore_random(part("random."))
