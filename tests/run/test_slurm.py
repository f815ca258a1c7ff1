"""`--engine slurm` against a scheduler that only queues: what is submitted, what runs, cancelling, and changed code."""

from __future__ import annotations

import json
import os
import pickletools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bench.core.errors import BadInput
from bench.data.cell_data import _corpus
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.run import job
from bench.run.job import JobCell, Task, array_file, perform, read_task
from bench.run.slurm import Array, Profile, load_profile, parameters, queue_state
from bench.run.slurm import snapshot as code_snapshot
from bench.store.record import Record
from tests.support.e2e_tools import Place, Ran, by_name, matrix_text, records, sidecars, small_corpus, snapshot
from tests.support.fake_slurm import Scheduler

pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
LABELS, TARGETS = ("zero_shot", "en_trans"), ("de", "zh")  # three units: zero_shot serves both targets


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    made = Scheduler(tmp_path / "slurm")
    for name, value in made.install().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    found = Place(tmp_path, tiny_folder)
    found.matrix(matrix_text(tiny_folder, LABELS, TARGETS))
    (tmp_path / "profile.toml").write_text('partition = "main"\ntime = "0:30"\nparallel = 2\nsetup = ["true"]\n')
    return found


def submit(place: Place, *more: str) -> Ran:
    """`xner run --engine slurm` from the place's folder."""
    run = ("run", place.root / "small.toml", "--out", place.out, "--engine", "slurm")
    return place.xner(*run, "--profile", place.root / "profile.toml", *more)


def run_all(place: Place, scheduler: Scheduler) -> int:
    with mock.patch.dict(os.environ, place.environment()):
        return scheduler.run_all()


def slurm_of(place: Place) -> dict[str, list[str]]:
    found: dict[str, list[str]] = place.xner("status", place.out, "--json").json()["slurm"]
    return found


# --- the profile ------------------------------------------------------------------------------------------------------


def test_a_profile_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text('partition = "gpu"\ngpus = 1\ntime = "1-02:30:00"\nmemory = 16\nsetup = ["module load cuda"]\n')
    profile = load_profile(file)
    assert (profile.partition, profile.minutes, profile.memory) == ("gpu", 26 * 60 + 30, 16.0)
    assert profile.setup == ("module load cuda",)
    assert load_profile(None) == Profile()


def test_a_gpu_that_the_profile_does_not_ask_for(place: Place) -> None:
    ran = place.xner("run", "small.toml", "--out", place.out, "--engine", "slurm", "--device", "cuda")
    assert ran.code == 2 and "--device cuda: the profile asks for no GPU" in ran.err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('partitoin = "gpu"', "did you mean 'partition'?"),
        ("cpus = -1", "cpus: must not be negative"),
        ("gpus = 2", "gpus: must be 0 or 1"),
        ('gpus = "one"', "expected a whole number"),
        ('time = "soon"', "time: must be minutes"),
        ('time = "0:00"', "at least 1 minute"),
        ("parallel = 0", "parallel: must be at least 1"),
        ("partition = ", "not TOML"),
        ('account = "a\\n#SBATCH --uid=0"', "account: must be one line"),
        ("warning = 3600", "warning: must be shorter than time"),
        ("warning = 721", "warning: must be at most 720 seconds"),
    ],
)
def test_what_is_wrong_in_a_profile_is_said_in_one_line(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "profile.toml"
    file.write_text(f"# of the cluster\n{line}\n")
    with pytest.raises(BadInput) as caught:
        load_profile(file)
    assert says in str(caught.value)
    assert f"{file}:2" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("time", "minutes"), [(5, 5), ("2:00", 120), ("0:01:30", 2), ("1-00:00:00", 1440)])
def test_times(time: int | str, minutes: int) -> None:
    assert Profile(time=time).minutes == minutes


def test_what_a_script_asks_for(tmp_path: Path) -> None:
    profile = Profile(partition="gpu", gpus=1, cpus=4, memory=1.5, parallel=3, time=20)
    asked = parameters(profile, "xner-a", tmp_path / "a b", after=("7", "8"))
    assert asked["dependency"] == "afterok:7:8"
    assert (asked["gpus_per_node"], asked["cpus_per_task"], asked["mem"]) == (1, 4, "1536MB")
    assert (asked["array_parallelism"], asked["time"]) == (3, 20)
    assert f"'{tmp_path / 'a b'}'" in asked["setup"][-1], "a folder with a space in its name"
    assert not {"account", "qos", "constraint"} & asked.keys(), "the cluster's own defaults"


# --- what is submitted ------------------------------------------------------------------------------------------------


