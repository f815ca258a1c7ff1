"""A pool of processes, each owning a device slot: a worker that dies costs its own unit only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from bench.plan.identity import Planned
from bench.run.perform import Queue, failed, perform
from bench.store.artefacts import Busy
from bench.store.record import Record

DIED = "WorkerDied"  # the error's type in the record of a cell whose process was killed


@dataclass
class Worker:
    """A process, the pipe to it, and the unit that it is at."""

    slot: int
    process: Any
    pipe: Connection
    unit: list[Planned] | None = None
    records: list[Record] = field(default_factory=list)


def pooled(
    work: Sequence[list[Planned]], where: Any, jobs: int, again: Mapping[str, int]
) -> Iterator[tuple[list[Planned], list[Record]]]:
    """Run units in `jobs` processes; yields each with its records. Units that another process is at come later."""
    pool = Pool(where, again)
    queue = Queue(work)
    try:
        for slot in range(min(jobs, len(work))):
            pool.start(slot)
        while queue or pool.at_work():
            for worker in pool.idle():
                if queue:
                    pool.give(worker, *queue.take())
            for unit, records in pool.listen():
                if records is None:
                    queue.busy(unit)
                else:
                    queue.finished()
                    yield unit, records
    finally:  # what the workers have published stays
        pool.stop()


class Pool:
    """The workers of one run."""

    def __init__(self, where: Any, again: Mapping[str, int]) -> None:
        self.where, self.again = where, again
        self.context = multiprocessing.get_context("spawn")  # a forked torch may deadlock
        self.workers: list[Worker] = []

    def start(self, slot: int) -> None:
        """A new process for a slot."""
        mine, its = self.context.Pipe()
        process = self.context.Process(target=serve, args=(its, self.where, dict(self.again), slot), daemon=True)
        process.start()
        its.close()  # or its end would never be seen to close
        self.workers.append(Worker(slot, process, mine))

    def idle(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.unit is None]

    def at_work(self) -> bool:
        return any(worker.unit is not None for worker in self.workers)

    def give(self, worker: Worker, unit: list[Planned], patient: bool) -> None:
        """Have a worker run a unit."""
        worker.unit, worker.records = unit, []
        try:
            worker.pipe.send((unit, patient))
        except OSError:
            return  # it died while it was idle: listen() will find that out

    def listen(self) -> Iterator[tuple[list[Planned], list[Record] | None]]:
        """Units that ended since: with their records, or None where another process is at them."""
        ready = wait([worker.pipe for worker in self.workers if worker.unit is not None])
        for worker in [worker for worker in self.workers if worker.pipe in ready]:
            unit = worker.unit
            assert unit is not None
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self.workers.remove(worker)
                worker.process.join()
                self.start(worker.slot)
                yield unit, [*worker.records, *self._lost(worker)]
                continue
            if isinstance(message, Record):
                worker.records.append(message)
                continue
            worker.unit = None
            yield unit, None if message == "busy" else worker.records

    def _lost(self, worker: Worker) -> Iterator[Record]:
        """Failures of the cells that a dead worker had not finished."""
        have = {record.key for record in worker.records}
        cause = {"type": DIED, "message": f"its process {_end(worker.process.exitcode)}"}
        for one in worker.unit or ():
            if one.key not in have:
                yield failed(one, self.where.out, cause)

    def stop(self) -> None:
        """End every process at once."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(5)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else "?"
        return f"was killed by signal {-code} ({name}){'; out of memory?' if -code == signal.SIGKILL else ''}"
    return f"ended with exit code {code}"


# --- in a worker ------------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """The parent ends this worker: no failure of a cell, and what is half written is taken away on the way out."""


def serve(pipe: Connection, where: Any, again: Mapping[str, int], slot: int) -> None:
    """Run the units that come, until nobody sends any more. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stopped)
    with suppress(Stopped):
        _serve(pipe, where, again, slot)


def _stopped(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _serve(pipe: Connection, where: Any, again: Mapping[str, int], slot: int) -> None:
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    if where.device.startswith("cuda"):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(i) for i in range(_gpus())]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[slot % len(names)]
    while True:
        try:
            unit, patient = pipe.recv()
        except EOFError:
            return
        try:
            for record in perform(unit, where, again, patient):
                pipe.send(record)
            pipe.send("done")
        except Busy:
            pipe.send("busy")


def _leave_with_the_parent() -> None:
    """A killed parent cannot stop its workers: they would train on, and against those of the next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # at once: what is published is whole, the rest counts as absent


def _gpus() -> int:
    import subprocess

    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 1
    return max(1, len(listed.stdout.splitlines()))
