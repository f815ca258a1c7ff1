"""What runs in an element of a Slurm array: a module-level function, called with a results folder and a key."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from bench.core.errors import BadInput
from bench.plan.identity import Planned, cell_key
from bench.plan.units import Ledger
from bench.run.journal import FOLDER, attempts_of
from bench.run.perform import failed, perform
from bench.run.shared import pieces, said
from bench.run.tasks import Options, Task, read_task, unit_tasks
from bench.store.artefacts import Artefacts, cache_root
from bench.store.planned import matrix_cells
from bench.store.presence import mine, others, present
from bench.store.record import Records

CHANGED = "Changed"  # the error's type in the record of a cell that is no longer what was submitted
_MARKS = "elements"


def run_job(out: str, key: str) -> None:
    """Make a shared artefact, or run a unit of cells; a cell's failure is its record.

    Raises:
        BadInput: the task's file is missing or damaged, or this machine lacks the device that was asked for.
    """
    folder = Path(out)
    task = read_task(folder, key)
    with _leaving_when_requeued():
        if task.kind == "shared":
            _share(task)
        else:
            _work(folder, task)


def _work(folder: Path, task: Task) -> None:
    with _present(folder):
        left = _current(folder, task, [one for one in task.cells if not _recorded(folder, task, one)])
        if left:
            _run(folder, left, task)
        if not task.options.keep_models:
            _free_models(folder)


def _again(out: str, key: str) -> Any:
    """What submitit queues when time runs out: the same call, units being repeatable."""
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(run_job, out, key)


run_job.checkpoint = _again  # type: ignore[attr-defined]  # submitit looks for it on the callable


class Requeued(BaseException):
    """Slurm has queued the element again: nothing on the way out may take this for a result."""


@contextmanager
def _leaving_when_requeued() -> Iterator[None]:
    """submitit leaves by SystemExit, which is a cell's failure where a plug-in raises it; here it is Requeued."""
    theirs = signal.getsignal(signal.SIGUSR2)

    def leave(number: int, frame: FrameType | None) -> None:
        assert callable(theirs)
        try:
            theirs(number, frame)
        except SystemExit as left:
            raise Requeued from left

    if callable(theirs):
        signal.signal(signal.SIGUSR2, leave)
    try:
        yield
    except Requeued as requeued:
        raise SystemExit("requeued") from requeued
    finally:
        signal.signal(signal.SIGUSR2, theirs)


def _recorded(out: Path, task: Task, one: Planned) -> bool:
    return attempts_of(out, one.key) > task.attempts[one.key]


def _share(task: Task) -> None:
    artefacts, planned = Artefacts(cache_root()), task.cells[0]
    with said(planned):
        for piece in pieces(planned):
            if piece.key == task.key:
                piece.make(artefacts, _say, _device(task.cells, task.options))
                return
        print(f"xner: {task.key}: no longer needed: code or data changed since it was submitted", file=sys.stderr)


def _current(out: Path, task: Task, cells: Sequence[Planned]) -> list[Planned]:
    """The cells whose key is still theirs; the others get a record that says what happened."""
    same = []
    for one in cells:
        why = ""
        try:
            now = Planned(one.cell, cell_key(one.cell))
        except BadInput as error:
            why = f": {error}"
        if not why and now.key == one.key:
            same.append(now)
        else:
            message = f"code, data or libraries changed between submission and run, so it is another cell now{why}"
            failed(one, out, {"type": CHANGED, "message": f"{message}; run the matrix again"}, task.described[one.key])
    return same


def _run(out: Path, cells: Sequence[Planned], task: Task) -> None:
    from bench.run.cell import Where

    where = Where(out, _device(cells, task.options), task.options.keep_models)
    for record in perform(cells, where, task.attempts, wait=True, progress=_say):
        print(f"{record.key} {record.status}", flush=True)


def _device(cells: Sequence[Planned], options: Options) -> str:
    from bench.train.device import resolve_device

    return resolve_device(options.device, {one.cell.train.precision for one in cells})


def _say(done: int, total: int, what: str) -> None:
    if done == total:
        print(f"{what}: {done} of {total}", flush=True)


@contextmanager
def _present(out: Path) -> Iterator[None]:
    """At work in the folder, and known to be an element: elements know of each other's units, other runs do not."""
    mark = out / FOLDER / _MARKS / mine()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        with present(out):
            yield
    finally:
        mark.unlink(missing_ok=True)


def _free_models(out: Path) -> None:
    """Free the weights that no unfinished unit of the folder needs any more, unless a run of another engine is here."""
    elements = {path.name for path in (out / FOLDER / _MARKS).iterdir()}
    if set(others(out)) - elements:
        return
    wanted = {str(cell["key"]) for cell in matrix_cells(out)}
    tasks = [task for task in unit_tasks(out) if wanted.issuperset(task.attempts)]
    ledger = Ledger(out, [task.cells for task in tasks])
    for task in tasks:
        if all(_recorded(out, task, one) for one in task.cells):
            found = [Records(out).get(one.key) for one in task.cells]
            ledger.note(task.cells, [record for record in found if record is not None])
    ledger.free()
