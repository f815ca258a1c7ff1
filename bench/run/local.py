"""The local engine: units run in this process, or in a pool of processes that each own a device slot.

A worker that dies costs only the time of its unit. With `--mode force` every cell runs again in a folder aside, and
then the new records replace the old ones.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput, Stopped
from bench.core.memo import process_memo
from bench.plan.units import Planned, describe, failures, unit_name, units
from bench.run.job import Weights, failed, finished, keep_weights, perform, users_of
from bench.run.shared import RunSettings, make_shared
from bench.store.artefacts import Busy, claimed
from bench.store.record import Record, Records

DIED = "WorkerDied"  # the error's type in the record of a cell whose process was killed twice


def pooled(
    work: Sequence[list[Planned]], where: RunSettings, jobs: int, again: Mapping[str, int]
) -> Generator[tuple[list[Planned], list[Record]], None, None]:
    """Run units in `jobs` processes; yields each with its records.

    A unit that needs a training that is going on is tried again once a unit has ended, before those behind it; where
    nothing else runs, another process has it, and is waited for. When a worker dies the pool is lost, and any running
    unit may have killed it: those that were running run again one by one, each in a process of its own; if that dies,
    too, its unfinished cells are failures.
    """
    queue, blocked, size = deque(work), list[list[Planned]](), min(jobs, len(work))
    while queue or blocked:
        suspects: list[list[Planned]] = []
        with workers(_slots(where.device, size)) as pool:
            running: dict[Future[list[Record]], list[Planned]] = {}
            while running or ((queue or blocked) and not suspects):
                while len(running) < size and not suspects and (queue or (blocked and not running)):
                    patient = not queue
                    unit = blocked.pop(0) if patient else queue.popleft()
                    try:
                        running[pool.submit(_work, unit, where, dict(again), patient)] = unit
                    except BrokenProcessPool:  # a worker died while it was idle
                        suspects.append(unit)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    unit = running.pop(future)
                    try:
                        records = future.result()
                    except Busy:
                        blocked.append(unit)
                    except BrokenProcessPool:
                        suspects.append(unit)
                    else:
                        queue.extendleft(reversed(blocked))
                        blocked.clear()
                        yield unit, records
        for unit in suspects:
            before = multiprocessing.active_children()
            with workers(_slots(where.device, 1)) as pool:
                future = pool.submit(_work, unit, where, dict(again), True)
                children = [child for child in multiprocessing.active_children() if child not in before]
                wait([future])
            if not isinstance(future.exception(), BrokenProcessPool):
                yield unit, future.result()
                continue
            cause = {"type": DIED, "message": f"its process {_end(children[0].exitcode if children else None)}"}
            yield unit, [finished(cell, where.out, again) or failed(cell, where.out, cause) for cell in unit]


def _end(code: int | None) -> str:
    if code is None:
        return "died"
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else "?"
        return f"was killed by signal {-code} ({name}){'; out of memory?' if -code == signal.SIGKILL else ''}"
    return f"ended with exit code {code}"


def _slots(device: str, jobs: int) -> list[str]:
    """The only device that each worker may see; "" is no restriction."""
    if not device.startswith("cuda"):
        return [""] * jobs
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = max(1, torch.cuda.device_count())
    names = visible.split(",")[:count] if visible else [str(number) for number in range(count)]
    return [names[number % len(names)] for number in range(jobs)]


@contextmanager
def workers(slots: Sequence[str]) -> Iterator[ProcessPoolExecutor]:
    """A process for each slot; they end with the block, immediately where it raises."""
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
        children = [child for child in multiprocessing.active_children() if child not in before]
        for process in children:
            process.terminate()  # it removes half-made files; what is published stays
        for process in children:
            process.join(5)
            process.kill()
        raise


# --- in a worker ------------------------------------------------------------------------------------------------------


def _begin(slots: Any) -> None:
    """Take a device slot. Ctrl-C is handled by the parent."""

    def leave_with_the_parent() -> None:  # a killed parent cannot stop its workers, which would disturb the next run
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)  # immediately: published files are whole, all others count as absent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_the_parent, daemon=True).start()
    if slot := slots.get():
        os.environ["CUDA_VISIBLE_DEVICES"] = slot


def _work(unit: list[Planned], where: RunSettings, again: Mapping[str, int], patient: bool) -> list[Record]:
    """Run a unit; Busy as `perform`."""

    def stop(number: int, frame: Any) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    try:
        return list(perform(unit, where, again, patient))
    except Stopped:
        os._exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class ProgressBar:
    """On standard error, a bar on a terminal, a line per cell in a pipe."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.begin = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="cell", dynamic_ncols=True, smoothing=0.1)

    def tick(self, done: int, total: int, activity: str) -> None:
        """`done` of `total` steps of an activity, such as a training."""
        if self.bar is not None and (done % 10 == 0 or done == total):
            self.bar.set_postfix_str(f"{activity} {done}/{total}")

    def cell(self, record: Record) -> None:
        """A cell is finished."""
        self.done += 1
        cell, axes, error = record.cell, record.cell.get("axes") or {}, record.error or {}
        varied = "".join(f" {name}={value}" for name, value in axes.items())
        line = f"{cell['label']} {cell['target']} {cell['encoder']}{varied} seed {cell['seed']}: "
        if record.status == "ok":
            score = record.scores.get(rule := record.rules[0])
            line += f"F1 {100 * score.f1:.1f}" if score else f"no F1 by rule {rule}: this language has no dev set"
        elif record.status == "skipped":
            line += f"skipped: {record.reason}"
        else:
            line += f"FAILED: {error.get('type')}: {error.get('message', '').partition(chr(10))[0]}"
        if self.bar is None:
            spent = time.monotonic() - self.begin
            print(f"[{self.done}/{self.total}] {line} ({spent:.0f} s)", file=sys.stderr, flush=True)
            return
        if record.status == "failed":
            self.bar.write(line, file=sys.stderr)
        self.bar.update(1)


