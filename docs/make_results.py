"""Makes again what shows the committed suites, from their records: `python docs/make_results.py [SUITE ...]`.

Beside the records: the report, tables, figures and a paper's tables, as far as they are there. In README.md,
docs/results.md and the suites' pages: each table that the records give, and each item of a list that begins with the
name of a declared contrast or with "Not declared: A − B:". A suite of several tables has a section for each, whose
heading begins with the values of its axes ("## 100 sentences"). Other text stays; tests/report/test_committed.py says
where the records contradict it.
"""

from __future__ import annotations

import argparse
import re
import shlex
import textwrap
from collections.abc import Iterable
from pathlib import Path

from bench.cli.main import main as xner
from bench.core.errors import nearest
from bench.core.files import write_bytes
from bench.plan.sections import TablesSpec
from bench.report import plots
from bench.report.compare import compared
from bench.report.contrasts import contrasts_of
from bench.report.frame import Group, groups, read
from bench.report.html.page import write_report
from bench.report.plots.canvas import saved, settings
from bench.report.tables import MAKERS
from bench.report.tables.model import Table
from bench.report.tables.paper import shown_of
from bench.report.tables.render import markdown
from bench.report.verdicts import sentence

REPO = Path(__file__).resolve().parent.parent
SUITES = REPO / "results" / "reference"
POOLS = ("en_trans", "label_projection+en", "concner", "label_projection", "no-contrast")
README_ROWS = ("zero_shot", *(f"{name} (files)" for name in POOLS))  # of its table of F1
ITEM = r".*(?:\n  (?!- ).*)*"  # the rest of a list's item


def make_files(suite: Path) -> None:
    """Write the report, tables, figures and a paper's tables of a suite, each only if there is one."""
    group, *others = groups(read([suite]))
    if others and (suite / "tables").is_dir() | (suite / "figures").is_dir():
        raise SystemExit(f"{suite.name}: its tables and figures could be those of {len(others) + 1} kinds of records")
    if (suite / "report.html").is_file():
        write_report(suite)
    for path in suite.glob("tables/*.md"):
        if (table := MAKERS[path.stem](group, path.stem)) is not None:
            write_bytes(path, markdown(table).encode())
    with settings():
        for path in suite.glob("figures/*.png"):
            if (figure := plots.MAKERS[path.stem](group)) is not None:
                write_bytes(path, saved(figure, "png"))
    for path in suite.glob("paper/*.tex"):
        command = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("% made by: ")
        xner([str(suite) if word == "OUT" else word for word in shlex.split(command)[1:]])


def pages() -> dict[Path, str]:
    """The text of each page that shows a suite, by its path."""
    made: dict[Path, str] = {}
    for suite in sorted(path.parent for path in SUITES.glob("*/records.jsonl")):
        every = groups(read([suite]))
        for group in every:
            makers = {name: MAKERS[name](group, name) for name in ("main", "contrasts", "published")}
            shown = {suite / "README.md": list(makers.values())}
            if suite.name == "demo":
                shown[REPO / "README.md"] = [makers["main"]]
            if suite.name == "uner-reference":
                rows = MAKERS["main"](shown_of(group, TablesSpec(rows=README_ROWS)), "main")
                shown |= {REPO / "README.md": [makers["contrasts"], rows], REPO / "docs" / "results.md": []}
            for path, tables in shown.items():
                text = made.get(path) or path.read_text(encoding="utf-8")
                before, part, after = ("", text, "") if len(every) == 1 else around(text, group)
                made[path] = before + with_sentences(with_tables(part, tables), group) + after
    return made


def around(text: str, group: Group) -> tuple[str, str, str]:
    """The page before, in and after the section of this group."""
    values = " ".join(map(str, group.stored[0].table_axes.values()))
    if (found := re.search(rf"^## {re.escape(values)} .*?(?=^## |\Z)", text, re.M | re.S)) is None:
        raise SystemExit(f"no section '## {values} …' for the records with {group.axes}")
    return text[: found.start()], found[0], text[found.end() :]


def with_tables(text: str, tables: Iterable[Table | None]) -> str:
    """The page with the rows of each table that it has: the one whose columns are the same; – without its note."""
    for table in filter(None, tables):
        head, *rows = re.findall(r"^\|.*\n", re.sub(r"–<sup>[\d,]+</sup>", "–", markdown(table)), re.M)
        text = replaced(rf"{re.escape(head)}(\|.*\n)*", "".join([head, *rows]), text)
    return text


def with_sentences(text: str, group: Group) -> str:
    """The page with what its comparisons say today: the first item of each, as a later one may be of another suite."""

    def undeclared(match: re.Match[str]) -> str:
        if not {match[1], match[2]} <= {run.label for run in group.stored}:
            return match[0]
        return _item(f"Not declared: {sentence(compared(group, match[1], match[2], group.main_rule))}")

    for comparison in contrasts_of(group):
        if comparison.macro.difference is not None:
            text = replaced(rf"- {re.escape(comparison.title)}:{ITEM}", _item(sentence(comparison)), text)
    return re.sub(rf"^- Not declared: ([^:]+?) − ([^:]+?):{ITEM}", undeclared, text, flags=re.M)


def replaced(pattern: str, new: str, text: str) -> str:
    """The text with the first match at the beginning of a line replaced."""
    return re.sub(f"^{pattern}", lambda _: new, text, count=1, flags=re.M)


def _item(text: str) -> str:
    return textwrap.fill(text, 140, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    known = sorted(path.parent.name for path in SUITES.glob("*/records.jsonl"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"one of {', '.join(known)} (default: all)")
    asked = parser.parse_args().suites
    for name in asked or known:
        if name not in known:
            parser.error(f"{name}: no such suite{nearest(name, known)}")
    for name in asked or known:
        make_files(SUITES / name)
    for path, text in pages().items():
        write_bytes(path, text.encode())
