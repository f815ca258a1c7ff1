"""`speed train` and `predict`: both sides do the same, and what is printed follows from what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.studies import speed_crowd, speed_train
from tests.studies.__main__ import main as studies
from tests.studies.speed_crowd import Crowd, crowd, together
from tests.studies.speed_train import Setting

pytest.importorskip("accelerate")


@pytest.fixture
def any_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring it takes a second."""
    monkeypatch.setattr(speed_train, "peak_flops", lambda device, precision: 1e12)


def test_training_beside_the_trainer(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--sentences", "60", "--batch", "8", "--rounds", "1", "--threads", "1", "--encoder", str(tiny_folder))
    assert studies(["speed", "train", *few, "--steps", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ours, theirs = found["sides"]
    assert (ours["side"], theirs["side"]) == ("xner", "Trainer")
    assert ours["ratio"] == 1 and theirs["ratio"] == pytest.approx(theirs["seconds"] / ours["seconds"])
    tokens = [side["seconds"] * side["tokens_per_second"] for side in found["sides"]]
    assert tokens[0] == pytest.approx(tokens[1]), "the same sub-words a step"
    assert 0 <= ours["padding"] < theirs["padding"] < 1, "ours are sorted by length, theirs are not"
    assert all(0 < side["share_of_peak"] < 1 for side in found["sides"])
    assert all(0 <= f1 <= 100 for side in found["sides"] for f1 in side["f1"])


@pytest.mark.usefixtures("any_peak")
def test_the_trainer_may_group_by_length_too(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--sentences", "60", "--rounds", "1", "--steps", "4", "--threads", "1", "--encoder", str(tiny_folder))
    assert studies(["speed", "train", "--grouped", "--json", *few]) == 0
    sides = json.loads(capsys.readouterr().out)["sides"]
    assert [side["side"] for side in sides] == ["xner", "Trainer", "Trainer, grouped by length"]


@pytest.mark.usefixtures("any_peak")
def test_a_vocabulary_as_large_as_a_multilingual_one(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--sentences", "40", "--rounds", "1", "--steps", "4", "--threads", "1", "--encoder", str(tiny_folder))
    assert studies(["speed", "train", "--vocabulary", "20000", *few]) == 0
    assert "tiny-for-tests with 20,000 rows of embeddings" in capsys.readouterr().out
    assert studies(["speed", "train", "--vocabulary", "20", *few]) == 2
    assert "--vocabulary 20: the encoder has" in capsys.readouterr().err


def test_a_shape_with_random_weights_and_several_at_once(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_several(setting: Setting, trainings: int) -> Crowd:
        return crowd(setting, trainings) if trainings > 1 else Crowd(1, 1.0)

    monkeypatch.setattr(speed_crowd, "crowd", only_several)
    few = ("--sentences", "40", "--rounds", "1", "--steps", "6", "--threads", "1", "--encoder", str(tiny_folder))
    assert (
        studies(["speed", "train", "--shape", "1x64", "--at-once", "1,2", "--precision", "bf16", "--json", *few]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["encoder"], found["precision"]) == ("a random BERT of 1 layers × 64", "bf16")
    assert [one["trainings"] for one in found["at_once"]] == [1, 2]
    assert all(one["tokens_per_second"] > 0 and one["share_of_peak"] > 0 for one in found["at_once"])
    assert studies(["speed", "train", "--shape", "1x65", *few]) == 2
    assert "--shape 1x65: the dimensions must be a multiple of 64" in capsys.readouterr().err


def test_steps_at_once_are_those_while_all_were_at_work() -> None:
    early, late = [0.0, 1.0, 2.0, 3.0, 4.0, 9.0], [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5]
    assert together([early, late]) == pytest.approx((2 + 4) / 2)
    assert together([early]) == 1.0


@pytest.mark.usefixtures("any_peak")
def test_prediction_beside_the_trainer(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--sentences", "60", "--rounds", "2", "--threads", "1", "--encoder", str(tiny_folder))
    assert studies(["speed", "predict", *few]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["s", "xner", "Trainer"] and "2 rounds" in lines[0]
    assert "warm-up: xner" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--steps", "2"), "--steps 2: at least 4"),
        (("train", "--corpus", "demmo"), "did you mean 'demo'"),
        (("predict", "--encoder", "minni"), "did you mean 'mini'"),
    ],
)
def test_bad_input(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert studies(["speed", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shape", "12"), "'12' is not layers x dimensions, such as 12x768"),
        (("--at-once", "1,0"), "'1,0' are not numbers from 1 on by commas"),
    ],
)
def test_an_argument_of_another_form(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        studies(["speed", "train", *words])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
