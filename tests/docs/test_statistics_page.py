"""The ranges that the page on statistics prints are those of its own full table."""

from __future__ import annotations

import re

from tests.studies.intervals import PROCEDURES
from tests.support.e2e_tools import REPO

SHORT = {
    "two-way clusters": "two-way clusters (Cameron",
    "t test over sentences": "t test over sentences (what",
    "ours": "**ours**",
    "Satterthwaite, with floor": "Satterthwaite, with the floor",
    "generalised inference, with floor": "generalised inference, with the floor",
}


def test_ranges_are_those_of_the_full_table() -> None:
    text = (REPO / "docs/concepts/statistics.md").read_text(encoding="utf-8")
    head = re.search(r"^\| seeds \| varies most .*$", text, re.M)
    assert head
    names = [cell.strip() for cell in head[0].strip("|").split("|")][3:]
    assert names == list(PROCEDURES)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\| [35] \| (?:sentences|both|seeds) \|.*$", text, re.M)
    ]
    assert len(rows) == 18
    for number, name in enumerate(names):
        line = next(line for line in text.splitlines() if line.startswith(f"| {SHORT.get(name, name)}"))
        wanted = []
        for seeds in ("3", "5"):
            cells = [[float(part) for part in row[3 + number].split("/")] for row in rows if row[0] == seeds]
            wanted += [f"{min(values):.1f} to {max(values):.1f}" for values in zip(*cells, strict=True)]
        assert [cell.strip() for cell in line.strip("|").split("|")][1:] == wanted, name
