"""Nothing of a training outlives it, and what the process did before decides nothing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.api.method import Example, Losses, Method, Step, Tagger, Term, TrainingSet, pairs, singles
from bench.api.objectives import cross_entropy
from bench.core.memo import Memo
from bench.core.sentences import Pair, Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train import fit as loop
from bench.train.fit import FitPlan, fit
from bench.train.memory import Backoff, Peak
from bench.train.predict import predict

TRAIN = TrainSpec(steps=4, batch=8, evals=2)


class Vectors(Method):
    """Asks for sentence vectors, and for a second view of the batch."""

    name = "vectors"

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        assert step.labelled is not None
        again = tagger.read(step.labelled.inputs)
        spread = (again.vectors - step.labelled.vectors).square().mean()
        return (Term("ce", cross_entropy(step.labelled)), Term("spread", spread))


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("layer", ["last", "first"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_tagger_optimiser_and_gradients_end_with_their_training(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_collector: None,
    layer: str,
    checkpointing: bool,
) -> None:
    """Without the garbage collector, which may come late: a cycle would hold gigabytes until then."""
    alive: list[weakref.ref[Any]] = []
    plain = loop.optimiser_of

    def noting(tagger: Any, recipe: EncoderSpec) -> Any:
        made = plain(tagger, recipe)
        alive.append(weakref.ref(made))
        if checkpointing:
            tagger.encoder.checkpoint()
        return made

    class Noting(Vectors):
        def on_epoch(self, tagger: Tagger, state: object) -> None:
            found: Any = tagger
            alive.extend(weakref.ref(p.grad) for p in found.parameters() if p.grad is not None)

    monkeypatch.setattr(loop, "optimiser_of", noting)

    def train() -> None:
        tagger = new_tagger(1)
        tagger.pooled_layer = layer
        alive.extend(weakref.ref(parameter) for parameter in [tagger, *tagger.parameters()])
        data = TrainingSet(labelled=singles(toy(16)))
        fit(FitPlan(Noting(), TRAIN, EncoderSpec(), 1, toy(6, 5)), data, tagger, new_collator(), tmp_path)
        assert all(p.grad is None for p in tagger.parameters())
        predict(tagger, new_collator(), toy(6, 7))

    train()
    assert len(alive) > 40
    assert [ref() for ref in alive if ref() is not None] == []


def test_a_lack_that_garbage_explains_costs_nothing(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    no_collector: None,
) -> None:
    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

    garbage = weakref.ref(Garbage())
    collator, tries = new_collator(), list[bool]()
    examples = [Example(sentence) for sentence in toy(4)]
    backoff = Backoff(Method(), new_tagger(), collator)

    def passes(part: Any, share: float) -> None:
        tries.append(garbage() is None)
        if not tries[-1]:
            raise torch.OutOfMemoryError("CUDA out of memory (a test says so)")

    backoff.run({"labelled": collator(examples, collator.pieces(examples), range(4))}, passes)
    assert tries == [False, True]
    assert (backoff.parts, backoff.checkpointing) == (1, False)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_training_has_the_same_bits_whatever_ran_before(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
    seed: int,
) -> None:
    """Each of three trainings first, last and after the others; some stopped half-way, some failing."""
    twins = [Pair(a, b) for a, b in zip(toy(12), toy(12, 3, "de"), strict=True)]
    kinds: dict[str, tuple[Method, TrainingSet, EncoderSpec]] = {
        "plain": (Method(), TrainingSet(labelled=singles(toy(24))), EncoderSpec(lr=1e-3)),
        "pairs": (Vectors(), TrainingSet(labelled=pairs(twins)), EncoderSpec(lr=1e-3, head_lr=1e-2)),
        "frozen": (Method(), TrainingSet(labelled=singles(toy(24))), EncoderSpec(lr=1e-3, freeze=1)),
    }
    shared = Memo()

    def train(kind: str, stop: int = 0) -> dict[str, bytes]:
        method, data, recipe = kinds[kind]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        made = new_tagger(7)
        tagger = type(made)(type(made.encoder)(made.encoder.model, recipe.freeze, "tiny", shared), made.tags, 0.1)
        tagger.classifier.load_state_dict(made.classifier.state_dict())

        def tick(step: int) -> None:
            if step == stop:
                raise KeyboardInterrupt

        fit(FitPlan(method, TRAIN, recipe, 1, toy(6, 5)), data, tagger, new_collator(), folder, tick)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    alone = {kind: train(kind) for kind in kinds}
    draw = np.random.default_rng(seed)
    for kind in draw.permutation([*kinds] * 3).tolist():
        torch.manual_seed(int(draw.integers(2**31)))
        if draw.random() < 0.3:
            with pytest.raises(KeyboardInterrupt):
                train(kind, stop=2)
        if draw.random() < 0.3:
            shared.clear()
        assert train(kind) == alone[kind], kind


def test_peak_memory_is_of_the_span_not_of_the_process() -> None:
    first = Peak(torch.device("cpu"))
    block = np.ones(300 * 2**20 // 8)
    high = first.read()["peak_rss_mb"]
    del block
    later = Peak(torch.device("cpu"))
    if later.resets:
        assert later.read()["peak_rss_mb"] < high - 200
    else:
        assert later.read()["peak_rss_mb"] >= high


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=40))
def test_a_memo_keeps_to_its_bound_and_what_it_gives_is_what_was_put(puts: list[tuple[int, int]]) -> None:
    memo, sizes = Memo(100), dict[int, int]()
    for number, (key, size) in enumerate(puts):
        memo.put(key, (key, number), size)
        sizes[key] = size
        assert memo.get(key) == (key, number)
        kept = [key for key in range(10) if memo.get(key) is not None]
        assert memo.bytes == sum(sizes[key] for key in kept) <= 100
    memo.clear()
    assert memo.bytes == 0 and memo.get(0) is None


def test_what_is_larger_than_the_memo_and_what_was_used_longest_ago_is_not_kept() -> None:
    memo = Memo(10)
    memo.put("a", 1, 4)
    memo.put("b", 2, 4)
    assert memo.get("a") == 1
    memo.put("c", 3, 4)
    memo.put("d", 4, 11)
    assert [memo.get(key) for key in "abcd"] == [1, None, 3, None]
