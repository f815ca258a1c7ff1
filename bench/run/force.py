"""`xner run --mode force`: every cell again, aside; a record takes the old one's place when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.core.errors import BadInput
from bench.plan.identity import Planned
from bench.run.local import run
from bench.store.presence import present
from bench.store.record import Record, Records

FOLDER = "forced"  # below the results folder, until the run ends
LOCK = f".{FOLDER}.lock"


def run_again(todo: Sequence[Planned], where: Any, jobs: int = 1) -> list[Record]:
    """Run cells that are done already, from fresh weights; returns the new records.

    A new failure never takes the place of a good record: it is only returned.

    Raises:
        BadInput: another forced run is at work in the folder.
        KeyboardInterrupt: Ctrl-C; what was finished is there, the rest is as it was.
    """
    out, aside = where.out, where.out / FOLDER
    lock = FileLock(out / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BadInput(f"--mode force: another forced run is at work in {out}") from error
    try:
        with present(out):
            shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
            found = run(todo, replace(where, out=aside), jobs, on_record=lambda record: _adopt(record, aside, out))
            for weights in (aside / "models").glob("fit/[!.]*") if where.keep_models else ():
                _move(weights, out / "models" / "fit" / weights.name)
            return found
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        lock.release()


def _adopt(record: Record, aside: Path, out: Path) -> None:
    """Move a record and all that belongs to it; the record itself last."""
    old = Records(out).get(record.key)
    if record.status == "failed" and old is not None and old.status == "ok":
        return
    for path in (aside / "fingerprints").glob("[!.]*"):
        _move(path, out / "fingerprints" / path.name)
    for folder in ("taggers", "sidecars"):
        _move(aside / folder / record.key, out / folder / record.key)
    Records(out).put(replace(record, attempts=record.attempts + (old.attempts if old else 0)))


def _move(new: Path, place: Path) -> None:
    """Put `new`, where it exists, at `place`; what is there is away for no longer than two renames take."""
    if not new.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    old = place.with_name(f".{place.name}.old")
    if place.exists():
        place.rename(old)
    new.rename(place)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)
