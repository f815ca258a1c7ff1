"""What an element of a Slurm array does: a module-level function, called with a results folder and the key of a task.

The tasks of an array are a file in that folder: units of cells, or shared artefacts, each with a cell that needs it.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from bench.core.errors import BadInput
from bench.data.identity import cell_key
from bench.plan.identity import Planned
from bench.plan.matrix import Cell
from bench.plan.place import Place
from bench.plan.schema import build
from bench.run.shared import pieces, said
from bench.run.unit import failed, perform
from bench.run.weights import User, Weights, keep_weights, users_of
from bench.store.artefacts import Artefacts, cache_root
from bench.store.planned import matrix_cells

JOBS = "jobs"  # the folder of all that concerns Slurm, below the results folder
CHANGED = "Changed"  # the error's type in the record of a cell that is no longer what was submitted


@dataclass(frozen=True)
class JobCell:
    """A cell as it was resolved at submission."""

    key: str
    cell: Cell
    described: dict[str, Any]  # its name in a record
    attempts: int  # how often it was recorded before


@dataclass(frozen=True)
class Task:
    """What one element does: run a unit of cells, or make a shared artefact that one cell needs."""

    cells: tuple[JobCell, ...]
    unit: str = ""  # the unit's name
    artefact: str = ""  # the shared artefact's key
    device: str = "cpu"
    keep_models: bool = False


def array_file(out: Path, name: str) -> Path:
    """Where the array of that name is described."""
    return out / JOBS / "arrays" / f"{name}.json"


def read_task(out: Path, key: str) -> Task:
    """The task of a key, `<name of the array>:<index>`.

    Raises:
        BadInput: the file is missing, or not what this version writes.
    """
    name, _, index = key.partition(":")
    path = array_file(out, name)
    try:
        return build(Task, json.loads(path.read_text(encoding="utf-8"))["tasks"][int(index)], Place(str(path)))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(f"{path}: no task {index}: {error}") from error


def attempts_of(out: Path, key: str) -> int:
    """How often a cell was recorded; 0 where there is no (readable) record."""
    try:
        value = json.loads((out / "records" / f"{key}.json").read_text(encoding="utf-8"))
        return int(value["attempts"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


# --- in an element ----------------------------------------------------------------------------------------------------


def run_job(out: str, key: str) -> None:
    """Make a shared artefact, or run a unit of cells; a cell's failure is its record.

    Raises:
        BadInput: the task's file is missing or damaged, or this machine lacks the device that was asked for.
    """
    folder = Path(out)
    task = read_task(folder, key)
    with _leaving_when_requeued():
        print(f"task {key}", flush=True)
        if task.artefact:
            _share(task)
            return
        _run(folder, task)
        if not task.keep_models:
            _free_weights(folder)


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


def _share(task: Task) -> None:
    planned = Planned(task.cells[0].cell, task.cells[0].key)
    with said(planned):
        for piece in pieces(planned):
            if piece.key == task.artefact:
                piece.make(Artefacts(cache_root()), _say, _device(task))
                return
        print(f"xner: {task.artefact}: no longer needed: code or data changed since submission", file=sys.stderr)


def _run(out: Path, task: Task) -> None:
    from bench.run.cell import RunSettings

    unit = list(_current(out, task))
    if unit:
        if task.keep_models:
            keep_weights(out)
        again = {cell.key: cell.attempts for cell in task.cells}
        for record in perform(unit, RunSettings(out, _device(task), task.keep_models), again, wait=True, progress=_say):
            print(f"{record.key} {record.status}", flush=True)


def _current(out: Path, task: Task) -> Iterator[Planned]:
    """The cells without a new record whose key is still theirs; the others get a record that says what happened."""
    for cell in task.cells:
        if attempts_of(out, cell.key) > cell.attempts:
            continue
        why = ""
        try:
            planned = Planned(cell.cell, cell_key(cell.cell))
        except BadInput as error:
            planned, why = Planned(cell.cell, ""), f": {error}"
        if planned.key == cell.key:
            yield planned
        else:
            message = f"code, data or libraries changed between submission and run, so it is another cell now{why}"
            cause = {"type": CHANGED, "message": f"{message}; run the matrix again"}
            failed(Planned(cell.cell, cell.key), out, cause, cell.described)


def _free_weights(out: Path) -> None:
    """Free the weights that no unfinished cell of the folder needs.

    Of a submitted unit all cells count until the last is recorded: they share a training, whose weights it reads.
    """
    wanted = {str(cell["key"]) for cell in matrix_cells(out)}
    todo: dict[str, set[User]] = {}
    for path in sorted(array_file(out, "").parent.glob("[!.]*.json")):
        for task in json.loads(path.read_text(encoding="utf-8"))["tasks"]:
            unfinished = any(attempts_of(out, cell["key"]) <= cell["attempts"] for cell in task["cells"])
            if task["unit"] and unfinished and wanted.issuperset(cell["key"] for cell in task["cells"]):
                todo.setdefault(task["unit"], set()).update(users_of(cell["described"] for cell in task["cells"]))
    Weights(out, todo).leave()


def _device(task: Task) -> str:
    from bench.train.device import resolve_device

    return resolve_device(task.device, {cell.cell.train.precision for cell in task.cells})


def _say(done: int, total: int, what: str) -> None:
    if done == total:
        print(f"{what}: {done} of {total}", flush=True)
