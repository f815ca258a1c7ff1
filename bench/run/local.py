"""One machine: units in this process, or in a pool of processes, each owning a device slot."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from bench.core.memo import process_memo
from bench.plan.identity import Planned, describe
from bench.plan.units import failures, unit_name, units
from bench.run.pool import pooled
from bench.run.shared import make_shared
from bench.run.unit import Queue, perform
from bench.run.weights import Weights, keep_weights, users_of
from bench.store.artefacts import Busy
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


def run(todo: Sequence[Planned], where: Any, jobs: int = 1, retry: bool = False) -> list[Record]:
    """Make what the units share, then run them; a cell's failure is its record. Returns the records as they came.

    Several processes may run on one results folder: a unit is run by one of them at a time, and what one has finished
    the others take as it is. With `retry` the cells whose record is a failure now are run again.

    Raises:
        KeyboardInterrupt: Ctrl-C; finished cells are kept, the next run resumes from there.
    """
    work = units(todo)
    again = failures(todo, where.out) if retry else {}
    progress = Progress(len(todo))
    weights = Weights(where.out, {unit_name(unit[0]): users_of(describe(p.cell) for p in unit) for unit in work})
    results: list[Record] = []
    if where.keep_models:
        keep_weights(where.out)
    try:
        make_shared(todo, where.cache, progress.tick, where.device)
        _free_device(where.device)
        here = jobs == 1
        stream = _here(work, where, again, progress) if here else pooled(work, where, jobs, again)
        with closing(stream):  # whatever happens, the workers end
            for unit, records in stream:
                for record in () if here else records:
                    progress.cell(record)
                results += records
                if not where.keep_models:
                    weights.done(unit, records)
    finally:
        progress.close()
        process_memo().clear()
    if not where.keep_models:
        weights.leave()
    return results


def _free_device(device: str) -> None:
    """Give back what translating and aligning took: the trainings' processes need it."""
    process_memo().forget("translator")
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def _here(
    work: Sequence[list[Planned]], where: Any, again: Mapping[str, int], progress: Progress
) -> Generator[tuple[list[Planned], list[Record]], None, None]:
    """Run the units in this process, one after the other."""
    queue = Queue(work)
    while queue:
        unit, patient = queue.take()
        records = []
        try:
            for record in perform(unit, where, again, patient, progress.tick):
                progress.cell(record)
                records.append(record)
        except Busy:
            queue.busy(unit)
            continue
        queue.finished()
        yield unit, records
