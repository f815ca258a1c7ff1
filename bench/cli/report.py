"""The verbs that read a results folder: `xner tables`, `plots`, `report`, `status`, `compare`, `verify`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput
from bench.core.files import write_bytes
from bench.plan.naming import BIBLIOGRAPHY, bibtex, display_names
from bench.plan.schema import Place, build
from bench.plan.sections import TablesSpec
from bench.plan.spec import written_tables
from bench.report.folder import as_json, resolve, status_of, text
from bench.run.slurm import queue_state
from bench.store.record import matrices

if TYPE_CHECKING:
    from bench.report.frame import Group

_PLACE = "results folder, or the name of a matrix (results/NAME)"
Verb = Callable[[argparse.Namespace], int]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:

    def verb(run: Verb, name: str, about: str, says: str, several: bool = False) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=about, description=run.__doc__)
        parser.add_argument("out", nargs="+" if several else None, metavar="OUT", help=_PLACE)
        parser.add_argument("--json", action="store_true", help=f"print {says}")
        parser.set_defaults(run=run)
        return parser

    tables = verb(tables_verb, "tables", "tables of stored records", "the main tables as JSON", several=True)
    tables.add_argument("--format", default="md,csv,latex", help="comma-separated: md, csv, latex (default: all)")
    _add_paper(tables)
    plots = verb(plots_verb, "plots", "plots of stored records", "the paths as JSON")
    plots.add_argument("--format", default="png,svg,pdf", help="comma-separated: png, svg, pdf (default: all)")
    verb(report_verb, "report", "one HTML page of stored records", "the path as JSON")
    verb(status_verb, "status", "progress of a matrix", "the counts as JSON")
    about = "the declared contrasts, or two methods: difference, interval, test, conclusion"
    compare = verb(compare_verb, "compare", about, "JSON, F1 in percent")
    compare.add_argument("a", nargs="?", metavar="A", help="a method or variant, as tables name it")
    compare.add_argument("b", nargs="?", metavar="B", help="the one that it is compared with")
    compare.add_argument("--rule", default="", metavar="R", help="selection rule (default: each table's main one)")
    about = "score stored predictions again, make tables again, name every mismatch"
    verify = verb(verify_verb, "verify", about, "JSON")
    about = "list only where our rows agree with published figures; exit code 0"
    verify.add_argument("--against", choices=["published"], help=about)
    about = "points of F1 (default: %(default)g)"
    verify.add_argument("--tolerance", type=float, default=2.0, metavar="F1", help=about)


def _add_paper(tables: argparse.ArgumentParser) -> None:
    """The keys of [tables] as options; whatever is not given comes from the matrix."""
    group = tables.add_argument_group(
        "a paper's tables", "in LaTeX, into OUT/paper/; [tables] of a matrix says the same"
    )
    for name, says in (
        ("rows", "rows or patterns, in order: 'zero_shot=En, concner*'"),
        ("columns", "languages and macro, in order: 'de, zh, macro'"),
        ("order", "of the rows: matrix, score, name"),
        ("rule", "selection rule of the scores (default: the main one)"),
        ("intervals", "pm, paren, none"),
        ("layout", "wide, tall (languages below each other), by-family (rows in blocks)"),
        ("caption", "of the first table"),
        ("label", "of the first table, such as tab:main; also the file's name"),
        ("notes", "none, short, full"),
        ("only", "which tables: 'main, contrasts'"),
    ):
        group.add_argument(f"--{name}", metavar="X", help=says)
    group.add_argument("--decimals", type=int, metavar="N", help="of F1")
    group.add_argument("--no-intervals", dest="intervals", action="store_const", const="none", help="F1 alone")
    about = f"also OUT/paper/{BIBLIOGRAPHY}: what methods, corpora, encoders and tools are to be cited as"
    group.add_argument("--bib", action="store_true", help=about)


def tables_verb(args: argparse.Namespace) -> int:
    """Print the main table and write OUT/tables/ (several OUT: one table with a suite column); where the matrix has
    [tables] a paper's tables, too. With options of [tables], or --bib, only what these ask for is written."""
    from bench.report.frame import groups, read
    from bench.report.tables import checked_formats, main_tables, write_shown, write_tables
    from bench.report.tables.render import as_json, terminal

    formats = checked_formats(_listed(args.format))
    outs = list(dict.fromkeys(resolve(out) for out in args.out))
    suites = groups(read(outs))
    paper, asked = _paper(args, outs, suites)
    papers = "".join(f"{path}\n" for path in paper)
    if asked:
        return _printed(args, {"files": [path.as_posix() for path in paper]}, papers)
    tables = main_tables(suites)
    written = [*write_tables(_place(outs), formats, suites), *paper]
    write_shown(_place(outs), tables)
    shown = "".join(f"{terminal(table)}\n" for table in tables)
    value = {"tables": [as_json(table) for table in tables], "files": [path.as_posix() for path in written]}
    return _printed(args, value, f"{shown}{len(written) - len(paper)} files in {written[0].parent}\n{papers}")


