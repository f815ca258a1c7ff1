"""`xner run` and `xner plan`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.corpus import BadInput

if TYPE_CHECKING:
    from bench.plan.matrix import Cell
    from bench.runner.identity import Planned
    from bench.store.record import Record


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run a matrix: train, predict, score, tabulate")
    _matrix(run)
    run.add_argument("--jobs", type=int, metavar="N", help="processes, each a device slot (default: as many as fit)")
    run.add_argument("--engine", choices=("local",), default="local")
    run.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    run.add_argument("--offline", action="store_true", help="never reach for the hub")
    run.add_argument("--keep-models", action="store_true", help="keep weights, and taggers for transformers' pipeline")
    run.add_argument("--retry", action="store_true", help="run failed cells again")
    run.set_defaults(run=run_verb)
    plan = commands.add_parser("plan", help="what a run would do: cells, done and missing, disk")
    _matrix(plan)
    plan.add_argument("--json", action="store_true")
    plan.set_defaults(run=plan_verb)


def _matrix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("matrix", metavar="MATRIX", help="a .toml file or a shipped name")
    parser.add_argument("--out", type=Path, help="results folder (default: results/<name>)")
    parser.add_argument("--only", action="append", default=[], metavar="K=V", help="run a part, e.g. target=de,zh")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="override, e.g. train.steps=50")


def _planned(args: argparse.Namespace) -> tuple[Path, list[Planned]]:
    from bench.engines.units import keyed
    from bench.plan.matrix import cells, only
    from bench.plan.spec import load_matrix
    from bench.runner.projected import check_rules

    spec = load_matrix(args.matrix, args.set)
    check_rules(spec)
    out = args.out or Path("results") / spec.name
    chosen: list[Cell] = only(cells(spec), args.only)
    return out, keyed(chosen)


def run_verb(args: argparse.Namespace) -> int:
    """Run what is missing, then write tables and plots of all that is there."""
    if args.jobs is not None and args.jobs < 1:
        raise BadInput(f"--jobs {args.jobs}: at least 1")
    if args.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from bench.engines.units import unfinished, write_matrix
    from bench.store.record import Records

    out, planned = _planned(args)
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise BadInput(f"--out {out}: {place} is a file, so no results folder can be there")
    todo = unfinished(planned, out, args.retry)
    start = _prepared(args, out, todo)  # refuses what this machine cannot do before anything is written
    _writable(out)
    write_matrix(planned, out)
    done = len(planned) - len(todo)
    print(f"{planned[0].cell.matrix}: {len(planned)} cells, {done} done, {len(todo)} to run", file=sys.stderr)
    if start is not None:
        start()
    records = [record for one in planned if (record := Records(out).get(one.key)) is not None]
    if records:
        _report(out, bool(todo))
    return _closing(out, records, len(planned) - len(records))


def _prepared(args: argparse.Namespace, out: Path, todo: list[Planned]) -> Callable[[], object] | None:
    """The run of these cells, ready to start; None if there are none (and torch is not imported)."""
    if not todo:
        return None
    from bench.engines import local
    from bench.runner.device import default_jobs, resolve_device
    from bench.runner.stages import Where

    device = resolve_device(args.device, {one.cell.train.precision for one in todo})
    jobs = args.jobs or default_jobs(device, max(one.cell.train.threads for one in todo))
    return lambda: local.run(todo, Where(out, device, args.keep_models), jobs)


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: cannot be a results folder: {error.strerror}") from error


def _report(out: Path, changed: bool) -> None:
    """Tables and plots; where nothing was run, what is there is shown and not made again."""
    main = out / "tables" / "main.md"
    shown = out / "tables" / "main.txt"
    if changed or not main.exists() or not shown.exists():
        from bench.report.plots import write_plots
        from bench.report.tables import main_tables, write_shown, write_tables

        write_tables(out)
        write_shown(out, main_tables([out]))
        write_plots(out)
    print(shown.read_text(encoding="utf-8"))
    print(f"tables   {out / 'tables'}\nplots    {out / 'figures'}\nrecords  {out / 'records'}")


def _closing(out: Path, records: list[Record], missing: int) -> int:
    failed = [record for record in records if record.status == "failed"]
    for record in failed[:10]:
        error: dict[str, Any] = record.error or {}
        where = f"{record.cell['label']} {record.cell['target']} seed {record.cell['seed']}"
        print(f"failed: {where}: {error.get('type')}: {error.get('message')}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} cells failed; tracebacks: {out / 'records'}; --retry runs them again", file=sys.stderr)
    if missing:
        print(f"{missing} cells are missing; the same command runs them", file=sys.stderr)
    return 1 if failed or missing else 0


def plan_verb(args: argparse.Namespace) -> int:
    """Print the cells, what is done, and the disk that weights will need."""
    from bench.engines.units import units
    from bench.runner.disk import peak_bytes
    from bench.store.record import Records

    out, planned = _planned(args)
    records = Records(out)
    states = {one.key: (found.status if (found := records.get(one.key)) else "missing") for one in planned}
    missing = [one for one in planned if states[one.key] == "missing"]
    disk = peak_bytes(missing)
    if args.json:
        rows = [
            {"key": p.key, "label": p.cell.label, "target": p.cell.target, "encoder": p.cell.encoder}
            | {"seed": p.cell.seed, "trial": p.cell.trial, "axes": p.cell.axes, "state": states[p.key]}
            for p in planned
        ]
        whole = {"out": str(out), "cells": rows, "units_to_run": len(units(missing)), "disk_bytes": disk}
        print(json.dumps(whole, indent=1))
        return 0
    print(f"{planned[0].cell.matrix} → {out}")
    for state in ("ok", "skipped", "failed", "missing"):
        print(f"  {state:8} {sum(value == state for value in states.values())}")
    print(f"  units of work to run: {len(units(missing))} (cells that share a training are one unit)")
    if disk is None:
        print("  disk while it runs: unknown until the encoder is made or fetched")
    else:
        print(f"  disk while it runs: at most {disk / 1e6:.0f} MB of weights at a time")
    return 0