def run(todo: Sequence[Planned], where: RunSettings, jobs: int = 1, retry: bool = False) -> list[Record]:
    """Make what the units share, then run them; a cell's failure is its record. Returns the records as they came.

    Several processes may run on one results folder: a unit is run by one of them at a time, and the others take its
    records as they are. With `retry` the cells whose record is a failure now are run again.

    Raises:
        KeyboardInterrupt: Ctrl-C; finished cells are kept, the next run resumes from there.
    """
    work = units(todo)
    again = failures(todo, where.out) if retry else {}
    progress = ProgressBar(len(todo))
    weights = Weights(where.out, {unit_name(unit[0]): users_of(describe(p.cell) for p in unit) for unit in work})
    results: list[Record] = []
    if where.keep_models:
        keep_weights(where.out)
    try:
        make_shared(todo, where, progress.tick)
        process_memo().forget("translator")  # frees memory that the training processes need
        gc.collect()
        if where.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
        in_process = jobs == 1
        stream = _in_process(work, where, again, progress) if in_process else pooled(work, where, jobs, again)
        with closing(stream):  # the workers end in any case
            for unit, records in stream:
                for record in () if in_process else records:
                    progress.cell(record)
                results += records
                if not where.keep_models:
                    weights.done(unit)
    finally:
        if progress.bar is not None:
            progress.bar.close()
        process_memo().clear()
    if not where.keep_models:
        weights.free()
    return results


def _in_process(
    work: Sequence[list[Planned]], where: RunSettings, again: Mapping[str, int], progress: ProgressBar
) -> Generator[tuple[list[Planned], list[Record]], None, None]:
    """Run the units in this process, one after the other."""
    queue = deque((unit, False) for unit in work)
    while queue:
        unit, patient = queue.popleft()
        records = []
        try:
            for record in perform(unit, where, again, patient, progress.tick):
                progress.cell(record)
                records.append(record)
        except Busy:  # another process is running it: wait for that when nothing else is left
            queue.append((unit, True))
        else:
            yield unit, records


ASIDE = "forced"  # below the results folder, until the run ends; also the name of the claim


def run_again(todo: Sequence[Planned], where: RunSettings, jobs: int = 1) -> list[Record]:
    """Run finished cells again, from fresh weights; returns the new records.

    A new failure never replaces a good record: it is only returned.

    Raises:
        BadInput: another forced run is at work in the folder.
        KeyboardInterrupt: Ctrl-C; finished cells are replaced, the others stay as they were.
    """
    out, aside = where.out, where.out / ASIDE
    try:
        with claimed(out, ASIDE, wait=False):
            shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
            try:
                return run(todo, replace(where, out=aside), jobs)
            finally:
                for record in Records(aside).all():
                    old = Records(out).get(record.key)
                    if record.status == "failed" and old is not None and old.status == "ok":
                        continue
                    for folder in ("taggers", "sidecars"):
                        _move(aside / folder / record.key, out / folder / record.key)
                    # the record last: it makes the cell count as done
                    Records(out).put(replace(record, attempts=record.attempts + (old.attempts if old else 0)))
                if where.keep_models:
                    keep_weights(out)
                    for weights in (aside / "models" / "fit").glob("[!.]*"):
                        _move(weights, out / "models" / "fit" / weights.name)
                shutil.rmtree(aside, ignore_errors=True)
    except Busy as error:
        raise BadInput(f"--mode force: another forced run is at work in {out}") from error


def _move(new: Path, place: Path) -> None:
    """Move `new`, where it exists, to `place`, which is absent only between two renames."""
    if not new.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    old = place.with_name(f".{place.name}.old")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
