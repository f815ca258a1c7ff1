"""Faults of every kind: the cell's record says the cause, the others go on, the exit code and a summary tell."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bench.core.sentences import Sentence
from bench.data.cell_data import CellData
from bench.run.local import DIED
from bench.run.shared import Piece
from tests.support.e2e_tools import Place, by_name, finished, install_methods, matrix_text, records, snapshot

HEAD = """
import os
import signal
import time
import torch
from pathlib import Path
from bench.api.method import Method, Term

class Plugin(Method):
    name = "{name}"

    def loss(self, tagger, step):
        terms = super().loss(tagger, step)
"""
FAULTS = {  # name → the rest of its loss, type of the error, a part of its message
    "nans": (
        '        return (*terms, Term("own", terms[0].value * float("nan")))\n',
        "FloatingPointError",
        "'own' became nan",
    ),
    "hungers": (
        '        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")\n',
        "OutOfMemoryError",
        "Tried to allocate",
    ),
    "leaks": (
        '        raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried to allocate 9 bytes")\n',
        "RuntimeError",
        "can't allocate memory",
    ),
}
DIES = """
        while not Path("repaired").exists():
            if list(Path("out/records").glob("*.json")):
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
        return terms
"""


@pytest.fixture
def plugged(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    """`plugged(name=rest of its loss, …)`: a place with these methods installed."""

    def make(**sources: str) -> Place:
        place = Place(tmp_path, tiny_folder)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.delitem(sys.modules, "xner_fault_methods", raising=False)
        whole = {name: HEAD.format(name=name) + rest for name, rest in sources.items()}
        install_methods(tmp_path / "site", "xner_fault_methods", whole)
        return place

    yield make


def test_each_cause_is_in_its_record(plugged: Callable[..., Place]) -> None:
    place = plugged(**{name: rest for name, (rest, _, _) in FAULTS.items()})
    matrix = place.matrix(matrix_text(place.encoder, (*FAULTS, "zero_shot")))
    from bench.train.memory import Backoff

    with mock.patch.object(Backoff, "_retreat", autospec=True, side_effect=Backoff._retreat) as retreat:
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 1 and "Traceback" not in ran.err
    assert retreat.call_count == 2 * 6, "hungers and leaks: a second try, checkpointing, then 2, 4, 8 and 16 parts"
    found = by_name(place.out)
    for name, (_, kind, message) in FAULTS.items():
        record = found[name, "de", 1]
        assert record["status"] == "failed"
        assert (record["error"]["type"], message in record["error"]["message"]) == (kind, True)
        assert record["error"]["traceback"].startswith("Traceback")
        assert f"failed: {name} de seed 1: {kind}" in ran.err
    assert found["zero_shot", "de", 1]["status"] == "ok"
    assert "3 cells failed" in ran.err and "--retry" in ran.err
    why = place.xner("why", place.out, "hungers").out
    assert ": hit" in why and "failed: OutOfMemoryError: CUDA out of memory" in why and "--mode retry" in why


# --- the disk ---------------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(place: str, refuses: Callable[[Path], bool]) -> Iterator[None]:
    """Nothing more can be published at the paths that `refuses` names."""
    import bench.core.files as files

    real = files.write_bytes

    def write(path: Path, data: bytes) -> None:
        if refuses(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, data)

    with mock.patch(place, write):
        yield


def small(tmp_path: Path, encoder: Path) -> tuple[Place, Path]:
    place = Place(tmp_path, encoder)
    return place, place.matrix(matrix_text(encoder, ("zero_shot", "target_supervised")))


def test_a_disk_that_is_full_for_predictions(tmp_path: Path, tiny_folder: Path) -> None:
    place, matrix = small(tmp_path, tiny_folder)
    first = iter([True])
    with full_disk("bench.store.record.write_bytes", lambda path: next(first, False)):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 1 and "Traceback" not in ran.err
    statuses = {record["cell"]["label"]: record for record in records(place.out)}
    assert statuses["zero_shot"]["status"] == "failed"
    assert statuses["zero_shot"]["error"]["type"] == "OSError"
    assert "No space left on device" in statuses["zero_shot"]["error"]["message"]
    assert statuses["target_supervised"]["status"] == "ok"
    assert place.xner("run", matrix, "--out", place.out, "--retry").code == 0


def test_a_disk_that_is_full_for_a_record(tmp_path: Path, tiny_folder: Path) -> None:
    """There is no room for the failure either: it is told at the end, and the cell is run again next time."""
    place, matrix = small(tmp_path, tiny_folder)
    key = next(c["key"] for c in place.xner("plan", matrix, "--json").json()["cells"] if c["label"] == "zero_shot")
    with full_disk("bench.core.files.write_bytes", lambda path: path.name == f"{key}.json"):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 1 and "Traceback" not in ran.err
    assert "failed: zero_shot de seed 1: OSError: [Errno 28] No space left on device" in ran.err
    assert f"{key}.json: cannot be written: No space left on device" in ran.err
    assert {record["cell"]["label"]: record["status"] for record in records(place.out)} == {"target_supervised": "ok"}
    again = place.xner("run", matrix, "--out", place.out)
    assert (again.code, "1 done, 1 to run" in again.err) == (0, True)


def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path, tiny_folder: Path) -> None:
    place, matrix = small(tmp_path, tiny_folder)
    with full_disk("bench.core.files.write_bytes", lambda path: True):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].endswith("No space left on device; finished cells are kept")


# --- weights ----------------------------------------------------------------------------------------------------------


def test_missing_weights_of_the_hub(tmp_path: Path, tiny_folder: Path) -> None:
    """What is read from the hub is fetched before the first cell: what is missing stops the run in one line."""
    place = Place(tmp_path, tiny_folder)
    text = matrix_text(tiny_folder).replace('encoders = ["', 'encoders = ["nobody/nothing", "')
    text += f'[encoder."nobody/nothing"]\nrevision = "{"0" * 40}"\n'
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 2 and "Traceback" not in ran.err
    assert "model nobody/nothing" in ran.err and "not in the hub's cache" in ran.err
    assert not (place.out / "records").exists()


def test_weights_that_vanish_while_they_are_needed(tmp_path: Path, tiny_folder: Path) -> None:
    place, matrix = small(tmp_path, tiny_folder)
    from bench.train import training

    real, once = training.load_file, iter([True])

    def gone(path: Any, *more: Any) -> Any:
        if next(once, False):
            Path(path).unlink()
        return real(path, *more)

    with mock.patch("bench.train.training.load_file", gone):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 1
    statuses = {record["cell"]["label"]: record for record in records(place.out)}
    assert statuses["zero_shot"]["status"] == "failed" and ".safetensors" in statuses["zero_shot"]["error"]["message"]
    assert statuses["target_supervised"]["status"] == "ok"
    assert place.xner("run", matrix, "--out", place.out, "--retry").code == 0


# --- processes --------------------------------------------------------------------------------------------------------


def test_a_killed_worker_costs_its_own_unit_only(plugged: Callable[..., Place]) -> None:
    """What was finished stays as it is, what was running beside it is run again, and what waited is not missing."""
    place = plugged(dies=DIES)
    text = matrix_text(place.encoder, ("dies", "zero_shot", "target_supervised"), ("de", "zh"))
    matrix = place.matrix(text)
    site = os.pathsep.join([str(place.root / "site"), str(Path(__file__).resolve().parents[2])])
    process = place.spawn("run", matrix, "--out", place.out, "--jobs", "2", PYTHONPATH=site)
    while process.poll() is None and not list((place.out / "records").glob("*.json")):
        time.sleep(0.02)
    files = list((place.out / "records").glob("*.json"))
    kept = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    ran = finished(process)
    assert ran.code == 1 and "Traceback" not in ran.err
    assert kept and snapshot(place.out / "records").items() >= kept.items()
    found = by_name(place.out)
    assert len(found) == 6
    for (label, _, _), record in found.items():
        if label == "dies":
            assert (record["status"], record["error"]["type"]) == ("failed", DIED)
            assert record["error"]["message"] == "its process was killed by signal 9 (SIGKILL); out of memory?"
        else:
            assert (record["status"], record["attempts"]) == ("ok", 1)
    assert "2 cells failed" in ran.err and ran.err.count("FAILED: WorkerDied") == 2
    (place.root / "repaired").touch()
    again = place.xner("run", matrix, "--out", place.out, "--retry")
    assert again.code == 0, again.err
    assert "4 done, 2 to run" in again.err
    assert {r["attempts"] for r in records(place.out) if r["cell"]["label"] == "dies"} == {2}
    assert not list(place.out.rglob("*.safetensors"))
    assert json.loads((place.out / "matrix.json").read_text())["written"][0]["file"] == "small.toml"


def test_a_signal_that_a_library_turns_into_an_error_is_no_failure_of_the_cell(plugged: Callable[..., Place]) -> None:
    """A call of Python from C may answer Stopped with an error of its own, which was recorded as the cell's."""
    hides = (
        "        try:\n            os.kill(os.getpid(), signal.SIGTERM)\n            while True: pass\n"
        '        except BaseException:\n            raise ValueError("from C")\n'
    )
    place = plugged(hides=hides)
    matrix = place.matrix(matrix_text(place.encoder, ("hides",), ("de",)))
    site = os.pathsep.join([str(place.root / "site"), str(Path(__file__).resolve().parents[2])])
    assert finished(place.spawn("run", matrix, "--out", place.out, "--jobs", "2", PYTHONPATH=site)).code == 1
    (record,) = records(place.out)
    assert (record["error"]["type"], record["error"]["message"]) == (DIED, "its process ended with exit code 143")


