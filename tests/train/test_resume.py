"""A long training that is stopped goes on to the same weights; short, damaged and unsaved ones are told apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.api.method import EpochState, Example, Losses, Method, Step, Tagger, Term, TrainingSet, pairs, singles
from bench.api.objectives import cross_entropy, soft_labels
from bench.core.sentences import Pair, Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.store.artefacts import Artefacts
from bench.train import checkpoint as resume
from bench.train.checkpoint import STAGE, Keeper
from bench.train.fit import FitPlan, fit
from bench.train.history import History

TRAIN = TrainSpec(steps=24, batch=8, evals=3)
RECIPE = EncoderSpec(lr=3e-3, max_length=64)


class Stopped(BaseException):
    """The process ends, whatever it was at."""


class Remembering(Method):
    """Two streams, dropout, and a weight that its hooks change and no tensor of the tagger holds."""

    name = "remembering"

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        assert step.labelled is not None
        assert step.unlabelled is not None
        weights: Any = tagger
        soft = soft_labels(step.unlabelled)
        weights.noted = 0.9 * getattr(weights, "noted", 0.0) + float(soft.detach())
        return (Term("ce", cross_entropy(step.labelled)), Term("soft", soft, weights.noted))

    def on_epoch(self, tagger: Tagger, state: EpochState) -> None:
        weights: Any = tagger
        weights.noted = float(state.epoch)

    def carried(self, tagger: Tagger) -> dict[str, Any]:
        found: Any = tagger
        return {"noted": found.noted, "tensor": torch.tensor([found.noted], dtype=torch.float64)}

    def carry_on(self, tagger: Tagger, carried: Any) -> None:
        weights: Any = tagger
        assert carried["noted"] == float(carried["tensor"])
        weights.noted = carried["noted"]


@dataclass(frozen=True)
class Made:
    """The files of a finished training, and its history."""

    files: dict[str, bytes]
    history: History

    def same(self, other: Made) -> bool:
        return self.files == other.files and _timeless(self.history) == _timeless(other.history)


def _timeless(history: History) -> dict[str, Any]:
    ran = {name: value for name, value in history.ran.items() if name != "resumed"}
    return {**asdict(history), "seconds": 0, "ran": ran}


@dataclass
class Training:
    """One training and where it is saved; `tell(step)` is called after each."""

    store: Artefacts
    make: Callable[[Keeper, Callable[[int], None]], Made]

    def __call__(self, tell: Callable[[int], None] = lambda step: None) -> Made:
        keeper = Keeper(self.store, of="test")
        with keeper.listening():
            return self.make(keeper, tell)

    def undisturbed(self) -> Made:
        return self.make(Keeper(), lambda step: None)

    def saved(self) -> list[int]:
        """Steps that are saved, damaged ones left out."""
        keys = [path.name for path in self.store.root.glob(f"{STAGE}/[!.]*")]
        found = [self.store.get(STAGE, key) for key in keys]
        return sorted(one.details["step"] for one in found if one is not None)


@pytest.fixture(params=["plain", "remembering"])
def training(
    request: pytest.FixtureRequest,
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
) -> Training:
    collator = new_collator()
    data = TrainingSet(labelled=singles(toy(48)))
    if request.param == "remembering":
        draw = np.random.default_rng(0)
        twins = [Pair(a, b) for a, b in zip(toy(24), toy(24, 3, "de"), strict=True)]
        bare = [replace(s, spans=None) for s in toy(21, 4, "de")]
        soft = tuple((Example(s, draw.dirichlet(np.ones(5), len(s.words)).astype(np.float32)),) for s in bare)
        data = TrainingSet(labelled=pairs(twins), unlabelled=soft)

    def make(keeper: Keeper, tell: Callable[[int], None]) -> Made:
        folder = tmp_path / f"fit{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        method = Remembering() if request.param == "remembering" else _Plain()
        plan = FitPlan(method, TRAIN, RECIPE, 1, toy(16, 5), {"de": toy(12, 7, "de")})
        with torch.random.fork_rng(devices=[]):
            history = fit(plan, data, new_tagger(1), collator, folder, tell, keeper)
        return Made({path.name: path.read_bytes() for path in folder.iterdir()}, history)

    return Training(Artefacts(tmp_path / "models"), make)


class _Plain(Method):
    name = "plain"


@pytest.fixture
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training counts as a long one."""
    monkeypatch.setattr(resume, "WORTH", 0.0)


