"""`xner run`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput

if TYPE_CHECKING:
    from bench.plan.identity import Planned
    from bench.plan.matrix import Cell
    from bench.store.planned import Written
    from bench.store.record import Record

MODES = ("missing", "retry", "force", "read-only")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run a matrix: train, predict, score, tabulate")
    matrix_arguments(run)
    run.add_argument("--jobs", type=int, metavar="N", help="processes, each a device slot (default: as many as fit)")
    run.add_argument("--engine", choices=("local", "slurm"), default="local")
    run.add_argument("--profile", type=Path, metavar="FILE", help="with --engine slurm: what a job asks for (TOML)")
    run.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    run.add_argument("--offline", action="store_true", help="never reach for the hub")
    run.add_argument("--keep-models", action="store_true", help="keep weights, and taggers for transformers' pipeline")
    run.add_argument(
        "--mode",
        choices=MODES,
        default="missing",
        help="which cells run: missing (default); retry: failed ones too; force: all again, an old record staying "
        "until the new one is there; read-only: none, exit code 1 where something is missing",
    )
    run.add_argument("--retry", dest="mode", action="store_const", const="retry", help="the same as --mode retry")
    run.set_defaults(run=run_verb)


def matrix_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("matrix", metavar="MATRIX", help="a .toml file or a shipped name")
    parser.add_argument("--out", type=Path, help="results folder (default: results/<name>)")
    parser.add_argument("--only", action="append", default=[], metavar="K=V", help="run a part, e.g. target=de,zh")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="override, e.g. train.steps=50")


def planned_cells(args: argparse.Namespace) -> tuple[Path, list[Planned], Written]:
    """The results folder, the cells that the arguments select with their keys, and the matrix as it was written.

    Raises:
        BadInput: as `load_matrix`; or no folder can be where the results would go.
    """
    from bench.data.cell_data import warnings_of
    from bench.data.projected import check_rules
    from bench.plan.matrix import cells, only
    from bench.plan.spec import load_matrix
    from bench.plan.units import keyed
    from bench.store.planned import Written

    spec = load_matrix(args.matrix, args.set)
    check_rules(spec)
    out = args.out or Path("results") / spec.name
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise BadInput(f"--out {out}: {place} is a file, so no results folder can be there")
    chosen: list[Cell] = only(cells(spec), args.only)
    planned = keyed(chosen)
    for warning in warnings_of(one for one in chosen if not one.broken):
        print(f"warning: {warning}", file=sys.stderr)
    written = Written(Path(spec.where.file).name, spec.where.text, tuple(args.set), tuple(args.only))
    return out, planned, written


def run_verb(args: argparse.Namespace) -> int:
    """Run what is missing, then write tables and plots of all that is there."""
    if args.jobs is not None and args.jobs < 1:
        raise BadInput(f"--jobs {args.jobs}: at least 1")
    if args.mode == "force" and args.engine != "local":
        raise BadInput(f"--mode force: not with --engine {args.engine}; cells made again aside need one process")
    if args.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from bench.plan.units import unfinished, write_matrix
    from bench.store.record import Records

    out, planned, written = planned_cells(args)
    todo = planned if args.mode == "force" else unfinished(planned, out, args.mode == "retry")
    if args.mode == "read-only":
        return _read_only(out, planned)
    slurm = args.engine == "slurm"
    # refuses what this machine cannot do before anything is written
    start = (_queued if slurm else _prepared)(args, out, todo)
    _writable(out)
    write_matrix(planned, out, written)
    done = len(planned) - len(todo)
    print(f"{planned[0].cell.matrix}: {len(planned)} cells, {done} done, {len(todo)} to run", file=sys.stderr)
    made = start() if start is not None else []
    records = {one.key: record for one in planned if (record := Records(out).get(one.key)) is not None}
    if records:
        _report(out, slurm or bool(todo))
    # failures that are no records: the disk refused them, or a good one stands there
    unwritten = {
        one.key: one for one in made if one.status == "failed" and (args.mode == "force" or one.key not in records)
    }
    missing = 0 if slurm else len(planned) - len(records.keys() | unwritten.keys())  # queued is not missing
    return _closing(out, list((records | unwritten).values()), missing)


def _read_only(out: Path, planned: list[Planned]) -> int:
    """Print what is there, and write nothing."""
    from bench.store.record import Records

    records = [record for one in planned if (record := Records(out).get(one.key)) is not None]
    if records:
        from bench.report.frame import groups, read
        from bench.report.tables import main_tables, shown_text

        print(shown_text(main_tables(groups(read([out])))), end="")
    print(f"{planned[0].cell.matrix}: {len(planned)} cells, {len(records)} done; --mode read-only", file=sys.stderr)
    return _closing(out, records, len(planned) - len(records))


def _prepared(args: argparse.Namespace, out: Path, todo: list[Planned]) -> Callable[[], list[Record]] | None:
    """The run of these cells, ready to start; None if there are none (and torch is not imported)."""
    if not todo:
        return None
    from bench.run import force, local
    from bench.run.cell import Where
    from bench.train.device import default_jobs, resolve_device

    device = resolve_device(args.device, {one.cell.train.precision for one in todo})
    jobs = args.jobs or default_jobs(device, max(one.cell.train.threads for one in todo))
    where = Where(out, device, args.keep_models)
    if args.mode == "force":
        return lambda: force.run_again(todo, where, jobs)
    return lambda: local.run(todo, where, jobs, retry=args.mode == "retry")


def _queued(args: argparse.Namespace, out: Path, todo: list[Planned]) -> Callable[[], list[Record]] | None:
    """The submission of these cells, ready to be made; None if there are none."""
    from bench.run.profile import load_profile

    profile = load_profile(args.profile)
    if args.jobs is not None or args.mode == "force":
        what = "--jobs" if args.jobs is not None else "--mode force"
        raise BadInput(f"{what} is of --engine local; a profile says `parallel`, and a new --out runs all again")
    if not todo:
        return None
    from bench.run import slurm

    slurm.checked(todo, profile)
    return lambda: slurm.submit_verb(todo, out, profile, args.device, args.keep_models)


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
        from bench.report.frame import groups, read
        from bench.report.plots import write_plots
        from bench.report.tables import main_tables, write_shown, write_tables

        found = groups(read([out]))
        write_tables(out, found=found)
        write_shown(out, main_tables(found))
        write_plots(out, found=found)
    print(shown.read_text(encoding="utf-8"))
    print(f"tables   {out / 'tables'}\nplots    {out / 'figures'}\nrecords  {out / 'records'}")


def _closing(out: Path, records: list[Record], missing: int) -> int:
    failed = [record for record in records if record.status == "failed"]
    for record in failed[:10]:
        error: dict[str, Any] = record.error or {}
        where = f"{record.cell['label']} {record.cell['target']} seed {record.cell['seed']}"
        print(f"failed: {where}: {error.get('type')}: {error.get('message')}", file=sys.stderr)
    for target in dict.fromkeys(str(record.cell["target"]) for record in records):
        lost = [one.projection for one in records if one.cell["target"] == target and one.projection.get("missing")]
        for counts in lost[:1]:
            total = counts["missing"] + counts.get("translated", 0)
            said = f"{counts['missing']} of {total} source sentences have no translation into '{target}'"
            print(f"warning: {said} ({len(lost)} cells)", file=sys.stderr)
    if failed:
        print(f"{len(failed)} cells failed; tracebacks: {out / 'records'}; --retry runs them again", file=sys.stderr)
    if missing:
        print(f"{missing} cells are missing; the same command runs them", file=sys.stderr)
    return 1 if failed or missing else 0
