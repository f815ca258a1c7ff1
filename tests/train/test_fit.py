"""The training loop: the same bytes under a seed, equal budgets, snapshots by rule, failures that name their step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bench.api.method import (
    EpochState,
    Example,
    Losses,
    Method,
    Predictions,
    Step,
    Tagger,
    Term,
    TrainingSet,
    pairs,
    singles,
)
from bench.api.objectives import cross_entropy, soft_labels
from bench.core.sentences import Pair, Sentence, Span
from bench.measure.score import count, f1
from bench.plan.keys import rng
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train import history as watch
from bench.train.batches import Stream
from bench.train.encoder import load_weights, whole_state
from bench.train.fit import FitPlan, fit
from bench.train.history import History, snapshot
from bench.train.predict import predict

TRAIN = TrainSpec(steps=24, batch=8, evals=3)
RECIPE = EncoderSpec(lr=3e-3, max_length=64)


class Plain(Method):
    """Every default of the interface."""

    name = "plain"


class Rich(Method):
    """Pairs, a contrastive-like term and soft labels on a second stream; remembers what each step held."""

    name = "rich"

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []
        self.epochs: list[EpochState] = []

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        assert step.labelled is not None
        assert step.unlabelled is not None
        self.steps.append((len(step.labelled.inputs.sentences), len(step.unlabelled.inputs.sentences)))
        return (
            Term("ce", cross_entropy(step.labelled)),
            Term("norm", step.labelled.vectors.square().mean(), 0.1),
            Term("soft", soft_labels(step.unlabelled), 2.0),
        )

    def on_epoch(self, tagger: Tagger, state: EpochState) -> None:
        self.epochs.append(state)


@dataclass(frozen=True)
class Run:
    history: History
    tagger: Any
    found: Predictions
    folder: Path

    def bytes(self) -> bytes:
        return repr(self.found.spans).encode() + b"".join(p.tobytes() for p in self.found.probabilities)


@pytest.fixture
def run(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
) -> Callable[..., Run]:
    """Train on 48 toy sentences and predict 20 others."""
    collator = new_collator()

    def train(
        seed: int = 1,
        method: Method | None = None,
        data: TrainingSet | None = None,
        spec: TrainSpec = TRAIN,
        recipe: EncoderSpec = RECIPE,
        watched: dict[str, Sequence[Sentence]] | None = None,
        dev: Sequence[Sentence] | None = None,
    ) -> Run:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        tagger = new_tagger(seed)
        plan = FitPlan(method or Plain(), spec, recipe, seed, toy(16, 5) if dev is None else dev, watched or {})
        data = data or TrainingSet(labelled=singles(toy(48)))
        with torch.random.fork_rng(devices=[]):
            history = fit(plan, data, tagger, collator, folder)
        return Run(history, tagger, predict(tagger, collator, toy(20, 9), spec.precision), folder)

    return train


@pytest.fixture(scope="session")
def rich_data(toy: Callable[..., list[Sentence]]) -> TrainingSet:
    twins = [Pair(a, b) for a, b in zip(toy(24), toy(24, 3, "de"), strict=True)]
    draw = np.random.default_rng(0)
    bare = [replace(s, spans=None) for s in toy(21, 4, "de")]
    return TrainingSet(
        labelled=pairs(twins),
        unlabelled=tuple((Example(s, draw.dirichlet(np.ones(5), len(s.words)).astype(np.float32)),) for s in bare),
    )


def timeless(history: History) -> dict[str, Any]:
    return {**asdict(history), "seconds": 0}


# --- repeatable -------------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_and_another_seed_others(run: Callable[..., Run], rich_data: TrainingSet) -> None:
    for method, data in ((Plain, None), (Rich, rich_data)):
        torch.manual_seed(1)
        np.random.seed(1)
        first = run(1, method(), data)
        torch.manual_seed(2)  # the global streams decide nothing
        np.random.seed(2)
        second = run(1, method(), data)
        other = run(2, method(), data)
        assert first.bytes() == second.bytes()
        assert timeless(first.history) == timeless(second.history)
        for name in {path.name for path in first.folder.iterdir()}:
            assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
        assert other.bytes() != first.bytes()
        assert other.history.losses != first.history.losses


def test_evaluating_more_often_trains_the_same(run: Callable[..., Run]) -> None:
    few, many = run(spec=replace(TRAIN, evals=1)), run(spec=replace(TRAIN, evals=12))
    assert few.bytes() == many.bytes()
    assert few.history.losses == many.history.losses


def test_the_loss_goes_down_and_the_names_are_learnt(
    run: Callable[..., Run], toy: Callable[..., list[Sentence]]
) -> None:
    made = run(spec=replace(TRAIN, steps=60))
    losses = made.history.losses["ce"]
    assert len(losses) == 60
    assert np.mean(losses[-6:]) < 0.3 * np.mean(losses[:6])
    assert f1(count([s.spans for s in toy(20, 9)], made.found.spans, ("PER", "LOC"))) > 0.9


def test_the_seed_decides_the_order_and_dropout_of_equal_taggers(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    data, collator = TrainingSet(labelled=singles(toy(48))), new_collator()

    def losses(seed: int, dropout: float, sentences: TrainingSet = data) -> list[float]:
        plan = FitPlan(Plain(), replace(TRAIN, steps=4, evals=1), RECIPE, seed, ())
        with torch.random.fork_rng(devices=[]):
            return fit(plan, sentences, new_tagger(1, dropout), collator, tmp_path).losses["ce"]

    assert losses(1, 0.0) != losses(2, 0.0), "the order"
    same = TrainingSet(labelled=singles(toy(1) * 8))  # whatever the order
    assert losses(1, 0.0, same) == losses(2, 0.0, same)
    assert losses(1, 0.3, same) != losses(2, 0.3, same), "dropout"


def test_the_loop_is_adamw_on_the_weighed_sum_of_the_terms(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], rich_data: TrainingSet, tmp_path: Path
) -> None:
    """Five steps written out, without dropout."""
    spec = replace(TRAIN, steps=5, evals=1)
    recipe = replace(RECIPE, lr=1e-3, warmup=0.4, weight_decay=0.0, clip=0.5)
    collator, ours, plain = new_collator(), new_tagger(1, 0.0), new_tagger(1, 0.0).train()
    fit(FitPlan(Rich(), spec, recipe, 3, ()), rich_data, ours, collator, tmp_path)
    streams = {name: Stream(groups, 8, collator, rng(3, "order", name)) for name, groups in rich_data.streams().items()}
    optimiser = torch.optim.AdamW(plain.parameters(), weight_decay=0.0)
    for rate in (5e-4, 1e-3, 1e-3, 2e-3 / 3, 1e-3 / 3):
        labelled, soft = plain.read(streams["labelled"].take()), plain.read(streams["unlabelled"].take())
        loss = cross_entropy(labelled) + 0.1 * labelled.vectors.square().mean() + 2.0 * soft_labels(soft)
        for parameter in plain.parameters():
            parameter.grad = None
        loss.backward()
        assert torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5) > 0.6, "clipping does something"
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
    written_out = whole_state(plain)
    for name, tensor in whole_state(ours).items():
        assert torch.allclose(tensor, written_out[name], atol=1e-5), name


# --- equal budgets ----------------------------------------------------------------------------------------------------


def test_two_methods_have_the_same_budget(run: Callable[..., Run], rich_data: TrainingSet) -> None:
    method = Rich()
    plain, rich = run(), run(method=method, data=rich_data)
    assert plain.history.steps == rich.history.steps == len(method.steps) == TRAIN.steps
    assert plain.history.eval_steps == rich.history.eval_steps == [8, 16, 24]
    assert set(method.steps) == {(TRAIN.batch, TRAIN.batch)}, "pairs fill a batch with as many sentences as singles do"
    assert plain.history.sentences == TRAIN.steps * TRAIN.batch
    assert rich.history.sentences == 2 * TRAIN.steps * TRAIN.batch
    assert (plain.history.forward_passes, rich.history.forward_passes) == (TRAIN.steps, 2 * TRAIN.steps)
    assert set(rich.history.losses) == {"ce", "norm", "soft"}
    assert {len(values) for values in rich.history.losses.values()} == {TRAIN.steps}


def test_tokens_are_real_sub_words(run: Callable[..., Run], toy: Callable[..., list[Sentence]]) -> None:
    one_pass = run(spec=replace(TRAIN, steps=6))  # 48 sentences, each once
    assert one_pass.history.tokens == sum(len(s.words) + 2 for s in toy(48))


def test_epochs_are_counted_on_the_first_stream(run: Callable[..., Run], rich_data: TrainingSet) -> None:
    method = Rich()
    run(method=method, data=rich_data)
    assert method.epochs == [EpochState(n, 6 * n, 24) for n in (1, 2, 3, 4)]


def test_a_stream_of_pairs_alone_trains(run: Callable[..., Run], rich_data: TrainingSet) -> None:
    class Paired(Rich):
        name = "paired"

        def loss(self, tagger: Tagger, step: Step) -> Losses:
            assert step.paired is not None
            return (Term("ce", cross_entropy(step.paired)),)

    method = Paired()
    made = run(method=method, data=TrainingSet(paired=rich_data.labelled))
    assert made.history.sentences == TRAIN.steps * TRAIN.batch
    assert [state.step for state in method.epochs] == [6, 12, 18, 24]


def test_a_budget_of_epochs(
    run: Callable[..., Run], rich_data: TrainingSet, toy: Callable[..., list[Sentence]]
) -> None:
    spec = TrainSpec(budget="epochs", epochs=3, batch=8, evals=2)
    plan = FitPlan(Plain(), spec, RECIPE, 1, ())
    assert plan.steps(TrainingSet(labelled=singles(toy(20)))) == 8  # ceil(3 × 20 / 8)
    assert plan.steps(TrainingSet(labelled=singles(toy(1)))) == 1
    assert plan.steps(rich_data) == 18  # of the 48 sentences in pairs, the larger stream
    made = run(data=TrainingSet(labelled=singles(toy(20))), spec=spec)
    assert (made.history.steps, made.history.eval_steps) == (8, [4, 8])
    assert made.history.sentences == 64


def test_fewer_steps_than_evaluations(run: Callable[..., Run], toy: Callable[..., list[Sentence]]) -> None:
    made = run(data=TrainingSet(labelled=singles(toy(4))), spec=TrainSpec(budget="epochs", epochs=2, batch=4, evals=10))
    assert (made.history.steps, made.history.eval_steps) == (2, [1, 2])


# --- the recipe -------------------------------------------------------------------------------------------------------


def test_warm_up_and_decay(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def noting(self: Any, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        plain, decayed = self.param_groups
        assert (plain["weight_decay"], decayed["weight_decay"]) == (0.0, 0.25)
        assert [p.ndim for p in plain["params"]].count(2) == 1, "the word embeddings"
        assert all(p.ndim > 1 for p in decayed["params"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    run(spec=replace(TRAIN, steps=10), recipe=replace(RECIPE, lr=1e-3, warmup=0.4, weight_decay=0.25))
    assert np.allclose(rates, [2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 5e-3 / 6, 4e-3 / 6, 3e-3 / 6, 2e-3 / 6, 1e-3 / 6])


def test_bf16_autocast_runs_on_the_cpu_and_is_recorded(run: Callable[..., Run]) -> None:
    kinds: set[tuple[torch.dtype, torch.dtype]] = set()

    class Looking(Plain):
        name = "looking"

        def loss(self, tagger: Tagger, step: Step) -> Losses:
            assert step.labelled is not None
            (term,) = super().loss(tagger, step)
            kinds.add((step.labelled.logits.dtype, term.value.dtype))
            return (term,)

    half, full = run(method=Looking(), spec=replace(TRAIN, precision="bf16")), run()
    assert kinds == {(torch.bfloat16, torch.float32)}
    assert half.history.ran["precision"] == "bf16"
    assert full.history.ran["precision"] == "fp32"
    assert {p.dtype for p in half.tagger.parameters()} == {torch.float32}
    assert {p.dtype for p in half.found.probabilities} == {np.dtype(np.float32)}
    assert half.history.losses != full.history.losses
    assert half.history.losses["ce"][0] == pytest.approx(full.history.losses["ce"][0], rel=0.02)


def test_what_ran_is_recorded(run: Callable[..., Run]) -> None:
    assert run().history.ran == {
        "precision": "fp32",
        "device": "cpu",
        "activation_checkpointing": False,
        "micro_batches": 1,
        "threads": 1,
        "attention": "sdpa",
    }


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_term_that_is_not_finite_is_named_with_its_step(run: Callable[..., Run], bad: float) -> None:
    class Diverging(Method):
        name = "diverging"

        def loss(self, tagger: Tagger, step: Step) -> Losses:
            assert step.labelled is not None
            ce = cross_entropy(step.labelled)
            return (Term("ce", ce), Term("contrast", ce * bad if step.number == 4 else ce))

    with pytest.raises(FloatingPointError, match=rf"'contrast' became {bad} at step 5"):
        run(method=Diverging())


def test_an_error_of_a_method_is_not_hidden(run: Callable[..., Run]) -> None:
    class Broken(Method):
        name = "broken"

        def loss(self, tagger: Tagger, step: Step) -> Losses:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(method=Broken())


# --- selection --------------------------------------------------------------------------------------------------------


def test_snapshots_are_those_that_a_rule_chose(
    run: Callable[..., Run],
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
) -> None:
    watched = {"target-dev:de": toy(16, 6, "de"), "target-dev:hu": []}
    made = run(spec=replace(TRAIN, evals=8), watched=watched)
    history = made.history
    assert set(history.best) == {"last", "source-dev", "target-dev:de"}, "no dev set, no choice"
    assert history.best["last"] == 7
    assert set(made.folder.iterdir()) == {snapshot(made.folder, n) for n in history.best.values()}
    assert set(history.dev_f1) == {"source-dev", "target-dev:de"}
    devs = {"source-dev": toy(16, 5), "target-dev:de": watched["target-dev:de"]}
    for rule, values in history.dev_f1.items():
        assert len(values) == 8
        assert history.best[rule] == int(np.argmax(values)), "the first of the best"
        tagger = new_tagger(99)
        load_weights(tagger, load_file(snapshot(made.folder, history.best[rule])))
        found = predict(tagger, new_collator(), devs[rule])
        value = f1(count([s.spans for s in devs[rule]], found.spans, ("PER", "LOC")))
        assert round(value, 6) == max(values)
    last = load_file(snapshot(made.folder, 7))
    assert all(torch.equal(tensor, last[name]) for name, tensor in made.tagger.state_dict().items())


def test_without_a_dev_set_the_last_is_chosen(run: Callable[..., Run]) -> None:
    made = run(dev=[])
    assert made.history.best == {"last": 2, "source-dev": 2}
    assert [path.name for path in made.folder.iterdir()] == ["eval-002.safetensors"]


@pytest.mark.parametrize("entities", [2, 5, 6])
def test_of_equal_evaluations_the_first_is_chosen(
    entities: int, new_tagger: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However F1 is rounded for the record: with one of 2 found it is 2/3, of 5 1/3, of 6 2/7."""
    spans = tuple(Span(2 * n, 2 * n + 1, "PER") for n in range(entities))
    dev = [Sentence("s", "en", ("Anna", "and") * entities, spans)]
    monkeypatch.setattr(watch, "predict", lambda *_: Predictions((spans[:1],), ()))
    history = History(steps=4, ran={"precision": "fp32"})
    for step in range(1, 5):
        watch.evaluate({"source-dev": dev}, new_tagger(), None, history, step, tmp_path)
    assert len(set(history.dev_f1["source-dev"])) == 1
    assert history.best == {"last": 3, "source-dev": 0}


def test_a_history_is_plain_json(run: Callable[..., Run]) -> None:
    history = run(spec=replace(TRAIN, steps=3)).history
    assert History(**json.loads(json.dumps(asdict(history)))) == history
