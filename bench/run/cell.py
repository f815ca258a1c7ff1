"""The path of one cell: train its rounds, predict, score, record. A failure becomes a record; the others go on."""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.api.method import Need, Predictions, Skip
from bench.api.rounds import all_rounds
from bench.core.conll import conll_text
from bench.core.errors import Unavailable
from bench.core.files import canonical_json, write_bytes
from bench.core.sentences import Sentence
from bench.data.cell_data import CellData
from bench.measure.quality import label_quality
from bench.measure.score import count, recall_by_seen, rule_scores, summary
from bench.plan import registry
from bench.plan.commit import commit
from bench.plan.identity import Planned, code_of, describe, encoder_of, method_of
from bench.plan.keys import versions
from bench.plan.matrix import Cell
from bench.run.fence import fenced
from bench.store.artefacts import Artefacts, Busy, cache_root
from bench.store.record import Cost, Record, Records, Resources, RuleScores, Translation
from bench.store.sidecars import GOLD, predictions_name
from bench.train.device import device_name
from bench.train.hooks import given
from bench.train.predict import bare, checked
from bench.train.tagger import LinearTagger, save_tagger
from bench.train.training import CellTrainer, Places


@dataclass(frozen=True)
class Where:
    """Machine facts of a run: never part of a key."""

    out: Path
    device: str = "cpu"
    keep_models: bool = False
    cache: Path | None = None


def publish(planned: Planned, record: Record, where: Where) -> None:
    """Put a cell's record, whose sidecars are there."""
    Records(where.out).put(record)


def run_unit(
    unit: Sequence[Planned],
    where: Where,
    progress: Any = None,
    published: Callable[[Planned, Record, Where], None] = publish,
    wait: bool = True,
) -> Iterator[Record]:
    """Run the cells that may share a training, one after the other; yields each record when it is published.

    Raises:
        Busy: another process is at a training of the first cell, and `wait` is false.
    """
    cell = unit[0].cell
    torch.set_num_threads(cell.train.threads)
    places = Places(
        Artefacts(where.cache or cache_root()),
        Artefacts(where.out / "models"),
        torch.device(where.device),
        progress or (lambda done, total, what: None),
        wait,
    )
    watched: dict[str, Sequence[Sentence]] = {}
    if "target-dev" in cell.train.rules:
        watched = {one.cell.target: CellData(one.cell).target_dev() for one in unit}
    for planned in unit:
        with fenced(registry.module_of("method", planned.cell.method), (where.out, places.cache.root)):
            record = run_cell(planned, where, places, watched)
        published(planned, record, where)
        places = replace(places, wait=True)
        yield record


def run_cell(planned: Planned, where: Where, places: Places, watched: dict[str, Sequence[Sentence]]) -> Record:
    """One cell's record: ok, skipped with the reason, or failed with the traceback; Busy as `run_unit`."""
    cell, records = planned.cell, Records(where.out)
    before = records.get(planned.key)
    base = Record(
        key=str(planned.key),
        matrix=cell.matrix,
        cell=describe(cell),
        status="failed",
        corpus=corpus_facts(cell),
        rules=tuple(cell.train.rules),
        versions=versions() | {"python": ".".join(map(str, sys.version_info[:3])), "numpy": np.__version__},
        commit=commit(),
        attempts=(before.attempts if before else 0) + 1,
    )
    trainer: CellTrainer | None = None
    try:
        method = method_of(cell)
        base = replace(base, factors=asdict(method.factors()), code=code_of(method))
        skip = method.applies(cell)
        if skip is not None:
            return replace(base, status="skipped", reason=given(skip, Skip, method, "applies").reason)
        trainer = CellTrainer(cell, method, encoder_of(cell), places, watched)
        if Need.TEST_TRANSLATION in method.needs:  # where there are none, nothing need be trained
            trainer.ask_for_test().test_translations([bare(sentence) for sentence in trainer.data.test()])
        trainer.all()
        return (_scored if trainer.rounds else untrained)(base, trainer, records, where)
    except Busy:
        raise
    except Unavailable as reason:  # Leakage is one
        return replace(base, status="skipped", reason=str(reason), parents=parents_of(trainer) if trainer else {})
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plug-in raises is its cell's result
        trace = traceback.format_exc()
        return replace(
            base,
            parents=parents_of(trainer) if trainer else {},  # so that the weights of its rounds are freed
            error={"type": type(error).__name__, "message": str(error)[:1000], "traceback": trace[-5000:]},
        )


