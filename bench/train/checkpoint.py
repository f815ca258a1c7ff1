"""A long training that is stopped goes on where it was: saved every few minutes, and when a signal says to stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.api.method import Inputs, Method
from bench.core.files import write_json
from bench.plan.keys import key_of
from bench.store.artefacts import Artefact, Artefacts
from bench.train.history import History, drain, snapshot
from bench.train.memory import Backoff
from bench.train.used_rows import UsedRows

STAGE = "unfinished"
WORTH = 600.0  # seconds that a training is estimated at; a shorter one begins again
EVERY = 180.0  # seconds from one save to the next
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # the last is submitit's, before time runs out
STATE, TENSORS = "state.json", "state.safetensors"


@dataclass
class Reached:
    """A training under way: what its next step depends on, beside the order of the batches."""

    method: Method
    tagger: Any
    optimiser: Any
    schedule: Any
    backoff: Backoff
    history: History
    rows: UsedRows
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
        self._theirs: dict[int, Any] = {}  # handlers of signals that are ours meanwhile
        self._told: int | None = None
        self._worth = False
        self._slot = 0  # where the next save goes: never over the last one
        self._begin = self._saved = time.perf_counter()

    # --- when --------------------------------------------------------------------------------------------------------

    def after_step(self, run: Reached, folder: Path) -> None:
        """Save it if it is long and was not saved for some time, or if a signal came, which is then passed on.

        Without space for it: warn and train on. `folder` holds the snapshots.
        """
        now, total = time.perf_counter(), run.history.steps
        estimated = self.before + (now - self._begin) / (run.step - self.first) * (total - self.first)
        self._worth = self.artefacts is not None and (self.first > 0 or estimated > WORTH)
        if run.step < total and self._worth and (self._told is not None or now - self._saved > EVERY):
            self._save(run, folder)
            if self._told is not None:
                told, self._told = self._told, None
                self._pass_on(told)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it a signal to stop waits for the end of the step, if the training is worth saving."""
        if threading.current_thread() is threading.main_thread():
            for number in map(int, SIGNALS):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._theirs[number] = signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in self._theirs.items():
                signal.signal(number, handler)
            if self._told is not None:  # in the last step
                self._pass_on(self._told)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._worth and self._told is None:
            self._told = number
        else:  # short, or told twice
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None = None) -> None:
        """To whom the signal was meant for; mostly they do not return."""
        theirs = self._theirs[number]
        if callable(theirs):
            theirs(number, frame)
        else:
            signal.signal(number, theirs)
            os.kill(os.getpid(), number)

    # --- what --------------------------------------------------------------------------------------------------------

    def _save(self, run: Reached, folder: Path) -> None:
        assert self.artefacts is not None
        drain(run.log, run.history)
        run.history.seconds = self.before + time.perf_counter() - self._begin
        key = self.keys[self._slot]
        self.artefacts.remove(STAGE, key)
        try:
            self.artefacts.get_or_make(STAGE, key, lambda place: _write(run, folder, place))
            self._slot = 1 - self._slot
        except OSError as error:
            warnings.warn(f"the training could not be saved at step {run.step}: {error}", stacklevel=2)
        self._saved = time.perf_counter()

    def restore(self, run: Reached, folder: Path) -> None:
        """Bring a fresh training to where its last save was, if there is one."""
        found = self._latest()
        if found is not None:
            _read(run, found.folder, folder)
            self.before, self.first = run.history.seconds, run.step
            self._slot = 1 - self.keys.index(found.key)
        self._begin = self._saved = time.perf_counter()

    def remove(self) -> None:
        """It is finished."""
        for key in self.keys:
            if self.artefacts is not None:
                self.artefacts.remove(STAGE, key)

    def _latest(self) -> Artefact | None:
        if self.artefacts is None:
            return None
        found = [one for one in (self.artefacts.get(STAGE, key) for key in self.keys) if one is not None]
        return max(found, key=lambda one: int(one.details["step"]), default=None)


def _write(run: Reached, folder: Path, place: Path) -> Mapping[str, Any]:
    carried = run.method.carried(run.tagger)
    tensors = {f"tagger.{name}": tensor for name, tensor in run.tagger.state_dict().items()}
    for number, of_parameter in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in of_parameter.items()}
    tensors |= {f"carried.{name}": value for name, value in carried.items() if isinstance(value, torch.Tensor)}
    tensors["random.cpu"] = torch.get_rng_state()
    device = run.backoff.collator.device
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, place / TENSORS)
    write_json(
        place / STATE,
        {
            "step": run.step,
            "seen": run.seen,
            "epoch": run.epoch,
            "rates": run.schedule.get_last_lr(),
            "factor": run.rows.factor,
            "checkpointing": run.backoff.checkpointing,
            "parts": run.backoff.parts,
            "carried": {name: value for name, value in carried.items() if not isinstance(value, torch.Tensor)},
            "history": asdict(run.history),
        },
    )
    for number in set(run.history.best.values()):
        shutil.copyfile(snapshot(folder, number), snapshot(place, number))
    return {"step": run.step}


def _read(run: Reached, place: Path, folder: Path) -> None:
    state = json.loads((place / STATE).read_text(encoding="utf-8"))
    parts: dict[str, dict[str, torch.Tensor]] = {"tagger": {}, "optimiser": {}, "carried": {}, "random": {}}
    for name, tensor in load_file(place / TENSORS).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    run.tagger.load_state_dict(parts["tagger"])
    by_parameter: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in parts["optimiser"].items():
        index, _, rest = name.partition(".")
        by_parameter.setdefault(int(index), {})[rest] = tensor
    run.optimiser.load_state_dict({**run.optimiser.state_dict(), "state": by_parameter})
    rates = zip(run.optimiser.param_groups, state["rates"], strict=True)
    for group, rate in rates:
        group["lr"] = rate
    run.schedule.load_state_dict({**run.schedule.state_dict(), "last_epoch": state["step"], "_last_lr": state["rates"]})
    if state["checkpointing"]:
        run.backoff.checkpoint()
    run.backoff.parts, run.rows.factor = state["parts"], state["factor"]
    run.method.carry_on(run.tagger, state["carried"] | parts["carried"])
    for name, value in state["history"].items():
        setattr(run.history, name, value)
    run.history.ran["resumed"] = run.history.ran.get("resumed", 0) + 1
    run.step, run.seen, run.epoch = state["step"], state["seen"], state["epoch"]
    for number in set(run.history.best.values()):
        shutil.copyfile(snapshot(place, number), snapshot(folder, number))
    torch.set_rng_state(parts["random"]["cpu"])
    if "cuda" in parts["random"]:
        torch.cuda.set_rng_state(parts["random"]["cuda"], run.backoff.collator.device)
