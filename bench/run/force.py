"""`xner run --mode force`: every cell again, aside; then the new records take the old ones' places."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.plan.identity import Planned
from bench.run import local
from bench.run.weights import keep_weights
from bench.store.artefacts import Busy, claimed
from bench.store.record import Record, Records

ASIDE = "forced"  # below the results folder, until the run ends; also the name of the claim


def run_again(todo: Sequence[Planned], where: Any, jobs: int = 1) -> list[Record]:
    """Run cells that are done already, from fresh weights; returns the new records.

    A new failure never takes the place of a good record: it is only returned.

    Raises:
        BadInput: another forced run is at work in the folder.
        KeyboardInterrupt: Ctrl-C; what was finished is there, the rest is as it was.
    """
    out, aside = where.out, where.out / ASIDE
    try:
        with claimed(out, ASIDE, wait=False):
            shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
            try:
                return local.run(todo, replace(where, out=aside), jobs)
            finally:
                for record in Records(aside).all():
                    _swap(record, aside, out)
                if where.keep_models:
                    keep_weights(out)
                    for weights in (aside / "models" / "fit").glob("[!.]*"):
                        _move(weights, out / "models" / "fit" / weights.name)
                shutil.rmtree(aside, ignore_errors=True)
    except Busy as error:
        raise BadInput(f"--mode force: another forced run is at work in {out}") from error


def _swap(record: Record, aside: Path, out: Path) -> None:
    """Move a record and all that belongs to it; the record itself last."""
    old = Records(out).get(record.key)
    if record.status == "failed" and old is not None and old.status == "ok":
        return
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
    shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
