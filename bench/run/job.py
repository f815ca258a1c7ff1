"""A unit of work as an engine runs it, in a local process or as an element of a Slurm array.

A unit is claimed by one process; finished cells are left alone, failures recorded. Weights are kept only while an
unfinished cell may need them: a student its teacher, a round the one before.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from bench.core.errors import BadInput, Stopped
from bench.data.identity import cell_key
from bench.plan.keys import versions, write_key
from bench.plan.matrix import Cell
from bench.plan.schema import Place, build
from bench.plan.units import Planned, describe, unit_name
from bench.run.shared import RunSettings, pieces, reported
from bench.store.artefacts import META, Artefacts, Busy, cache_root, claim_file, claimed, held_claims
from bench.store.record import Record, Records, matrix_cells, training_base


def perform(
    unit: Sequence[Planned], where: RunSettings, again: Mapping[str, int], wait: bool = True, progress: Any = None
) -> Iterator[Record]:
    """Run the cells of a unit that have no record yet; yields each cell's record, a failure if anything goes wrong.

    `again`: by key the attempts of the failures that are to be run again.

    Raises:
        Busy: another process is running the unit or its training, nothing was yielded, and `wait` is false.
    """
    from bench.run.cell import run_unit

    # claimed by the training that its cells share, so that runs of other targets of the same method wait, too
    with claimed(where.out, unit_name(unit[0]), wait):
        remaining = []
        for planned in unit:
            record = finished(planned, where.out, again)
            if record is None:
                remaining.append(planned)
            else:
                yield record  # another process has finished it since this run was planned
        while remaining:
            try:
                for record in run_unit(list(remaining), where, progress, wait or len(remaining) < len(unit)):
                    remaining.pop(0)
                    yield record
            except Busy:
                raise
            except Exception as error:  # noqa: BLE001 - even a full disk is the result of its cell
                Stopped.is_not_lost()
                cause = {"type": type(error).__name__, "message": str(error)[:1000]}
                yield failed(remaining.pop(0), where.out, cause | {"traceback": traceback.format_exc()[-5000:]})


def finished(planned: Planned, out: Path, again: Mapping[str, int]) -> Record | None:
    """The cell's record, unless it is a failure that is to be run again."""
    record = Records(out).get(planned.key)
    if record is not None and record.status == "failed" and again.get(planned.key) == record.attempts:
        return None
    return record


def failed(planned: Planned, out: Path, cause: dict[str, str], described: Mapping[str, Any] | None = None) -> Record:
    """Publish a failure from outside the cell, unless it has a good record; print it where the disk refuses.

    `described`: the cell as `describe` gave it at submission.
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
        write_key(out, planned.key)
        Records(out).put(record)
    except OSError as error:
        print(f"xner: {Records(out).path(planned.key)}: cannot be written: {error.strerror}", file=sys.stderr)
    return record


KEPT = ".kept"  # in OUT/models: a run was asked to keep its weights
User = tuple[str, str]  # of weights: what a cell's trainings have in common, and the cell's target


class Weights:
    """The weights of a results folder.

    `todo`: by name the units still to run, with their cells, which count as unfinished.
    """

    def __init__(self, out: Path, todo: Mapping[str, set[User]] | None = None) -> None:
        self.out, self.models = out, out / "models"
        self._todo = dict(todo or {})
        self._kept = self._folders() if (self.models / KEPT).exists() else []  # by a run that was asked to keep them

    def done(self, unit: Sequence[Planned]) -> None:
        """Note a finished unit, and free the weights that nothing needs any more."""
        self._todo.pop(unit_name(unit[0]), None)
        self.free()

    def free(self) -> None:
        """Free the weights that no unfinished cell may need, but for those that an earlier run was asked to keep.

        Nothing while another process runs a unit: it may read weights, and frees them when it ends.
        """
        if held_claims(self.out, {claim_file(self.out, name) for name in self._todo}):
            return
        recorded = {path.stem for path in (self.out / "records").glob("[!.]*.json")}
        unfinished = users_of(cell for cell in matrix_cells(self.out) if cell["key"] not in recorded)
        for folder in self.unneeded(unfinished.union(*self._todo.values()))[0]:
            if folder not in self._kept:
                shutil.rmtree(folder, ignore_errors=True)

    def unneeded(self, unfinished: set[User]) -> tuple[list[Path], list[Path]]:
        """Folders of weights that none of these cells may need, and folders that some may.

        A cell may need weights of its encoder, seed and trial that learned from its target, or from no single target:
        whatever its axes, since a teacher may know nothing of them.
        """
        bases = {base for base, _ in unfinished}
        sorted_out: tuple[list[Path], list[Path]] = ([], [])
        for folder in self._folders():
            base, target = serves(folder)
            needed = (base, target) in unfinished if target else base in bases or (not base and bool(unfinished))
            sorted_out[needed].append(folder)
        return sorted_out

    def _folders(self) -> list[Path]:
        return sorted(self.models.glob("[!.]*/[!.]*"))


def serves(weights: Path) -> User:
    """The cells that weights may serve, as their training noted: a target of "" is every one; ("", "") is unknown."""
    try:
        details = json.loads((weights / META).read_text(encoding="utf-8"))["details"]
        return str(details["base"]), str(details["target"])
    except (OSError, ValueError, LookupError, TypeError):
        return "", ""


def keep_weights(out: Path) -> None:
    """Keep the folder's weights from being freed by later runs."""
    (out / "models").mkdir(parents=True, exist_ok=True)
    (out / "models" / KEPT).touch()