def _scored(base: Record, trainer: CellTrainer, records: Records, where: Where) -> Record:
    """Predict with each rule's checkpoint, score, publish the sidecars."""
    cell, types, test = trainer.cell, trainer.data.types, trainer.data.test()
    gold = [s.spans or () for s in test]
    begin = time.perf_counter()
    scores: dict[str, RuleScores] = {}
    counts: dict[str, np.ndarray] = {}
    final = trainer.rounds[all_rounds(trainer.method)[-1].name]
    known: dict[int, Predictions] = {}  # by evaluation: rules often choose the same one
    for rule in cell.train.rules:
        name = rule_name(rule, cell.target)
        number = final.history.best.get(name)
        if number is None:
            continue  # no dev set in this language: a gap
        if number not in known:
            known[number] = predictions_of(trainer, name, test)
        found = known[number]
        counts[rule] = count(gold, found.spans, types)
        total = summary(counts[rule], types)
        seen = recall_by_seen(gold, found.spans, [s.words for s in test], trainer.seen)
        dev = final.history.dev_f1.get("source-dev" if rule == "last" else name)
        scores[rule] = replace(
            rule_scores(total, oracle=rule == "target-dev"),
            step=final.history.eval_steps[number],
            dev_f1=dev[number] if dev else None,
            recall_seen=None if seen.seen is None else round(seen.seen, 6),
            recall_unseen=None if seen.unseen is None else round(seen.unseen, 6),
        )
        tagged = [replace(s, spans=spans) for s, spans in zip(test, found.spans, strict=True)]
        records.put_text(base.key, predictions_name(rule), conll_text(tagged))
    records.put_text(base.key, GOLD, conll_text(test))
    records.put_counts(base.key, counts, types)
    write_bytes(records.sidecar(base.key, "curves.json"), canonical_json(_curves(final.history)).encode())
    diagnostics = {name: value for ask in trainer.asks for name, value in ask.notes.items()}
    diagnostics |= quality_of(trainer)
    if trainer.method.diagnosed:
        space, points = trainer.space()
        diagnostics |= space
        write_bytes(records.sidecar(base.key, "space.npz"), points)
    if where.keep_models:
        _save(trainer, where.out / "taggers" / base.key)
    return replace(
        base,
        status="ok",
        parents=parents_of(trainer),
        scores=scores,
        sentences=len(test),
        tokens_gold=sum(len(s.words) for s in test),
        tokens_scored=min(sum(len(p) for p in found.probabilities) for found in known.values()),
        projection=projection_of(trainer),
        overlap={"text": trainer.overlap.by_text, "group": trainer.overlap.by_group},
        resources=resources_of(trainer),
        cost=cost_of(trainer, time.perf_counter() - begin),
        diagnostics=diagnostics,
        ran=final.history.ran
        | {
            "device": device_name(trainer.places.device),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        },
    )


def untrained(base: Record, trainer: CellTrainer, records: Records, where: Where) -> Record:
    """Score a method that trains nothing, under the main rule."""
    cell, types, test = trainer.cell, trainer.data.types, trainer.data.test()
    begin, ask = time.perf_counter(), trainer.ask_for_test()
    found = checked(trainer.method.predict(ask, {}, [bare(sentence) for sentence in test]), test)
    counts = count([s.spans or () for s in test], found.spans, types)
    total, rule = summary(counts, types), cell.train.rules[0]
    scores = rule_scores(total)
    tagged = [replace(s, spans=spans) for s, spans in zip(test, found.spans, strict=True)]
    records.put_text(base.key, predictions_name(rule), conll_text(tagged))
    records.put_text(base.key, GOLD, conll_text(test))
    records.put_counts(base.key, {rule: counts}, types)
    tokens = sum(len(s.words) for s in test)
    return replace(
        base,
        status="ok",
        rules=(rule,),
        parents=parents_of(trainer),
        scores={rule: scores},
        sentences=len(test),
        tokens_gold=tokens,
        tokens_scored=sum(len(p) for p in found.probabilities),
        projection=projection_of(trainer),
        resources=resources_of(trainer),
        cost=replace(cost_of(trainer, time.perf_counter() - begin), batch=0, flops=None),
    )


def rule_name(rule: str, target: str) -> str:
    """The rule as a history names it."""
    return f"target-dev:{target}" if rule == "target-dev" else rule


def predictions_of(trainer: CellTrainer, rule: str, sentences: Sequence[Sentence]) -> Predictions:
    """The method's predictions with the last round at the rule's checkpoint; earlier rounds at source-dev."""
    rounds = all_rounds(trainer.method)
    models = {r.name: trainer.model(r.name, rule if r is rounds[-1] else "source-dev") for r in rounds}
    present = {name: model for name, model in models.items() if model is not None}
    unlabelled = [bare(sentence) for sentence in sentences]
    return checked(trainer.method.predict(trainer.ask_for_test(), present, unlabelled), sentences)


def projection_of(trainer: CellTrainer) -> dict[str, int]:
    """What became of the entities: of the last training labels, and (test_…) of the main rule's test."""
    labels = next((ask.projection for ask in reversed(trainer.asks) if ask.projection), {})
    return labels | next((ask.test_projection for ask in trainer.asks if ask.test_projection), {})


