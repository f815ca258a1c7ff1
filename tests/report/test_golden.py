"""The tables of a fixed set of records, to the byte: a change of a table shows in a diff of tests/golden.

`python -m tests.report.test_golden` writes them anew.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report.tables import write_tables
from bench.store.record import add_cells
from tests.support.records_for_tests import CORPUS, Plan, make, put_gap

GOLDEN = Path(__file__).parent / "golden"
QUALITY = {"zero_shot": 0.4, "en_trans": 0.55, "concner": 0.6, "gold_translation": 0.9, "target_supervised": 0.95}


def tables(out: Path) -> dict[str, str]:
    """By file name the tables of records that have oracles, gaps, and names that formats must escape."""
    plan = Plan(
        {**QUALITY, "a_b&c|%": 0.5},
        ("de", "da", "zh"),
        oracles=("gold_translation", "target_supervised"),
        corpus={**CORPUS, "title": "Golden <records>"},
    )
    records = make(out, plan)
    records += [put_gap(out, plan, "label_projection", "de", seed, "no links") for seed in plan.seeds]
    records += [put_gap(out, plan, "label_projection", "zh", 1, "out of memory", failed=True)]
    add_cells(out, [{"key": one.key} | {k: v for k, v in one.cell.items() if k != "params"} for one in records], "toy")
    return {path.name: path.read_bytes().decode() for path in write_tables(out)}


def test_tables_are_as_they_were(tmp_path: Path) -> None:
    found = tables(tmp_path / "golden")
    known = {path.name: path.read_bytes().decode() for path in sorted(GOLDEN.glob("*.*"))}
    assert sorted(found) == sorted(known)
    for name, text in known.items():
        assert found[name] == text, f"{name} changed: if it was meant to, run python {Path(__file__).name}"


def test_a_golden_table_says_what_it_must() -> None:
    """So that a wrong table is not taken over unread."""
    text = (GOLDEN / "main.md").read_text(encoding="utf-8")
    assert "Golden &lt;records&gt; (synthetic: no evidence about languages)" in text
    assert text.count("–<sup>") >= 2 and "failed<sup>" in text and "gold_translation †" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| concner")]
    assert line.count("±") == 4 and "**" in line


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tables(Path(folder) / "golden").items():
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / name).write_bytes(text.encode())
