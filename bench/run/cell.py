"""One cell: train its rounds, predict, score, record. A failure becomes a record, and the other cells still run."""

from __future__ import annotations

import functools
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.api.method import Method, Model, Need, Predictions, Skip
from bench.core.conll import conll_text
from bench.core.errors import BadInput, Stopped, Unavailable
from bench.core.files import canonical_json, write_bytes
from bench.core.sentences import Sentence, Span
from bench.data.cell_data import CellData
from bench.data.identity import code_that_ran, encoder_of
from bench.data.sources import named
from bench.measure.links import label_quality
from bench.measure.score import count, recall_by_seen, rule_scores, summary
from bench.plan.fingerprint import commit
from bench.plan.keys import versions, write_key
from bench.plan.matrix import every_target
from bench.plan.units import Planned, describe, method_of
from bench.run.shared import RunSettings
from bench.store.artefacts import Artefacts, Busy
from bench.store.record import Cost, Record, Records, Resources, RuleScores, Translation
from bench.store.sidecars import GOLD, predictions_name
from bench.train.history import History
from bench.train.memory import Peak, device_name
from bench.train.predict import bare, checked, given, raised_in
from bench.train.tagger import LinearTagger, save_tagger
from bench.train.training import CellTrainer, Places


def run_unit(
    unit: Sequence[Planned], settings: RunSettings, progress: Any = None, wait: bool = True
) -> Iterator[Record]:
    """Run the cells that may share a training in turn; yields each record when it is published.

    Raises:
        Busy: another process is running a training of the first cell, and `wait` is false.
    """
    cell = unit[0].cell
    torch.set_num_threads(cell.train.threads)
    places = Places(
        Artefacts(settings.cache),
        Artefacts(settings.out / "models"),
        torch.device(settings.device),
        progress or (lambda done, total, activity: None),
        wait,
    )
    watched: dict[str, Sequence[Sentence]] = {}
    if "target-dev" in cell.train.rules:  # of every target, which a training for all of them may serve
        for each in every_target(cell):
            with nullcontext() if each is cell else suppress(BadInput, Unavailable):  # that fails its own cell
                watched[rule_name("target-dev", each.target)] = CellData(each).target_dev()
    for planned in unit:
        record = run_cell(planned, settings, places, watched)
        write_key(settings.out, planned.key)
        Records(settings.out).put(record)
        places = replace(places, wait=True)
        yield record


def run_cell(planned: Planned, settings: RunSettings, places: Places, watched: dict[str, Sequence[Sentence]]) -> Record:
    """One cell's record: ok, skipped with the reason, or failed with the traceback; Busy as `run_unit`."""
    cell, data, records = planned.cell, CellData(planned.cell), Records(settings.out)
    before, corpus = records.get(planned.key), data.data.corpus
    test = data.data.split_digest(cell.target, "test")
    facts = asdict(corpus.facts) | {"types": list(corpus.types), "name": corpus.name, "test": test}
    base = Record(
        key=str(planned.key),
        matrix=cell.matrix,
        cell=describe(cell) | ({} if cell.broken else {"n_source": data.n_source()}),  # as many as are used
        status="failed",
        corpus={name: value for name, value in facts.items() if value not in ("", (), [])},
        rules=tuple(cell.train.rules),
        versions=versions() | {"python": ".".join(map(str, sys.version_info[:3])), "numpy": np.__version__},
        commit=commit(),
        attempts=(before.attempts if before else 0) + 1,
    )
    method: Method | None = None
    trainer: CellTrainer | None = None
    try:
        method = method_of(cell)
        base = replace(base, factors=asdict(method.factors()), code=code_that_ran(cell), sources=named(cell))
        skip = method.applies(cell)
        if skip is not None:
            return replace(base, status="skipped", reason=given(skip, Skip, method, "applies").reason)
        if method.rounds() and {*cell.train.rules} == {"target-dev"} and not data.target_dev():
            raise Unavailable(f"{cell.target} has no dev set, and target-dev is the only rule: no checkpoint is chosen")
        peak = Peak(places.device)
        trainer = CellTrainer(cell, method, encoder_of(cell), places, watched)
        if Need.TEST_TRANSLATION in method.needs:  # without them the cell is skipped before anything is trained
            trainer.ask_for_test().test_translations([bare(sentence) for sentence in trainer.data.test()])
        trainer.all()
        record = scored(base, trainer, records, settings)
        return replace(record, ran=record.ran | peak.read())
    except Busy:
        raise
    except Unavailable as reason:  # Leakage is one
        base = replace(base, status="skipped", reason=str(reason))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plug-in raises is its cell's result
        Stopped.is_not_lost()
        message = f"{str(error)[:1000]}{raised_in(error, method)}"
        cause = {"type": type(error).__name__, "message": message, "traceback": traceback.format_exc()[-5000:]}
        base = replace(base, error=cause)
    return replace(base, parents=parents_of(trainer) if trainer else {})  # names the weights to free


