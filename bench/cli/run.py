"""`xner run`: run the missing cells of a matrix, then tabulate all records; `xner search`; `xner cancel`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.api.hub import Pinned
from bench.core.errors import BadInput
from bench.core.files import write_bytes
from bench.data.cell_data import warnings_of
from bench.data.identity import keyed
from bench.data.sources import fetch_all, not_cached, refuse_unfit_encoders, with_commits, write_lock
from bench.plan.contrasts import declared
from bench.plan.matrix import Cell, cells, only
from bench.plan.spec import load_matrix
from bench.plan.units import Planned, unfinished, write_matrix
from bench.report.folder import resolve
from bench.run import local, slurm
from bench.run.shared import RunSettings
from bench.store.packed import refuse_packed
from bench.store.record import CHOSEN, Record, Records, Written

MODES = ("missing", "retry", "force", "read-only")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run a matrix: train, predict, score, tabulate")
    _add_run(run)
    run.set_defaults(run=run_verb)
    search = commands.add_parser(
        "search", help="choose the settings of every method alike, on source dev", description=search_verb.__doc__
    )
    _add_run(search)
    search.set_defaults(run=search_verb)
    cancel = commands.add_parser("cancel", help="cancel what a matrix has in Slurm", description=cancel_verb.__doc__)
    cancel.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    cancel.set_defaults(run=cancel_verb)


def _add_run(run: argparse.ArgumentParser) -> None:
    matrix_arguments(run)
    run.add_argument("--jobs", type=int, metavar="N", help="processes, each a device slot (default: as many as fit)")
    run.add_argument("--engine", choices=("local", "slurm"), default="local")
    run.add_argument("--profile", type=Path, metavar="FILE", help="with --engine slurm: what a job asks for (TOML)")
    run.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    run.add_argument(
        "--upgrade", action="store_true", help="use the hub's newest revisions, not those OUT was run with"
    )
    run.add_argument("--keep-models", action="store_true", help="keep weights, and taggers for transformers' pipeline")
    run.add_argument(
        "--mode",
        choices=MODES,
        default="missing",
        help="which cells run: missing (default); retry: failed ones too; force: all of them again, keeping each old "
        "record until the new one is written; read-only: none, exit code 1 where something is missing",
    )
    run.add_argument("--retry", dest="mode", action="store_const", const="retry", help="the same as --mode retry")


def matrix_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("matrix", metavar="MATRIX", help="a .toml file or a shipped name")
    parser.add_argument("--out", type=_folder, help="results folder (default: results/<name>)")
    parser.add_argument("--only", action="append", default=[], metavar="K=V", help="run a part, e.g. target=de,zh")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="override, e.g. train.steps=50")
    parser.add_argument("--offline", action="store_true", help="never reach for the hub")


def _folder(text: str) -> Path:
    if not text:  # as an unset variable of a shell gives it; it would stand for the working directory
        raise argparse.ArgumentTypeError("empty: name a folder")
    return Path(text)


def planned_cells(args: argparse.Namespace) -> tuple[Path, list[Planned], Written, list[Pinned]]:
    """The results folder, the selected cells with their keys, the matrix as it was written, the lock of its sources.

    Sources on the hub that the folder's lock lacks are resolved, and data sets are fetched.

    Raises:
        BadInput: as `load_matrix`; or the results folder cannot be made; or a source is not available; or an encoder
            cannot work.
    """
    if args.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    spec = load_matrix(args.matrix, args.set)
    out = args.out or Path("results") / spec.name
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise BadInput(f"--out {out}: {place} is a file, so no results folder can be there")
    made = cells(spec)
    chosen: list[Cell] = only(made, args.only)
    chosen, lock = with_commits(chosen, out, getattr(args, "upgrade", False))
    refuse_unfit_encoders(chosen)
    fetch_all(not_cached(chosen, "dataset"), lock)  # keys depend on their content
    planned = keyed(chosen)
    for warning in warnings_of(cell for cell in chosen if not cell.broken):
        print(f"warning: {warning}", file=sys.stderr)
    written = Written(
        Path(spec.where.file).name, spec.where.text, tuple(args.set), tuple(args.only), declared(spec, made)
    )
    return out, planned, written, lock


def search_verb(args: argparse.Namespace) -> int:
    """Run the missing trials of [search] (into results/NAME-search), then write what was chosen as TOML."""
    args.set = [*args.set, "search.run=true"]
    return run_verb(args, _report_search)


def run_verb(args: argparse.Namespace, report: Callable[[Path, list[Planned], bool], None] | None = None) -> int:
    """Run the missing cells, then write tables and plots of all records."""
    if args.jobs is not None and args.jobs < 1:
        raise BadInput(f"--jobs {args.jobs}: at least 1")
    queued, force = args.engine == "slurm", args.mode == "force"
    if queued and (args.jobs is not None or force):
        option = "--mode force" if force else "--jobs"
        raise BadInput(f"{option} needs --engine local; a profile has `parallel`, and a new --out runs all again")
    if args.offline and args.upgrade:
        raise BadInput("--upgrade asks the hub, which --offline forbids")
    out, planned, written, lock = planned_cells(args)
    todo = planned if force else unfinished(planned, out, args.mode == "retry")
    if args.mode == "read-only":
        return _read_only(out, planned)
    if todo:
        refuse_packed(out)
    fetch_all(not_cached(cell.cell for cell in todo), lock)
    start = (_queued if queued else _prepared)(args, out, todo)  # refuses before anything is written
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: cannot be a results folder: {error.strerror}") from error
    write_lock(out, lock)
    write_matrix(planned, out, written)
    counts = f"{len(planned)} cells, {len(planned) - len(todo)} done, {len(todo)} to run"
    print(f"{planned[0].cell.matrix}: {counts}", file=sys.stderr)
    made = start() if todo else []
    records = _records(out, planned)
    if records:
        (report or _report)(out, planned, bool(todo) or queued)
    # failures without a record: the disk refused them, or a good record stayed in place
    unwritten = {r.key: r for r in made if r.status == "failed" and (force or r.key not in records)}
    missing = 0 if queued else len(planned) - len(records.keys() | unwritten.keys())  # queued cells do not count
    return _closing(out, list((records | unwritten).values()), missing)


def _records(out: Path, planned: Sequence[Planned]) -> dict[str, Record]:
    known = ((cell.key, Records(out).get(cell.key)) for cell in planned)
    return {key: record for key, record in known if record is not None}


def _read_only(out: Path, planned: list[Planned]) -> int:
    """Print the tables of the records, and write nothing."""
    records = list(_records(out, planned).values())
    if records:
        from bench.report.frame import groups, read
        from bench.report.tables import main_tables, shown_text

        print(shown_text(main_tables(groups(read([out])))), end="")
    print(f"{planned[0].cell.matrix}: {len(planned)} cells, {len(records)} done; --mode read-only", file=sys.stderr)
    return _closing(out, records, len(planned) - len(records))


def _prepared(args: argparse.Namespace, out: Path, todo: list[Planned]) -> Callable[[], list[Record]]:
    """The run of these cells on this machine, ready to start; without cells torch is not imported."""
    if not todo:
        return list
    from bench.train.memory import default_jobs, resolve_device

    device = resolve_device(args.device, {planned.cell.train.precision for planned in todo})
    jobs = args.jobs or default_jobs(device, max(planned.cell.train.threads for planned in todo))
    settings = RunSettings(out, device, args.keep_models)
    if args.mode == "force":
        return lambda: local.run_again(todo, settings, jobs)
    return lambda: local.run(todo, settings, jobs, retry=args.mode == "retry")


def _queued(args: argparse.Namespace, out: Path, todo: list[Planned]) -> Callable[[], list[Record]]:
    """The submission of these cells, ready to be made; it returns no records."""
    profile = slurm.load_profile(args.profile)
    if args.device == "cuda" and not profile.gpus:
        raise BadInput("--device cuda: the profile asks for no GPU: give one with gpus = 1 (--profile)")
    if todo:
        profile = slurm.checked(todo, profile)
    device = args.device if args.device != "auto" else "cuda" if profile.gpus else "cpu"
    return lambda: slurm.submit(todo, out, profile, device, args.keep_models)


def _report(out: Path, planned: list[Planned], changed: bool) -> None:
    """Write and print tables and plots; where nothing changed, print the tables that are there."""
    shown = out / "tables" / "main.txt"
    if changed or not (shown.exists() and shown.with_suffix(".md").exists()):
        from bench.report.cards import write_cards
        from bench.report.frame import groups, read
        from bench.report.plots import write_plots
        from bench.report.tables import main_tables, write_shown, write_tables

        tables = groups(read([out]))
        write_tables(out, all_groups=tables)
        write_shown(out, main_tables(tables))
        write_plots(out, all_groups=tables)
        write_cards(tables)
    print(shown.read_text(encoding="utf-8"))
    print(f"tables   {out / 'tables'}\nplots    {out / 'figures'}\nrecords  {out / 'records'}")


def _report_search(out: Path, planned: list[Planned], changed: bool) -> None:
    """Print every trial, and write what was chosen for the rows whose trials are all done."""
    from bench.report.tables import shown_text
    from bench.report.tables.search import searched

    tables, chosen = searched(out, planned[0].cell.target)
    print(shown_text(tables), end="")
    write_bytes(out / CHOSEN, chosen.encode())
    print(f'chosen   {out / CHOSEN}\nrun with it: --set include={out / CHOSEN}, or include = "…" in the matrix')


def _closing(out: Path, records: list[Record], missing: int) -> int:
    failed = [record for record in records if record.status == "failed"]
    for record in failed[:10]:
        error: dict[str, Any] = record.error or {}
        cell = f"{record.cell['label']} {record.cell['target']} seed {record.cell['seed']}"
        print(f"failed: {cell}: {error.get('type')}: {error.get('message')}", file=sys.stderr)
    skipped = Counter(record.reason for record in records if record.status == "skipped")
    for reason, count in skipped.most_common(5):
        print(f"skipped ({count} cells): {reason}", file=sys.stderr)
    for target in dict.fromkeys(str(record.cell["target"]) for record in records):
        counted = [record.projection for record in records if record.cell["target"] == target]
        lost = [counts for counts in counted if counts.get("missing")]
        for counts in lost[:1]:
            total = counts["missing"] + counts.get("translated", 0)
            untranslated = f"{counts['missing']} of {total} source sentences have no translation into '{target}'"
            print(f"warning: {untranslated} ({len(lost)} cells)", file=sys.stderr)
    if failed:
        cells = "1 cell" if len(failed) == 1 else f"{len(failed)} cells"
        print(f"{cells} failed; tracebacks: {out / 'records'}; --retry runs them again", file=sys.stderr)
    if missing:
        print(f"{missing} cells are missing; the same command without --mode read-only runs them", file=sys.stderr)
    return 1 if failed or missing else 0


def cancel_verb(args: argparse.Namespace) -> int:
    """Cancel the queued and running elements; records are kept, and the same `xner run` submits the rest again."""
    out: Path = resolve(args.out)
    state = slurm.queue_state(out)
    if state.unknown:
        raise BadInput(state.unknown)
    jobs = sorted({element.partition("_")[0] for element in state.elements}, key=int)
    if jobs:
        slurm.slurm("scancel", *jobs)
    print(f"{out}: {len(state.elements)} elements cancelled" + (f" (jobs {', '.join(jobs)})" if jobs else ""))
    return 0
