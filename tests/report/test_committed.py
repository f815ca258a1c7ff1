"""The suites that are committed: their predictions give their scores, their records the tables beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.report.verify import verify
from tests.support.e2e_tools import REPO

SUITES = sorted(path.parent for path in (REPO / "results" / "reference").glob("*/records.jsonl"))


def test_there_are_some_and_few_files() -> None:
    assert SUITES
    assert len([path for path in (REPO / "results").glob("reference/**/*") if path.is_file()]) <= 60


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name)
def test_a_committed_suite_is_clean(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_CACHE", str(tmp_path))
    verified = verify(suite)
    assert not verified.findings
    assert verified.counts["scores"] >= verified.counts["records"] > 0


def test_the_readmes_table_is_the_suites() -> None:
    rows = re.findall(r"^\| \w.*$", (REPO / "results/reference/demo/tables/main.md").read_text(encoding="utf-8"), re.M)
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert len(rows) > 2
    assert not [row for row in rows if row not in readme]
