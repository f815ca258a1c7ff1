"""A unit of work as an engine runs it: claimed by one process, what is there left alone, failures recorded."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.core.files import sha256_of
from bench.plan.components import write_key
from bench.plan.identity import Planned, describe
from bench.plan.keys import Key, versions
from bench.plan.units import unit_name
from bench.store.artefacts import Busy, locked
from bench.store.record import Record, Records

CLAIMS = ".claims"


class Queue:
    """Units in their order; one that another process is at comes again when something is finished, or all else is."""

    def __init__(self, work: Sequence[list[Planned]]) -> None:
        self._next, self._busy = list(reversed(work)), list[list[Planned]]()

    def __bool__(self) -> bool:
        return bool(self._next or self._busy)

    def take(self) -> tuple[list[Planned], bool]:
        """The next unit, and whether to wait for those who are at it."""
        patient = not self._next
        return (self._busy if patient else self._next).pop(), patient

    def busy(self, unit: list[Planned]) -> None:
        """Another process is at this unit."""
        self._busy.insert(0, unit)

    def finished(self) -> None:
        """What was busy may be free now."""
        self._next += self._busy
        self._busy.clear()


def claimed(unit: Sequence[Planned], out: Path, wait: bool) -> AbstractContextManager[None]:
    """The unit is this process's until the block ends or the process dies; Busy, unless `wait`, where it is another's.

    Named by the training that its cells share, so that runs of other targets of the same method meet here too.
    """
    (out / CLAIMS).mkdir(parents=True, exist_ok=True)
    return locked(out / CLAIMS / f"{sha256_of(unit_name(unit[0]))[:32]}.lock", wait)


def perform(
    unit: Sequence[Planned], where: Any, again: Mapping[str, int], wait: bool = True, progress: Any = None
) -> Iterator[Record]:
    """Run the cells of a unit that have no record yet; yields each cell's record when it is there.

    Whatever goes wrong with a cell, also outside its training, is its record, and the others go on.

    Args:
        where: `bench.run.cell.Where`.
        again: by key the attempts of the failures that are to be run again.

    Raises:
        Busy: another process is at the unit or at its training, nothing was yielded, and `wait` is false.
    """
    from bench.run.cell import run_unit

    with claimed(unit, where.out, wait):
        rest = []
        for one in unit:
            record = Records(where.out).get(one.key)
            if record is None or (record.status == "failed" and again.get(one.key) == record.attempts):
                rest.append(one)
            else:
                yield record  # another process was here since this run was planned
        while rest:
            try:
                for record in run_unit(list(rest), where, progress, _publish, wait or len(rest) < len(unit)):
                    rest.pop(0)
                    yield record
            except Busy:
                raise
            except Exception as error:  # noqa: BLE001 - a disk without space is the result of its cell
                cause = {"type": type(error).__name__, "message": str(error)[:1000]}
                yield failed(rest.pop(0), where.out, cause | {"traceback": traceback.format_exc()[-5000:]})


def _publish(one: Planned, record: Record, where: Any) -> None:
    """What the key was made of, then the record."""
    if isinstance(one.key, Key):
        write_key(where.out, one.key)
    Records(where.out).put(record)


def failed(one: Planned, out: Path, cause: dict[str, str], described: Mapping[str, Any] | None = None) -> Record:
    """Publish a failure outside of the cell's own path; said on standard error where the disk refuses.

    What another process has finished meanwhile stays, and is the record. `described`: the cell as `describe` named it
    when all that it needs was there.
    """
    before = Records(out).get(one.key)
    if before is not None and before.status == "ok":
        return before
    record = Record(
        key=str(one.key),
        matrix=one.cell.matrix,
        cell=dict(described or describe(one.cell)),
        status="failed",
        rules=tuple(one.cell.train.rules),
        error={"traceback": "", **cause},
        versions=versions(),
        attempts=(before.attempts if before else 0) + 1,
    )
    try:
        if isinstance(one.key, Key):
            write_key(out, one.key)
        Records(out).put(record)
    except OSError as error:
        print(f"xner: {Records(out).path(one.key)}: cannot be written: {error.strerror}", file=sys.stderr)
    return record
