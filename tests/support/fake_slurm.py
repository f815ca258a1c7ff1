"""A scheduler that only queues: sbatch, squeue, scancel and scontrol on PATH; tests run the elements."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

COMMANDS = ("sbatch", "squeue", "scancel", "srun", "scontrol")
STATE = "FAKE_SLURM"


@dataclass(frozen=True)
class Scheduler:
    """The scheduler's folder: `bin` for PATH, a JSON file a job."""

    root: Path

    def install(self) -> dict[str, str]:
        """Write the commands; the environment that finds them."""
        (self.root / "bin").mkdir(parents=True)
        for name in COMMANDS:
            command = self.root / "bin" / name
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{__file__}" {name} "$@"\n')
            command.chmod(0o755)
        return {STATE: str(self.root), "PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def break_down(self) -> None:
        """From now on every command fails, as when the controller is away."""
        (self.root / "down").touch()

    def jobs(self) -> list[dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in self.root.glob("*.json")]
        return sorted(found, key=lambda job: int(job["id"]))

    def script(self, job: str) -> str:
        return str(self.job(job)["script"])

    def job(self, number: str) -> dict[str, Any]:
        return dict(json.loads((self.root / f"{number}.json").read_text()))

    def set_state(self, job: str, index: int, state: str) -> None:
        value = self.job(job)
        value["states"][index] = state
        (self.root / f"{job}.json").write_text(json.dumps(value))

    def run_all(self) -> int:
        """Run what waits, job by job, as far as dependencies allow; how many elements ran."""
        ran = 0
        for job in self.jobs():
            for index, state in enumerate(self.job(job["id"])["states"]):
                if state == "PENDING" and self._may_run(job):
                    self.run(job["id"], index)
                    ran += 1
        return ran

    def run(self, number: str, index: int = 0) -> None:
        """One element as submitit runs it in a job, but in this process: torch need not be imported anew."""
        from submitit.core.submission import process_job

        job = self.job(number)
        environment = {"SLURM_JOB_ID": str(int(number) * 1000 + index), "SUBMITIT_EXECUTOR": "slurm"}
        environment |= {"SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS": "1", "SLURM_JOB_NODELIST": "node"}
        if job["array"]:
            environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": str(index)}
        else:
            environment["SLURM_JOB_ID"] = number
        handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2)}
        self.set_state(number, index, "RUNNING")
        state = "FAILED"
        try:
            with mock.patch.dict(os.environ, environment):
                process_job(_folder(job["script"]))
            state = "COMPLETED"
        except SystemExit:
            state = self.job(number)["states"][index]  # PENDING, if it was requeued
        finally:
            self.set_state(number, index, state)
            for one, handler in handlers.items():
                signal.signal(one, handler)

    def _may_run(self, job: dict[str, Any]) -> bool:
        return all(set(self.job(one)["states"]) == {"COMPLETED"} for one in job["after"])


def _folder(script: str) -> Path:
    """What stands last on the line that starts submitit."""
    command = next(line for line in script.splitlines() if "submitit.core._submit" in line)
    return Path(command.split()[-1].strip("'"))


# --- the commands -----------------------------------------------------------------------------------------------------


def sbatch(root: Path, arguments: list[str]) -> None:
    script = Path(arguments[-1]).read_text()
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH --")]
    options = dict(line.partition("=")[::2] for line in lines)
    number = str(max((int(path.stem) for path in root.glob("*.json")), default=0) + 1)
    array = options.get("array", "").partition("%")[0]
    count = int(array.partition("-")[2]) + 1 if array else 1
    after = options.get("dependency", "").split(":")[1:]
    value = {"id": number, "name": options["job-name"], "script": script, "array": bool(array), "after": after}
    (root / f"{number}.json").write_text(json.dumps(value | {"states": ["PENDING"] * count}))
    print(f"Submitted batch job {number}")


def squeue(root: Path, arguments: list[str]) -> None:
    names = next(one for one in arguments if one.startswith("--name=")).partition("=")[2].split(",")
    for path in sorted(root.glob("*.json"), key=lambda path: int(path.stem)):
        job = json.loads(path.read_text())
        for index, state in enumerate(job["states"]):
            if job["name"] in names and state in ("PENDING", "RUNNING", "COMPLETING"):
                print(f"{job['id']}{f'_{index}' if job['array'] else ''}|{state}|{job['name']}")


def scancel(root: Path, arguments: list[str]) -> None:
    for one in arguments:
        number, _, index = one.partition("_")
        path = root / f"{number}.json"
        job = json.loads(path.read_text())
        gone = [int(index)] if index else range(len(job["states"]))
        for place in gone:
            if job["states"][place] in ("PENDING", "RUNNING"):
                job["states"][place] = "CANCELLED"
        path.write_text(json.dumps(job))


def scontrol(root: Path, arguments: list[str]) -> None:
    verb, element = arguments
    assert verb == "requeue"
    number, _, index = element.partition("_")
    Scheduler(root).set_state(number, int(index or 0), "PENDING")


def _main(name: str, *arguments: str) -> int:
    root = Path(os.environ[STATE])
    if (root / "down").exists():
        print(f"{name}: error: Unable to contact slurm controller (connect failure)", file=sys.stderr)
        return 1
    {"sbatch": sbatch, "squeue": squeue, "scancel": scancel, "scontrol": scontrol}[name](root, list(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
