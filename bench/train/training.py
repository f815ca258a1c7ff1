"""The trainings of a cell: each round prepared, guarded, keyed by content, and trained at most once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bench.api.method import Method, Model, Need, Predictions, Round, Tagger, TrainingSet
from bench.api.recipes import Progress
from bench.core.errors import Unavailable
from bench.core.files import write_json
from bench.core.memo import process_memo
from bench.core.sentences import Sentence, digest, tag_set
from bench.data.cell_data import CellData, Guard, Overlap, sentences_of
from bench.data.encoders import EncoderSource
from bench.data.identity import file_hashes, hashed
from bench.measure.score import Surface, surfaces
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.keys import key_of, seed_stream, versions
from bench.plan.matrix import Cell, every_target
from bench.plan.schema import to_plain
from bench.plan.units import describe, reads_target
from bench.store.artefacts import Artefact, Artefacts
from bench.store.record import training_base
from bench.train.ask import CellAsk, Usage, needs_of
from bench.train.batches import Collator
from bench.train.diagnostics import PAIRS, compared, pseudo_f1, space_of
from bench.train.encoder import Encoder, fresh_encoder, load_weights, row_tables, word_embeddings
from bench.train.fit import FitPlan, fit
from bench.train.history import History, Keeper, snapshot
from bench.train.memory import device_name, give_back
from bench.train.predict import Meter, given, predict
from bench.train.tagger import LinearTagger

FIT = "fit"
HISTORY = "history.json"


class Leakage(Unavailable):
    """Training text is in the test; the cell is skipped with the counts."""


@dataclass(frozen=True)
class Places:
    """Where artefacts are kept, and the device on which they are made."""

    cache: Artefacts  # translations, links, encoders: shared by results folders
    models: Artefacts  # weights, while an unfinished unit needs them
    device: torch.device
    progress: Progress = lambda done, total, label: None
    wait: bool = True  # for another process that runs a training of this cell; else Busy


@dataclass
class TrainedModel:
    """A training at the checkpoint of one rule."""

    tagger: LinearTagger
    collator: Collator
    precision: str
    meter: Meter

    def predict(self, sentences: Sequence[Sentence]) -> Predictions:
        return predict(self.tagger, self.collator, sentences, self.precision, self.meter)


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    artefact: Artefact
    history: History

    def weights(self, rule: str) -> Path | None:
        """Snapshot of a rule, None if the rule had no dev set."""
        number = self.history.best.get(rule)
        return None if number is None else snapshot(self.artefact.folder, number)


@dataclass
class CellTrainer:
    """Runs the rounds of one method in one cell."""

    cell: Cell
    method: Method
    encoder: EncoderSource
    places: Places
    watched: Mapping[str, Sequence[Sentence]] = field(default_factory=dict)  # by rule, target-dev of every target
    rounds: dict[str, Trained] = field(default_factory=dict)
    seen: set[Surface] = field(default_factory=set)  # entities (surface, type) in any training label
    overlap: Overlap = field(default_factory=Overlap)
    usages: list[Usage] = field(default_factory=list)  # of each round, then of predicting
    meter: Meter = field(default_factory=Meter)
    _reads: tuple[Any, int] | None = None  # the encoder's tokenizer and longest input, once it is loaded

    def __post_init__(self) -> None:
        self.data = CellData(self.cell)
        self.guard = Guard(self.data.test())
        known = self.guard.overlap_of_texts(self.encoder.texts())
        if known.total:
            raise Leakage(f"the encoder was pre-trained on test sentences; {known.reason()}")

    @property
    def usage(self) -> Usage:
        """The usage of all rounds and predictions so far."""
        return Usage.together(self.usages)

    def all(self) -> dict[str, Trained]:
        """Train every round, in order."""
        for round_ in self.method.rounds():
            self.rounds[round_.name] = self._train(round_)
        return self.rounds

    def model(self, round_name: str, rule: str = "source-dev") -> Model | None:
        """A round's model at a rule's checkpoint, None if it has none."""
        weights = self.rounds[round_name].weights(rule)
        if weights is None:
            return None
        round_ = next(r for r in self.method.rounds() if r.name == round_name)
        worker = self.worker(round_)
        ask = self.ask(worker, round_, needs_of(worker, round_))
        with torch.random.fork_rng(devices=[]):
            tagger: Any = given(worker.tagger(round_, ask), torch.nn.Module, worker, "tagger")
        load_weights(tagger, load_file(weights))
        tagger.to(self.places.device)
        return TrainedModel(tagger, self._collator(tagger), self.cell.train.precision, self.meter)

    def space(self) -> tuple[dict[str, float], bytes]:
        """Measures and plot of the encoder's space before and after a round (see `Diagnostics`)."""
        needs, cache = frozenset({Need.PLAIN_TRANSLATION}), self.places.cache
        device = str(self.places.device)
        ask = CellAsk(self.cell, Round("space"), needs, cache, self.teacher, self._new_tagger, device)
        translated = ask.labelled_translations(plain=True)[:PAIRS]
        after = self.model(self.method.diagnostics().space)
        assert isinstance(after, TrainedModel)
        with torch.random.fork_rng(devices=[]):
            before = self._new_tagger().to(self.places.device)
        spaces = [space_of(t, after.collator, translated, after.precision) for t in (before, after.tagger)]
        return compared(spaces[0], spaces[1], ask.rng("points"))

    def ask_for_test(self, needs: frozenset[Need] | None = None) -> CellAsk:
        """The access of `predict`: all of the method's needs unless these are given, test-time translation included."""
        rounds = self.method.rounds()
        last = replace(rounds[-1] if rounds else Round("none"), teachers=tuple(r.name for r in rounds))
        ask = self.ask(self.method, last, self.method.needs if needs is None else needs)
        self.usages.append(ask.usage)
        return ask

    def _train(self, round_: Round) -> Trained:
        if isinstance(round_.method, str):
            other = CellTrainer(self.cell, self.worker(round_), self.encoder, self.places, self.watched)
            trained = list(other.all().values())[-1]
            self.seen |= other.seen
            self.usages += other.usages
            self.overlap = max(self.overlap, other.overlap, key=lambda overlap: overlap.total)
            self._reads = other._reads
            return trained
        worker = self.worker(round_)
        ask = self.ask(worker, round_, needs_of(worker, round_))
        self.usages.append(ask.usage)
        data = given(worker.prepare(round_, ask), TrainingSet, worker, "prepare")
        data = self._guarded(data, ask.needs)
        if not data.streams():
            raise Unavailable(f"round '{round_.name}' has nothing to train on")
        for sentence in sentences_of(data):
            if sentence.spans is not None:
                self.seen |= surfaces([sentence.words], [sentence.spans])
        return self._fit(worker, round_, ask, data)

    def worker(self, round_: Round) -> Method:
        if isinstance(round_.method, str):
            made: Method = registry.make("method", round_.method)
            return made
        return self.method if round_.method is None else round_.method

    def ask(self, worker: Method, round_: Round, needs: frozenset[Need]) -> CellAsk:
        cache, device = self.places.cache, str(self.places.device)
        return CellAsk(self.cell, round_, needs, cache, self.teacher, self._new_tagger, device, worker.files())

    def teacher(self, name: str) -> Model:
        model = self.model(name)
        assert model is not None  # source-dev always chooses a checkpoint
        return model

    def _new_tagger(self) -> LinearTagger:
        recipe, train, key = self.cell.recipe, self.cell.train, self.encoder.key
        where, _ = self.encoder.ensure(self.places.cache, self.places.progress)
        loaded = fresh_encoder(key, where, recipe.layers)
        self._reads = loaded.tokenizer, min(recipe.max_length, loaded.longest)
        if train.compile:
            loaded.model.compile(dynamic=True)
        encoder = Encoder(loaded.model, recipe.freeze, key, process_memo(), whole=train.compile)
        return LinearTagger(encoder, tag_set(self.data.types), recipe.dropout, train.decoding)

    def _collator(self, tagger: Tagger) -> Collator:
        assert self._reads is not None
        tokenizer, longest = self._reads
        return Collator(tokenizer, tagger.tags, longest, self.places.device, process_memo(), self.encoder.key)

    def _guarded(self, data: TrainingSet, needs: frozenset[Need]) -> TrainingSet:
        guard = self.guard
        if Need.ALL_TARGETS in needs and self.cell.data.overlap != "refuse":  # one training, clean of every test
            guard = Guard([s for cell in every_target(self.cell) for s in self.data.data.read(cell.target, "test")])
        overlap = guard.overlap(sentences_of(data))
        if overlap.total and self.cell.data.overlap == "refuse":
            raise Leakage(overlap.reason())
        self.overlap = max(self.overlap, overlap, key=lambda overlap: overlap.total)
        return guard.dropped(data) if overlap.total else data

    def _fit(self, worker: Method, round_: Round, ask: CellAsk, data: TrainingSet) -> Trained:
        start = self.rounds[round_.start] if round_.start != "fresh" else None
        key = self._fit_key(worker, data, start)
        target = self.cell.target if reads_target(worker, round_) else ""
        watched = {rule: dev for rule, dev in self.watched.items() if not target or rule.endswith(f":{target}")}
        needed = {rule for rule, dev in watched.items() if dev}
        old = self.places.models.get(FIT, key)
        if old is not None and not needed <= set(_history(old).best):
            self.places.models.remove(FIT, key)  # trained when these dev sets were not watched

        device, threads = device_name(self.places.device), torch.get_num_threads()
        keeper = Keeper(self.places.models, fit=key, watched=sorted(needed), device=device, threads=threads)

        def build(folder: Path) -> dict[str, Any]:
            with torch.random.fork_rng(devices=[self.places.device] if self.places.device.type == "cuda" else []):
                torch.manual_seed(seed_stream(self.cell.seed, "init"))
                tagger: Any = given(worker.tagger(round_, ask), torch.nn.Module, worker, "tagger")
                if start is not None:
                    weights = start.weights("source-dev")
                    assert weights is not None
                    # parts that only that round had are dropped, a head that it had not stays fresh
                    missing = load_weights(tagger, load_file(weights), strict=False)
                    if lacking := [name for name in missing if name.startswith("encoder.")]:
                        raise ValueError(f"the round to start from has no weights for {lacking[0]}")
                tagger.to(self.places.device)
                train, recipe, seed = self.cell.train, self.cell.recipe, self.cell.seed
                plan = FitPlan(worker, train, recipe, seed, self.data.dev(), watched)
                total, label = plan.steps(data), f"{self.cell.label} {self.cell.target} {round_.name}"
                tick = lambda step: self.places.progress(step, total, label)  # noqa: E731
                history = fit(plan, data, tagger, self._collator(tagger), folder, tick, keeper)
            history.ran |= pseudo_f1(worker, tagger, self.data.unlabelled_gold, self.data.types)
            history.ran |= _sizes(tagger)
            write_json(folder / HISTORY, asdict(history))
            details = {"round": round_.name, "base": training_base(describe(self.cell)), "target": target}
            return details | ({"seconds_before": keeper.before} if keeper.first else {})

        parents = tuple(sorted(ask.usage.parents.values())) + ((start.artefact.address,) if start else ())
        parents += tuple(self.rounds[name].artefact.address for name in round_.teachers)
        if self.encoder.recipe is not None:
            parents += (f"encoder/{self.encoder.key}",)
        parents = tuple(dict.fromkeys(parents))
        artefact = self.places.models.get_or_make(FIT, key, build, parents=parents, wait=self.places.wait)
        keeper.remove()
        give_back()
        return Trained(artefact, _history(artefact))

    def _fit_key(self, worker: Method, data: TrainingSet, start: Trained | None) -> str:
        """Key of a training by its data and settings, not by the method's name, so that equal ones are done once."""
        hooks = ("loss", "tagger", "on_epoch")
        own = [hook for hook in hooks if getattr(type(worker), hook) is not getattr(Method, hook)]
        params = hashed(to_plain(worker.params), file_hashes([worker])) if own else {}
        return key_of(
            "fit",
            data=data.digest(),
            dev=digest(self.data.dev()),
            loss={"own": own, "params": params, "code": code_of(type(worker)) if own else ""},
            train={k: v for k, v in to_plain(self.cell.train).items() if k != "rules"},
            recipe=to_plain(self.cell.recipe) | {"revision": "", "align_layer": None},
            encoder=self.encoder.key,
            tags=list(tag_set(self.data.types)),
            seed=self.cell.seed,
            start=start.artefact.key if start else "",
            versions=versions(),
        )


def _history(artefact: Artefact) -> History:
    return History(**json.loads((artefact.folder / HISTORY).read_text(encoding="utf-8")))


def _sizes(tagger: torch.nn.Module) -> dict[str, int]:
    """Numbers of a tagger's parameters: all; those in use for multiplications (no word embeddings); frozen ones."""
    tables, words = [table for _, table in row_tables(tagger)][:1], word_embeddings(tagger)
    inside = [p for p in tagger.parameters() if p is not words and not any(p is table.weight for table in tables)]
    in_use = sum(p.numel() for p in inside)
    whole = 0 if words is None or tables else words.numel()
    embeddings = whole + sum(table.pretrained.weight.numel() for table in tables)
    frozen = sum(p.numel() for p in inside if not p.requires_grad)
    return {"parameters": in_use + embeddings, "parameters_in_use": in_use, "parameters_frozen": frozen}
