"""`xner tables`, `xner plots`, `xner report`, `xner status`: what stands in a results folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # not subscriptable when run
    """Register the verbs."""
    place = "results folder, or the name of a matrix (results/NAME)"
    tables = commands.add_parser("tables", help="tables of stored records", description=tables_verb.__doc__)
    tables.add_argument("out", nargs="+", metavar="OUT", help=place)
    tables.add_argument("--format", default="md,csv,latex", help="comma-separated: md, csv, latex (default: all)")
    tables.add_argument("--json", action="store_true", help="print the main tables as JSON")
    tables.set_defaults(run=tables_verb)
    plots = commands.add_parser("plots", help="plots of stored records", description=plots_verb.__doc__)
    plots.add_argument("out", metavar="OUT", help=place)
    plots.add_argument("--format", default="png,svg,pdf", help="comma-separated: png, svg, pdf (default: all)")
    plots.add_argument("--json", action="store_true", help="print the paths as JSON")
    plots.set_defaults(run=plots_verb)
    report = commands.add_parser("report", help="one HTML page of stored records", description=report_verb.__doc__)
    report.add_argument("out", metavar="OUT", help=place)
    report.add_argument("--json", action="store_true", help="print the path as JSON")
    report.set_defaults(run=report_verb)
    status = commands.add_parser("status", help="how far a matrix is", description=status_verb.__doc__)
    status.add_argument("out", metavar="OUT", help=place)
    status.add_argument("--json", action="store_true", help="print the counts as JSON")
    status.set_defaults(run=status_verb)


def tables_verb(args: argparse.Namespace) -> int:
    """Print the main table and write OUT/tables/ (several OUT: one table with a suite column)."""
    from bench.report.folder import resolve
    from bench.report.frame import groups, read
    from bench.report.render import as_json, terminal
    from bench.report.tables import check_formats, main_tables, write_shown, write_tables

    formats = check_formats(_names(args.format))
    outs = list(dict.fromkeys(resolve(out) for out in args.out))
    found = groups(read(outs))
    tables = main_tables(found)
    written = write_tables(_place(outs), formats, found)
    write_shown(_place(outs), tables)
    if args.json:
        _print_json({"tables": [as_json(table) for table in tables], "files": [path.as_posix() for path in written]})
        return 0
    for table in tables:
        print(terminal(table))
    print(f"{len(written)} files in {written[0].parent}")
    return 0


def plots_verb(args: argparse.Namespace) -> int:
    """Write OUT/figures/: F1 by language, gain over en_trans, learning curves; as PNG, SVG and PDF."""
    from bench.report.folder import resolve
    from bench.report.plots import write_plots

    written = write_plots(resolve(args.out), _names(args.format))
    if args.json:
        _print_json({"files": [path.as_posix() for path in written]})
        return 0
    print(f"{len(written)} files in {written[0].parent}")
    return 0


def report_verb(args: argparse.Namespace) -> int:
    """Write OUT/report.html: summary, tables, plots, seeds and errors in one page that needs no network."""
    from bench.report.folder import resolve
    from bench.report.html.page import write_report

    path = write_report(resolve(args.out))
    if args.json:
        _print_json({"files": [path.as_posix()]})
    else:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0


def status_verb(args: argparse.Namespace) -> int:
    """Count the records by method and target: ok, failed, skipped, missing; and what of the missing is with Slurm."""
    from bench.report.folder import resolve
    from bench.report.status import as_json, status_of, text
    from bench.run import journal

    out = resolve(args.out)
    found = status_of(out)
    standing = journal.Journal(out).standing()
    if args.json:
        _print_json(as_json(found) | {"slurm": journal.as_json(standing)})
    else:
        print(text(found), end="")
        print(journal.text(standing, out), end="")
    return 0


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _place(outs: Sequence[Path]) -> Path:
    """Where tables go: the folder itself; for several one beside the first, so that no suite's own are replaced."""
    if len(outs) == 1:
        return outs[0]
    return outs[0].resolve().parent / "+".join(out.resolve().name for out in outs)[:100]


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, sort_keys=True, indent=1, ensure_ascii=False)
    print()