def test_a_plug_in_that_exits_while_something_shared_is_made(tmp_path: Path, tiny_folder: Path) -> None:
    """Only the cells that need it could fail by it; here none does."""
    place, matrix = small(tmp_path, tiny_folder)
    exits = Piece("links", "some key", mock.Mock(side_effect=SystemExit("no dictionary here")))
    with mock.patch("bench.run.shared.pieces", return_value=[exits]):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 0, ran.err
    assert "shared by zero_shot de: SystemExit('no dictionary here')" in ran.err
    assert {record["status"] for record in records(place.out)} == {"ok"}


@pytest.mark.parametrize("rules", [["target-dev", "last"], ["target-dev"]])
def test_a_language_without_a_dev_set(tmp_path: Path, tiny_folder: Path, rules: list[str]) -> None:
    """Where it was the main rule, the run ended with a traceback at that language's first cell."""
    place, whole = Place(tmp_path, tiny_folder), CellData.target_dev
    matrix = place.matrix(matrix_text(tiny_folder, ("zero_shot",), ("zh", "de"), train=f"rules = {json.dumps(rules)}"))

    def target_dev(data: CellData) -> list[Sentence]:
        return [] if data.cell.target == "zh" else whole(data)

    with mock.patch.object(CellData, "target_dev", target_dev):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 0, ran.err
    found = by_name(place.out)
    assert set(found["zero_shot", "de", 1]["scores"]) == {*rules}
    chinese = found["zero_shot", "zh", 1]
    if len(rules) == 1:
        assert chinese["status"] == "skipped" and "zh has no dev set, and target-dev is the only rule" in ran.err
    else:
        assert set(chinese["scores"]) == {"last"}
        assert "no F1 by rule target-dev: this language has no dev set" in ran.err
