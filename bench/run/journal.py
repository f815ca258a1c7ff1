"""What was submitted to Slurm from a results folder, and what its queue says of it. Records stay the truth."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BadInput
from bench.core.files import write_json
from bench.store.planned import matrix_cells

FOLDER = "jobs"
_SUBMISSIONS = "submitted"
_LEAVING = "COMPLETING"  # has ended or is being killed: what it has not recorded by then, it never will


@dataclass(frozen=True)
class Submission:
    """One array. It is published before it is submitted, and found in the queue by its name, which is never reused."""

    name: str
    kind: Literal["shared", "units"]
    elements: tuple[str, ...]  # the key of each, in the array's order
    cells: Mapping[str, Mapping[str, int]]  # by element the keys of its records, and their attempts before
    after: tuple[str, ...] = ()  # submissions that it waits for
    job: str = ""  # Slurm's number, for people


@dataclass(frozen=True)
class Queued:
    """One element in the queue."""

    job: str  # as Slurm writes it: 15_3
    name: str
    index: int
    running: bool


@dataclass(frozen=True)
class Standing:
    """Where the submitted cells without a (new) record are."""

    unknown: str = ""  # why the queue could not be asked; then what has no record counts as lost
    running: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()  # neither in the queue nor recorded: cancelled, killed, out of time
    jobs: tuple[Queued, ...] = field(default=())  # everything of the folder that is in the queue, shared artefacts too

    @property
    def live(self) -> frozenset[str]:
        return self.running | self.waiting


class Journal:
    """The submissions of one results folder: a file each, so that no two processes ever write the same one."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / FOLDER / _SUBMISSIONS

    def put(self, submission: Submission) -> None:
        write_json(self.folder / f"{submission.name}.json", asdict(submission))

    def remove(self, name: str) -> None:
        """Forget a submission that Slurm refused."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def all(self) -> Iterator[Submission]:
        """Every submission, by name.

        Raises:
            BadInput: a file is not what `put` writes.
        """
        for path in sorted(self.folder.glob("[!.]*.json")):
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
                lists = {name: tuple(value[name]) for name in ("elements", "after")}
                yield Submission(**{**value, **lists})
            except (ValueError, TypeError, KeyError) as error:
                raise BadInput(f"{path}: not a submission: {error}") from error

    def standing(self) -> Standing:
        """What of the submitted is running, waiting or lost."""
        submitted = list(self.all())
        left = {one.name: [self._left(one.cells.get(key, {})) for key in one.elements] for one in submitted}
        open_ = [one for one in submitted if any(left[one.name])]
        before: dict[str, int] = {}
        for one in open_:
            for element, still in zip(one.elements, left[one.name], strict=True):
                before |= {key: max(one.cells[element][key], before.get(key, 0)) for key in still}
        unknown, queue = "", []
        try:
            queue = squeue(dict.fromkeys(name for one in open_ for name in (*one.after, one.name)))
        except BadInput as error:
            unknown = str(error)
        running: set[str] = set()
        waiting: set[str] = set()
        for job in queue:
            elements = left.get(job.name, [])
            (running if job.running else waiting).update(elements[job.index] if job.index < len(elements) else ())
        # records once more: an element may have ended between the first look and the question
        gone = before.keys() - running - waiting
        lost = self._left({key: before[key] for key in gone}) & self._wanted(gone)
        return Standing(unknown, frozenset(running), frozenset(waiting - running), lost, tuple(queue))

    def _left(self, cells: Mapping[str, int]) -> frozenset[str]:
        """Those without a new record; where there was none, one that exists is enough: status asks of thousands."""
        return frozenset(key for key, before in cells.items() if not self._is_new(key, before))

    def _is_new(self, key: str, before: int) -> bool:
        if before == 0:
            return (self.out / "records" / f"{key}.json").exists()
        return attempts_of(self.out, key) > before

    def _wanted(self, keys: set[str]) -> frozenset[str]:
        """Those that the matrix still names: nobody misses a cell of older code."""
        cells = matrix_cells(self.out) if keys else []
        return frozenset(keys & {str(cell["key"]) for cell in cells} if cells else keys)


def attempts_of(out: Path, key: str) -> int:
    """How often a cell was recorded; 0 where there is no (readable) record."""
    try:
        value = json.loads((out / "records" / f"{key}.json").read_text(encoding="utf-8"))
        return int(value["attempts"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def squeue(names: Iterable[str]) -> list[Queued]:
    """What is in the queue under these names.

    Raises:
        BadInput: squeue is not here or fails.
    """
    listed = ",".join(names)
    if not listed:
        return []
    text = slurm("squeue", "--noheader", "--array", "--format=%i|%T|%j", f"--name={listed}")
    queue = []
    for line in text.splitlines():
        job, state, name = line.strip().split("|", 2)
        index = job.partition("_")[2]
        if state != _LEAVING:
            queue.append(Queued(job, name, int(index) if index.isdigit() else 0, state != "PENDING"))
    return queue


def slurm(*command: str) -> str:
    """Run one of Slurm's commands; its standard output.

    Raises:
        BadInput: it is not here, fails, or does not answer within two minutes.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    except FileNotFoundError as error:
        raise BadInput(f"no {command[0]} here: run this where Slurm's commands are") from error
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{command[0]} gave no answer in two minutes") from error
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stderr or error.stdout or "").split())
        raise BadInput(f"{command[0]} failed: {said or f'exit code {error.returncode}'}") from error


def text(standing: Standing, out: Path) -> str:
    """A line for people; "" where nothing of the folder is with Slurm."""
    lost = f"{len(standing.lost)} submitted cells have no record"
    if standing.unknown:
        return f"Slurm: {lost}; where they are is unknown: {standing.unknown}\n" if standing.lost else ""
    if not (standing.jobs or standing.lost):
        return ""
    parts = [f"{len(standing.running)} cells running", f"{len(standing.waiting)} waiting"]
    parts += [f"{len(standing.jobs)} elements in the queue"]
    line = f"Slurm: {', '.join(parts)}\n"
    if standing.lost:
        line += f"Slurm: {lost} and are not in the queue (cancelled, killed or out of time): "
        line += f"the same `xner run` submits them again; logs: {out / FOLDER / 'logs'}\n"
    return line


def as_json(standing: Standing) -> dict[str, Any]:
    """The same as JSON values."""
    sides = {"running": standing.running, "waiting": standing.waiting, "lost": standing.lost}
    return {"unknown": standing.unknown, "elements": [job.job for job in standing.jobs]} | {
        name: sorted(keys) for name, keys in sides.items()
    }
