"""A long training that is stopped resumes at its last evaluation, to the same bytes."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.api.method import Inputs, Method
from bench.core.files import write_json
from bench.plan.keys import key_of
from bench.store.artefacts import Artefact, Artefacts
from bench.train.history import History, snapshot
from bench.train.memory import Backoff

STAGE = "unfinished"
WORTH = 600.0  # seconds that a training is estimated at; a shorter one begins again
STATE, TENSORS = "state.json", "state.safetensors"


@dataclass
class Reached:
    """A training under way: what its next step depends on, beside the order of the batches."""

    method: Method
    tagger: Any
    optimiser: Any
    backoff: Backoff
    history: History
    size: int  # sentences of the first stream, a pass over which is an epoch
    log: list[list[tuple[str, torch.Tensor]]] = field(default_factory=list)  # loss terms that are not read yet
    step: int = 0  # steps done
    seen: int = 0  # sentences of the first stream
    epoch: int = 0

    def count(self, drawn: Mapping[str, Inputs]) -> bool:
        """Note a step on these batches; whether an epoch ended with it."""
        self.history.sentences += sum(len(inputs.sentences) for inputs in drawn.values())
        self.step, self.seen = self.step + 1, self.seen + len(next(iter(drawn.values())).sentences)
        before, self.epoch = self.epoch, self.seen // self.size
        return self.epoch > before


class Keeper:
    """Saves one training and finds it again, in two places by turns, so that one is whole whenever it is killed.

    `what` tells it from others; without artefacts it keeps nothing.
    """

    def __init__(self, artefacts: Artefacts | None = None, **what: Any) -> None:
        self.artefacts = artefacts
        self.keys = tuple(key_of(STAGE, slot=slot, **what) for slot in range(2))
        self.before = 0.0  # seconds that earlier attempts took, as far as they were saved
        self.first = 0  # steps that they did
        self._begin = time.perf_counter()

    def save(self, run: Reached, folder: Path) -> None:
        """After an evaluation, with its snapshots in `folder`; if it is long. Without space: warn and train on."""
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
        """Bring a fresh training to where its last save was, if there is one."""
        saved = self._latest()
        if saved is not None:
            _read(run, saved.folder, folder)
            self.before, self.first = run.history.seconds, run.step
        self._begin = time.perf_counter()

    def remove(self) -> None:
        """It is finished."""
        if self.artefacts is not None:
            for key in self.keys:
                self.artefacts.remove(STAGE, key)

    def _latest(self) -> Artefact | None:
        saves = [] if self.artefacts is None else [self.artefacts.get(STAGE, key) for key in self.keys]
        return max((save for save in saves if save), key=lambda save: int(save.details["step"]), default=None)


def _write(run: Reached, folder: Path, place: Path) -> Mapping[str, Any]:
    carried = run.method.carried(run.tagger)
    tensors = {f"tagger.{name}": tensor for name, tensor in run.tagger.state_dict().items()}
    for number, of_parameter in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in of_parameter.items()}
    tensors |= {f"carried.{name}": value for name, value in carried.items() if isinstance(value, torch.Tensor)}
    tensors |= {f"random.{name}": state for name, state in run.backoff.random_state().items()}
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, place / TENSORS)
    state = {name: getattr(run, name) for name in ("step", "seen", "epoch")}
    state |= {"checkpointing": run.backoff.checkpointing, "parts": run.backoff.parts, "history": asdict(run.history)}
    plain = {name: value for name, value in carried.items() if not isinstance(value, torch.Tensor)}
    write_json(place / STATE, {**state, "carried": plain})
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
    run.step, run.seen, run.epoch = state["step"], state["seen"], state["epoch"]
    for number in set(run.history.best.values()):
        shutil.copyfile(snapshot(place, number), snapshot(folder, number))
    run.backoff.restore_random(part("random."))