@pytest.fixture
def always(worth: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is saved after every step."""
    monkeypatch.setattr(resume, "EVERY", 0.0)


@pytest.fixture
def obeyed() -> Iterator[list[int]]:
    """SIGUSR2 ends the training here, as submitit's handler does; the signals that came."""
    came: list[int] = []

    def leave(number: int, frame: object) -> None:
        came.append(number)
        raise Stopped

    before = signal.signal(signal.SIGUSR2, leave)
    yield came
    assert signal.getsignal(signal.SIGUSR2) is leave, "the training put back what was there"
    signal.signal(signal.SIGUSR2, before)


def stop_at(*steps: int) -> Callable[[int], None]:
    def tell(step: int) -> None:
        if step in steps:
            raise Stopped

    return tell


def signal_at(*steps: int) -> Callable[[int], None]:
    def tell(step: int) -> None:
        if step in steps:
            os.kill(os.getpid(), signal.SIGUSR2)

    return tell


@pytest.mark.usefixtures("always")
def test_it_goes_on_to_the_same_bytes_however_often_it_is_stopped(training: Training) -> None:
    undisturbed = training.undisturbed()
    for step in (1, 2, 7, 8, 9, 17, 23):  # 8, 16 and 24 are evaluations
        with pytest.raises(Stopped):
            training(stop_at(step))
        assert training.saved() == [max(step - 1, 1), step][-min(2, step) :]
    begun: list[int] = []
    made = training(begun.append)
    assert begun == [24]
    assert made.same(undisturbed)
    assert made.history.ran["resumed"] == 7
    assert "resumed" not in undisturbed.history.ran


@pytest.mark.usefixtures("worth")
def test_a_signal_waits_for_the_step_and_is_passed_on(training: Training, obeyed: list[int]) -> None:
    with pytest.raises(Stopped):
        training(signal_at(5))
    assert obeyed == [signal.SIGUSR2]
    assert training.saved() == [6], "told after step 5: saved after the next"
    assert training().same(training.undisturbed())


@pytest.mark.usefixtures("worth")
def test_a_second_signal_does_not_wait(training: Training, obeyed: list[int]) -> None:
    def twice(step: int) -> None:
        signal_at(5)(step)
        signal_at(5)(step)

    with pytest.raises(Stopped):
        training(twice)
    assert training.saved() == []


@pytest.mark.usefixtures("worth")
def test_a_signal_in_the_last_step_is_not_lost(training: Training, obeyed: list[int]) -> None:
    with pytest.raises(Stopped):
        training(signal_at(23))
    assert obeyed == [signal.SIGUSR2]


def test_a_short_training_is_neither_saved_nor_kept_waiting(training: Training, obeyed: list[int]) -> None:
    with pytest.raises(Stopped):
        training(signal_at(5))
    assert obeyed == [signal.SIGUSR2]
    assert training.saved() == []
    assert training().same(training.undisturbed())


@pytest.mark.usefixtures("worth")
def test_it_is_saved_every_few_minutes(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(resume.time, "perf_counter", lambda: now[0])
    seen: dict[int, list[int]] = {}

    def tell(step: int) -> None:
        seen[step] = training.saved()
        now[0] += resume.EVERY / 4

    training(tell)
    assert seen[5] == [] and seen[6] == [6]
    assert seen[24] == [16, 21], "after steps 6, 11, 16 and 21; the last two are kept"


@pytest.mark.usefixtures("always")
def test_damage_costs_one_save_and_two_damages_the_training(training: Training) -> None:
    undisturbed = training.undisturbed()
    for spoilt, goes_on_after in ((1, 8), (2, 0)):
        with pytest.raises(Stopped):
            training(stop_at(9))
        assert training.saved() == [8, 9]
        for step in (9, 8)[:spoilt]:
            _spoil(training.store, step)
        steps: list[int] = []
        made = training(steps.append)
        assert steps[0] == goes_on_after + 1
        assert made.same(undisturbed)
        Keeper(training.store, of="test").remove()
        assert training.saved() == []


def _spoil(store: Artefacts, step: int) -> None:
    """Flip a byte of the weights of that save."""
    for key in [path.name for path in store.root.glob(f"{STAGE}/[!.]*")]:
        found = store.get(STAGE, key)
        if found is not None and found.details["step"] == step:
            file = found.folder / resume.TENSORS
            data = bytearray(file.read_bytes())
            data[-1] ^= 1
            file.write_bytes(bytes(data))


@pytest.mark.usefixtures("always")
def test_a_full_disk_costs_the_save_and_not_the_training(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume, "save_file", full)
    with pytest.warns(UserWarning, match=r"could not be saved at step \d+: .*No space left"):
        made = training()
    assert training.saved() == []
    assert made.same(training.undisturbed())


@pytest.mark.usefixtures("always")
def test_another_training_device_or_number_of_threads_does_not_go_on_from_it(training: Training) -> None:
    with pytest.raises(Stopped):
        training(stop_at(9))
    for other in ({"of": "another"}, {"of": "test", "threads": 2}):
        keeper = Keeper(training.store, **other)
        assert keeper._latest() is None
