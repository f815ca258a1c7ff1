"""Synthetic records with counts sidecars, for tests of what reads records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from bench.core.files import canonical_json
from bench.store.record import Cost, Record, Records, Resources, RuleScores, TypeCounts

TYPES = ("LOC", "PER")
CORPUS = {"title": "Toy corpus", "synthetic": True, "human_translations": True, "licence": "CC0", "test": "sha-of-test"}


@dataclass(frozen=True)
class Plan:
    """What to make: every method × target × seed, with F1 near `quality`."""

    quality: Mapping[str, float]  # by label, about the share of entities found
    targets: Sequence[str] = ("de", "fi")
    seeds: Sequence[int] = (1, 2, 3)
    oracles: Sequence[str] = ()
    rules: Sequence[str] = ("source-dev", "last")
    sentences: int = 80
    cell: Mapping[str, Any] = field(default_factory=dict)  # over every cell: encoder, axes, trial, …
    corpus: Mapping[str, Any] = field(default_factory=lambda: CORPUS)
    curves: bool = False


def key_of(label: str, target: str, seed: int, extra: str = "") -> str:
    """A readable key that is safe as a file name, whatever the label holds."""
    return f"{label.encode().hex()[:24]}-{target}-{seed}{extra}"


def counts_of(quality: float, label: str, target: str, seed: int, sentences: int) -> np.ndarray:
    """Counts (sentences, types, 3): the sentences are the same for all methods and seeds, what is found is not.

    `x` and `x+y` of the same quality find the same, like one training under two names.
    """
    text, method = crc32(target.encode()), crc32(label.split("+")[0].encode())
    gold = np.random.default_rng([text, 1]).integers(0, 3, (sentences, len(TYPES)))
    shared = np.random.default_rng([text, 2]).random((sentences, len(TYPES)))  # how hard they are
    own = np.random.default_rng([method, text, seed])
    found = 0.7 * shared + 0.3 * own.random(shared.shape) < quality
    tp = np.where(found, gold, 0)
    fp = (own.random(shared.shape) < 0.15 * (1 - quality)).astype(int)
    return np.stack([tp, fp, gold - tp], axis=2).astype(np.int32)


def scores_of(counts: np.ndarray, rule: str) -> RuleScores:
    """Scores that agree with the counts."""
    tp, fp, fn = (int(n) for n in counts.sum(axis=(0, 1)))
    by_type = {t: TypeCounts(*(int(n) for n in counts[:, i].sum(axis=0))) for i, t in enumerate(TYPES)}
    return RuleScores(
        f1=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
        precision=tp / (tp + fp) if tp + fp else 0.0,
        recall=tp / (tp + fn) if tp + fn else 0.0,
        types=by_type,
        step=100,
        dev_f1=0.8,
        recall_seen=0.75,
        recall_unseen=None,
        oracle=rule == "target-dev",
    )


def make(out: Path, plan: Plan) -> list[Record]:
    """Write the records of a plan with their sidecars."""
    return [
        put(out, plan, label, target, seed) for label in plan.quality for target in plan.targets for seed in plan.seeds
    ]


def cell_of(plan: Plan, label: str, target: str, seed: int) -> dict[str, Any]:
    """A cell as the runner writes it."""
    base = {"label": label, "method": label.split("+")[0], "params": {}, "source": "en", "target": target, "seed": seed}
    return {**base, "encoder": "org/enc", "corpus": "toy", "n_source": 1000, "trial": 0, "axes": {}, **plan.cell}


def put(out: Path, plan: Plan, label: str, target: str, seed: int) -> Record:
    """Write one finished record."""
    store, cell = Records(out), cell_of(plan, label, target, seed)
    extra = "" if not plan.cell else f"-{crc32(json.dumps(plan.cell, sort_keys=True).encode()):08x}"
    key = key_of(label, target, seed, extra)
    by_rule = {
        rule: counts_of(plan.quality[label] - 0.02 * i, label, target, seed, plan.sentences)
        for i, rule in enumerate(plan.rules)
    }
    store.put_counts(key, by_rule, TYPES)
    if plan.curves:
        text = canonical_json(
            {
                "loss": {"ce": [2.0, 1.0, 0.5], "lcl": [1.0, 0.8, 0.7]},
                "step": [10, 50, 100],
                "source-dev": [0.2, 0.5 + seed / 50],
                "eval_step": [50, 100],
            }
        )
        store.sidecar(key, "curves.json").write_text(text, encoding="utf-8")
    record = Record(
        key=key,
        matrix="toy",
        cell=cell,
        status="ok",
        corpus=dict(plan.corpus),
        scores={rule: scores_of(counts, rule) for rule, counts in by_rule.items()},
        rules=tuple(plan.rules),
        sentences=plan.sentences,
        projection={"projected": 90 + seed, "dropped: no link": 7} if "projection" in label else {},
        resources=Resources(labelled=1000, target_gold=500 if label in plan.oracles else 0, translation="human"),
        cost=Cost(
            seconds=None if label == "en_trans" else 12.5 * len(label),
            steps=500,
            batch=32,
            tokens=123456,
            sentences=16000,
        ),
    )
    store.put(record)
    return record


def put_gap(out: Path, plan: Plan, label: str, target: str, seed: int, why: str, failed: bool = False) -> Record:
    """Write a skipped or failed record."""
    record = Record(
        key=key_of(label, target, seed),
        matrix="toy",
        cell=cell_of(plan, label, target, seed),
        status="failed" if failed else "skipped",
        corpus=dict(plan.corpus),
        error={"type": "ValueError", "message": f"{why}\nsecond line", "traceback": "…"} if failed else None,
        reason=None if failed else why,
    )
    Records(out).put(record)
    return record
