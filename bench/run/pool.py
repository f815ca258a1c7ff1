"""A pool of processes, each owning a device slot. A worker that dies costs nothing but its own unit's time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from bench.plan.identity import Planned
from bench.run.unit import Queue, failed, finished, perform
from bench.store.artefacts import Busy
from bench.store.record import Record

DIED = "WorkerDied"  # the error's type in the record of a cell whose process was killed twice


def pooled(
    work: Sequence[list[Planned]], where: Any, jobs: int, again: Mapping[str, int]
) -> Generator[tuple[list[Planned], list[Record]], None, None]:
    """Run units in `jobs` processes; yields each with its records.

    When a worker dies the pool is gone, and nobody can tell whose unit killed it: those that were running are run again
    one by one, each in a process of its own.
    """
    queue, size = Queue(work), min(jobs, len(work))
    while queue:
        suspects: list[list[Planned]] = []
        with workers(_slots(where.device, size)) as pool:
            running: dict[Future[list[Record]], list[Planned]] = {}
            while running or (queue and not suspects):
                while queue and len(running) < size and not suspects:
                    unit, patient = queue.take()
                    try:
                        running[pool.submit(_work, unit, where, dict(again), patient)] = unit
                    except BrokenProcessPool:  # a worker died while it was idle
                        suspects.append(unit)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    unit = running.pop(future)
                    try:
                        records = future.result()
                    except Busy:
                        queue.busy(unit)
                    except BrokenProcessPool:
                        suspects.append(unit)
                    else:
                        queue.finished()
                        yield unit, records
        for unit in suspects:
            queue.finished()
            yield unit, _alone(unit, where, again)


def _alone(unit: list[Planned], where: Any, again: Mapping[str, int]) -> list[Record]:
    """Run a unit in a process of its own; where that dies, what it has not finished are failures."""
    before = multiprocessing.active_children()
    with workers(_slots(where.device, 1)) as pool:
        future = pool.submit(_work, unit, where, dict(again), True)
        ours = [child for child in multiprocessing.active_children() if child not in before]
        with suppress(BrokenProcessPool):
            return future.result()
    cause = {"type": DIED, "message": f"its process {_end(ours[0].exitcode if ours else None)}"}
    return [finished(planned, where.out, again) or failed(planned, where.out, cause) for planned in unit]


def _end(code: int | None) -> str:
    if code is None:
        return "died"
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else "?"
        return f"was killed by signal {-code} ({name}){'; out of memory?' if -code == signal.SIGKILL else ''}"
    return f"ended with exit code {code}"


def _slots(device: str, jobs: int) -> list[str]:
    """By worker the only device that it may see; "" is no restriction."""
    if not device.startswith("cuda"):
        return [""] * jobs
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = max(1, torch.cuda.device_count())
    names = visible.split(",")[:count] if visible else [str(number) for number in range(count)]
    return [names[number % len(names)] for number in range(jobs)]


@contextmanager
def workers(slots: Sequence[str]) -> Iterator[ProcessPoolExecutor]:
    """A process for each slot; they end with the block, at once where it ends by an exception."""
    context = multiprocessing.get_context("spawn")  # a forked torch may deadlock
    queue = context.SimpleQueue()
    for slot in slots:
        queue.put(slot)
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(len(slots), context, _begin, (queue,))
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        ours = [child for child in multiprocessing.active_children() if child not in before]
        for process in ours:
            process.terminate()  # what is half-made is taken away on the way out, what is published stays
        for process in ours:
            process.join(5)
            process.kill()
        raise


# --- in a worker ------------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """The parent ends this worker: no failure of a cell."""


def _begin(slots: Any) -> None:
    """Take a device slot. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    slot = slots.get()
    if slot:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot


def _work(unit: list[Planned], where: Any, again: Mapping[str, int], patient: bool) -> list[Record]:
    """Run a unit; Busy as `perform`."""
    signal.signal(signal.SIGTERM, _stopped)
    try:
        return list(perform(unit, where, again, patient))
    except Stopped:
        os._exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stopped(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _leave_with_the_parent() -> None:
    """A killed parent cannot stop its workers: they would train on, and against those of the next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # at once: what is published is whole, the rest counts as absent
