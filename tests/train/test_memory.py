"""Out of memory: checkpointing first, then smaller parts with the same gradient, and only where the loss allows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.api.method import Batch, Example, Inputs, Losses, Method, Step, Tagger, Term, TrainingSet, singles
from bench.api.objectives import cross_entropy, soft_labels
from bench.core.sentences import Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train.fit import FitPlan, fit
from bench.train.history import History
from bench.train.memory import MOST_JOBS, MOST_PARTS, Backoff, default_jobs, is_out_of_memory
from bench.train.tagger import LinearTagger


class Additive(Method):
    name = "additive"


class Contrastive(Method):
    """Compares the sentences of a batch with each other: a part of the batch is another loss."""

    name = "contrastive"
    additive = False


class Hungry(LinearTagger):
    """Runs out of memory above `most` sentences while it trains, with `free` sentences more under checkpointing."""

    most: int = 1000
    free: int = 0
    error: Exception = torch.OutOfMemoryError("CUDA out of memory (a test says so)")

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.tried: list[tuple[int, bool]] = []  # sentences, checkpointing

    def read(self, inputs: Inputs) -> Batch:
        if not self.training:
            return super().read(inputs)
        saving = any(getattr(module, "gradient_checkpointing", False) for module in self.encoder.modules())
        self.tried.append((len(inputs.sentences), saving))
        batch = super().read(inputs)  # dropout has been drawn when memory runs out
        if len(inputs.sentences) > self.most + self.free * saving:
            raise self.error
        return batch


def inputs_of(collator: Any, examples: Sequence[Example], groups: Sequence[int] | None = None) -> Inputs:
    made: Inputs = collator(examples, collator.pieces(examples), groups or range(len(examples)))
    return made


def backward(tagger: Any, loss: Callable[[dict[str, Inputs]], torch.Tensor]) -> Any:
    """What `fit` does with a part."""

    def passes(drawn: dict[str, Inputs], share: float) -> float:
        value = loss(drawn) * share
        value.backward()
        return float(value.detach())

    return passes


def gradients(tagger: Any) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in tagger.named_parameters() if p.grad is not None}


@pytest.fixture
def hungry(new_tagger: Callable[..., Any]) -> Callable[..., Any]:
    def make(most: int, free: int = 0, dropout: float = 0.0) -> Hungry:
        tagger: Hungry = new_tagger(dropout=dropout, kind=Hungry)
        tagger.most, tagger.free = most, free
        return tagger.train()

    return make


@pytest.fixture(scope="module")
def examples(toy: Callable[..., list[Sentence]]) -> list[Example]:
    return [Example(sentence) for sentence in toy(16, 2)]


# --- the order of measures --------------------------------------------------------------------------------------------


def test_checkpointing_comes_first_and_may_be_enough(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    tagger, collator = hungry(8, free=8), new_collator()
    backoff = Backoff(Additive(), tagger, collator)
    drawn = {"labelled": inputs_of(collator, examples)}
    passes = backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"])))
    assert len(backoff.run(drawn, passes)) == 1
    assert tagger.tried == [(16, False), (16, False), (16, True)], "the first time only garbage is collected"
    assert (backoff.checkpointing, backoff.parts) == (True, 1)
    backoff.run(drawn, passes)
    assert tagger.tried[3:] == [(16, True)], "the next step does not try in vain"


def test_then_the_batch_is_split_in_two_and_four(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    tagger, collator = hungry(5), new_collator()
    backoff = Backoff(Additive(), tagger, collator)
    drawn = {"labelled": inputs_of(collator, examples)}
    done = backoff.run(drawn, backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"]))))
    assert tagger.tried == [(16, False), (16, False), (16, True), (8, True), *[(4, True)] * 4]
    assert len(done) == backoff.parts == 4


def test_an_encoder_without_checkpointing_is_split_at_once(
    hungry: Callable[..., Any],
    new_collator: Callable[..., Any],
    examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tagger, collator = hungry(8), new_collator()
    monkeypatch.setattr(type(tagger.encoder.model), "supports_gradient_checkpointing", False)
    backoff = Backoff(Additive(), tagger, collator)
    drawn = {"labelled": inputs_of(collator, examples)}
    backoff.run(drawn, backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"]))))
    assert tagger.tried == [(16, False), (16, False), (8, False), (8, False)]
    assert not backoff.checkpointing


def test_splitting_ends(hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]) -> None:
    tagger, collator = hungry(0), new_collator()
    backoff = Backoff(Additive(), tagger, collator)
    with pytest.raises(torch.OutOfMemoryError):
        backoff.run(
            {"labelled": inputs_of(collator, examples)},
            backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"]))),
        )
    assert backoff.parts == MOST_PARTS
    assert [size for size, _ in tagger.tried] == [16, 16, 16, 8, 4, 2, 1]


def test_a_loss_that_is_no_mean_over_sentences_is_never_split(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    tagger, collator = hungry(8), new_collator()
    backoff = Backoff(Contrastive(), tagger, collator)
    passes = backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"])))
    with pytest.raises(torch.OutOfMemoryError):
        backoff.run({"labelled": inputs_of(collator, examples)}, passes)
    assert tagger.tried == [(16, False), (16, False), (16, True)]
    assert backoff.parts == 1
    enough = Backoff(Contrastive(), hungry(8, free=8), collator)
    read = enough.tagger.read
    enough.run(
        {"labelled": inputs_of(collator, examples)},
        backward(enough.tagger, lambda part: cross_entropy(read(part["labelled"]))),
    )
    assert enough.checkpointing, "checkpointing changes no loss"


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("CUDA out of memory"), False),
    ],
)
def test_other_errors_pass_through(
    hungry: Callable[..., Any],
    new_collator: Callable[..., Any],
    examples: list[Example],
    error: Exception,
    memory: bool,
) -> None:
    assert is_out_of_memory(error) == memory
    tagger, collator = hungry(8, free=8), new_collator()
    tagger.error = error
    backoff = Backoff(Additive(), tagger, collator)
    drawn = {"labelled": inputs_of(collator, examples)}
    passes = backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"])))
    if memory:
        backoff.run(drawn, passes)
        assert len(tagger.tried) == 3
    else:
        with pytest.raises(type(error)) as caught:
            backoff.run(drawn, passes)
        assert caught.value is error
        assert tagger.tried == [(16, False)]
        assert not backoff.checkpointing


# --- the same gradient ------------------------------------------------------------------------------------------------


def compare(
    make: Callable[..., Any], collator: Any, drawn: dict[str, Inputs], loss: Callable[[Any, dict[str, Inputs]], Any]
) -> None:
    """Loss and gradient of the whole and of 2, 3, 4 and 16 parts, within 1e-6."""
    whole = make(1000)
    value = sum(Backoff(Additive(), whole, collator).run(drawn, backward(whole, lambda part: loss(whole, part))))
    expected = gradients(whole)
    assert max(float(grad.abs().max()) for grad in expected.values()) > 1e-3
    for parts in (2, 3, 4, 16):
        tagger = make(1000)
        backoff = Backoff(Additive(), tagger, collator)
        backoff.parts = parts
        passes = backward(tagger, lambda part, tagger=tagger: loss(tagger, part))  # type: ignore[misc]
        assert sum(backoff.run(drawn, passes)) == pytest.approx(value, abs=1e-6)
        for name, grad in gradients(tagger).items():
            assert torch.allclose(grad, expected[name], atol=1e-6, rtol=1e-4), (parts, name)


def test_parts_give_the_gradient_of_the_whole(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    collator = new_collator()
    drawn = {"labelled": inputs_of(collator, examples)}
    compare(hungry, collator, drawn, lambda tagger, part: cross_entropy(tagger.read(part["labelled"])))


def test_parts_of_weighted_and_partly_labelled_sentences(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    """Parts count by what the mean counts: the weights of labelled words."""
    collator = new_collator()
    mixed = [
        Example(e.sentence if n % 3 else replace(e.sentence, spans=None), None, 0.1 + n) for n, e in enumerate(examples)
    ]
    drawn = {"labelled": inputs_of(collator, mixed)}
    compare(hungry, collator, drawn, lambda tagger, part: cross_entropy(tagger.read(part["labelled"])))


def test_parts_of_soft_labels(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    collator, rng = new_collator(), np.random.default_rng(0)
    soft = []
    for n, e in enumerate(examples):
        probabilities = rng.dirichlet(np.ones(5), len(e.sentence.words)).astype(np.float32)
        soft.append(Example(replace(e.sentence, spans=None), probabilities, weight=1.0 + n))
    drawn = {"unlabelled": inputs_of(collator, soft)}
    compare(hungry, collator, drawn, lambda tagger, part: soft_labels(tagger.read(part["unlabelled"]), "kl"))


def test_parts_of_unlabelled_sentences_count_by_words(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    def entropy(tagger: Any, part: dict[str, Inputs]) -> Any:
        batch = tagger.read(part["unlabelled"])
        words = batch.inputs.word_mask
        return (batch.logits.logsumexp(-1) * words).sum() / words.sum()

    collator = new_collator()
    bare = [Example(replace(e.sentence, spans=None)) for e in examples]
    compare(hungry, collator, {"unlabelled": inputs_of(collator, bare)}, entropy)


def test_groups_are_never_split_and_no_stream_loses_sentences(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    """8 pairs beside 16 singles: in 16 parts there are only 8, and every sentence is in one of them."""
    collator, tagger = new_collator(), hungry(1000)
    drawn = {
        "paired": inputs_of(collator, examples, [n // 2 for n in range(16)]),
        "unlabelled": inputs_of(collator, examples),
    }
    backoff = Backoff(Additive(), tagger, collator)
    for parts in (2, 4, 8, 16):
        backoff.parts = parts
        seen: dict[str, list[str]] = {name: [] for name in drawn}
        shares: list[float] = []

        def passes(
            part: dict[str, Inputs], share: float, seen: dict[str, list[str]] = seen, shares: list[float] = shares
        ) -> None:
            shares.append(share)
            for name, inputs in part.items():
                seen[name] += [s.id for s in inputs.sentences]
            groups = part["paired"].groups.tolist()
            assert all(groups.count(group) == 2 for group in groups)

        backoff.run(drawn, passes)
        assert len(shares) == min(parts, 8)
        assert sum(shares) == pytest.approx(1)
        for found in seen.values():
            assert sorted(found) == sorted(e.sentence.id for e in examples)


# --- through a training -----------------------------------------------------------------------------------------------


def train(
    tagger: Any, collator: Any, sentences: Sequence[Sentence], folder: Path, method: Method | None = None
) -> History:
    folder.mkdir()
    recipe = EncoderSpec(lr=1e-3, clip=1e6)
    plan = FitPlan(method or Additive(), TrainSpec(steps=6, batch=8, evals=1), recipe, 1, ())
    with torch.random.fork_rng(devices=[]):
        return fit(plan, TrainingSet(labelled=singles(sentences)), tagger, collator, folder)


def test_what_really_ran_is_recorded(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    plain, saving, split = (
        train(hungry(most, free), new_collator(), toy(24), tmp_path / f"{most}-{free}")
        for most, free in ((8, 0), (4, 4), (2, 0))
    )
    ran = [(h.ran["activation_checkpointing"], h.ran["micro_batches"]) for h in (plain, saving, split)]
    assert ran == [(False, 1), (True, 1), (True, 4)]
    assert plain.sentences == saving.sentences == split.sentences == 48
    assert [len(h.losses["ce"]) for h in (plain, saving, split)] == [6, 6, 6]
    assert saving.losses["ce"] == pytest.approx(plain.losses["ce"], rel=1e-5)
    assert split.losses["ce"] == pytest.approx(plain.losses["ce"], rel=1e-3)
    assert split.forward_passes == 24


def test_a_repeated_step_sees_the_same_dropout(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    plain = train(hungry(8, dropout=0.2), new_collator(), toy(24), tmp_path / "plain")
    again = train(hungry(4, 4, dropout=0.2), new_collator(), toy(24), tmp_path / "again")
    assert again.ran["activation_checkpointing"]
    assert again.losses["ce"] == pytest.approx(plain.losses["ce"], rel=1e-5)


def test_the_optimiser_gets_the_gradient_of_the_whole_batch(
    hungry: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[dict[str, torch.Tensor]] = []
    for most in (8, 3):
        tagger = hungry(most)
        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", lambda *_, tagger=tagger: found.append(gradients(tagger)))
            train(tagger, new_collator(), toy(24), tmp_path / str(most))
    whole, split = found[0], found[6]
    for name, grad in whole.items():
        assert torch.allclose(split[name], grad, atol=1e-6, rtol=1e-3), name


def test_a_cell_that_cannot_be_split_fails(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        train(hungry(4), new_collator(), toy(24), tmp_path / "a", Contrastive())


def test_half_a_failed_step_leaves_no_gradient(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], examples: list[Example]
) -> None:
    """The second of two parts runs out of memory: the gradient of the first must not count twice."""
    collator, tagger, whole = new_collator(), hungry(1000), hungry(1000)
    drawn = {"labelled": inputs_of(collator, examples)}
    Backoff(Additive(), whole, collator).run(
        drawn, backward(whole, lambda part: cross_entropy(whole.read(part["labelled"])))
    )
    backoff = Backoff(Additive(), tagger, collator)
    backoff.parts, backoff.checkpointing = 2, True
    passes, calls = backward(tagger, lambda part: cross_entropy(tagger.read(part["labelled"]))), []

    def failing(part: dict[str, Inputs], share: float) -> Any:
        calls.append(share)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("a test says so")
        return passes(part, share)

    backoff.run(drawn, failing)
    assert len(calls) == 2 + 2
    for name, grad in gradients(tagger).items():
        assert torch.allclose(grad, gradients(whole)[name], atol=1e-6, rtol=1e-4)


def test_a_term_of_zero_weight_is_logged_all_the_same(
    hungry: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    class Watching(Method):
        name = "watching"

        def loss(self, tagger: Tagger, step: Step) -> Losses:
            assert step.labelled is not None
            ce = cross_entropy(step.labelled)
            return (Term("ce", ce), Term("twice", 2 * ce, 0.0))

    history = train(hungry(4), new_collator(), toy(24), tmp_path / "a", Watching())
    assert history.ran["micro_batches"] == 2
    assert history.losses["twice"] == pytest.approx([2 * value for value in history.losses["ce"]], rel=1e-5)


@pytest.mark.parametrize(("cores", "threads", "jobs"), [(2, 1, 2), (2, 4, 1), (64, 1, MOST_JOBS), (None, 1, 1)])
def test_jobs_where_the_system_does_not_tell_its_cores_by_process(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int, jobs: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_jobs("cpu", threads) == jobs