def test_the_cells_of_a_task_are_read_as_they_were_written(place: Place) -> None:
    with mock.patch.dict(os.environ, place.environment()):
        for name in (str(place.root / "small.toml"), "demo"):
            unit = [JobCell(f"{n:032x}", cell, {"label": "any"}, n) for n, cell in enumerate(cells(load_matrix(name)))]
            tasks = (Task(tuple(unit), "a unit", device="cuda", keep_models=True), Task((unit[0],), artefact="a key"))
            Array("xner-a", tasks).publish(place.out)
            assert (read_task(place.out, "xner-a:0"), read_task(place.out, "xner-a:1")) == tasks
    with pytest.raises(BadInput, match="no task 2"):
        read_task(place.out, "xner-a:2")


def test_two_arrays_are_submitted_once(place: Place, scheduler: Scheduler) -> None:
    ran = submit(place)
    assert ran.code == 0, ran.err
    assert "4 cells submitted" in ran.err
    shared, units = scheduler.jobs()
    assert [len(job["states"]) for job in (shared, units)] == [2, 3], "links of de and zh; three trainings"
    assert units["after"] == [shared["id"]]
    for line in ("--requeue", "--array=0-2%2", "--partition=main", "--time=30", "--kill-on-invalid-dep=yes"):
        assert f"#SBATCH {line}\n" in units["script"]
    assert "wckey" not in units["script"], "submitit's own, which clusters that check them refuse"
    assert "\ntrue\nexport PYTHONPATH=" in units["script"]
    assert " -P -u -m submitit" in units["script"], "the folder that the job starts in comes before no code"

    again = submit(place)
    assert again.code == 0
    assert "0 cells submitted, 4 are in the queue already" in again.err
    assert len(scheduler.jobs()) == 2
    assert len(slurm_of(place)["waiting"]) == 4
    assert "4 waiting, 5 elements in the queue" in place.xner("status", place.out).out


def test_a_job_carries_a_function_and_a_key(place: Place, scheduler: Scheduler) -> None:
    assert submit(place).code == 0
    pickles = list((place.out / "jobs").rglob("*.pkl"))
    assert len(pickles) == 5
    keys = {f"{path.stem}:{n}" for path in (place.out / "jobs" / "arrays").iterdir() for n in range(3)}
    for path in pickles:
        names, strings, before = set(), set(), ["", ""]
        for code, value, _ in pickletools.genops(path.read_bytes()):
            if code.name == "STACK_GLOBAL":
                names.add(".".join(before))
            if code.name in ("SHORT_BINUNICODE", "BINUNICODE"):
                before = [before[1], value]
                strings.add(value)
        assert names <= {"submitit.core.utils.DelayedSubmission", "bench.run.job.run_job"}
        assert str(place.out) in strings
        assert len(strings & keys) == 1


def test_cancelling_and_submitting_again(place: Place, scheduler: Scheduler) -> None:
    assert submit(place).code == 0
    cancelled = place.xner("cancel", place.out)
    assert cancelled.code == 0
    assert "5 elements cancelled (jobs 1, 2)" in cancelled.out
    assert "0 elements cancelled" in place.xner("cancel", place.out).out
    assert len(slurm_of(place)["lost"]) == 4
    assert "4 submitted cells have no record and are not in the queue" in place.xner("status", place.out).out
    again = submit(place)
    assert "4 cells submitted;" in again.err, again.err
    assert len(scheduler.jobs()) == 4
    assert not slurm_of(place)["lost"], "the new submission counts"


def test_a_part_that_was_cancelled_is_all_that_is_submitted(place: Place, scheduler: Scheduler) -> None:
    assert submit(place).code == 0
    scheduler.set_state("2", 1, "CANCELLED")
    scheduler.set_state("2", 2, "COMPLETING")  # on its way out: it counts no more
    assert len(slurm_of(place)["lost"]) == 2
    again = submit(place)
    assert "2 cells submitted, 2 are in the queue already" in again.err
    assert len(scheduler.jobs()[-1]["states"]) == 2


def test_a_queue_that_does_not_answer(place: Place, scheduler: Scheduler) -> None:
    assert submit(place).code == 0
    scheduler.break_down()
    status = place.xner("status", place.out)
    assert status.code == 0
    assert "where they are is unknown: squeue failed: squeue: error: Unable to contact" in status.out
    for ran in (submit(place), place.xner("cancel", place.out)):
        assert ran.code == 2
        assert "squeue failed" in ran.err
        assert "Traceback" not in ran.err


