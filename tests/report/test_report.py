"""Tables of stored records: gaps, footnotes, marks, averages, escaping, and the same bytes every time."""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import report as cli
from bench.core.errors import BadInput
from bench.measure.statistics import interval
from bench.report import frame, tables
from bench.report.scores import counts_of
from bench.report.tables.model import Entry, Table
from bench.report.tables.render import as_csv, escape_latex, escape_markdown, latex, markdown, terminal
from bench.store.record import Records
from tests.support.records_for_tests import CORPUS, Plan, cell_of, key_of, make, put, put_gap

QUALITY = {"zero_shot": 0.4, "concner": 0.7, "label_projection": 0.7, "gold_translation": 0.9}
HOSTILE = ("../x", "<b>bold</b>", "a|b", "a_b&c%", "$x$ #1 ~ ^ {y} \\z", "_lead_", "*star*", "new\nline")


def run(*words: str) -> int:
    """The verbs through a parser, as the command line has them."""
    parser = argparse.ArgumentParser()
    cli.add(parser.add_subparsers(required=True))
    args = parser.parse_args(words)
    return int(args.run(args))


def main_of(out: Path) -> Table:
    (table,) = tables.main_tables(frame.groups(frame.read([out])))
    return table


def cell(table: Table, label: str, column: str) -> Entry:
    return next(row[column] for row in table.rows() if row["method"].text == label)


def notes_of(table: Table, one: Entry) -> str:
    return "; ".join(table.footnotes[note - 1] for note in one.notes)


def test_main_table_prints_the_interval_of_the_pooled_counts(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, seeds=(1, 2, 3, 4)))
    stored = [s for s in frame.read([tmp_path]) if s.label == "concner" and s.target == "de"]
    counts = counts_of(stored)["source-dev"]
    assert counts.shape == (4, 80, 3)
    estimate, found = interval(counts), cell(main_of(tmp_path), "concner", "de")
    assert found.value == pytest.approx(100 * estimate.mean)
    assert found.limits == pytest.approx(tuple(100 * limit for limit in estimate.limits()))
    assert (found.seeds, found.n) == (4, 80)
    text = terminal(main_of(tmp_path))
    assert f"{found.value:.1f} ± {found.half:.1f}" in text
    assert "95 % interval over seeds and test sentences" in text


def test_gaps_have_a_text_and_a_footnote(tmp_path: Path) -> None:
    plan = Plan({"zero_shot": 0.4})
    make(tmp_path, plan)
    for seed in plan.seeds:
        put_gap(tmp_path, plan, "concner", "de", seed, "no translations into de")
        put_gap(tmp_path, plan, "concner", "fi", seed, "CUDA | out of memory", failed=True)
    put(tmp_path, Plan({"en_trans": 0.5}), "en_trans", "de", 1)
    put_gap(tmp_path, plan, "en_trans", "de", 2, "loss is NaN", failed=True)
    table = main_of(tmp_path)
    skipped, failed, part = (cell(table, *at) for at in (("concner", "de"), ("concner", "fi"), ("en_trans", "de")))
    assert skipped.text == "–" and "skipped: no translations into de" in notes_of(table, skipped)
    assert failed.text == "failed" and notes_of(table, failed) == "failed: ValueError: CUDA | out of memory"
    assert part.value is not None and part.seeds == 1
    assert notes_of(table, part).startswith("1 of 3 seeds; failed: ValueError: loss is NaN; no record")
    absent = cell(table, "en_trans", "fi")
    assert absent.text == "–" and "no record" in notes_of(table, absent)
    assert "second line" not in markdown(table)
    rows = list(csv.DictReader(as_csv(table).splitlines()))
    gap = next(row for row in rows if (row["method"], row["language"]) == ("concner", "fi"))
    assert (gap["mean"], gap["status"]) == ("", "failed")


