"""`xner plan`: what a run would do, before it does it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING

from bench.cli.run import matrix_arguments, planned_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan.estimate import Time
    from bench.plan.explain import CellState

STATES = ("ok", "skipped", "failed", "stale", "missing")
TO_RUN = ("stale", "missing")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `plan`."""
    plan = commands.add_parser("plan", help="what a run would do: cells, done, stale and missing, disk, time")
    matrix_arguments(plan)
    plan.add_argument("--json", action="store_true")
    plan.set_defaults(run=plan_verb)


def plan_verb(args: argparse.Namespace) -> int:
    """Print the cells, what is done, what they share, and what the rest needs."""
    from bench.data.sources import not_cached
    from bench.plan.estimate import shared, time_of, trainings
    from bench.plan.explain import states
    from bench.plan.units import units
    from bench.run.disk import peak_bytes
    from bench.store.artefacts import Artefacts, cache_root
    from bench.store.record import Records

    out, planned, _, lock = planned_cells(args)
    found = states(planned, out)
    todo = [cell for cell, state in zip(planned, found, strict=True) if state.state in TO_RUN]
    work, cache = units(todo), Artefacts(cache_root())
    sizes = {pinned.id: pinned.bytes for pinned in lock}
    downloads = {name.id: sizes[name.id] for name in not_cached(cell.cell for cell in todo)}
    disk, time = peak_bytes(todo, sizes), time_of(work, Records(out).all(), cache)
    artefacts = shared(todo, cache)
    if args.json:
        rows = [
            {"key": str(p.key), "label": p.cell.label, "target": p.cell.target, "encoder": p.cell.encoder}
            | {"seed": p.cell.seed, "trial": p.cell.trial, "axes": p.cell.axes, "state": state.state}
            | ({"differs": [str(change) for change in state.changes[:1]]} if state.state == "stale" else {})
            for p, state in zip(planned, found, strict=True)
        ]
        whole = {"out": str(out), "cells": rows, "units_to_run": len(work), "trainings_to_run": trainings(todo)}
        whole |= {
            "download_bytes": downloads,
            "disk_bytes": disk,
            "artefacts": [vars(stage) for stage in artefacts],
            "time": vars(time),
        }
        print(json.dumps(whole, indent=1))
        return 0
    print(f"{planned[0].cell.matrix} → {out}")
    for state in STATES:
        print(f"  {state:8} {sum(cell.state == state for cell in found)}")
    for reason, count in _reasons(found).most_common(5):
        print(f"  stale: {count} x {reason}")
    print(f"  units of work to run: {len(work)} (cells that share a training are one unit)")
    print(f"  trainings: at most {trainings(todo)} (what several units need is trained once)")
    for stage in artefacts:
        print(f"  shared artefacts, {stage.stage}: {stage.here} in the cache, {stage.to_make} to make")
    for repository, size in downloads.items():
        print(f"  download: {repository}, about {size / 1e6:.0f} MB (estimate), and as much disk in the hub's cache")
    if disk is None:
        print("  disk while it runs: unknown until the encoder is made")
    else:
        print(f"  disk while it runs: at most {disk / 1e6:.0f} MB of weights at a time (estimate)")
    if todo:
        print(f"  time in one process: {_said(time, len(work))}")
    return 0


def _reasons(found: Sequence[CellState]) -> Counter[str]:
    """The first component in which each stale cell differs."""
    unknown = "what its key was made of was not stored (an older version wrote it)"
    stale = [cell for cell in found if cell.state == "stale"]
    return Counter(str(cell.changes[0]) if cell.changes else unknown for cell in stale)


def _said(time: Time, units: int) -> str:
    if time.unknown == units:
        return "unknown: no record here of the same encoder and steps"
    seconds = time.seconds
    long = (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
    rest = f"; {time.unknown} of {units} units unknown" if time.unknown else ""
    where = f" on {', '.join(time.devices)}" if time.devices else ""
    return f"about {long} at most (from {time.records} records of the same encoder and steps{where}){rest}"