def test_what_this_machine_cannot_do_is_said_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [(("--jobs", "2"), "a profile has `parallel`"), (("--mode", "force"), "--mode force")]
    for arguments, says in refused:
        ran = submit(place, *arguments)
        assert (ran.code, says in ran.err) == (2, True), ran.err
    monkeypatch.setenv("PATH", str(place.root))
    ran = submit(place)
    assert (ran.code, "no sbatch here" in ran.err) == (2, True), ran.err
    assert not place.out.exists()


def test_a_refused_submission_leaves_no_trace_in_the_journal(place: Place, scheduler: Scheduler) -> None:
    with mock.patch("submitit.SlurmExecutor._get_job_id_from_submission_command", side_effect=RuntimeError("no quota")):
        ran = submit(place)
    assert (ran.code, "no quota" in ran.err) == (2, True), ran.err
    assert not list((place.out / "jobs" / "arrays").iterdir())
    assert "4 cells submitted" in submit(place).err


# --- what runs --------------------------------------------------------------------------------------------------------


def test_the_records_are_those_of_a_local_run(place: Place, scheduler: Scheduler) -> None:
    assert submit(place).code == 0
    assert run_all(place, scheduler) == 5
    assert {record["status"] for record in records(place.out)} == {"ok"}
    assert not list((place.out / "models").rglob("*.safetensors")), "freed by the last unit"
    assert slurm_of(place) == {"elements": [], "lost": [], "running": [], "unknown": "", "waiting": []}
    ended = submit(place)
    assert ended.code == 0
    assert "zero_shot" in ended.out, "the table of what is there"
    assert len(scheduler.jobs()) == 2
    assert "note" not in place.xner("verify", place.out).out, "jobs/ is no foreign folder"

    alone = Place(place.root / "alone", place.encoder)
    assert alone.xner("run", place.root / "small.toml", "--out", alone.out).code == 0
    one, two = by_name(alone.out), by_name(place.out)
    assert one.keys() == two.keys()
    for name, record in one.items():
        for field in ("key", "scores", "parents", "code", "resources"):
            assert two[name][field] == record[field], (name, field)
    assert sidecars(alone.out) == sidecars(place.out)


def test_an_element_that_runs_twice_trains_once(place: Place, scheduler: Scheduler) -> None:
    """As when it is requeued after its last cell, or cancelled and submitted again while it still ran."""
    (place.root / "small.toml").write_text(matrix_text(place.encoder, ("zero_shot",), ("de",)))
    assert submit(place).code == 0
    assert run_all(place, scheduler) == 1, "nothing is shared"
    kept = snapshot(place.out / "records")
    with mock.patch("bench.run.cell.run_unit") as spy, mock.patch.dict(os.environ, place.environment()):
        scheduler.run("1")
    assert not spy.called
    assert snapshot(place.out / "records") == kept


def test_an_element_that_ends_leaves_the_weights_of_a_unit_that_is_half_done(
    place: Place, scheduler: Scheduler
) -> None:
    """zero_shot serves both targets by one training: with one of them recorded the other still reads its weights."""
    place.matrix(matrix_text(place.encoder, ("zero_shot",), TARGETS))
    assert submit(place).code == 0
    freed: list[int] = []

    def ended_meanwhile(*arguments: Any, **more: Any) -> Iterator[Record]:
        for record in perform(*arguments, **more):
            weights = set((place.out / "models").glob("fit/[!.]*"))
            job._free_weights(place.out)  # as another element does when it ends
            freed.append(len(weights - set((place.out / "models").glob("fit/[!.]*"))))
            yield record

    with mock.patch.object(job, "perform", ended_meanwhile):
        run_all(place, scheduler)
    assert freed[0] == 0
    assert [(record["status"], record["attempts"]) for record in records(place.out)] == [("ok", 1)] * 2


def test_what_changed_since_submission_is_a_failure_that_says_so(place: Place, scheduler: Scheduler) -> None:
    corpus = small_corpus(place.root / "corpus")
    (place.root / "small.toml").write_text(matrix_text(place.encoder, ("zero_shot",), ("de",), corpus=corpus))
    assert submit(place).code == 0
    train = place.root / "corpus" / "en" / "train.conll"
    train.write_text(train.read_text().rpartition("\n\n")[0].rpartition("\n\n")[0] + "\n\n")
    _corpus.cache_clear()  # an element is a process of its own
    assert run_all(place, scheduler) == 1
    (record,) = records(place.out)
    assert (record["status"], record["error"]["type"], record["attempts"]) == ("failed", "Changed", 1)
    assert "changed between submission and run" in record["error"]["message"]
    ran = submit(place)
    assert "1 cells submitted" in ran.err, "of the new key"
    train.unlink()
    _corpus.cache_clear()
    assert run_all(place, scheduler) == 1
    assert any("en train: no sentences" in one["error"]["message"] for one in records(place.out)), "data that is gone"


