"""Device slots, the order of units, and which weights stay: what the engines decide without running anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.run.job import Weights, keep_weights, users_of
from bench.run.local import ProgressBar, _end, _in_process, _slots, pooled
from bench.run.shared import RunSettings
from bench.store.artefacts import Artefacts, Busy
from bench.store.record import Record, Records, add_cells, training_base
from tests.support.records_for_tests import Plan, cell_of


@pytest.mark.parametrize(
    ("visible", "count", "slots"),
    [
        (None, 2, ["0", "1", "0"]),
        ("", 1, ["0", "0", "0"]),
        ("3,5", 2, ["3", "5", "3"]),
        ("MIG-a", 1, ["MIG-a", "MIG-a", "MIG-a"]),  # of a card's parts torch sees one
        ("2,7,-1,4", 2, ["2", "7", "2"]),  # what stands behind an invalid one is invisible
    ],
)
def test_each_worker_sees_one_device(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, count: int, slots: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with mock.patch("torch.cuda.device_count", return_value=count):
        assert _slots("cuda", 3) == slots
        assert _slots("cpu", 3) == ["", "", ""]


def test_how_a_process_ended_is_said() -> None:
    assert _end(-9) == "was killed by signal 9 (SIGKILL); out of memory?"
    assert _end(-11) == "was killed by signal 11 (SIGSEGV)"
    assert _end(None) == "died"
    assert _end(3) == "ended with exit code 3"


@given(st.lists(st.booleans(), max_size=30))
def test_every_unit_is_run_and_one_that_is_busy_comes_again(answers: list[bool]) -> None:
    """A unit that another process is running is waited for only when every other one was tried."""
    work: list[Any] = [[number] for number in range(5)]
    tried, busy = list[int](), iter(answers)

    def perform(unit: list[int], where: object, again: object, wait: bool, progress: object) -> list[Any]:
        assert not wait or set(tried) == set(range(5))
        tried.append(unit[0])
        if not wait and next(busy, False):
            raise Busy
        return []

    with mock.patch("bench.run.local.perform", side_effect=perform):
        order = [unit for unit, _ in _in_process(work, None, {}, ProgressBar(0))]
    assert sorted(order) == work
    if not any(answers):
        assert order == work


def test_students_follow_their_teacher_before_the_next_seed() -> None:
    """While a teacher is being trained its students are put off; then they come before the units behind them."""
    work: list[Any] = [["t1"], ["s1a"], ["s1b"], ["t2"], ["s2a"], ["s2b"]]
    trained: set[str] = set()

    def perform(unit: list[str], where: object, again: object, patient: bool) -> list[Any]:
        (name,) = unit
        if name.startswith("s") and f"t{name[1]}" not in trained:
            raise Busy
        time.sleep(0.2 if name.startswith("t") else 0.02)
        trained.add(name)
        return []

    with pool_of_threads(perform):
        order = [unit[0] for unit, _ in pooled(work, RunSettings(Path()), 2, {})]
    assert sorted(order) == sorted(name for (name,) in work)
    assert max(map(order.index, ("s1a", "s1b"))) < min(map(order.index, ("s2a", "s2b")))


def test_what_another_process_runs_is_waited_for_when_nothing_else_is_left() -> None:
    tried: list[tuple[str, bool]] = []

    def perform(unit: list[str], where: object, again: object, patient: bool) -> list[Any]:
        tried.append((unit[0], patient))
        if unit[0] == "theirs" and not patient:
            raise Busy
        return []

    work: list[Any] = [["theirs"], ["ours"]]
    with pool_of_threads(perform):
        assert len(list(pooled(work, RunSettings(Path()), 1, {}))) == 2
    assert tried[0] == ("theirs", False) and tried[-1] == ("theirs", True)


@contextmanager
def pool_of_threads(perform: Callable[..., list[Any]]) -> Iterator[None]:
    """`pooled` with threads as its workers and this as their work."""
    with (
        mock.patch("bench.run.local.workers", side_effect=lambda slots: ThreadPoolExecutor(len(slots))),
        mock.patch("bench.run.local._work", perform),
    ):
        yield


def cell(label: str, target: str, seed: int, **axes: str) -> dict[str, Any]:
    return cell_of(Plan({}), label, target, seed) | {"axes": axes}


def left(out: Path) -> set[str]:
    return {path.name for path in (out / "models" / "fit").iterdir() if path.is_dir()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Weights for every target (a), for one each (b, c), of another seed (d), of an older kind (e)."""
    for key, target, seed in (("a", "", 1), ("b", "de", 1), ("c", "zh", 1), ("d", "", 2)):
        details = {"base": training_base(cell("zero", "de", seed)), "target": target}
        Artefacts(tmp_path / "models").get_or_make("fit", key, lambda to, made=details: made)
    Artefacts(tmp_path / "models").get_or_make("fit", "e", lambda to: {})
    return tmp_path


def planned(out: Path, name: str, cell: dict[str, Any]) -> None:
    add_cells(out, [{"key": name, **cell}], "m")


def test_what_no_unfinished_cell_may_need_is_freed(out: Path) -> None:
    student = cell("student", "zh", 1, aligner="gold")
    planned(out, "student", student)
    Weights(out).free()
    assert left(out) == {"a", "c", "e"}, "shared weights, its own target's, and what nothing is known of"
    Records(out).put(Record("student", "m", student, "ok"))
    Weights(out).free()
    assert left(out) == set()


def test_a_unit_that_is_to_run_again_counts_as_unfinished(out: Path) -> None:
    todo = {"a unit": users_of([cell("zero", "de", 2)])}
    Weights(out, todo).free()
    assert left(out) == {"d", "e"}


def test_a_folder_that_keeps_its_weights_keeps_them(out: Path) -> None:
    keep_weights(out)
    Weights(out).free()
    assert left(out) == set("abcde")