def scored(base: Record, trainer: CellTrainer, records: Records, settings: RunSettings) -> Record:
    """Predict with each rule's checkpoint, score, publish the sidecars; the main rule only where nothing is trained."""
    cell, types, test = trainer.cell, trainer.data.types, trainer.data.test()
    gold, begin = [s.spans or () for s in test], time.perf_counter()
    history = trainer.rounds[trainer.method.rounds()[-1].name].history if trainer.rounds else None
    rules = cell.train.rules if history else cell.train.rules[:1]
    scores: dict[str, RuleScores] = {}
    counts: dict[str, np.ndarray] = {}
    predicted: dict[int, Predictions] = {}  # by evaluation, since rules often choose the same one
    for rule in rules:
        name = rule_name(rule, cell.target)
        evaluation = history.best.get(name) if history else 0
        if evaluation is None:
            continue  # this language has no dev set
        if evaluation not in predicted:
            predicted[evaluation] = predictions_of(trainer, name, test)
        spans = predicted[evaluation].spans
        counts[rule] = count(gold, spans, types)
        scores[rule] = rule_scores(summary(counts[rule], types), oracle=rule == "target-dev")
        if history:
            scores[rule] = replace(scores[rule], **_of_checkpoint(trainer, history, rule, spans))
        tagged = [replace(sentence, spans=labels) for sentence, labels in zip(test, spans, strict=True)]
        records.put_text(base.key, predictions_name(rule), conll_text(tagged))
    records.put_text(base.key, GOLD, conll_text(test))
    records.put_counts(base.key, counts, types)
    usage = trainer.usage
    diagnostics = dict(usage.notes)
    if history:
        losses = {name: [round(value, 5) for value in values] for name, values in history.losses.items()}
        curves = {"loss": losses, "step": list(range(1, history.steps + 1)), "eval_step": history.eval_steps}
        write_bytes(records.sidecar(base.key, "curves.json"), canonical_json(curves | history.dev_f1).encode())
        with suppress(Unavailable):  # the corpus's own translations are not here
            if usage.labelled:  # their quality, measured after all training
                diagnostics |= label_quality(*usage.labelled, trainer.data.gold_pairs())
    if trainer.method.diagnostics().space:
        space, points = trainer.space()
        diagnostics |= space
        write_bytes(records.sidecar(base.key, "space.npz"), points)
    exported = {"tagger": _exported(trainer, settings.out, base.key)} if settings.keep_models and history else {}
    facts = exported | {"device": device_name(trainer.places.device)}
    resources = resources_of(trainer)
    return replace(
        base,
        status="ok",
        rules=tuple(rules),
        parents=parents_of(trainer),
        scores=scores,
        sentences=len(test),
        tokens_gold=sum(len(s.words) for s in test),
        tokens_scored=min(sum(map(len, predictions.probabilities)) for predictions in predicted.values()),
        projection=usage.projection | usage.test_projection,
        overlap={"text": trainer.overlap.by_text, "group": trainer.overlap.by_group},
        resources=resources,
        cost=cost_of(trainer, time.perf_counter() - begin),
        diagnostics=diagnostics,
        ran=(history.ran if history else {}) | trainer.encoder.facts() | facts,
    )


def _of_checkpoint(
    trainer: CellTrainer, history: History, rule: str, spans: Sequence[Sequence[Span]]
) -> dict[str, Any]:
    """The step and dev F1 of the checkpoint that a rule chose, and its recall of entities (un)seen in training."""
    name, test = rule_name(rule, trainer.cell.target), trainer.data.test()
    evaluation = history.best[name]
    dev = history.dev_f1.get("source-dev" if rule == "last" else name)
    recall = recall_by_seen([s.spans or () for s in test], spans, [s.words for s in test], trainer.seen)
    return {
        "step": history.eval_steps[evaluation],
        "dev_f1": dev[evaluation] if dev else None,
        "recall_seen": None if recall.seen is None else round(recall.seen, 6),
        "recall_unseen": None if recall.unseen is None else round(recall.unseen, 6),
    }


def rule_name(rule: str, target: str) -> str:
    """The name of a rule in a training's history."""
    return f"target-dev:{target}" if rule == "target-dev" else rule


