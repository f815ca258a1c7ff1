"""Several processes, interruption and death: the same records, and nothing that is finished is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.e2e_tools import Place, Ran, by_name, finished, matrix_text, records, sidecars, snapshot

LABELS = ("zero_shot", "zero_shot+kd", "en_trans")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Place:
    """A matrix of six cells, run in this process."""
    place = Place(tmp_path_factory.mktemp("alone"), tiny_folder)
    ran = place.xner("run", place.matrix(matrix_text(tiny_folder, LABELS, ("de", "zh"))), "--out", place.out)
    assert ran.code == 0, ran.err
    return place


def test_two_processes_give_the_same_records(alone: Place, tmp_path: Path) -> None:
    """Also: another hash seed, other results and cache folders, a process that started afresh."""
    place = Place(tmp_path, alone.encoder)
    arguments = ("run", alone.root / "small.toml", "--out", place.out, "--jobs", "2")
    ran = finished(place.spawn(*arguments, PYTHONHASHSEED="7"))
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    assert "[6/6]" in ran.err
    one, two = by_name(alone.out), by_name(place.out)
    assert one.keys() == two.keys()
    for name, record in one.items():
        for field in ("key", "parents", "scores", "projection", "factors", "code", "resources", "overlap"):
            assert two[name][field] == record[field], (name, field)
    assert sidecars(place.out) == sidecars(alone.out)
    assert not list(place.out.rglob("*.safetensors"))
    tables = {path.name for path in (alone.out / "tables").iterdir()} - {"cost.md", "cost.csv", "cost.tex"}
    for name in tables:
        assert (place.out / "tables" / name).read_bytes() == (alone.out / "tables" / name).read_bytes(), name


# --- interrupted ------------------------------------------------------------------------------------------------------


def long_matrix(place: Place, seeds: int) -> Path:
    """Enough cells to be in the middle of, each a matter of a second or less."""
    text = matrix_text(place.encoder, ("zero_shot", "target_supervised"), ("de", "zh"), range(1, seeds + 1))
    return place.matrix(text.replace("steps = 4", "steps = 12"))


def stopped(place: Place, process: subprocess.Popen[str], number: int, enough: int) -> tuple[Ran, set[str]]:
    """Send a signal to the process group, as a terminal does, when some records are there; which were there then."""
    deadline = time.monotonic() + 200
    done: set[str] = set()
    while len(done) < enough and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        done = {path.name for path in (place.out / "records").glob("*.json")}
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, number)
    return finished(process, 60), done


@pytest.mark.parametrize("jobs", (1, 2))
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, tiny_folder: Path, jobs: int) -> None:
    place = Place(tmp_path, tiny_folder)
    matrix = long_matrix(place, seeds=6 * jobs)
    process = place.spawn("run", matrix, "--out", place.out, "--jobs", str(jobs))
    ran, done = stopped(place, process, signal.SIGINT, enough=2)
    assert ran.code == 130, ran.err
    assert "interrupted" in ran.err
    assert "Traceback" not in ran.err
    kept = snapshot(place.out / "records")
    assert done <= kept.keys()
    assert len(kept) <= len(done) + 6, "what is running may end; nothing else begins"
    assert all(json.loads(content)["status"] == "ok" for _, content in kept.values())
    assert not list(place.root.rglob("*.tmp"))

    begun = max(seed for _, _, seed in by_name(place.out))
    only = ("--only", f"seed={begun}", "--only", "target=de")
    again = place.xner("run", matrix, "--out", place.out, *only)
    assert again.code == 0, again.err
    after = snapshot(place.out / "records")
    assert {name: after[name] for name in kept} == kept
    assert {record["status"] for record in records(place.out)} == {"ok"}


def test_a_killed_run_goes_on(tmp_path: Path, tiny_folder: Path) -> None:
    """No chance to clean up: half-made things are seen as absent, and the rest is as if nothing had happened."""
    place = Place(tmp_path, tiny_folder)
    matrix = long_matrix(place, seeds=6)
    process = place.spawn("run", matrix, "--out", place.out, "--jobs", "1")
    ran, done = stopped(place, process, signal.SIGKILL, enough=1)
    assert ran.code == -signal.SIGKILL
    kept = snapshot(place.out / "records")
    assert done <= kept.keys()
    last = max(seed for _, _, seed in by_name(place.out))
    again = place.xner("run", matrix, "--out", place.out, "--only", f"seed={last},{last + 1}")
    assert again.code == 0, again.err
    after = snapshot(place.out / "records")
    assert {name: after[name] for name in kept} == kept
    assert {name for name in by_name(place.out) if name[2] == last + 1} == {
        (label, target, last + 1) for label in ("zero_shot", "target_supervised") for target in ("de", "zh")
    }
    weights = [path for path in place.out.rglob("*.safetensors") if not path.parent.name.startswith(".")]
    assert not weights, "those of the killed run are used and then freed"


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to find the workers")


@NEEDS_PROC
def test_workers_leave_with_a_killed_parent(tmp_path: Path, tiny_folder: Path) -> None:
    """Only the parent dies, as by a scheduler or `kill`: its workers must not train on against the next run."""
    place = Place(tmp_path, tiny_folder)
    process = place.spawn("run", long_matrix(place, seeds=40), "--out", place.out, "--jobs", "2")
    while process.poll() is None and len(list((place.out / "models" / "fit").glob(".*.lock"))) < 2:
        time.sleep(0.02)  # until both train
    workers = workers_of(process)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(alive(pid) for pid in workers):
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