def users_of(cells: Iterable[Mapping[str, Any]]) -> set[User]:
    """The users of weights among cells as records and matrix.json describe them."""
    return {(training_base(cell), str(cell["target"])) for cell in cells}


JOBS = "jobs"  # Slurm's folder, below the results folder
CHANGED = "Changed"  # the error's type in the record of a cell that changed after submission


@dataclass(frozen=True)
class JobCell:
    """A cell as it was resolved at submission."""

    key: str
    cell: Cell
    described: dict[str, Any]  # its name in a record
    attempts: int  # how often it was recorded before


@dataclass(frozen=True)
class Task:
    """The task of one element: to run a unit of cells, or to make a shared artefact that a cell needs."""

    cells: tuple[JobCell, ...]
    unit: str = ""  # the unit's name
    artefact: str = ""  # the shared artefact's key
    device: str = "cpu"
    keep_models: bool = False


def array_file(out: Path, name: str) -> Path:
    """The file that describes an array."""
    return out / JOBS / "arrays" / f"{name}.json"


def read_task(out: Path, key: str) -> Task:
    """The task of a key, `<name of the array>:<index>`.

    Raises:
        BadInput: the file is missing, damaged or of another version.
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
    from bench.train.memory import resolve_device

    folder = Path(out)
    task = read_task(folder, key)
    device = partial(resolve_device, task.device, {cell.cell.train.precision for cell in task.cells})
    with _leaving_when_requeued():
        print(f"task {key}", flush=True)
        if task.artefact:
            planned = Planned(task.cells[0].cell, task.cells[0].key)
            with reported(planned):
                for piece in pieces(planned):
                    if piece.key == task.artefact:
                        piece.make(Artefacts(cache_root()), device(), _say)
                        return
                gone = "no longer needed: code or data changed since submission"
                print(f"xner: {task.artefact}: {gone}", file=sys.stderr)
            return
        unit = list(_current(folder, task))
        if unit and task.keep_models:
            keep_weights(folder)
        if unit:
            settings = RunSettings(folder, device(), task.keep_models)
            for record in perform(unit, settings, {cell.key: cell.attempts for cell in task.cells}, progress=_say):
                print(f"{record.key} {record.status}", flush=True)
        if not task.keep_models:
            _free_weights(folder)


def _again(out: str, key: str) -> Any:
    """The call that submitit queues when time runs out: the same, since units are repeatable."""
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(run_job, out, key)


run_job.checkpoint = _again  # type: ignore[attr-defined]  # submitit looks for it on the callable


@contextmanager
def _leaving_when_requeued() -> Iterator[None]:
    """Turn submitit's SystemExit into Stopped, since a plug-in's SystemExit would be its cell's failure."""
    handler: Any = signal.getsignal(signal.SIGUSR2)

    def leave(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except SystemExit as left:
            raise Stopped from left

    if callable(handler):
        signal.signal(signal.SIGUSR2, leave)
    try:
        yield
    except Stopped as stopped:
        raise SystemExit("requeued") from stopped
    finally:
        Stopped.raised = False
        signal.signal(signal.SIGUSR2, handler)


def _current(out: Path, task: Task) -> Iterator[Planned]:
    """The cells without a new record whose key is unchanged; the others get a record that says what happened."""
    for cell in task.cells:
        if attempts_of(out, cell.key) > cell.attempts:
            continue
        why = ""
        try:
            if (key := cell_key(cell.cell)) == cell.key:
                yield Planned(cell.cell, key)
                continue
        except BadInput as error:
            why = f": {error}"
        message = f"code, data or libraries changed between submission and run, so it is another cell now{why}"
        cause = {"type": CHANGED, "message": f"{message}; run the matrix again"}
        failed(Planned(cell.cell, cell.key), out, cause, cell.described)


def _free_weights(out: Path) -> None:
    """Free the weights that no unfinished cell of the folder needs.

    All cells of a submitted unit count until the last is recorded, since they share a training.
    """
    wanted = {str(cell["key"]) for cell in matrix_cells(out)}
    todo: dict[str, set[User]] = {}
    for path in sorted(array_file(out, "").parent.glob("[!.]*.json")):
        for task in json.loads(path.read_text(encoding="utf-8"))["tasks"]:
            unfinished = any(attempts_of(out, cell["key"]) <= cell["attempts"] for cell in task["cells"])
            if task["unit"] and unfinished and wanted.issuperset(cell["key"] for cell in task["cells"]):
                todo.setdefault(task["unit"], set()).update(users_of(cell["described"] for cell in task["cells"]))
    Weights(out, todo).free()


def _say(done: int, total: int, activity: str) -> None:
    if done == total:
        print(f"{activity}: {done} of {total}", flush=True)
