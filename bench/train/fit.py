"""The training loop, once, for every method and device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.api.method import EpochState, Inputs, Method, Step, TrainingSet
from bench.core.sentences import Sentence
from bench.plan.keys import rng, seed_stream
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train.batches import Collator, Stream, prefetched
from bench.train.encoder import Encoder, encoder_of, optimiser_of, rate, row_tables
from bench.train.history import History, Keeper, Reached, drain, evaluate
from bench.train.memory import Backoff
from bench.train.predict import autocast, terms_of


@dataclass(frozen=True)
class FitPlan:
    """The definition of a training, apart from its data."""

    method: Method
    train: TrainSpec
    recipe: EncoderSpec
    seed: int
    dev: Sequence[Sentence]  # source dev
    watched: dict[str, Sequence[Sentence]] = field(default_factory=dict)  # by rule, the dev sets of target-dev only

    def steps(self, data: TrainingSet) -> int:
        """Optimiser steps, with `budget = "epochs"` by passes over the largest stream."""
        return steps_of(self.train, max(sum(map(len, groups)) for groups in data.streams().values()))


def steps_of(train: TrainSpec, sentences: int) -> int:
    """Optimiser steps: the same for every method, or with `budget = "epochs"` by passes over so many sentences."""
    if train.budget == "steps":
        return train.steps
    return max(1, math.ceil(train.epochs * sentences / train.batch))


def fit(
    plan: FitPlan,
    data: TrainingSet,
    tagger: Any,
    collator: Collator,
    folder: Path,
    tick: Callable[[int], None] = lambda step: None,
    keeper: Keeper | None = None,
) -> History:
    """Train `tagger`, from the state that `keeper` saved, if any; chosen snapshots go to `folder` as safetensors.

    Raises:
        FloatingPointError: a loss term became NaN or infinite; names the term and the step.
        torch.OutOfMemoryError: even after checkpointing and splitting.
    """
    begin, device, total = time.perf_counter(), collator.device, plan.steps(data)
    marks = {max(1, round(total * (i + 1) / plan.train.evals)) for i in range(plan.train.evals)}
    streams = _streams(plan, data, tagger, collator)
    encoder, optimiser = encoder_of(tagger), optimiser_of(tagger, plan.recipe)
    backoff, keeper = Backoff(plan.method, tagger, collator), keeper or Keeper()
    history = History(steps=total, ran=_ran(plan, encoder, device))
    size = sum(len(group) for group in next(iter(data.streams().values())))  # an epoch is a pass over the first stream
    torch.manual_seed(seed_stream(plan.seed, "dropout"))
    tagger.train()
    run = Reached(plan.method, tagger, optimiser, backoff, history, size)
    keeper.restore(run, folder)
    begin -= history.seconds

    def passes(drawn: dict[str, Inputs], share: float) -> list[tuple[str, torch.Tensor]]:
        """Forward and backward of one draw, or of a `share` of it; the loss terms, detached."""
        before = (encoder.passes, encoder.tokens) if encoder else (0, 0)
        with autocast(device, plan.train.precision):
            read = {name: tagger.read(inputs) for name, inputs in drawn.items()}
            step = Step(read.get("labelled"), read.get("paired"), read.get("unlabelled"), number, total)
            terms = terms_of(plan.method, tagger, step)
        (torch.stack([term.weight * term.value for term in terms]).sum() * share).backward()
        after = (encoder.passes, encoder.tokens) if encoder else (len(drawn), sum(i.tokens for i in drawn.values()))
        history.count(after[0] - before[0], after[1] - before[1], len(drawn))
        return [(term.name, term.value.detach() * share) for term in terms]

    for number, drawn in enumerate(prefetched(streams, total, run.step), run.step):
        for group in optimiser.param_groups:
            group["lr"] = group["full"] * rate(number, total, plan.recipe.warmup)
        optimiser.zero_grad(set_to_none=True)
        parts = backoff.run(drawn, passes)
        torch.nn.utils.clip_grad_norm_(tagger.parameters(), plan.recipe.clip)
        optimiser.step()
        run.log.append([(t[0][0], torch.stack([value for _, value in t]).sum()) for t in zip(*parts, strict=True)])
        if run.count(drawn):
            plan.method.on_epoch(tagger, EpochState(run.epoch, number + 1, total))
        if number + 1 in marks:
            drain(run.log, history)
            evaluate({"source-dev": plan.dev, **plan.watched}, tagger, collator, history, number + 1, folder)
            keeper.save(run, folder)
        tick(number + 1)
    optimiser.zero_grad(set_to_none=True)
    history.ran |= {"activation_checkpointing": backoff.checkpointing, "micro_batches": backoff.parts}
    history.seconds = round(time.perf_counter() - begin, 3)
    return history


def _streams(plan: FitPlan, data: TrainingSet, tagger: Any, collator: Collator) -> dict[str, Stream]:
    """The data's streams, each in an order of its own; their sub-words' embeddings are loaded to be trained."""
    streams = {
        name: Stream(groups, plan.train.batch, collator, rng(plan.seed, "order", name))
        for name, groups in data.streams().items()
    }
    for _, table in row_tables(tagger):
        for stream in streams.values():
            table.learn(stream.ids())
    return streams


def _ran(plan: FitPlan, encoder: Encoder | None, device: torch.device) -> dict[str, Any]:
    """The conditions of the training, for the record."""
    return {
        "precision": plan.train.precision,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "attention": str(encoder.config._attn_implementation or "") if encoder else "",
    }
