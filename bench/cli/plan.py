"""`xner plan`: what a run would do; `xner why`: why a cell is done, stale or missing."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from bench.cli.run import matrix_arguments, planned_cells
from bench.data.foreseen import foreseen
from bench.data.identity import keyed
from bench.data.sources import not_cached, with_commits
from bench.plan.estimate import Time, shared, time_of, trainings
from bench.plan.explain import CellState, states, why
from bench.plan.units import Planned, units
from bench.report.folder import printable, resolve
from bench.run.prune import peak_bytes
from bench.store.artefacts import Artefacts, cache_root
from bench.store.record import Records

STATES = ("ok", "skipped", "failed", "stale", "missing")
TO_RUN = ("stale", "missing")
SHOWN = 8  # changes; --json has them all


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    plan = commands.add_parser("plan", help="what a run would do: cells, done, stale and missing, disk, time")
    matrix_arguments(plan)
    plan.add_argument("--json", action="store_true")
    plan.set_defaults(run=plan_verb)
    parser = commands.add_parser(
        "why",
        help="why a cell is done, stale or missing",
        description="Compares the key that a cell has today with the one that its record was stored under, and names "
        "the components that differ, with old and new value: settings first, then data, versions and code.",
    )
    parser.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    about = "the beginning of a record's key, or words that must all hold: method, target, encoder, seed, k=v"
    parser.add_argument("cell", nargs="+", metavar="CELL", help=about)
    parser.add_argument("--matrix", default="", help="take the settings from this matrix (default: what was run last)")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="override, e.g. train.steps=50")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=why_verb)


def plan_verb(args: argparse.Namespace) -> int:
    """Print the cells by state, and the trainings, shared artefacts, disk and time that a run would take."""
    out, planned, _, lock = planned_cells(args)
    states_today = states(planned, out)
    todo = [cell for cell, state in zip(planned, states_today, strict=True) if state.state in TO_RUN]
    work, cache = units(todo), Artefacts(cache_root())
    sizes = {pinned.id: pinned.bytes for pinned in lock}
    downloads = {name.id: sizes[name.id] for name in not_cached(cell.cell for cell in todo)}
    disk, time = peak_bytes(todo, sizes), _time_of(work, Records(out), cache)
    artefacts, (skips, failures) = shared(todo, cache), foreseen(planned.cell for planned in todo)
    if args.json:
        rows = [
            {"key": str(p.key), "label": p.cell.label, "target": p.cell.target, "encoder": p.cell.encoder}
            | {"seed": p.cell.seed, "trial": p.cell.trial, "axes": p.cell.axes, "state": state.state}
            | ({"differs": [str(change) for change in state.changes[:1]]} if state.state == "stale" else {})
            for p, state in zip(planned, states_today, strict=True)
        ]
        whole = {"out": str(out), "cells": rows, "units_to_run": len(work), "trainings_to_run": trainings(todo)}
        whole |= {"download_bytes": downloads, "disk_bytes": disk, "time": vars(time)}
        whole["artefacts"] = [vars(stage) for stage in artefacts]
        whole |= {"to_be_skipped": dict(skips), "to_fail": dict(failures)}
        print(json.dumps(whole, indent=1))
        return 0
    print(f"{planned[0].cell.matrix} → {out}")
    for state in STATES:
        print(f"  {state:8} {sum(cell.state == state for cell in states_today)}")
    for reason, count in _reasons(states_today).most_common(5):
        print(f"  stale: {count} x {reason}")
    for outcome, reasons in (("be skipped", skips), ("fail", failures)):
        for reason, count in reasons.most_common(5):
            print(f"  to {outcome}: {count} x {reason}")
    for note in [state.note for state in states_today if state.note]:
        print(f"  missing: {note}")
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
        print(f"  time in one process: {_in_words(time, len(work))}")
    return 0


def _reasons(states: Sequence[CellState]) -> Counter[str]:
    """The first component in which each stale cell differs."""
    unknown = "the components of its key were not stored (an older version wrote it)"
    stale = [cell for cell in states if cell.state == "stale"]
    return Counter(str(cell.changes[0]) if cell.changes else unknown for cell in stale)


def _in_words(time: Time, units: int) -> str:
    if time.unknown == units:
        return "unknown: no record here of the same encoder and steps, and the encoder is not here to be timed"
    seconds = time.seconds
    long = f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    long = f"{seconds:.0f} s" if seconds < 120 else long
    unknown = f"; {time.unknown} of {units} units unknown" if time.unknown else ""
    devices = f" on {', '.join(time.devices)}" if time.devices else ""
    sources = [f"from {time.records} records of the same encoder and steps{devices}"] if time.records else []
    if time.calibrated:
        sources.append(
            f"{time.calibrated} of {units} units by timing a few steps here: training and predicting, "
            "without translating and aligning"
        )
    return f"about {long}{'' if time.calibrated else ' at most'} (estimate {'; '.join(sources)}){unknown}"


def _time_of(work: Sequence[Sequence[Planned]], records: Records, cache: Artefacts) -> Time:
    """The time from records; without any, by timing a few steps here, for which torch is imported."""
    time = time_of(work, records.all(), cache)
    if not time.unknown:
        return time
    from bench.train.calibrate import Calibrated

    calibrated = Calibrated(cache)
    time = time_of(work, records.all(), cache, calibrated.seconds)
    for encoder, reason in calibrated.failed.items():
        print(f"no step of encoder '{encoder}' can be timed: {reason}", file=sys.stderr)
    return time


def why_verb(args: argparse.Namespace) -> int:
    """Print the state of the cells; BadInput where there is no such folder or cell."""
    out = resolve(args.out)
    cells = why(out, args.cell, lambda cell: keyed(with_commits([cell], out)[0])[0], args.matrix, args.set)
    if args.json:
        print(json.dumps([_state_as_json(state) for state in cells], indent=1, sort_keys=True, ensure_ascii=False))
    for state in [] if args.json else cells:
        print("\n  ".join(map(printable, _state_in_words(state))))
    return 0


def _state_in_words(cell: CellState) -> list[str]:
    record = cell.record
    stored = [f"record {record.key}: {record.status}, attempt {record.attempts}"] if record else []
    if cell.state == "stale":
        more = [f"and {len(cell.changes) - SHOWN} more (--json has them all)"] if len(cell.changes) > SHOWN else []
        unknown = ["the components of its key were not stored: an older version of this program wrote it"]
        lines = [*map(str, cell.changes[:SHOWN]), *more] or unknown
        lines += [*stored, f"today's key is {cell.key}: the next run trains it"]
    elif cell.state == "missing":
        lines = [cell.note or f"no record of this cell under any key; the next run trains it as {cell.key}"]
    elif cell.state == "imported":
        lines = [*stored, "another system's predictions, which no code here can make stale"]
    elif cell.state == "unknown":
        lines = [f"it cannot be planned today: {cell.note}", *stored]
    else:
        lines = [*stored, "its key is the one that today's settings, data, versions and code give"]
        error = (record.error if record else None) or {}
        if cell.state == "failed":
            lines.append(f"failed: {error.get('type')}: {error.get('message')}; --mode retry runs it again")
        elif cell.state == "skipped" and record:
            lines.append(f"skipped: {record.reason}")
    hit = cell.state in ("ok", "failed", "skipped")
    return [f"{cell.name}: {'hit' if hit else cell.state}", *lines]


def _state_as_json(cell: CellState) -> dict[str, object]:
    record = {"key": cell.record.key, "status": cell.record.status} if cell.record else None
    differ = [asdict(change) for change in cell.changes]
    whole = {"cell": dict(cell.cell), "state": cell.state, "key": cell.key, "record": record}
    return whole | {"differences": differ, "note": cell.note}
