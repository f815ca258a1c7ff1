"""A unit of work as an engine runs it: claimed by one process, finished cells left alone, failures recorded."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plan.identity import Planned, describe
from bench.plan.keys import Key, versions, write_key
from bench.plan.units import unit_name
from bench.store.artefacts import Busy, claimed
from bench.store.record import Record, Records


class Queue:
    """Units in order; one that another process is running comes again when something, or everything else, is done."""

    def __init__(self, work: Sequence[list[Planned]]) -> None:
        self._next, self._busy = list(reversed(work)), list[list[Planned]]()

    def __bool__(self) -> bool:
        return bool(self._next or self._busy)

    def take(self) -> tuple[list[Planned], bool]:
        """The next unit, and whether to wait for the process that is running it."""
        patient = not self._next
        return (self._busy if patient else self._next).pop(), patient

    def busy(self, unit: list[Planned]) -> None:
        """Another process is running this unit."""
        self._busy.insert(0, unit)

    def finished(self) -> None:
        """What was busy may be free now."""
        self._next += self._busy
        self._busy.clear()


def perform(
    unit: Sequence[Planned], where: Any, again: Mapping[str, int], wait: bool = True, progress: Any = None
) -> Iterator[Record]:
    """Run the cells of a unit that have no record yet; yields each cell's record when it is there.

    Whatever goes wrong with a cell, also outside its training, is its record, and the others go on.

    Args:
        where: `bench.run.cell.RunSettings`.
        again: by key the attempts of the failures that are to be run again.

    Raises:
        Busy: another process is running the unit or its training, nothing was yielded, and `wait` is false.
    """
    from bench.run.cell import run_unit

    # named by the training that its cells share, so that runs of other targets of the same method meet here, too
    with claimed(where.out, unit_name(unit[0]), wait):
        rest = []
        for planned in unit:
            record = finished(planned, where.out, again)
            if record is None:
                rest.append(planned)
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


def finished(planned: Planned, out: Path, again: Mapping[str, int]) -> Record | None:
    """The cell's record, unless it is a failure that is to be run again."""
    record = Records(out).get(planned.key)
    if record is not None and record.status == "failed" and again.get(planned.key) == record.attempts:
        return None
    return record


def _publish(planned: Planned, record: Record, where: Any) -> None:
    """What the key was made of, then the record."""
    if isinstance(planned.key, Key):
        write_key(where.out, planned.key)
    Records(where.out).put(record)


def failed(planned: Planned, out: Path, cause: dict[str, str], described: Mapping[str, Any] | None = None) -> Record:
    """Publish a failure outside of the cell's own path; said on standard error where the disk refuses.

    What another process has finished meanwhile stays, and is the record. `described`: the cell as `describe` named it
    when all that it needs was there.
    """
    before = Records(out).get(planned.key)
    if before is not None and before.status == "ok":
        return before
    record = Record(
        key=str(planned.key),
        matrix=planned.cell.matrix,
        cell=dict(described or describe(planned.cell)),
        status="failed",
        rules=tuple(planned.cell.train.rules),
        error={"traceback": "", **cause},
        versions=versions(),
        attempts=(before.attempts if before else 0) + 1,
    )
    try:
        if isinstance(planned.key, Key):
            write_key(out, planned.key)
        Records(out).put(record)
    except OSError as error:
        print(f"xner: {Records(out).path(planned.key)}: cannot be written: {error.strerror}", file=sys.stderr)
    return record
