"""One machine: units in this process, or in a pool of processes, each owning a device slot."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.plan.identity import Planned
from bench.plan.units import Ledger, failures, free_left_behind, units
from bench.run.perform import Queue, perform
from bench.run.pool import pooled
from bench.run.shared import make_shared
from bench.store.artefacts import Busy
from bench.store.presence import present
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
    todo: Sequence[Planned],
    where: Any,
    jobs: int = 1,
    on_record: Callable[[Record], None] | None = None,
    retry: bool = False,
) -> list[Record]:
    """Make what the units share, then run them; a cell's failure is its record. Returns the records as they came.

    Several processes may run on one results folder: each unit is one's at a time, and what one has finished the others
    take as it is. With `retry` the cells whose record is a failure now are run again.

    Raises:
        KeyboardInterrupt: Ctrl-C; finished cells are kept, the next run goes on from them.
    """
    work = units(todo)
    again = failures(todo, where.out) if retry else {}
    progress = Progress(len(todo))
    results: list[Record] = []
    with present(where.out):
        ledger = Ledger(where.out, work)
        try:
            make_shared(todo, where.cache, progress.tick, where.device)
            here = jobs == 1
            for unit, records in _here(work, where, again, progress) if here else pooled(work, where, jobs, again):
                for record in records:
                    if not here:
                        progress.cell(record)
                    if on_record is not None:
                        on_record(record)
                results += records
                if not where.keep_models:
                    ledger.done(unit, records)
        finally:
            progress.close()
            ledger.leave()
    free_left_behind(where.out)
    return results


def _here(
    work: Sequence[list[Planned]], where: Any, again: Mapping[str, int], progress: Progress
) -> Iterator[tuple[list[Planned], list[Record]]]:
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