def quality_of(trainer: CellTrainer) -> dict[str, float]:
    """How right the last labelled translations were, where the corpus has its own: after the fact, for no training."""
    made = next((ask.labelled for ask in reversed(trainer.asks) if ask.labelled), None)
    try:
        return label_quality(*made, trainer.data.gold_pairs()) if made else {}
    except Unavailable:  # the corpus's own translations are not here
        return {}


def resources_of(trainer: CellTrainer) -> Resources:
    """What was consumed, from what the rounds asked for."""
    used = {name: max((ask.used.get(name, 0) for ask in trainer.asks), default=0) for name in USES}
    links = [one for ask in trainer.asks for one in ask.links.values()]
    human = any(one.human for one in links) or bool(
        used["gold_translations"] and trainer.data.data.corpus.facts.human_translations
    )
    kind: Translation = "human" if human else "machine" if links else "none"
    test = [ask.test_links for ask in trainer.asks if ask.test_links is not None]
    return Resources(
        labelled=used["source"],
        dev=len(trainer.data.dev()),
        translated=max(used["translations"], used["gold_translations"]),
        unlabelled=used["unlabelled"],
        target_gold=max(used["target_gold"], used["gold_translations"]),
        translation=kind,
        test_translated=used["test_translations"],
        test_translation="human" if any(one.human for one in test) else "machine" if test else "none",
    )


USES = ("source", "translations", "gold_translations", "unlabelled", "target_gold", "test_translations")


def cost_of(trainer: CellTrainer, predicting: float) -> Cost:
    """The cold sum over the cell's ancestors; None where a human translated."""
    found = {a.address: a for a in ancestors(trainer)}
    histories = [trained.history for trained in trainer.rounds.values()]
    used = resources_of(trainer)
    human = "human" in (used.translation, used.test_translation)
    size = max((history.ran.get("parameters_in_use", 0) for history in histories), default=0)
    frozen = max((history.ran.get("parameters_frozen", 0) for history in histories), default=0)
    tokens = sum(history.tokens for history in histories)
    return Cost(
        seconds=None if human else round(sum(a.seconds for a in found.values()) + predicting, 2),
        steps=sum(history.steps for history in histories),
        evals=sum(len(history.eval_steps) for history in histories),
        batch=trainer.cell.train.batch,
        sentences=sum(history.sentences for history in histories),
        tokens=tokens,
        forward_passes=sum(history.forward_passes for history in histories),
        flops=float((6 * size - 4 * frozen) * tokens + 2 * size * trainer.meter.tokens),  # 2 forward, 4 backward
    )


def ancestors(trainer: CellTrainer) -> Iterable[Any]:
    """Every artefact that the cell's trainings and predictions were made from, wherever it is kept."""
    waiting = [trained.artefact.address for trained in trainer.rounds.values()]
    waiting += [address for ask in trainer.asks for address in ask.parents.values()]
    seen = set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        stage, _, key = address.partition("/")
        found = trainer.places.models.get(stage, key) or trainer.places.cache.get(stage, key)
        if found is not None:
            yield found
            waiting += found.parents


def parents_of(trainer: CellTrainer) -> dict[str, str]:
    """Keys of what the result was made from."""
    parents = {f"fit:{name}": trained.artefact.key for name, trained in trainer.rounds.items()}
    for ask in trainer.asks:
        parents |= ask.parents
    return parents | {"encoder": trainer.encoder.key}


def corpus_facts(cell: Cell) -> dict[str, Any]:
    """What a table's head says of the corpus."""
    corpus = CellData(cell).data.corpus
    test = CellData(cell).data.split_digest(cell.target, "test")
    facts = asdict(corpus.facts) | {"types": list(corpus.types), "name": corpus.name, "test": test}
    return {name: value for name, value in facts.items() if value not in ("", (), [])}


def _curves(history: Any) -> dict[str, Any]:
    losses = {name: [round(value, 5) for value in values] for name, values in history.losses.items()}
    step = list(range(1, history.steps + 1))
    return {"loss": losses, "step": step, "eval_step": history.eval_steps, **history.dev_f1}


def _save(trainer: CellTrainer, folder: Path) -> None:
    """Export the main rule's tagger as a transformers folder."""
    rule = rule_name(trainer.cell.train.rules[0], trainer.cell.target)
    model: Any = trainer.model(all_rounds(trainer.method)[-1].name, rule)
    if model is not None and isinstance(model.tagger, LinearTagger):  # a method's own kind is not transformers'
        folder.mkdir(parents=True, exist_ok=True)
        save_tagger(model.tagger, model.collator.tokenizer, folder, model.collator.max_length)
