"""Slurm through submitit: an array that makes shared artefacts, then one that runs the units.

submitit pickles the call of each element beside its logs: a reference to `bench.run.job.run_job`, and two strings, the
results folder and a key. The task of that key is JSON in the same folder; nothing else is pickled. A file per array
tells what was submitted, Slurm what is queued, the records what is done.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import bench
from bench.core.errors import BadInput, require
from bench.core.files import canonical_json, published_folder, sha256_of, sha256_of_file, write_json
from bench.plan.fingerprint import COMMIT_FILE, OURS, commit
from bench.plan.schema import Place, build, to_plain
from bench.plan.spec import parsed_toml
from bench.plan.units import Planned, describe, unit_name, units
from bench.run.job import JOBS, JobCell, Task, array_file, attempts_of, run_job
from bench.run.shared import absent
from bench.store.artefacts import Artefacts, cache_root, claimed
from bench.store.record import Record, matrix_cells

OPTIONS = ("partition", "account", "qos", "constraint")  # of a profile, passed to sbatch unchanged
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]\d)(?::[0-5]\d)?")


@dataclass(frozen=True)
class Profile:
    """Resources of each element of an array, never part of a key; "" and 0: the cluster's default, unless noted."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    time: int | str = 60  # of one unit: minutes, or "HH:MM", "HH:MM:SS", "D-HH:MM:SS"
    gpus: int = 0  # of one unit; more than one is never used
    cpus: int = 0  # of one unit; 0: as many as the matrix's threads
    memory: float = 0.0  # of one unit, in GB
    parallel: int = 16  # elements of an array that run at once
    timeouts: int = 3  # how often a unit that ran out of time starts again
    warning: int = 90  # seconds before the end at which a unit is told to requeue
    array: int = 1000  # elements of one array at most; Slurm's MaxArraySize is 1001 unless it was changed
    setup: tuple[str, ...] = ()  # shell lines before the program: module load …, export …

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(name not in ("parallel", "array") or value >= 1, f"{name} must be at least 1")
            amount = name in ("gpus", "cpus", "memory", "timeouts", "warning")
            require(not amount or value >= 0, f"{name} must not be negative")
            # an option becomes a line of the script
            require(name not in OPTIONS or value.isprintable(), f"{name} must be one line")
        require(self.gpus <= 1, "gpus must be 0 or 1: a training uses one device, and a second would be idle")
        require(self.minutes >= 1, "time must be at least 1 minute")
        require(self.warning < 60 * self.minutes, "warning must be shorter than time")
        most = max(600, 12 * self.minutes)  # submitit takes an earlier signal for a preemption, and counts no time-out
        require(self.warning <= most, f"warning must be at most {most} seconds, else `timeouts` would not be counted")

    @property
    def minutes(self) -> int:
        """The time limit; seconds are rounded up to a minute. ValueError where it has none of the forms."""
        if isinstance(self.time, int):
            return self.time
        parts = _TIME.fullmatch(self.time)
        if not parts:
            raise ValueError(f'time must be minutes, "HH:MM", "HH:MM:SS" or "D-HH:MM:SS", not \'{self.time}\'')
        seconds = self.time.count(":") == 2 and not self.time.endswith(":00")
        return (int(parts["days"] or 0) * 24 + int(parts["hours"])) * 60 + int(parts["minutes"]) + seconds


def load_profile(file: Path | None) -> Profile:
    """The profile of a TOML file; the defaults without one.

    Raises:
        BadInput: the file cannot be read; an unknown key (with the nearest right one), a wrong type or value.
    """
    if file is None:
        return Profile()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--profile {file}: cannot be read: {error}") from error
    return build(Profile, parsed_toml(str(file), text), Place(str(file), text))


# --- submitting -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Array:
    """One array, published before it is submitted, and found in the queue by its name, which is never reused."""

    name: str
    tasks: tuple[Task, ...]
    after: tuple[str, ...] = ()  # arrays that it waits for
    job: str = ""  # Slurm's number, for people

    def publish(self, out: Path) -> None:
        write_json(array_file(out, self.name), to_plain(self))


