"""Figures of the pages are those of the committed records, or of the full table beside them."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from bench.report.frame import groups, read
from bench.report.tables import MAKERS
from bench.report.tables.model import Table
from bench.report.tables.render import as_csv, markdown
from tests.studies.intervals import BOOTSTRAP, PROCEDURES
from tests.support.e2e_tools import REPO

SHORT = {
    "two-way clusters": "two-way clusters (Cameron",
    "t test over sentences": "t test over sentences (what",
    "ours": "**ours**",
    "Satterthwaite, with floor": "Satterthwaite, with the floor",
    "generalised inference, with floor": "generalised inference, with the floor",
}


REFERENCE = REPO / "results" / "reference"


@pytest.fixture(autouse=True)
def cache(unpacked_suites: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_CACHE", str(unpacked_suites))


def page(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def made_table(suite: str, name: str) -> Table:
    """A table of a committed suite, made from its records."""
    (group,) = groups(read([REFERENCE / suite]))
    table = MAKERS[name](group, name)
    assert table is not None
    return table


def means(suite: str) -> dict[tuple[str, str], str]:
    """F1 by row and language, as a table prints it."""
    rows = csv.DictReader(io.StringIO(as_csv(made_table(suite, "main")), newline=""))
    return {(row["method"], row["language"]): f"{float(row['mean']):.1f}" for row in rows}


def test_the_demos_table_is_the_suites() -> None:
    rows = re.findall(r"^\| \w.*$", page("results/reference/demo/README.md"), re.M)
    assert len(rows) > 2
    assert not [row for row in rows if row not in page("docs/tutorial.md")]


@pytest.mark.parametrize(
    ("suite", "name", "count"),
    [
        ("demo", "main", 4),
        ("uner-mt", "main", 21),
        ("pud-projection", "main", 19),
        ("europarl-projection", "published", 45),
    ],
)
def test_a_table_in_a_suites_page_is_the_suites(suite: str, name: str, count: int) -> None:
    made, shown = markdown(made_table(suite, name)), page(f"results/reference/{suite}/README.md")
    if "<sup>" not in shown:
        made = re.sub(r"<sup>.*?</sup>", "", made)
    rows, printed = (
        [line.rstrip() for line in re.findall(r"^(?:\| [\w*]|<sup>).*$", text, re.M)] for text in (made, shown)
    )
    assert len([row for row in rows if row.startswith("|")]) == count
    assert rows == printed


def test_projected_labels_are_worth_what_the_suites_say() -> None:
    text = page("docs/concepts/translation-and-projection.md").partition("## What projected labels are worth")[2]
    suites = [("pud-projection", ("de", "pt", "zh")), ("europarl-projection", ("de", "es", "it"))]
    known = {suite: means(suite) for suite, _ in suites}
    aligner, lines = "", 0
    for line in re.findall(r"^\| (?:`[^|]*)?\| `.*$", text, re.M):
        named, rule, *printed = cells_of(line)
        aligner = re.findall(r"`(\w+)`", named)[0] if named else aligner
        row = f"gold_projection ({aligner}, {rule.strip('`')})"
        assert printed == [known[suite][row, language] for suite, codes in suites for language in codes]
        lines += 1
    assert lines == 9


def test_what_became_of_the_entities_is_what_the_records_say() -> None:
    counts: dict[tuple[str, ...], dict[str, int]] = {}
    for line in (REFERENCE / "uner-mt/records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        cell, axes = record["cell"], record["cell"]["axes"]
        if axes.get("labels.transfer") in (None, "align") and record["projection"]:
            key = [axes[f"labels.{name}"] for name in ("translator", "aligner") if f"labels.{name}" in axes]
            counts[cell["label"], cell["target"], *key] = record["projection"]
    table = page("docs/concepts/translation-and-projection.md").partition("What became of the 1,075 entities")[2]
    place, checked = ["", ""], 0
    for line in re.findall(r"^\| (?:pt|es)? ?\| .*$", table.partition("\n\nThat an entity")[0], re.M):
        target, translator, _, aligner, *printed, kept = [
            cell.replace("*", "").replace(",", "") for cell in cells_of(line)
        ]
        names = [re.findall(r"`(\w+)`", name)[0] for name in (translator or f"`{place[1]}`", aligner)]
        place = [target or place[0], names[0]]
        with_filter = counts.get(("label_projection+en", place[0], *names))
        whole = counts.get(("en_trans", place[0], *names))
        if with_filter:
            assert int(kept) == with_filter["pairs"], line
        if whole:
            assert [int(n) for n in printed] == [whole[n] for n in ("projected", "unaligned", "conflicting")], line
        checked += bool(with_filter) + bool(whole)
    assert checked == 11


def test_ranges_are_those_of_the_full_table() -> None:
    text = page("docs/concepts/statistics.md")
    names = [*PROCEDURES, BOOTSTRAP]
    heads = [cells_of(head)[3:] for head in re.findall(r"^\| seeds \| varies most .*$", text, re.M)]
    assert heads == [names[:-1], names]
    rows = [cells_of(line) for line in re.findall(r"^\| [35] \| (?:sentences|both|seeds) \|.*$", text, re.M)]
    long, short = ([row for row in rows if len(row) == 3 + len(head)] for head in heads)
    assert (len(long), len(short)) == (18, 6)
    for number, name in enumerate(names):
        line = next(line for line in text.splitlines() if line.startswith(f"| {SHORT.get(name, name)}"))
        wanted = []
        for seeds in ("3", "5"):
            settings = short if name == BOOTSTRAP else long
            cells = [[float(part) for part in row[3 + number].split("/")] for row in settings if row[0] == seeds]
            wanted += [f"{min(values):.1f} to {max(values):.1f}" for values in zip(*cells, strict=True)]
        assert cells_of(line)[1:] == wanted, name


def test_the_shipped_method_that_is_shown_is_the_shipped_one() -> None:
    code = (REPO / "methods" / "trans_only" / "method.py").read_text(encoding="utf-8")
    shown = [
        block
        for name in ("README.md", "docs/how-to/own-method.md")
        for block in python_classes(page(name), "TransOnly")
    ]
    assert len(shown) == 2
    assert not [line for block in shown for line in block.splitlines() if line not in code.splitlines()]


def python_classes(text: str, name: str) -> list[str]:
    """The blocks of Python that begin with the class."""
    return re.findall(rf"^```python\n(class {name}\(.*?)^```$", text, re.M | re.S)
