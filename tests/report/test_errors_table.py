"""The table `errors`: what became of the gold entities, from the stored predictions of every seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.conll import conll_text
from bench.report.frame import groups, read
from bench.report.tables import MAKERS, texts_of
from bench.report.tables.quantities import errors_table
from bench.store.record import Records
from bench.store.sidecars import GOLD, predictions_name
from tests.support.scored_for_tests import gold_of, make_scored

GOLD_KINDS = ("correct", "type", "boundary", "missed")


def test_shares_of_the_gold_entities(tmp_path: Path) -> None:
    records = make_scored(tmp_path)
    (group,) = groups(read([tmp_path]))
    table = errors_table(group)
    assert table is not None and MAKERS["errors"] is errors_table
    lines = {(line["method"].text, line["language"].text): line for line in table.rows()}
    assert list(lines) == [(label, of) for label in ("zero_shot", "concner") for of in ("de", "fi", "mean")]
    for (label, target), line in lines.items():
        values = {kind: line[kind].value or 0.0 for kind in GOLD_KINDS if kind in line}
        assert sum(values.values()) == pytest.approx(100)
        if target != "mean":
            own = [
                record.scores["source-dev"].recall
                for record in records
                if (record.cell["label"], record.cell["target"]) == (label, target)
            ]
            assert values["correct"] == pytest.approx(100 * sum(own) / len(own), abs=1e-3)
            assert line["correct"].seeds == 3
    mean = lines["concner", "mean"]["correct"].value
    assert mean == pytest.approx(sum(lines["concner", of]["correct"].value or 0.0 for of in ("de", "fi")) / 2)


def test_means_are_over_the_same_languages(tmp_path: Path) -> None:
    make_scored(tmp_path, {"zero_shot": 0.5})
    make_scored(tmp_path, {"concner": 0.9}, targets=("de",))
    (group,) = groups(read([tmp_path]))
    table = errors_table(group)
    assert table is not None
    lines = [(line["method"].text, line["language"].text) for line in table.rows()]
    assert lines == [*(("zero_shot", of) for of in ("de", "fi", "mean")), ("concner", "de")]
    assert any("mean: over de, fi, each the same" in note for note in table.notes)


def test_entities_cut_short_show_at_a_glance(tmp_path: Path) -> None:
    """What a loss that blurs B and I does: the first word of each entity is lost, its type is right."""
    (record,) = make_scored(tmp_path, {"concner": 1.0}, targets=("de",), seeds=(1,))
    gold = [s for s in gold_of("de") if s.spans and s.spans[0].end < len(s.words)]
    short = [replace(s, spans=(s.spans or ())[:1]) for s in gold]
    longer = [replace(s, spans=tuple(span._replace(end=span.end + 1) for span in s.spans or ())) for s in short]
    store = Records(tmp_path)
    store.put_text(record.key, predictions_name("source-dev"), conll_text(short))
    store.put_text(record.key, GOLD, conll_text(longer))
    (group,) = groups(read([tmp_path]))
    table = errors_table(group)
    assert table is not None
    (line,) = table.rows()
    assert line["boundary"].value == pytest.approx(100) and "missed" not in line


def test_damaged_predictions_are_a_footnote_and_none_make_no_table(tmp_path: Path) -> None:
    records = make_scored(tmp_path, targets=("de",))
    store = Records(tmp_path)
    store.sidecar(records[0].key, predictions_name("source-dev")).write_bytes(b"no gzip")
    (group,) = groups(read([tmp_path]))
    table = errors_table(group)
    assert (
        table is not None and len(table.footnotes) == 1 and "zero_shot, de: gold or predictions" in table.footnotes[0]
    )
    assert [line["correct"].seeds for line in table.rows()] == [2, 3]
    for record in records:
        store.sidecar(record.key, predictions_name("source-dev")).unlink()
    found = groups(read([tmp_path]))
    assert errors_table(found[0]) is None
    assert not [path for path in texts_of(tmp_path, ["md"], found) if path.name.startswith("errors")]