def submit(
    todo: Sequence[Planned], out: Path, profile: Profile, device: str = "cpu", keep_models: bool = False
) -> list[Record]:
    """Submit the cells that are not in the queue: their shared artefacts, then their units, which wait for these.

    Returns no records, since none are made here. `profile`: from `checked`. BadInput where sbatch refuses, or the queue
    cannot be read.
    """
    out = out.resolve()
    with claimed(out, JOBS):  # a second submission must see what the first has queued
        state = queue_state(out)
        if state.unknown:
            raise BadInput(f"it is not known what is queued: {state.unknown}")
        missing = [planned for planned in todo if planned.key not in state.running | state.waiting]
        arrays = _arrays(out, missing, profile.array, partial(Task, device=device, keep_models=keep_models))
        for array in arrays:  # all before the first is submitted, so that no accepted array is unknown here
            array.publish(out)
        code = snapshot(out / JOBS / "code") if arrays else out
        jobs: dict[str, str] = {}
        for array in arrays:
            asked = parameters(profile, array.name, code, [jobs[name] for name in array.after])
            try:
                jobs[array.name] = _submit(out, array, asked, profile.timeouts)
            except BadInput:
                for unsubmitted in arrays[len(jobs) :]:
                    array_file(out, unsubmitted.name).unlink()
                raise
            replace(array, job=jobs[array.name]).publish(out)
            contents = "units of work" if array.tasks[0].unit else "shared artefacts"
            after = ", after the shared ones" if array.after else ""
            print(f"Slurm job {jobs[array.name]}: {len(array.tasks)} {contents}{after}", file=sys.stderr)
    queued = f", {len(todo) - len(missing)} are in the queue already" if len(missing) < len(todo) else ""
    print(f"{len(missing)} cells submitted{queued}; xner status {out} shows their progress", file=sys.stderr)
    return []


def checked(todo: Sequence[Planned], profile: Profile) -> Profile:
    """The profile, with as many CPUs as the matrix needs.

    Raises:
        BadInput: submitit or Slurm's commands are not here, or the profile gives too few CPUs.
    """
    if importlib.util.find_spec("submitit") is None:
        raise BadInput("--engine slurm needs submitit: pip install 'xner-bench[slurm]'")
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise BadInput(f"--engine slurm: no {command} here: run this where Slurm's commands are installed")
    threads = max((planned.cell.train.threads for planned in todo), default=1)
    if profile.cpus and profile.cpus < threads:
        raise BadInput(f"the profile gives a unit {profile.cpus} CPUs, but the matrix has train.threads = {threads}")
    return replace(profile, cpus=profile.cpus or threads)


def _arrays(out: Path, missing: Sequence[Planned], most: int, task: Callable[..., Task]) -> list[Array]:
    """Arrays of at most `most` tasks: the shared artefacts, then the units."""

    def resolved(planned: Planned) -> JobCell:
        return JobCell(str(planned.key), planned.cell, describe(planned.cell), attempts_of(out, planned.key))

    def split(tasks: Sequence[Task], after: tuple[str, ...] = ()) -> list[Array]:
        parts = [tuple(tasks[first : first + most]) for first in range(0, len(tasks), most)]
        return [Array(f"xner-{missing[0].cell.matrix}-{uuid.uuid4().hex[:12]}", part, after) for part in parts]

    to_make = absent(missing, Artefacts(cache_root())).items()
    shared = split([task((resolved(planned),), artefact=str(key)) for key, planned in to_make])
    work = [task(tuple(map(resolved, unit)), unit=unit_name(unit[0])) for unit in units(missing)]
    return shared + split(work, tuple(array.name for array in shared))


def parameters(profile: Profile, name: str, code: Path, after: Sequence[str] = ()) -> dict[str, Any]:
    """submitit's parameters for an array."""
    own = {key: getattr(profile, key) for key in OPTIONS}
    own |= {"gpus_per_node": profile.gpus, "mem": f"{round(profile.memory * 1024)}MB" if profile.memory else ""}
    own |= {"dependency": ":".join(("afterok", *after)) if after else ""}
    paths = f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}"
    return {key: value for key, value in own.items() if value} | {
        "job_name": name,
        "time": profile.minutes,
        "cpus_per_task": profile.cpus,
        "srun_args": [f"--cpus-per-task={profile.cpus}"],  # a step no longer inherits it from its job
        "array_parallelism": profile.parallel,
        "signal_delay_s": profile.warning,
        "setup": [*profile.setup, paths],
        # requeue: also where a node dies; kill…: units whose shared artefacts fail leave the queue, as lost
        "additional_parameters": {"requeue": True, "kill-on-invalid-dep": "yes"},
        "wckey": None,  # submitit's own is refused by clusters that check them
    }


def _submit(out: Path, array: Array, asked: dict[str, Any], timeouts: int) -> str:
    """Give one array to sbatch; returns its number."""
    import submitit

    # -P: the folder that a job starts in must not come before the snapshot of the code
    python = f"{shlex.quote(sys.executable)} -P"
    executor = submitit.SlurmExecutor(out / JOBS / "logs" / array.name, max_num_timeout=timeouts, python=python)
    executor.update_parameters(**asked)
    try:
        keys = [f"{array.name}:{index}" for index in range(len(array.tasks))]
        jobs = executor.map_array(run_job, [str(out)] * len(keys), keys)
    except (RuntimeError, OSError) as error:
        message = " ".join(str(error).split())
        raise BadInput(f"sbatch refused {len(array.tasks)} elements: {message[-400:]}") from error
    return str(jobs[0].job_id).partition("_")[0]


