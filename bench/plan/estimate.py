"""Estimates for a plan: trainings, shared artefacts, and time from the folder's own records."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as cache_results
from typing import Any

from bench.core.files import canonical_json
from bench.plan import registry
from bench.plan.keys import keys_below
from bench.plan.matrix import Cell
from bench.plan.schema import to_plain
from bench.plan.units import Planned, describe, method_of, reads_target
from bench.store.artefacts import META, Artefacts
from bench.store.record import Record

STAGES = ("encoder", "translate", "transfer", "links")


@dataclass(frozen=True)
class Shared:
    """Artefacts of one stage that several cells may read: how many are in the cache, how many are to be made."""

    stage: str
    here: int
    to_make: int


@dataclass(frozen=True)
class Time:
    """Seconds that the known units take one after the other, and what the estimate is based on."""

    seconds: float
    unknown: int
    calibrated: int  # units estimated by timing this machine, for want of records
    records: int
    devices: tuple[str, ...]


def shared(planned: Iterable[Planned], cache: Artefacts) -> list[Shared]:
    """The shared artefacts that these cells read, by stage."""
    keys_by_stage: dict[str, dict[str, bool]] = {stage: {} for stage in STAGES}
    for cell in planned:
        for key in keys_below(cell.key):
            made = key.stage != "encoder" or "name" in key.components  # of encoders only our own are made
            if made and key.stage in keys_by_stage and key not in keys_by_stage[key.stage]:
                keys_by_stage[key.stage][key] = (cache.folder(key.stage, key) / META).is_file()
    return [Shared(s, sum(keys.values()), len(keys) - sum(keys.values())) for s, keys in keys_by_stage.items() if keys]


def trainings(planned: Iterable[Planned]) -> int:
    """Trainings that the cells need, each counted once: an upper bound, since equal training sets are trained once."""
    return len({name for plan in planned for name in trainings_of(plan.cell)})


def trainings_of(cell: Cell) -> Iterator[str]:
    """The names of the trainings that a cell needs; equal names are one training."""
    if cell.broken:
        return
    method, before = method_of(cell), list[Any]()
    own = [cell.encoder, cell.seed, cell.trial, cell.axes]
    for round_ in method.rounds():
        target = cell.target if reads_target(method, round_) else ""
        if isinstance(round_.method, str):
            other = registry.make("method", round_.method)
            yield canonical_json([other.name, other.rounds()[-1].name, [to_plain(other.params)], own, target])
        else:
            before.append(to_plain((round_.method or method).params))  # a later round may learn from all of them
            yield canonical_json([cell.method, round_.name, before, own, target])


def time_of(
    work: Sequence[Sequence[Planned]],
    records: Iterable[Record],
    cache: Artefacts,
    calibrated: Callable[[Sequence[Planned]], float | None] = lambda unit: None,
) -> Time:
    """The time of units of work, from finished records of the same encoder and steps: of the same method, or else any.

    A record's cost is cold: artefacts that are in the cache are not counted again. Without such records `calibrated`
    estimates a unit; where it gives None, the unit is unknown.
    """
    finished: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.cost.seconds is not None and not record.cell.get("imported"):
            finished.setdefault((str(record.cell["encoder"]), record.cost.steps), []).append(record)

    @cache_results
    def making(address: str) -> tuple[float, list[str]]:
        try:
            meta = json.loads((cache.root / address / META).read_text(encoding="utf-8"))
            return float(meta["seconds"]), list(meta["parents"])
        except (OSError, ValueError, KeyError, TypeError):  # not cached: making it is part of the time
            return 0.0, []

    seconds, unknown, guessed, used = 0.0, 0, 0, dict[str, Record]()
    for unit in work:
        cell = unit[0].cell
        if cell.broken:
            continue  # fails at once
        steps = len(method_of(cell).rounds()) * cell.train.steps
        similar = finished.get((str(describe(cell)["encoder"]), steps), []) if cell.train.budget == "steps" else []
        similar = [record for record in similar if record.cell["label"] == cell.label] or similar
        if not similar:
            guess = calibrated(unit)
            seconds += guess or 0.0
            unknown += guess is None
            guessed += guess is not None
            continue
        seconds += statistics.median(
            max(0.0, (record.cost.seconds or 0.0) - _cached_seconds(record.parents, making)) for record in similar
        )
        used |= {record.key: record for record in similar}
    devices = sorted({str(record.ran.get("device")) for record in used.values() if record.ran.get("device")})
    return Time(round(seconds, 3), unknown, guessed, len(used), tuple(devices))


def _cached_seconds(parents: Mapping[str, str], making: Callable[[str], tuple[float, list[str]]]) -> float:
    """Seconds that a record's parents and all their ancestors took, as far as they are in the cache."""
    waiting = [f"encoder/{key}" if name == "encoder" else key for name, key in parents.items()]
    total, seen = 0.0, set[str]()
    while waiting:
        address = waiting.pop()
        if address not in seen and "/" in address:
            seen.add(address)
            seconds, more = making(address)
            total += seconds
            waiting += more
    return total
