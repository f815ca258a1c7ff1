"""`--engine slurm` on a real Slurm of one node: units run, are cancelled, killed, told to requeue, and come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from tests.support.e2e_tools import Place, Ran, by_name, matrix_text
from tests.support.slurm_node import lacking, slurm_node

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(lacking()), reason=lacking() or "it is here"),
]
LABELS, TARGETS = ("zero_shot", "en_trans"), ("de", "zh")  # three units


@dataclass(frozen=True)
class Cluster:
    """A results folder and the node that works for it."""

    place: Place
    environment: dict[str, str]

    def xner(self, *arguments: str | Path) -> Ran:
        with mock.patch.dict(os.environ, self.environment):
            return self.place.xner(*arguments)

    def submit(self) -> Ran:
        run = ("run", self.place.root / "small.toml", "--out", self.place.out, "--engine", "slurm")
        return self.xner(*run, "--profile", self.place.root / "profile.toml")

    def slurm(self, *command: str) -> str:
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def hurry(self, element: str) -> None:
        """Start a requeued element soon, which Slurm lets wait two minutes; one that runs again already needs no help.

        Not at once: in the second in which it was stopped slurmd takes it for killed, and it fails without a start.
        """
        self.slurm("sh", "-c", f"scontrol update JobId={element} StartTime=now+3 || true")

    def queue(self) -> dict[str, str]:
        """State of every element, `15_3` → RUNNING."""
        lines = self.slurm("squeue", "--noheader", "--array", "--format=%i|%T").split()
        return dict(line.split("|", 1) for line in lines)

    def said(self) -> str:
        """The end of what each element and the daemons have logged, for a failure's message."""
        logs = sorted((self.place.out / "jobs" / "logs").rglob("*.err"))
        logs += sorted((self.place.root / "node").glob("*.out"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-400:]}" for path in logs)

    def processes(self) -> dict[str, int]:
        """The Python that runs for each element."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                facts = dict(p.split(b"=", 1) for p in (folder / "environ").read_bytes().split(b"\0") if b"=" in p)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if (
                b"submitit.core._submit" in command
                and b"python" in command[0]
                and str(self.place.out).encode() in b" ".join(command)
            ):
                array = facts.get(b"SLURM_ARRAY_JOB_ID", facts.get(b"SLURM_JOB_ID", b"")).decode()
                found[f"{array}_{facts.get(b'SLURM_ARRAY_TASK_ID', b'0').decode()}"] = int(folder.name)
        return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Cluster]:
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    root = tmp_path_factory.mktemp("cluster")
    place = Place(root, tiny_folder)
    place.matrix(matrix_text(tiny_folder, LABELS, TARGETS).replace("steps = 4", "steps = 30"))
    (root / "profile.toml").write_text('partition = "main"\ntime = 20\nparallel = 3\nwarning = 5\n')
    with slurm_node(root / "node", cpus=3) as environment:
        yield Cluster(place, environment)


def until(ready: Callable[[], object], what: str, seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_cancelled_killed_and_requeued_units_come_back(cluster: Cluster) -> None:
    ran = cluster.submit()
    assert ran.code == 0, ran.err
    assert "2 shared artefacts" in ran.err
    assert "4 cells submitted" in ran.err
    units = next(job.split("_")[0] for job, state in cluster.queue().items() if job.endswith("_2"))
    first, second, third = (f"{units}_{index}" for index in range(3))
    until(lambda: {first, second, third} <= cluster.processes().keys(), "the units do not start")

    cluster.slurm("scancel", first)
    os.kill(cluster.processes()[second], signal.SIGKILL)
    log = next((cluster.place.out / "jobs" / "logs").rglob(f"{third}_0_log.out"))
    until(lambda: "task xner-" in log.read_text(), "the unit does not start")
    cluster.slurm("scancel", "--signal=USR2", third)  # what a job gets at the end of its time
    until(lambda: "Requeued" in log.read_text(), "it is not requeued")
    until(lambda: cluster.queue() in ({third: "PENDING"}, {third: "RUNNING"}), f"{cluster.queue()}")
    status = cluster.xner("status", cluster.place.out, "--json").json()
    assert len(status["slurm"]["waiting"] + status["slurm"]["running"]) == 1, "the one that goes on by itself"
    assert len(status["slurm"]["lost"]) == 3, "zero_shot's two, and one of en_trans"
    assert status["total"] == {"ok": 0, "failed": 0, "skipped": 0, "missing": 4}

    again = cluster.submit()
    assert again.code == 0, again.err
    assert "3 cells submitted, 1 are in the queue already" in again.err
    cluster.hurry(third)
    until(lambda: not cluster.queue(), "the queue does not empty")
    found = by_name(cluster.place.out)
    assert not [record["error"] for record in found.values() if record["status"] != "ok"], cluster.said()
    assert {(name, record["status"], record["attempts"]) for name, record in found.items()} == {
        ((label, target, 1), "ok", 1) for label in LABELS for target in TARGETS
    }, cluster.said()
    assert cluster.xner("status", cluster.place.out, "--json").json()["slurm"]["lost"] == []
    assert not list((cluster.place.out / "models").rglob("*.safetensors"))
    ended = cluster.submit()
    assert ended.code == 0, ended.err
    assert "en_trans" in ended.out
    assert json.loads(cluster.xner("verify", cluster.place.out, "--json").out)["clean"]


def test_what_more_urgent_jobs_push_out_comes_back(cluster: Cluster) -> None:
    """Preemption as Slurm does it: the element is ended, queued again, and starts when the urgent job is over."""
    matrix = cluster.place.root / "small.toml"
    text = matrix.read_text()
    for old, new in (("seeds = [1]", "seeds = [3]"), ('"zero_shot", "en_trans"', '"zero_shot"'), ("= 30", "= 300")):
        assert old in text, text
        text = text.replace(old, new, 1)
    kept = matrix.read_text()
    matrix.write_text(text)
    assert cluster.submit().code == 0
    until(lambda: len(cluster.processes()) == 1 and len(cluster.queue()) == 1, "the unit does not start")
    (unit,) = cluster.queue()
    (before,) = cluster.processes().values()
    asked = ("--partition=urgent", "--cpus-per-task=3")
    urgent = cluster.slurm("sbatch", "--parsable", "--output=/dev/null", *asked, "--wrap=sleep 3").strip()
    until(lambda: before not in cluster.processes().values(), "it is not pushed out")
    until(lambda: not any(job.startswith(urgent) for job in cluster.queue()), "the urgent job does not end")
    assert "Restarts=1" in cluster.slurm("scontrol", "show", "job", unit)
    cluster.hurry(unit)
    until(lambda: not cluster.queue(), "the queue does not empty")
    found = {name: record for name, record in by_name(cluster.place.out).items() if name[2] == 3}
    assert {(record["status"], record["attempts"]) for record in found.values()} == {("ok", 1)}, found
    matrix.write_text(kept)


def test_cancel_empties_the_queue(cluster: Cluster) -> None:
    matrix = cluster.place.root / "small.toml"
    matrix.write_text(matrix.read_text().replace("seeds = [1]", "seeds = [2]"))
    assert cluster.submit().code == 0
    assert cluster.queue()
    cancelled = cluster.xner("cancel", cluster.place.out)
    assert "5 elements cancelled" in cancelled.out, cancelled.err
    until(lambda: not cluster.queue(), "the queue does not empty", 60)
    status = cluster.xner("status", cluster.place.out)
    assert "4 submitted cells have no record and are not in the queue" in status.out