def snapshot(root: Path) -> Path:
    """A folder below `root`, named by content, with a copy of the harness, the methods and the recipes.

    Queued elements run the code that was submitted, whatever is edited meanwhile. Plug-ins of other distributions are
    not copied: where they change, so do their cells' keys, and an element refuses to run.
    """
    home = Path(bench.__file__).resolve().parent.parent
    paths = [path for package in OURS for path in sorted((home / package).rglob("*")) if path.is_file()]
    paths = [path for path in paths if "__pycache__" not in path.parts]
    files = {path.relative_to(home).as_posix(): sha256_of_file(path) for path in paths}
    folder = root / sha256_of(canonical_json(files))[:16]
    if not folder.exists():
        with published_folder(folder) as temporary:
            for name in files:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(home / name, temporary / name)
            (temporary / COMMIT_FILE).write_text(commit() + "\n", encoding="utf-8")
    return folder


# --- the state of what was submitted ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class QueueState:
    """The submitted cells without a (new) record, by their state in the queue."""

    unknown: str = ""  # why the queue could not be read; then all without a record count as lost
    running: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()  # neither in the queue nor recorded: cancelled, killed, out of time
    elements: tuple[str, ...] = ()  # of the folder in the queue, shared artefacts too, as Slurm writes them: 15_3

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        keys = {name: sorted(getattr(self, name)) for name in ("running", "waiting", "lost")}
        return {"unknown": self.unknown, "elements": list(self.elements)} | keys

    def text(self, out: Path) -> str:
        """Lines for people; "" where Slurm has nothing of the folder."""
        if not (self.lost or (self.elements and not self.unknown)):
            return ""
        lost = f"Slurm: {len(self.lost)} submitted cells have no record"
        if self.unknown:
            return f"{lost}; where they are is unknown: {self.unknown}\n"
        line = f"Slurm: {len(self.running)} cells running, {len(self.waiting)} waiting, "
        line += f"{len(self.elements)} elements in the queue\n"
        lost += " and are not in the queue (cancelled, killed or out of time): "
        lost += f"the same `xner run` submits them again; logs: {out / JOBS / 'logs'}\n"
        return line + (lost if self.lost else "")


def queue_state(out: Path) -> QueueState:
    """The submitted cells that are running, waiting or lost. BadInput where the description of an array is damaged."""
    cells: dict[str, list[dict[str, int]]] = {}  # by array: of each element the cells without a new record
    names: list[str] = []
    for path in sorted(array_file(out, "").parent.glob("[!.]*.json")):
        try:
            array = json.loads(path.read_text(encoding="utf-8"))
            tasks = [{c["key"]: c["attempts"] for c in task["cells"]} for task in array["tasks"] if task["unit"]]
            if any(unrecorded := [_unrecorded(out, attempts) for attempts in tasks]):
                cells[array["name"]] = unrecorded
                names += [*array["after"], array["name"]]
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(f"{path}: not a submission: {error}") from error
    unknown, queue = "", list[str]()
    listed = f"--name={','.join(dict.fromkeys(names))}"
    try:
        lines = slurm("squeue", "--noheader", "--array", "--format=%i|%T|%j", listed).splitlines() if names else []
    except BadInput as error:
        unknown, lines = str(error), []
    running: set[str] = set()
    waiting: set[str] = set()
    for line in lines:
        job, state, name = line.strip().split("|", 2)
        if state == "COMPLETING":
            continue  # it has ended or is being killed, and will record no more
        queue.append(job)
        index = job.partition("_")[2]
        first = int(index) if index.isdigit() else 0
        (waiting if state == "PENDING" else running).update(*cells.get(name, [])[first : first + 1])
    before: dict[str, int] = {}
    for attempts in (attempts for elements in cells.values() for attempts in elements):
        before |= {key: max(known, before.get(key, 0)) for key, known in attempts.items()}
    # read the records once more: an element may have ended before the queue was read
    gone = _unrecorded(out, {key: before[key] for key in before.keys() - running - waiting}).keys()
    wanted = {str(cell["key"]) for cell in matrix_cells(out)} if gone else set()
    lost = gone & wanted if wanted else gone  # cells of older code do not count
    return QueueState(unknown, frozenset(running), frozenset(waiting - running), frozenset(lost), tuple(queue))


def _unrecorded(out: Path, cells: Mapping[str, int]) -> dict[str, int]:
    """The cells without a new record; where there was none, it need only exist, which is quick to check."""

    def recorded(key: str, before: int) -> bool:
        return attempts_of(out, key) > before if before else (out / "records" / f"{key}.json").exists()

    return {key: before for key, before in cells.items() if not recorded(key, before)}


def slurm(*command: str) -> str:
    """Run one of Slurm's commands; its standard output.

    Raises:
        BadInput: it is not here, fails, or does not answer within two minutes.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    except FileNotFoundError as error:
        raise BadInput(f"no {command[0]} here: run this where Slurm's commands are installed") from error
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{command[0]} gave no answer in two minutes") from error
    except subprocess.CalledProcessError as error:
        message = " ".join((error.stderr or error.stdout or "").split())
        raise BadInput(f"{command[0]} failed: {message or f'exit code {error.returncode}'}") from error
