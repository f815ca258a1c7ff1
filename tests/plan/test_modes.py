"""`xner run --mode`, and several runs on one results folder: nothing is lost, nothing is trained in vain."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bench.data.identity import keyed
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.plan.units import unit_name, units
from bench.store.artefacts import Busy, claimed, held_claims, locked
from bench.train import fit, training
from tests.support.e2e_tools import REPO, Place, by_name, matrix_text, records, sidecars, snapshot

ARTEFACTS = {"key", "parents", "scores", "projection", "factors", "code", "resources", "overlap", "cell", "status"}


@dataclass(frozen=True)
class Done:
    """A finished matrix."""

    place: Place
    matrix: Path

    def run(self, *arguments: str) -> Any:
        return self.place.xner("run", self.matrix, "--out", self.place.out, *arguments)


@pytest.fixture
def done(tmp_path: Path, tiny_folder: Path) -> Done:
    place = Place(tmp_path, tiny_folder)
    found = Done(place, place.matrix(matrix_text(tiny_folder, targets=("de", "zh"))))
    ran = found.run()
    assert ran.code == 0, ran.err
    return found


def trainings(*, fails: type[Exception] | None = None) -> Any:
    """A spy on trainings, which may make them fail."""
    return mock.patch("bench.train.training.fit", wraps=fit.fit, side_effect=fails("broken now") if fails else None)


def of_work(out: Path) -> dict[str, Any]:
    """Records and sidecars, without what is hidden."""
    return {
        name: value for name, value in snapshot(out).items() if not name.startswith((".", "tables/", "matrix.json"))
    }


def test_force_trains_again_and_gives_the_same(done: Done) -> None:
    before, files = by_name(done.place.out), sidecars(done.place.out)
    with trainings() as spy:
        ran = done.run("--mode", "force")
    assert ran.code == 0, ran.err
    assert spy.call_count == 1, "one training serves both targets"
    after = by_name(done.place.out)
    assert [record["attempts"] for record in after.values()] == [2, 2]
    for name, record in after.items():
        assert {k: record[k] for k in ARTEFACTS} == {k: before[name][k] for k in ARTEFACTS}
    assert sidecars(done.place.out) == files
    assert not (done.place.out / "forced").exists()
    assert not list(done.place.out.rglob("*.safetensors")) and not list(done.place.out.rglob("*.old"))


def test_force_never_loses_a_record_to_a_failure(done: Done) -> None:
    before = of_work(done.place.out)
    with trainings(fails=RuntimeError):
        ran = done.run("--mode", "force")
    assert ran.code == 1
    assert "RuntimeError: broken now" in ran.err and "2 cells failed" in ran.err
    assert of_work(done.place.out) == before


def test_force_killed_leaves_what_was(done: Done) -> None:
    """In the middle, without a chance to clean up: the half-made lies aside, and the next forced run clears it."""
    before = of_work(done.place.out)
    with (
        trainings(fails=KeyboardInterrupt),  # type: ignore[arg-type]
        mock.patch("bench.run.local.shutil.rmtree"),
    ):
        assert done.run("--mode", "force").code == 130
    aside = {name for name in of_work(done.place.out) if name.startswith("forced/")}
    assert {name: value for name, value in of_work(done.place.out).items() if name not in aside} == before
    assert done.run("--mode", "force").code == 0
    assert not (done.place.out / "forced").exists()
    assert {record["attempts"] for record in records(done.place.out)} == {2}


def test_force_with_keep_models_leaves_the_new_weights(done: Done) -> None:
    assert done.run("--mode", "force", "--keep-models").code == 0
    keys = {record["key"] for record in records(done.place.out)}
    assert {path.name for path in (done.place.out / "taggers").iterdir()} == keys
    fits = {record["parents"]["fit:main"] for record in records(done.place.out)}
    assert {path.name for path in done.place.out.glob("models/fit/[!.]*")} == fits


def test_read_only_trains_and_writes_nothing(done: Done) -> None:
    before = snapshot(done.place.out)
    ran = done.run("--mode", "read-only")
    assert (ran.code, "zero_shot" in ran.out) == (0, True)
    key = by_name(done.place.out)["zero_shot", "zh", 1]["key"]
    (done.place.out / "records" / f"{key}.json").unlink()
    with mock.patch("bench.run.local.run", side_effect=AssertionError("nothing is to be run")):
        ran = done.run("--mode", "read-only")
    assert ran.code == 1
    assert "2 cells, 1 done; --mode read-only" in ran.err and "1 cells are missing" in ran.err
    assert snapshot(done.place.out).items() <= before.items()
    nowhere = done.place.xner("run", done.matrix, "--out", done.place.root / "none", "--mode", "read-only")
    assert (nowhere.code, "2 cells are missing" in nowhere.err) == (1, True)
    assert not (done.place.root / "none").exists()


def test_retry_is_a_mode(done: Done) -> None:
    for record in records(done.place.out):
        (done.place.out / "records" / f"{record['key']}.json").unlink()
    with trainings(fails=RuntimeError):
        assert done.run().code == 1
    assert "0 to run" in done.run("--mode", "missing").err
    ran = done.run("--mode", "retry")
    assert (ran.code, "2 to run" in ran.err) == (0, True)
    assert {(record["status"], record["attempts"]) for record in records(done.place.out)} == {("ok", 2)}
    assert "0 to run" in done.run("--retry").err
    wrong = done.run("--mode", "forced")
    assert wrong.code == 2


# --- several runs on one folder ---------------------------------------------------------------------------------------


def test_a_unit_that_another_run_holds_comes_last(tmp_path: Path, tiny_folder: Path) -> None:
    """It is waited for, and what the other has finished meanwhile is taken as it is."""
    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder, seeds=(1, 2)))
    with mock.patch.dict("os.environ", place.environment()):
        work = units(keyed(cells(load_matrix(str(matrix)))))
    held, free = threading.Event(), threading.Event()

    def other() -> None:
        with claimed(place.out, unit_name(work[0][0])):
            held.set()
            free.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(60)
    order: list[int] = []
    real = training.CellTrainer.all

    def noted(self: Any) -> Any:
        order.append(self.cell.seed)
        free.set()
        return real(self)

    with mock.patch.object(training.CellTrainer, "all", noted):
        ran = place.xner("run", matrix, "--out", place.out)
    thread.join()
    assert ran.code == 0, ran.err
    assert order == [2, 1]


def test_a_training_that_another_process_is_at_comes_later(tmp_path: Path, tiny_folder: Path) -> None:
    """Also where two units share it: neither waits while something else can be done, and nothing fails."""
    place, alone = (Place(tmp_path / name, tiny_folder) for name in ("place", "alone"))
    matrix = alone.matrix(matrix_text(tiny_folder, ("zero_shot", "zero_shot+kd"), seeds=(1, 2)))
    assert alone.xner("run", matrix, "--out", alone.out).code == 0
    once = by_name(alone.out)
    fit_key = next(r["parents"]["fit:main"] for r in once.values() if r["cell"]["seed"] == 1)
    held, free = threading.Event(), threading.Event()

    def other() -> None:
        folder = place.out / "models" / "fit"
        folder.mkdir(parents=True)
        with locked(folder / f".{fit_key}.lock", wait=True):
            held.set()
            free.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(60)

    def freed(*arguments: Any, **more: Any) -> Any:
        free.set()
        return fit.fit(*arguments, **more)

    with mock.patch("bench.train.training.fit", side_effect=freed) as spy:
        ran = place.xner("run", matrix, "--out", place.out)
    thread.join()
    assert (ran.code, spy.call_count) == (0, 4), ran.err
    lines = [line for line in ran.err.splitlines() if "seed" in line]
    assert len(lines) == 4, "each cell is told once"
    assert "seed 2" in lines[0], lines
    assert {n: {f: r[f] for f in ARTEFACTS} for n, r in by_name(place.out).items()} == {
        n: {f: r[f] for f in ARTEFACTS} for n, r in once.items()
    }


def test_what_another_run_finished_is_not_trained_again(tmp_path: Path, tiny_folder: Path) -> None:
    """Both planned the same cells before either began."""
    from bench.run import local

    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder, seeds=(1, 2)))
    real, before = local.run, dict[str, Any]()

    def late(todo: Any, where: Any, *arguments: Any, **more: Any) -> Any:
        assert len(todo) == 2
        real(todo, where, *arguments, **more)  # the other run, from beginning to end
        before.update(snapshot(place.out / "records"))
        with trainings() as spy:
            found = real(todo, where, *arguments, **more)
        assert spy.call_count == 0
        return found

    with mock.patch("bench.run.local.run", side_effect=late):
        ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 0, ran.err
    assert "[2/2]" in ran.err
    assert snapshot(place.out / "records") == before


def test_a_claim_is_held_until_its_block_ends(tmp_path: Path) -> None:
    """It is seen until then, by others and by oneself; what is left is a file that nobody holds."""
    assert held_claims(tmp_path) == []
    with claimed(tmp_path, "a unit"):
        (file,) = held_claims(tmp_path)
        assert held_claims(tmp_path, {file}) == []
        with pytest.raises(Busy), claimed(tmp_path, "a unit", wait=False):
            pass
        with claimed(tmp_path, "another", wait=False):
            assert len(held_claims(tmp_path)) == 2
    assert file.exists() and held_claims(tmp_path) == []


def test_weights_that_another_run_may_read_stay_until_the_last_one_ends(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder))
    with claimed(place.out, "a unit of another run"):
        ran = place.xner("run", matrix, "--out", place.out)
        assert ran.code == 0, ran.err
        assert len(list(place.out.glob("models/fit/*/*.safetensors"))) > 0
    ran = place.xner("run", matrix, "--out", place.out, "--set", "axes.seeds=[2]")  # which ends last
    assert ran.code == 0, ran.err
    assert not list(place.out.rglob("*.safetensors"))


def test_weights_that_a_run_was_asked_to_keep_stay(done: Done) -> None:
    assert done.run("--set", "axes.seeds=[2]", "--keep-models").code == 0
    kept = set(done.place.out.rglob("*.safetensors"))
    assert done.run("--set", "axes.seeds=[3]").code == 0
    assert set(done.place.out.rglob("*.safetensors")) == kept


def test_killed_at_random_nothing_is_lost_torn_or_duplicated() -> None:
    """A short run of what `python -m tests.studies kills --kills 100` does by hand."""
    asked = ("--kills", "2", "--processes", "2", "--seeds", "1", "--pause", "1")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.studies", "kills", *asked], cwd=REPO, capture_output=True, text=True, timeout=500
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("2 kills (")
    assert ": 0 lost, 0 torn, 0 duplicated, 0 different" in ran.stdout