def _paper(args: argparse.Namespace, outs: Sequence[Path], suites: Sequence[Group]) -> tuple[list[Path], bool]:
    """What was written into OUT/paper/, and whether options asked for it."""
    from bench.report.tables.paper import FOLDER, paper_texts, shown_of, with_measured_rows

    written = [text for out in outs for text in matrices(out)[-1:]]
    raws = [written_tables(text.file, text.text, text.overrides) for text in written]
    raw: dict[str, Any] = {"variant": [table for each in raws for table in each.get("variant", [])]}
    raw |= {key: value for each in raws[:1] for key, value in each.items() if key in ("labels", "tables")}
    lists = {f.name for f in fields(TablesSpec) if f.default == () or f.name == "only"}
    given = {f.name: getattr(args, f.name, None) for f in fields(TablesSpec)}
    given = {k: _listed(value) if k in lists else value for k, value in given.items() if value is not None}
    if not (given or args.bib or "tables" in raw):
        return [], False
    stored = [run for group in suites for run in group.stored if not run.imported]
    names = display_names([run.record.cell for run in stored], raw)
    spec = build(TablesSpec, {"names": names} | raw.get("tables", {}) | given, Place("xner tables"))
    if spec.rows and "rows" not in given:
        spec, absent = with_measured_rows(suites, spec)
        if absent:
            print(f"warning: [tables] rows without a record are left out: {', '.join(absent)}", file=sys.stderr)
        if not spec.rows:
            return [], bool(given or args.bib)
    texts = paper_texts(suites, spec) if given or "tables" in raw else {}
    if args.bib:
        shown = {run.record.key for group in suites for run in shown_of(group, spec).stored}
        texts[BIBLIOGRAPHY] = bibtex([run.record.cell for run in stored if run.record.key in shown], raw)
    folder = _place(outs) / FOLDER
    for name, content in texts.items():
        write_bytes(folder / name, content.encode())
    return [folder / name for name in texts], bool(given or args.bib)


def plots_verb(args: argparse.Namespace) -> int:
    """Write OUT/figures/: contrasts, F1 by language, differences, ranks, cost, learning curves; as PNG, SVG and PDF."""
    from bench.report.plots import write_plots

    written = write_plots(resolve(args.out), _listed(args.format))
    value = {"files": [path.as_posix() for path in written]}
    return _printed(args, value, f"{len(written)} files in {written[0].parent}\n")


def report_verb(args: argparse.Namespace) -> int:
    """Write OUT/report.html: summary, tables, plots, seeds and errors in one page that needs no network."""
    from bench.report.html.page import write_report

    path = write_report(resolve(args.out))
    text = f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser\n"
    return _printed(args, {"files": [path.as_posix()]}, text)


def status_verb(args: argparse.Namespace) -> int:
    """Count the records by method and target: ok, failed, skipped, missing; and the state of Slurm's queue."""
    out = resolve(args.out)
    status, queue = status_of(out), queue_state(out)
    return _printed(args, as_json(status) | {"slurm": queue.as_json()}, text(status) + queue.text(out))


def compare_verb(args: argparse.Namespace) -> int:
    """Difference in F1 of A and B by target language and on average, with its 95 % interval, a paired test (seeds and
    sentences crossed, Holm over the languages) and equivalence within one point; the factors in which they differ,
    whether the contrast was declared in advance, and the conclusion. Without A and B: each contrast that the matrix
    declares and that has records, else each method against the naive pool."""
    from bench.report.contrasts import compare, contrasts_of
    from bench.report.frame import groups, read
    from bench.report.verdicts import as_json, text

    out = resolve(args.out)
    if args.a and args.b:
        comparisons = compare(out, args.a, args.b, args.rule)
    elif args.a or args.rule:
        raise BadInput("name both A and B, or, for the declared contrasts, neither and no --rule")
    else:
        every = [comparison for group in groups(read([out])) for comparison in contrasts_of(group)]
        comparisons = [comparison for comparison in every if comparison.macro.difference is not None]
        if not comparisons:
            raise BadInput(f"{out}: no contrast has records of both sides; name A and B")
    return _printed(args, list(map(as_json, comparisons)), "\n\n".join(map(text, comparisons)) + "\n")


def verify_verb(args: argparse.Namespace) -> int:
    """Score the stored predictions again and compare with records and counts; make the tables again and compare them
    byte by byte; check the hashes of kept weights; list what is missing, foreign or damaged. Exit code 1 where anything
    is wrong."""
    from bench.report.frame import groups, read
    from bench.report.tables.published import agreement
    from bench.report.verify import as_json, text, verify

    out = resolve(args.out)
    if args.against:  # settings may differ, so a disagreement is no failure of the folder
        if not args.tolerance >= 0:
            raise BadInput(f"--tolerance {args.tolerance:g}: must not be negative")
        lines = agreement(groups(read([out])), args.tolerance)
        none = f"{out}: no row of ours is meant to reproduce a published figure"
        return _printed(args, lines, ("\n".join(lines) or none) + "\n")
    result = verify(out)
    _printed(args, as_json(result), text(result))
    return 1 if result.findings else 0


def _listed(value: str) -> list[str]:
    """The items of a comma-separated list; commas inside brackets do not separate."""
    return [item.strip() for item in re.split(r",(?![^(]*\))", value) if item.strip()]


def _place(outs: Sequence[Path]) -> Path:
    """The folder for tables: OUT itself; for several, one beside the first, so that no suite's tables are replaced."""
    if len(outs) == 1:
        return outs[0]
    return outs[0].resolve().parent / "+".join(out.resolve().name for out in outs)[:100]


def _printed(args: argparse.Namespace, value: object, text: str) -> int:
    print(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n" if args.json else text, end="")
    return 0
