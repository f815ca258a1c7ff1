"""Slurm through submitit: an array that makes what is shared, then one that runs the units (DESIGN.md §10).

submitit pickles the call of each element beside its logs: a reference to `bench.run.job.run_job`, the results
folder and a key, two strings. What they stand for is JSON in the same folder; nothing else of ours is ever pickled.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from bench.core.errors import BadInput
from bench.plan.identity import Planned
from bench.plan.units import units
from bench.run.code import snapshot
from bench.run.job import run_job
from bench.run.journal import FOLDER, Journal, Submission
from bench.run.profile import Profile
from bench.run.shared import absent
from bench.run.tasks import Options, Task, shared_task, unit_task, write_task
from bench.store.artefacts import Artefacts, cache_root
from bench.store.record import Record


@dataclass(frozen=True)
class Submitted:
    """What a submission did."""

    submissions: tuple[Submission, ...]
    cells: int  # that are in these submissions
    queued: int  # that were in the queue already


def submit(todo: Sequence[Planned], out: Path, profile: Profile, options: Options) -> Submitted:
    """Submit the cells that are not in the queue: first what they share, then, after that went well, their units.

    Raises:
        BadInput: submitit or Slurm's commands are not here, the profile gives too few CPUs, or sbatch refuses.
    """
    profile = checked(todo, profile)
    out = out.resolve()
    journal = Journal(out)
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    with FileLock(out / FOLDER / ".submit.lock"):  # of two at once the second sees what the first has queued
        standing = journal.standing()
        if standing.unknown:
            raise BadInput(f"what is queued cannot be known: {standing.unknown}")
        live = standing.live
        missing = [one for one in todo if one.key not in live]
        shared = [shared_task(key, one, options) for key, one in absent(missing, Artefacts(cache_root())).items()]
        arrays = _arrays(out, missing, shared, profile, options)
        code = snapshot(out / FOLDER / "code") if arrays else out
        done: list[Submission] = []
        for array in arrays:
            needed = [one.job for one in done if one.name in array.after]
            try:
                job = _submit(out, array, parameters(profile, array.name, code, needed), profile.timeouts)
            except BadInput:
                for rest in arrays[len(done) :]:
                    journal.remove(rest.name)
                raise
            done.append(replace(array, job=job))
            journal.put(done[-1])
    return Submitted(tuple(done), len(missing), len(todo) - len(missing))


def checked(todo: Sequence[Planned], profile: Profile) -> Profile:
    """The profile, its CPUs as the matrix needs them. BadInput as `submit`, before anything is written."""
    if importlib.util.find_spec("submitit") is None:
        raise BadInput("--engine slurm needs submitit: pip install 'xner-bench[slurm]'")
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise BadInput(f"--engine slurm: no {command} here: run this where Slurm's commands are")
    threads = max((one.cell.train.threads for one in todo), default=1)
    if profile.cpus and profile.cpus < threads:
        raise BadInput(f"the profile gives a unit {profile.cpus} CPUs, but the matrix has train.threads = {threads}")
    return replace(profile, cpus=profile.cpus or threads)


def _arrays(
    out: Path, missing: Sequence[Planned], shared: Sequence[Task], profile: Profile, options: Options
) -> list[Submission]:
    """Publish tasks and submissions, still without a number: what Slurm accepts is never unknown to the folder."""
    found: list[Submission] = []

    def add(kind: Literal["shared", "units"], tasks: Sequence[Task], after: tuple[str, ...]) -> None:
        for first in range(0, len(tasks), profile.array):
            part = tasks[first : first + profile.array]
            for task in part:
                write_task(out, task)
            name = f"xner-{missing[0].cell.matrix}-{uuid.uuid4().hex[:12]}"
            cells = {task.key: dict(task.attempts) for task in part}
            found.append(Submission(name, kind, tuple(task.key for task in part), cells, after))
            Journal(out).put(found[-1])

    add("shared", shared, ())
    add("units", [unit_task(out, unit, options) for unit in units(missing)], tuple(one.name for one in found))
    return found


def parameters(profile: Profile, name: str, code: Path, after: Sequence[str] = ()) -> dict[str, Any]:
    """What submitit writes into the script of an array."""
    own = {key: getattr(profile, key) for key in ("partition", "account", "qos", "constraint")}
    if profile.gpus:
        own["gpus_per_node"] = profile.gpus
    if profile.memory:
        own["mem"] = f"{round(profile.memory * 1024)}MB"
    if after:
        own["dependency"] = ":".join(("afterok", *after))
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
    }


def _submit(out: Path, array: Submission, asked: dict[str, Any], timeouts: int) -> str:
    """Give one array to sbatch; its number."""
    import submitit

    # -P: the folder that a job starts in must not come before the snapshot of the code
    python = f"{shlex.quote(sys.executable)} -P"
    folder = out / FOLDER / "logs" / array.name
    executor = submitit.SlurmExecutor(folder, max_num_timeout=timeouts, python=python)
    executor.update_parameters(**asked)
    try:
        jobs = executor.map_array(run_job, [str(out)] * len(array.elements), array.elements)
    except (RuntimeError, OSError) as error:
        said = " ".join(str(error).split())
        raise BadInput(f"sbatch refused {len(array.elements)} elements: {said[-400:]}") from error
    return str(jobs[0].job_id).partition("_")[0]


def submit_verb(todo: Sequence[Planned], out: Path, profile: Profile, device: str, keep_models: bool) -> list[Record]:
    """Submit and say what was done; no record is made here."""
    options = Options(device if device != "auto" else "cuda" if profile.gpus else "cpu", keep_models)
    done = submit(todo, out, profile, options)
    for one in done.submissions:
        what = "shared artefacts" if one.kind == "shared" else "units of work"
        after = ", after the shared ones" if one.after else ""
        print(f"Slurm job {one.job}: {len(one.elements)} {what}{after}", file=sys.stderr)
    queued = f", {done.queued} are in the queue already" if done.queued else ""
    print(f"{done.cells} cells submitted{queued}; xner status {out} tells how far they are", file=sys.stderr)
    return []