def predictions_of(trainer: CellTrainer, rule: str, sentences: Sequence[Sentence]) -> Predictions:
    """The method's predictions: the last round at the rule's checkpoint, earlier rounds at that of source-dev."""
    unlabelled = [bare(sentence) for sentence in sentences]
    return checked(trainer.method.predict(trainer.ask_for_test(), _Models(trainer, rule), unlabelled), sentences)


class _Models(Mapping[str, Model]):
    """The models of the rounds that have one, by round; loaded when a method asks, as few need their teachers here."""

    def __init__(self, trainer: CellTrainer, rule: str) -> None:
        names = [round_.name for round_ in trainer.method.rounds()]
        rules = {name: rule if name == names[-1] else "source-dev" for name in names}
        self._rules = {name: r for name, r in rules.items() if trainer.rounds[name].weights(r) is not None}
        self._load = functools.cache(trainer.model)

    def __getitem__(self, name: str) -> Model:
        model = self._load(name, self._rules[name])
        assert model is not None
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


def resources_of(trainer: CellTrainer) -> Resources:
    """The resources consumed, counted from what the rounds asked for and what made it."""
    usage, corpus = trainer.usage, trainer.data.data.corpus
    used = Counter(usage.sentences)
    translators = set(usage.translators)
    if used["gold_translations"] and corpus.facts.human_translations:
        translators.add("human")
    consumed = usage.consumed.values()

    def best(translators: Set[Translation]) -> Translation:
        return "human" if "human" in translators else "machine" if translators else "none"

    return Resources(
        labelled=used["source"],
        dev=len(trainer.data.dev()),
        translated=max(used["translations"], used["gold_translations"]),
        unlabelled=used["unlabelled"],
        parallel=max(used["parallel"], sum(each.parallel for each in consumed)),
        target_gold=max(used["target_gold"], used["gold_translations"]),
        translation=best(translators),
        dictionary=any(each.dictionary for each in consumed),
        test_translated=used["test_translations"],
        test_translation=best(usage.test_translators),
    )


def cost_of(trainer: CellTrainer, predicting: float) -> Cost:
    """The cold cost: the sum over all artefacts that the cell was made from, cached or not."""
    addresses = [trained.artefact.address for trained in trainer.rounds.values()]
    addresses += [address for usage in trainer.usages for address in usage.parents.values()]
    seconds = {a.address: a.seconds for a in trainer.places.models.ancestors(addresses, trainer.places.cache)}
    histories = [trained.history for trained in trainer.rounds.values()]
    size = max((history.ran.get("parameters_in_use", 0) for history in histories), default=0)
    frozen = max((history.ran.get("parameters_frozen", 0) for history in histories), default=0)
    tokens = sum(history.tokens for history in histories)
    flops = float((6 * size - 4 * frozen) * tokens + 2 * size * trainer.meter.tokens)  # 2 forward, 4 backward
    return Cost(
        seconds=round(sum(seconds.values()) + predicting, 2),
        inference=round(predicting, 2),
        steps=sum(history.steps for history in histories),
        evals=sum(len(history.eval_steps) for history in histories),
        batch=trainer.cell.train.batch if histories else 0,
        sentences=sum(history.sentences for history in histories),
        tokens=tokens,
        forward_passes=sum(history.forward_passes for history in histories),
        flops=flops if histories else None,
    )


def parents_of(trainer: CellTrainer) -> dict[str, str]:
    """Keys of the artefacts that the result was made from."""
    parents = {f"fit:{name}": trained.artefact.key for name, trained in trainer.rounds.items()}
    return parents | trainer.usage.parents | {"encoder": trainer.encoder.key}


def _exported(trainer: CellTrainer, out: Path, key: str) -> str:
    """Export the main rule's tagger as a transformers folder; its path below the results, or why there is none."""
    rule = rule_name(trainer.cell.train.rules[0], trainer.cell.target)
    model: Any = trainer.model(trainer.method.rounds()[-1].name, rule)
    if model is None:
        return f"not kept: rule {rule} chose no checkpoint"
    if not isinstance(model.tagger, LinearTagger):
        return f"not kept: a {type(model.tagger).__name__} is not a token classifier of transformers"
    folder = out / "taggers" / key
    folder.mkdir(parents=True, exist_ok=True)
    try:
        save_tagger(model.tagger, model.collator.tokenizer, folder, model.collator.max_length)
    except BadInput as reason:
        shutil.rmtree(folder)
        return f"not kept: {reason}"
    return f"taggers/{key}"
