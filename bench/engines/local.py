"""One machine: units in this process, or in a pool of processes, each owning a device slot."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from bench.engines.shared import make_shared
from bench.engines.units import Ledger, units
from bench.runner.identity import Planned
from bench.store.record import Record


class Progress:
    """A bar on a terminal, a plain line a cell in a pipe; both on standard error."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.begin = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="cell", dynamic_ncols=True, smoothing=0.1)

    def tick(self, done: int, total: int, what: str) -> None:
        """Inside a training: `done` of `total` steps of `what`."""
        if self.bar is not None and (done % 10 == 0 or done == total):
            self.bar.set_postfix_str(f"{what} {done}/{total}")

    def cell(self, record: Record) -> None:
        """A cell is finished."""
        self.done += 1
        line = f"{record.cell['label']} {record.cell['target']} {record.cell['encoder']} seed {record.cell['seed']}: "
        if record.status == "ok":
            line += f"F1 {100 * record.scores[record.rules[0]].f1:.1f}"
        elif record.status == "skipped":
            line += f"skipped: {record.reason}"
        else:
            error = record.error or {}
            line += f"FAILED: {error.get('type')}: {error.get('message', '').partition(chr(10))[0]}"
        if self.bar is not None:
            if record.status == "failed":
                self.bar.write(line, file=sys.stderr)
            self.bar.update(1)
        else:
            spent = time.monotonic() - self.begin
            print(f"[{self.done}/{self.total}] {line} ({spent:.0f} s)", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def run(
    todo: Sequence[Planned], where: Any, jobs: int = 1, on_record: Callable[[Record], None] | None = None
) -> list[Record]:
    """Make what the units share, then run them; a cell's failure is its record. Returns the records as they came.

    Raises:
        KeyboardInterrupt: Ctrl-C; finished cells are kept, the next run goes on from them.
    """
    work = units(todo)
    progress = Progress(len(todo))
    ledger = Ledger(where.out, work)
    results: list[Record] = []
    try:
        make_shared(todo, where.cache, progress.tick, where.device)
        source = _pooled(work, where, jobs) if jobs > 1 else _here(work, where, progress)
        for unit, records in source:
            for record in records:
                if jobs > 1:
                    progress.cell(record)
                if on_record is not None:
                    on_record(record)
            results += records
            if not where.keep_models:
                ledger.done(unit, records)
    except BrokenProcessPool:
        print("xner: a worker died (killed, or out of memory); the same command runs what is missing", file=sys.stderr)
    finally:
        progress.close()
    return results


def _here(
    work: Sequence[list[Planned]], where: Any, progress: Progress
) -> Iterator[tuple[list[Planned], list[Record]]]:
    from bench.runner.stages import run_unit

    for unit in work:
        records = []
        for record in run_unit(unit, where, progress.tick):
            progress.cell(record)
            records.append(record)
        yield unit, records


def _pooled(work: Sequence[list[Planned]], where: Any, jobs: int) -> Iterator[tuple[list[Planned], list[Record]]]:
    context = multiprocessing.get_context("spawn")  # a forked torch may deadlock
    slots = context.Queue()
    for slot in range(jobs):
        slots.put(slot)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_claim, initargs=(slots, where.device))
    try:
        waiting = {pool.submit(run_whole, unit, where): unit for unit in work}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BaseException:
        # Not `with`: leaving it would wait for the whole queue. What the workers have published stays.
        for process in list(pool._processes.values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _claim(slots: Any, device: str) -> None:
    """Each worker owns one slot: on a machine with several GPUs, one of them. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    slot = slots.get()
    if device.startswith("cuda"):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(i) for i in range(_gpus())]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[slot % len(names)]


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


def run_whole(unit: list[Planned], where: Any) -> list[Record]:
    """One unit in a worker process."""
    from bench.runner.stages import run_unit

    return list(run_unit(unit, where))