def test_macro_is_over_the_languages_that_all_methods_have(tmp_path: Path) -> None:
    plan = Plan({"zero_shot": 0.4, "concner": 0.7}, targets=("de", "fi", "zh"))
    make(tmp_path, plan)
    make(tmp_path, Plan({"label_projection": 0.6}, targets=("de", "fi")))
    make(tmp_path, Plan({"en_trans": 0.5}, targets=("fi",)))
    make(tmp_path, Plan({"target_supervised": 0.9}, targets=("de",), oracles=("target_supervised",)))
    table = main_of(tmp_path)
    means = [cell(table, "concner", target).value or 0 for target in ("de", "fi", "zh")]
    assert cell(table, "concner", "macro").value == pytest.approx(np.mean(means))
    assert any("mean over de, fi, zh (where" in note for note in table.notes)
    for label in ("label_projection", "en_trans", "target_supervised"):  # narrow nobody's average
        macro = cell(table, label, "macro")
        assert macro.value is None and "no number for" in notes_of(table, macro)
    labels = [row["method"].text for row in table.rows()]
    assert set(labels[:2]) == {"concner", "zero_shot"} and labels[-1] == "target_supervised"
    assert table.blocks == {2: "not in every language", 4: "oracles"}
    for text, expected in (
        (markdown(table), "| *oracles* |"),
        (latex(table), r"\emph{oracles}"),
        (terminal(table), "(oracles)"),
    ):
        assert expected in text
    # a contrast has its own languages, so that nobody else decides over what its average is
    lead = next(text for text in table.lead if text.startswith("label_projection − en_trans"))
    assert " F1 in fi (97.5 %" in lead, "at the level at which Holm tests the first of two"
    assert "on average over three languages" in next(
        x for x in main_of_without(tmp_path, "en_trans").lead if x.startswith("concner")
    )


def main_of_without(out: Path, label: str) -> Table:
    for record in Records(out).all():
        if record.cell["label"] == label:
            Records(out).path(record.key).unlink()
    return main_of(out)


