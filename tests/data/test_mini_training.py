"""How the encoder `mini` is trained: batches, losses by hand, interruption, the folder that comes out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.cli.main import main
from data_recipes.encoders.mini import encoder as recipe_of
from data_recipes.encoders.mini import start, train
from data_recipes.encoders.mini.batches import CLS, MASK, PAD, SEP, Batch, Kitchen
from data_recipes.encoders.mini.prepare import ENGLISH, FOREIGN, Prepared
from data_recipes.encoders.mini.recipe import Diet, Recipe
from data_recipes.encoders.mini.train import Student, losses
from data_recipes.encoders.mini.vocabulary import Mix, splitter, words_of
from tests.support.mini_tools import ENTRIES, LINKS, TEXT, small, write_teacher

PLAIN = Diet(tokens=40, entries=2, english=1.0, switched=0.0, masked=0.0, resplit=0.0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Prepared, Any]:
    return small(tmp_path_factory.mktemp("teacher"), Mix(size=700, teacher=10.0, rare=0.0))


def encoder_of(parts: tuple[Any, Prepared, Any]) -> Any:
    split = splitter()
    torch.manual_seed(0)
    return start.student(parts[1], parts[2], 2, [words_of(split, line) for line in TEXT.english])


# --- batches ------------------------------------------------------------------------------------------------------


def test_an_epoch_reads_every_translation_once_within_the_budget(parts: tuple[Any, Prepared, Any]) -> None:
    kitchen = Kitchen(parts[1], PLAIN, 1, parts[0].get_vocab())
    batches = kitchen.epoch(0)
    read = sorted(int(i) for batch in batches for i in batch)
    assert read == [i for i, kind in enumerate(parts[1].kind) if kind in (ENGLISH, FOREIGN)]
    assert all(len(batch) * (kitchen.lengths[batch].max() + 2) <= 40 or len(batch) == 1 for batch in batches)


def test_words_pieces_and_rows_of_a_batch_belong_together(parts: tuple[Any, Prepared, Any]) -> None:
    tokenizer, data, _ = parts
    kitchen = Kitchen(data, PLAIN, 1, tokenizer.get_vocab())
    batch = kitchen.batch(np.array([4, 6]), np.random.default_rng(0))  # two German lines
    for row, line in enumerate((TEXT.foreign[0].text, TEXT.foreign[2].text)):
        expected = tokenizer(line)["input_ids"]
        assert batch.ids[row, : len(expected)].tolist() == expected
        assert (batch.ids[row, len(expected) :] == PAD).all()
    assert batch.ids[0, 0] == CLS and SEP in batch.ids[0]
    assert batch.linked.tolist() == [True] * 4 + [True, True, False, True, True, True]  # ja
    assert len(batch.row_at) == len(batch.example) == int(batch.word.max()) + 1


def test_exchanged_words_keep_the_english_rows(parts: tuple[Any, Prepared, Any]) -> None:
    data = parts[1]
    kitchen = Kitchen(data, replace(PLAIN, switched=1.0, exchanged=1.0), 1, parts[0].get_vocab())
    plain = data.example(1).tolist()
    seen = set()
    for seed in range(8):
        words, bags = kitchen._read(1, np.random.default_rng(seed))
        seen.update(words)
        assert [bag.tolist() for bag in bags] == [bag.tolist() for bag in data.bags(1)]
    assert set(data.example(5).tolist()) <= seen - set(plain)  # all of "Das Haus ist alt"


def test_a_step_is_the_same_wherever_one_starts(parts: tuple[Any, Prepared, Any]) -> None:
    kitchen = Kitchen(parts[1], replace(PLAIN, masked=0.3, switched=0.5, resplit=0.3), 1, parts[0].get_vocab())
    whole, late = list(kitchen.steps(0, 7)), list(kitchen.steps(4, 7))
    assert len(whole) == 7 and len(late) == 3
    for (a, b), (c, d) in zip(whole[4:], late, strict=True):
        assert torch.equal(a.ids, c.ids) and torch.equal(b.ids, d.ids) and torch.equal(a.rows, c.rows)
    assert any((a.ids == MASK).any() for a, _ in whole)


# --- the loss -----------------------------------------------------------------------------------------------------


def test_the_student_starts_with_standardised_vectors(parts: tuple[Any, Prepared, Any]) -> None:
    """The folded LayerNorm standardises whatever that layer gives for the words that it was measured on."""
    tokenizer, data, teacher = parts
    made = encoder_of(parts)
    with torch.no_grad():
        made.embeddings.word_embeddings.weight.copy_(torch.randn(made.embeddings.word_embeddings.weight.shape))
        plain = start.student(data, teacher, 2, [("Anna",)])
        plain.load_state_dict({**made.state_dict()})
        norm = teacher.model.encoder.layer[1].output.LayerNorm
        plain.encoder.layer[1].output.LayerNorm.load_state_dict(norm.state_dict())
        inputs = tokenizer("Das Haus ist alt", return_tensors="pt")
        raw, standard = plain(**inputs).last_hidden_state, made(**inputs).last_hidden_state
    vectors = np.concatenate(teacher.word_vectors([words_of(splitter(), line) for line in TEXT.english], 2))
    expected = (raw - torch.from_numpy(vectors.mean(0))) / torch.from_numpy(vectors.std(0))
    assert torch.allclose(standard, expected, atol=1e-4)


def test_contrast_equals_its_formula_and_knows_the_same_word() -> None:
    made = torch.nn.functional.normalize(torch.randn(3, 4, dtype=torch.float64), dim=-1)
    goal = torch.nn.functional.normalize(torch.randn(3, 4, dtype=torch.float64), dim=-1)
    s = (made @ goal.T / 0.1).exp()
    same = torch.tensor([7, 8, 7])  # the first and the last stand for one English word: no negatives of each other
    rows = [s[0, 0] / (s[0, 0] + s[0, 1]), s[1, 1] / s[1].sum(), s[2, 2] / (s[2, 1] + s[2, 2])]
    expected = -torch.stack(rows).log().mean()
    assert torch.allclose(train._contrast(made, goal, same, 0.1), expected, atol=1e-6)
    assert torch.allclose(train._contrast(made, goal, None, 0.1), -(s.diagonal() / s.sum(1)).log().mean(), atol=1e-6)


def test_a_student_that_is_the_teacher_has_no_distance() -> None:
    class Perfect(Student):
        def words(self, batch: Batch) -> torch.Tensor:
            return torch.stack([vectors[batch.rows[at]] for at in batch.row_at])

    class Config:
        hidden_size = 4

    class Shape(torch.nn.Module):
        config = Config()

    vectors = torch.randn(3, 4)
    batch = Batch(
        ids=torch.zeros(1, 5, dtype=torch.long),
        mask=torch.ones(1, 5, dtype=torch.long),
        word=torch.tensor([[-1, 0, 1, 2, -1]]),
        rows=torch.tensor([0, 1, 2]),
        row_at=torch.tensor([0, 1, 2]),
        linked=torch.ones(3, dtype=torch.bool),
        surface=torch.arange(3),
        capital=torch.tensor([1, 0, 0]),
        example=torch.zeros(3, dtype=torch.long),
    )
    terms = losses(Perfect(Shape()), batch, batch, vectors, Recipe())
    assert abs(float(terms["cosine"])) < 1e-6 and abs(float(terms["entry"])) < 1e-6
    assert float(terms["sentence"]) == pytest.approx(0.0, abs=1e-6)  # one sentence: nothing to tell it from
    assert math.isfinite(float(terms["capital"].detach()))


# --- training -----------------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


def trained(parts: tuple[Any, Prepared, Any], folder: Path, tokens: int, stop: int = 0) -> tuple[Any, list[Any]]:
    made = encoder_of(parts)

    def tick(done: int, total: int, what: str) -> None:
        if done == stop:
            raise Stop

    folder.mkdir(exist_ok=True)
    return made, train.train(made, parts[0].get_vocab(), parts[1], PLAIN, Recipe(tokens=tokens, warmup=2), folder, tick)


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("stop", [2, 9])  # at the constant rate, and while it falls
def test_an_interrupted_training_ends_with_the_same_weights(
    parts: tuple[Any, Prepared, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(train, "EVERY", 0.0)
    whole, log = trained(parts, tmp_path / "whole", 400)
    with pytest.raises(Stop):
        trained(parts, tmp_path / "parts", 400, stop)
    again, log_again = trained(parts, tmp_path / "parts", 400)
    assert same(whole, again) and log == log_again
    assert log[-1]["cosine"] < log[0]["cosine"]


def test_a_longer_training_goes_on_from_the_constant_rate(parts: tuple[Any, Prepared, Any], tmp_path: Path) -> None:
    trained(parts, tmp_path / "work", 400)
    train.forget(tmp_path / "work")
    begun: list[int] = []
    made = encoder_of(parts)
    train.train(
        made,
        parts[0].get_vocab(),
        parts[1],
        PLAIN,
        Recipe(tokens=800, warmup=2),
        tmp_path / "work",
        lambda done, *_: begun.append(done),
    )
    assert begun[0] == 3 and begun[-1] == 20  # after the 2 steps of 10 that had the constant rate
    whole, _ = trained(parts, tmp_path / "anew", 800)
    assert same(made, whole)


def test_another_recipe_starts_anew(parts: tuple[Any, Prepared, Any], tmp_path: Path) -> None:
    trained(parts, tmp_path / "work", 400)
    begun: list[int] = []
    train.train(
        encoder_of(parts),
        parts[0].get_vocab(),
        parts[1],
        PLAIN,
        Recipe(tokens=400, warmup=2, word=0.0),
        tmp_path / "work",
        lambda done, *_: begun.append(done),
    )
    assert begun[0] == 1


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The few sentences in place of the published text, and a random teacher."""
    (tmp_path / "teacher").mkdir()
    write_teacher(tmp_path / "teacher")
    monkeypatch.setattr(recipe_of, "training_text", lambda: TEXT)
    monkeypatch.setattr(recipe_of, "dictionary_entries", lambda: iter(ENTRIES))
    monkeypatch.setattr("data_recipes.encoders.mini.teacher.folder", lambda: tmp_path / "teacher")
    monkeypatch.setattr("data_recipes.encoders.mini.guard.tests", lambda: iter(()))
    monkeypatch.setattr(
        "data_recipes.encoders.mini.prepare.links_of", lambda pairs, **_: {name: LINKS[name] for name in pairs}
    )


def test_make_encoder_writes_a_folder_that_a_matrix_takes(
    offline: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.train.tagger import load_encoder

    command = ["make-encoder", "mini", "--out", str(tmp_path / "made")]
    settings = ["--set", "layers=2", "--set", "tokens=12000", "--set", "pieces=6000"]
    assert main([*command, *settings]) == 0
    assert "training the encoder 'mini': 4 of 4" in capsys.readouterr().err
    loaded = load_encoder(str(tmp_path / "made"))
    assert loaded.model.config.num_hidden_layers == 2 and loaded.longest == 128
    assert (tmp_path / "made" / "losses.json").is_file()
    assert main([*command, *settings]) == 2
    assert "finished encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mnii"], "unknown encoder 'mnii'"),
        (["mini", "--set", "layers=9"], "must be from 1 to 6"),
        (["mini", "--set", "exchanged=-1"], "at least 0"),
        (["mini", "--set", "resplit=1.5"], "from 0 to 1"),
        (["mini", "--set", "token=9"], "token"),
        (["mini", "--threads", "0"], "at least 1"),
    ],
)
def test_make_encoder_refuses_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["make-encoder", *arguments, "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