def test_a_failed_cell_is_queued_again_only_by_retry(place: Place, scheduler: Scheduler) -> None:
    (place.root / "small.toml").write_text(matrix_text(place.encoder, ("zero_shot",), ("de",)))
    assert submit(place).code == 0
    with mock.patch("bench.train.training.fit", side_effect=FloatingPointError("loss is NaN")):
        assert run_all(place, scheduler) == 1
    assert records(place.out)[0]["status"] == "failed"
    ran = submit(place)
    assert (ran.code, len(scheduler.jobs())) == (1, 1)
    assert "loss is NaN" in ran.err
    assert "1 cells submitted" in submit(place, "--retry").err
    assert len(slurm_of(place)["waiting"]) == 1
    assert run_all(place, scheduler) == 1
    assert [(one["status"], one["attempts"]) for one in records(place.out)] == [("ok", 2)]


def test_weights_stay_while_a_unit_may_need_them(place: Place, scheduler: Scheduler) -> None:
    assert submit(place).code == 0
    with mock.patch.dict(os.environ, place.environment()):
        for job, index in (("1", 0), ("1", 1), ("2", 0)):
            scheduler.run(job, index)
        assert list((place.out / "models").rglob("*.safetensors")), "en_trans of the same encoder and seed is to come"
        scheduler.run("2", 1)
        scheduler.run("2", 2)
    assert not list((place.out / "models").rglob("*.safetensors"))


def test_a_unit_that_is_told_to_go_is_queued_again(place: Place, scheduler: Scheduler) -> None:
    """On preemption, and on the time limit: no record says anything, and the next time it runs as if for the first."""
    (place.root / "small.toml").write_text(matrix_text(place.encoder, ("zero_shot",), ("de",)))
    assert submit(place).code == 0
    with mock.patch("bench.train.training.fit", side_effect=lambda *_, **__: signal.raise_signal(signal.SIGUSR2)):
        assert run_all(place, scheduler) == 1
    assert not records(place.out)
    assert len(slurm_of(place)["waiting"]) == 1
    assert run_all(place, scheduler) == 1
    assert [(one["status"], one["attempts"]) for one in records(place.out)] == [("ok", 1)]


def test_out_of_time_too_often_is_a_failure_that_says_so(place: Place, scheduler: Scheduler) -> None:
    (place.root / "small.toml").write_text(matrix_text(place.encoder, ("zero_shot",), ("de",)))
    # below 10 minutes submitit takes any signal for the end
    (place.root / "profile.toml").write_text("time = 1\nwarning = 5\ntimeouts = 0\n")
    assert submit(place).code == 0
    with mock.patch("bench.train.training.fit", side_effect=lambda *_, **__: signal.raise_signal(signal.SIGUSR2)):
        assert run_all(place, scheduler) == 1
    (record,) = records(place.out)
    assert (record["status"], "timed-out too many times" in record["error"]["message"]) == ("failed", True)


# --- the copy of the code ---------------------------------------------------------------------------------------------


def test_a_job_runs_the_code_that_was_submitted(tmp_path: Path) -> None:
    folder = code_snapshot(tmp_path / "code")
    assert not list(folder.rglob("__pycache__"))
    assert code_snapshot(tmp_path / "code") == folder, "named by content"
    look = "import bench, methods, data_recipes, pathlib, bench.plan.fingerprint as c\n"
    look += "from bench.plan.fingerprint import sources, stage_fingerprints\n"
    look += "print(bench.__file__, *sources('data_recipes.translators.marian').values(), sep='\\n')\n"
    look += "print(c.commit(), stage_fingerprints(pathlib.Path(bench.__file__).parents[1])['fit'])"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-c", look]
    repo = Path(__file__).resolve().parents[2]
    listed = subprocess.run(command, env=environment, cwd=repo, capture_output=True, text=True, check=True)
    *files, last = listed.stdout.splitlines()
    assert files
    assert all(file.startswith(str(folder)) for file in files)
    from bench.plan.fingerprint import commit, stage_fingerprints

    assert last.split() == [*([commit()] if commit() else []), stage_fingerprints(repo)["fit"]]


def test_a_description_of_an_array_that_is_none_is_refused(tmp_path: Path) -> None:
    file = array_file(tmp_path, "xner-a-1")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"name": "xner-a-1"}))
    with pytest.raises(BadInput, match=r"xner-a-1\.json: not a submission"):
        queue_state(tmp_path)