def test_oracles_are_marked_last_and_never_best(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, oracles=("gold_translation",), seeds=(1, 2, 3, 4, 5)))
    table = main_of(tmp_path)
    labels = [row["method"] for row in table.rows()]
    assert labels[-1].text == "gold_translation" and labels[-1].oracle
    assert not any(label.oracle for label in labels[:-1])
    gold, best = cell(table, "gold_translation", "de"), cell(table, "concner", "de")
    assert (gold.value or 0) > (best.value or 0) and not gold.bold
    one, two = sorted((best, cell(table, "label_projection", "de")), key=lambda entry: entry.value or 0)
    assert two.bold and one.near and not one.bold and not two.near  # not distinguishable
    assert not cell(table, "zero_shot", "de").bold and not cell(table, "zero_shot", "de").near
    assert f"{one.shown} ± {one.half:.1f}°" in terminal(table) and f"**{two.shown}" in markdown(table)
    assert "gold_translation †" in terminal(table) and any(note.startswith("†") for note in table.notes)


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_below_three_seeds_nothing_is_marked_and_the_note_says_why(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    make(tmp_path, Plan(QUALITY, seeds=seeds))
    table = main_of(tmp_path)
    assert not any(one.bold for row in table.rows() for one in row.values())
    text = terminal(table)
    assert "No marks in de, fi: the test needs at least 3 seeds" in text
    assert "over test sentences only" in text and "±" in text


@pytest.mark.parametrize("best", [True, False])
def test_a_row_with_too_few_seeds_silences_no_other(tmp_path: Path, best: bool) -> None:
    make(tmp_path, Plan(QUALITY | {"new": 1.0 if best else 0.2}, seeds=(1, 2, 3, 4, 5)))
    whole = main_of(tmp_path)
    for record in Records(tmp_path).all():
        if record.cell["label"] == "new" and record.cell["target"] == "de" and record.cell["seed"] > 2:
            Records(tmp_path).path(record.key).unlink()
    table = main_of(tmp_path)
    assert cell(whole, "new", "de").bold is best
    assert not cell(table, "new", "de").bold and not cell(table, "new", "de").near
    assert cell(table, "gold_translation", "de").bold, "the highest of the others"
    assert cell(table, "new", "fi").bold is best, "where it has all seeds it is tested"
    assert "In de bold is the highest of the tested rows" in terminal(table)


def test_methods_that_train_the_same_thing_are_marked_together(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a": 0.7, "a+b": 0.7, "zero_shot": 0.3}))
    table = main_of(tmp_path)
    assert cell(table, "a", "de").value == cell(table, "a+b", "de").value
    assert cell(table, "a", "de").bold and cell(table, "a+b", "de").bold


def test_head_notes(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY))
    table = main_of(tmp_path)
    text = " ".join([table.title, *table.notes])
    for expected in (
        "synthetic: no evidence about languages",
        "upper bound on translation quality",
        "CC0",
        "encoder org/enc",
        "steps 500; batch 32; seeds 1, 2, 3",
        "strict IOB2",
        "Checkpoint: source-dev",
    ):
        assert expected in text
    assert "last" in table.frame.columns
    assert cell(table, "concner", "last").value != cell(table, "concner", "macro").value


def test_same_records_same_bytes_whatever_the_order_of_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "toy", tmp_path / "b" / "toy"
    make(first, Plan(QUALITY))
    for label in reversed(list(QUALITY)):
        make(second, Plan({label: QUALITY[label]}))
    written = tables.write_tables(first), tables.write_tables(second), tables.write_tables(first)
    names = [[path.name for path in paths] for paths in written]
    assert names[0] == names[1] and len(names[0]) == 8 * 3 + 1
    for a, b in zip(written[0], written[1], strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_the_suite_is_the_matrix_of_the_records_whatever_the_folder_is_called(tmp_path: Path) -> None:
    make(tmp_path / "a", Plan(QUALITY))
    make(tmp_path / "another name", Plan(QUALITY))
    written = tables.write_tables(tmp_path / "a"), tables.write_tables(tmp_path / "another name")
    for a, b in zip(*written, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
    assert {one.suite for one in frame.read([tmp_path / "a"])} == {"toy"}
    together = frame.read([tmp_path / "a", tmp_path / "another name"])
    assert {one.suite for one in together} == {"a", "another name"}, "of one matrix: the folders' names"


def test_missing_or_wrong_counts_give_no_interval(tmp_path: Path) -> None:
    (one, two) = make(tmp_path, Plan({"zero_shot": 0.4, "concner": 0.7}, targets=("de",), seeds=(1,)))
    store = Records(tmp_path)
    store.sidecar(one.key, "counts.npz").unlink()
    counts = store.counts(two.key)
    store.put_counts(two.key, {rule: array[:40] for rule, array in counts.items()}, ("LOC", "PER"))
    table = main_of(tmp_path)
    for label, why in (("zero_shot", "missing"), ("concner", "not that of the stored counts")):
        found = cell(table, label, "de")
        assert found.value is not None and found.half is None and why in notes_of(table, found)


@pytest.mark.parametrize("rules", [("source-dev", "last"), ("last",), ("target-dev", "last")])
def test_search_keeps_the_trial_that_source_dev_chose(tmp_path: Path, rules: tuple[str, ...]) -> None:
    for trial, dev, quality in ((1, 0.6, 0.9), (2, 0.8, 0.5), (3, 0.8, 0.7)):
        plan = Plan({"concner": quality}, targets=("de",), seeds=(1,), rules=rules, cell={"trial": trial})
        record = put(tmp_path, plan, "concner", "de", 1)
        path = Records(tmp_path).path(record.key)
        value = json.loads(path.read_text())
        value["scores"][next(rule for rule in rules if rule != "target-dev")]["dev_f1"] = dev
        path.write_text(json.dumps(value))
    (kept,) = frame.read([tmp_path])
    assert kept.trial == 2
    assert "chosen on source dev" in terminal(main_of(tmp_path))


def test_two_records_for_a_cell_are_refused_unless_the_matrix_names_one(tmp_path: Path) -> None:
    plan = Plan({"concner": 0.7}, targets=("de",), seeds=(1,))
    old = put(tmp_path, plan, "concner", "de", 1)
    path = Records(tmp_path).path("other")
    path.write_text(Records(tmp_path).path(old.key).read_text().replace(f'"key": "{old.key}"', '"key": "other"'))
    with pytest.raises(BadInput, match="two records for concner / de / seed 1"):
        frame.read([tmp_path])
    (tmp_path / "matrix.json").write_text(json.dumps({"name": "toy", "cells": [{"key": "other"}]}))
    assert [one.record.key for one in frame.read([tmp_path])] == ["other"]


def test_other_source_sentences_in_the_same_folder_replace_the_old_ones(tmp_path: Path) -> None:
    old, new = (Plan({"concner": quality}, cell={"n_source": n}) for n, quality in ((1000, 0.9), (200, 0.5)))
    make(tmp_path, old)
    cells = [{"key": record.key, **record.cell} for record in make(tmp_path, new)]
    (tmp_path / "matrix.json").write_text(json.dumps({"name": "toy", "cells": cells}))
    read = frame.read([tmp_path])
    assert len(read) == 6 and {run.record.cell["n_source"] for run in read} == {200}


def test_no_mean_is_over_two_settings(tmp_path: Path) -> None:
    """A run with other settings that has not finished: its seeds, not those of the run before beside them."""
    old, new = (Plan({"concner": f1}, cell={"params": {"alpha": alpha}}) for alpha, f1 in ((1, 0.9), (2, 0.5)))
    before = make(tmp_path, old)
    asked = [{"key": record.key, **record.cell} for record in make(tmp_path, new)]
    (tmp_path / "matrix.json").write_text(json.dumps({"name": "toy", "cells": asked}))
    for cell in asked[1:]:
        Records(tmp_path).path(cell["key"]).unlink()
    assert [run.record.key for run in frame.read([tmp_path])] == [asked[0]["key"]]
    Records(tmp_path).path(asked[0]["key"]).unlink()
    read = frame.read([tmp_path])
    assert {run.record.key for run in read} == {record.key for record in before}, "nothing else has run yet"


def test_axes_and_encoders_have_tables_of_their_own(tmp_path: Path) -> None:
    for value in ([1], [-1]):
        make(tmp_path, Plan({"zero_shot": 0.4}, cell={"axes": {"x.y": value}}))
    names = [table.name for table in tables.main_tables(frame.groups(frame.read([tmp_path])))]
    assert len(set(names)) == 2 and all(re.fullmatch(r"main-[\w=.-]+", name) for name in names)


def test_the_matrix_gives_the_order(tmp_path: Path) -> None:
    plan = Plan({"b": 0.5, "a": 0.6}, targets=("zh", "de"))
    cells = [{"key": record.key, **record.cell} for record in make(tmp_path, plan)]
    (tmp_path / "matrix.json").write_text(json.dumps({"name": "toy", "cells": cells}))
    table = main_of(tmp_path)
    assert [row["method"].text for row in table.rows()] == ["b", "a"]
    assert list(table.frame.columns)[1:3] == ["zh", "de"]


def test_cost_says_unknown_and_never_0(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.4, "en_trans": 0.7}))
    (group,) = frame.groups(frame.read([tmp_path]))
    table = tables.quantities.cost_table(group)
    assert table is not None
    unknown = cell(table, "en_trans", "seconds")
    assert unknown.text == "n/a" and notes_of(table, unknown) == "unknown"
    assert cell(table, "zero_shot", "seconds").value == 12.5 * len("zero_shot")
    assert cell(table, "zero_shot", "ratio").text == "n/a", "its baseline does not say"
    assert cell(table, "zero_shot", "TFLOP").text == "n/a"


def test_other_tables(tmp_path: Path) -> None:
    quality = {"zero_shot": 0.4, "label_projection": 0.6, "target_supervised": 0.9}
    plan = Plan(quality, oracles=("target_supervised",), rules=("source-dev", "last", "target-dev"))
    make(tmp_path, plan)
    (group,) = frame.groups(frame.read([tmp_path]))
    made = {table.name: table for table in tables.all_tables([group])}
    assert set(made) == {"main", "contrasts", "groups", "types", "seen", "rules", "gap", "cost", "projection"}
    seen = [row for row in made["seen"].rows() if row["method"].text == "zero_shot"]
    assert [(row["entities"].text, row["de"].value, row["de"].text) for row in seen] == [
        ("seen", 75.0, ""),
        ("unseen", None, "n/a"),
    ]
    assert {row["type"].text for row in made["types"].rows()} == {"LOC", "PER"}
    assert [row["rule"].oracle for row in made["rules"].rows()] == [False] * 6 + [True] * 3
    (projected,) = [row for row in made["projection"].rows() if row["language"].text == "de"]
    assert list(projected)[2:] == ["projected", "dropped: no link"] and projected["projected"].value == 92
    (gap,) = made["gap"].rows()
    assert gap["method"].text == "label_projection" and 0 < (gap["de"].value or 0) < 100


def is_letter(c: str) -> bool:
    """Not ASCII, and no sign that is typeset as mathematics."""
    return ord(c) > 127 and c not in "±†°×·−≤≥→αβτ"


def balanced(text: str) -> bool:
    """Whether the braces of LaTeX are closed, with \\{ and \\} left out."""
    depth = 0
    for c in re.sub(r"\\[\\{}]", "", text):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if depth < 0:
            return False
    return depth == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(tmp_path: Path, name: str) -> None:
    make(tmp_path, Plan({name: 0.5}, targets=("de",), corpus={**CORPUS, "title": name}))
    written = tables.write_tables(tmp_path)
    assert all(path.parent == tmp_path / "tables" for path in written)
    md = (tmp_path / "tables" / "main.md").read_text()
    rows = [line for line in md.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1 and "<b>" not in md
    tex = (tmp_path / "tables" / "main.tex").read_text()
    assert balanced(tex)
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in tex.splitlines() if line.endswith(r"\\")}) == 1
    rows_csv = list(csv.DictReader((tmp_path / "tables" / "main.csv").open()))
    assert rows_csv[0]["method"] == " ".join(name.split())


