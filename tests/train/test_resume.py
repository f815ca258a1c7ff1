"""A long training that is stopped resumes to the same weights; short, damaged and unsaved ones are told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.api.method import EpochState, Example, Losses, Method, Step, Tagger, Term, TrainingSet, pairs, singles
from bench.api.objectives import cross_entropy, soft_labels
from bench.core.sentences import Pair, Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.store.artefacts import Artefacts
from bench.train import history as resume
from bench.train.fit import FitPlan, fit
from bench.train.history import STAGE, History, Keeper

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
        return self.make(Keeper(self.store, of="test"), tell)

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


def stop_at(*steps: int) -> Callable[[int], None]:
    def tell(step: int) -> None:
        if step in steps:
            raise Stopped

    return tell


@pytest.mark.usefixtures("worth")
def test_it_resumes_to_the_same_bytes_however_often_it_is_stopped(training: Training) -> None:
    """Evaluations, at which it is saved, are at steps 8, 16 and 24; the last two saves are kept."""
    undisturbed = training.undisturbed()
    for step, saved in ((1, []), (8, [8]), (9, [8]), (17, [8, 16]), (23, [8, 16])):
        with pytest.raises(Stopped):
            training(stop_at(step))
        assert training.saved() == saved
    begun: list[int] = []
    made = training(begun.append)
    assert begun[0] == 17
    assert made.same(undisturbed)
    assert made.history.ran["resumed"] == 2, "from step 8 and then from 16"
    assert "resumed" not in undisturbed.history.ran


def test_a_short_training_is_not_saved(training: Training) -> None:
    with pytest.raises(Stopped):
        training(stop_at(17))
    assert training.saved() == []
    assert training().same(training.undisturbed())


def test_a_training_is_long_by_what_its_steps_took_so_far(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 steps, 100 s each: known at the first evaluation, long before the time has passed."""
    now = [0.0]
    monkeypatch.setattr(resume.time, "perf_counter", lambda: now[0])

    def tell(step: int) -> None:
        now[0] += 26.0 if step < 8 else 0.0

    with pytest.raises(Stopped):
        training(lambda step: (tell(step), stop_at(9)(step))[1])
    assert training.saved() == []
    now[0] = 0.0

    def slower(step: int) -> None:
        now[0] += 30.0 if step < 8 else 0.0
        stop_at(9)(step)

    with pytest.raises(Stopped):
        training(slower)
    assert training.saved() == [8]


@pytest.mark.usefixtures("worth")
def test_damage_costs_one_save_and_two_damages_the_training(training: Training) -> None:
    undisturbed = training.undisturbed()
    for spoilt, resumes_after in ((1, 8), (2, 0)):
        with pytest.raises(Stopped):
            training(stop_at(17))
        assert training.saved() == [8, 16]
        for step in (16, 8)[:spoilt]:
            _spoil(training.store, step)
        steps: list[int] = []
        made = training(steps.append)
        assert steps[0] == resumes_after + 1
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


@pytest.mark.usefixtures("worth")
def test_a_full_disk_costs_the_save_and_not_the_training(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if path.name == resume.TENSORS:  # not a snapshot of an evaluation
            raise OSError(28, "No space left on device")
        save_file(tensors, path)

    monkeypatch.setattr(resume, "save_file", full)
    with pytest.warns(UserWarning, match=r"could not be saved at step \d+: .*No space left"):
        made = training()
    assert training.saved() == []
    assert made.same(training.undisturbed())


@pytest.mark.usefixtures("worth")
def test_another_training_device_or_number_of_threads_does_not_go_on_from_it(training: Training) -> None:
    with pytest.raises(Stopped):
        training(stop_at(9))
    for other in ({"of": "another"}, {"of": "test", "threads": 2}):
        keeper = Keeper(training.store, **other)
        assert not any(training.store.get(STAGE, key) for key in keeper.keys)
