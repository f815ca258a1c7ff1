"""What a plan will take: trainings, shared artefacts, and time from the folder's own records."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    """Seconds that the known units take one after the other, how many units are unknown, and whence it is known."""

    seconds: float
    unknown: int
    calibrated: int  # units of which no record tells, but a calibration of this machine
    records: int
    devices: tuple[str, ...]


def shared(planned: Iterable[Planned], cache: Artefacts) -> list[Shared]:
    """The shared artefacts that these cells read, by stage."""
    found: dict[str, dict[str, bool]] = {stage: {} for stage in STAGES}
    for cell in planned:
        for key in keys_below(cell.key):
            made = key.stage in found and (key.stage != "encoder" or "name" in key.components)  # others are not ours
            if made and key not in found[key.stage]:
                found[key.stage][key] = (cache.folder(key.stage, key) / META).is_file()
    return [Shared(s, sum(keys.values()), len(keys) - sum(keys.values())) for s, keys in found.items() if keys]


def trainings(planned: Iterable[Planned]) -> int:
    """Trainings that the cells need, each counted once; at most so many, for equal training sets are trained once."""
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

    A record's cost is cold; what of it lies in the cache already is not counted again. Where no record tells,
    `calibrated` does, or the unit is unknown.
    """
    known: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.cost.seconds is not None and not record.cell.get("imported"):
            known.setdefault((str(record.cell["encoder"]), record.cost.steps), []).append(record)
    kept = _MakingTimes(cache)
    seconds, unknown, guessed, used = 0.0, 0, 0, dict[str, Record]()
    for unit in work:
        cell = unit[0].cell
        if cell.broken:
            continue  # fails at once
        steps = len(method_of(cell).rounds()) * cell.train.steps
        found = known.get((str(describe(cell)["encoder"]), steps), []) if cell.train.budget == "steps" else []
        found = [record for record in found if record.cell["label"] == cell.label] or found
        if not found:
            guess = calibrated(unit)
            seconds, unknown, guessed = (
                seconds + (guess or 0.0),
                unknown + (guess is None),
                guessed + (guess is not None),
            )
            continue
        seconds += statistics.median(
            max(0.0, (record.cost.seconds or 0.0) - kept.seconds(record.parents)) for record in found
        )
        used |= {record.key: record for record in found}
    devices = sorted({str(record.ran.get("device")) for record in used.values() if record.ran.get("device")})
    return Time(round(seconds, 3), unknown, guessed, len(used), tuple(devices))


class _MakingTimes:
    """What the artefacts that lie in the cache took when they were made."""

    def __init__(self, cache: Artefacts) -> None:
        self.cache = cache
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    def seconds(self, parents: Mapping[str, str]) -> float:
        """Seconds of a record's parents and of all that they were made from, as far as they are in the cache."""
        waiting = [f"encoder/{key}" if name == "encoder" else key for name, key in parents.items()]
        total, seen = 0.0, set[str]()
        while waiting:
            address = waiting.pop()
            if address not in seen and "/" in address:
                seen.add(address)
                seconds, more = self._read(address)
                total += seconds
                waiting += more
        return total

    def _read(self, address: str) -> tuple[float, tuple[str, ...]]:
        if address not in self._known:
            try:
                meta = json.loads((self.cache.root / address / META).read_text(encoding="utf-8"))
                self._known[address] = (float(meta["seconds"]), tuple(meta["parents"]))
            except (OSError, ValueError, KeyError, TypeError):  # not here: its making is part of the time
                self._known[address] = (0.0, ())
        return self._known[address]