@given(st.text(max_size=30))
def test_escapes_leave_no_live_character(text: str) -> None:
    assert not re.search(r"(?<!\\)[|*`\[\]]", escape_markdown(text).replace("\\\\", "")) and "<" not in escape_markdown(
        text
    )
    assert balanced(escape_latex(text))
    assert not re.search(r"(?<!\\)[#%&_]", escape_latex(text))
    assert not re.search(r"(?<!\\)~", escape_latex(text))
    assert [c for c in escape_latex(text) if ord(c) > 127] == [c for c in text if c.isprintable() and is_letter(c)]


def test_a_row_that_begins_with_a_bracket_is_no_latex_option() -> None:
    table = Table("t", "t", ("method",), pd.DataFrame({"method": [Entry(text="[x]")], "de": [Entry(1.0)]}))
    assert "{[x]} & 1.0" in latex(table)


def test_no_records_and_no_folder_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere: no such folder; make them with `xner run MATRIX --out"):
        frame.read([tmp_path / "nowhere"])
    (tmp_path / "records").mkdir()
    with pytest.raises(BadInput, match="no records here"):
        frame.read([tmp_path])


def test_a_misspelt_folder_is_told_its_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("results/uner-reference", "results/demo", "elsewhere/uner-mt"):
        (tmp_path / name / "records").mkdir(parents=True)
    for written, meant in (("uner-refrence", "results/uner-reference"), ("elsewhere/uner-mr", "elsewhere/uner-mt")):
        with pytest.raises(BadInput, match=rf"^{written}: no such folder.*; did you mean '{meant}'\?$"):
            frame.read([Path(written)])


def test_tables_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("results/toy"), Plan(QUALITY))
    make(Path("results/other"), Plan({"zero_shot": 0.5}))
    assert run("tables", "toy", "--format", "md") == 0
    assert "concner" in capsys.readouterr().out
    assert Path("results/toy/tables/main.md").exists() and not Path("results/toy/tables/main.csv").exists()
    assert run("tables", "toy", "other", "--json") == 0
    value = json.loads(capsys.readouterr().out)
    (table,) = value["tables"]
    assert {row["suite"] for row in table["rows"]} == {"toy", "other"}
    assert all(Path(file).is_relative_to(tmp_path / "results" / "toy+other") for file in value["files"])
    with pytest.raises(BadInput, match="did you mean 'latex'"):
        run("tables", "toy", "--format", "latx")


def test_status_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan({"zero_shot": 0.4}, targets=("de",), seeds=(1, 2))
    done = make(tmp_path, plan)
    bad = put_gap(tmp_path, plan, "concner", "de", 1, "no memory", failed=True)
    assert run("status", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "1 x failed: ValueError: no memory" in text and "2 ok, 1 failed, 0 skipped, 0 missing" in text
    missing = {"key": key_of("concner", "de", 2), **cell_of(plan, "concner", "de", 2)}
    cells = [{"key": record.key, **record.cell} for record in (*done, bad)]
    (tmp_path / "matrix.json").write_text(json.dumps({"name": "toy", "cells": [*cells, missing]}))
    assert run("status", str(tmp_path), "--json") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["total"] == {"ok": 2, "failed": 1, "skipped": 0, "missing": 1}
    assert value["cells"][1]["why"] == {"failed: ValueError: no memory": 1}


def test_importing_the_verbs_is_cheap() -> None:
    code = "import sys, bench.cli.report; sys.exit(bool({'pandas', 'matplotlib', 'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.slow
def test_the_report_side_never_imports_torch() -> None:
    code = "import sys, bench.report.tables, bench.report.plots; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
