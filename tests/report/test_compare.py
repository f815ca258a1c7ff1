"""`xner compare`: what it tests, what it refuses to, and what it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli.main import main
from bench.measure.statistics import difference, holm
from bench.plan.sections import TablesSpec
from bench.report import frame
from bench.report.compare import Comparison, ComparisonLine, judged_together
from bench.report.contrasts import baseline_of, compare, contrasts_of
from bench.report.declared import contrasts_in_order, numbers_declared
from bench.report.frame import groups, read
from bench.report.plots.methods import forest_figure
from bench.report.scores import average_gap, counts_of, marks_of, p_value, scores_of
from bench.report.tables.paper import shown_of
from bench.report.tables.scores import contrasts_table
from bench.report.verdicts import conclusions, sentence, text
from bench.store.record import Contrast, Records, Written, add_cells
from bench.store.record import contrasts as declared_contrasts
from tests.support.records_for_tests import CORPUS, Plan, make, put, put_gap
from tests.support.records_for_tests import counts_of as counts_for

QUALITY = {"zero_shot": 0.4, "en_trans": 0.7, "concner": 0.72}
FACTORS = {"data": "both", "labels_from": "projection (plain)", "loss_terms": "cross-entropy"}


def one(out: Path, a: str = "concner", b: str = "zero_shot", rule: str = "") -> Comparison:
    (found,) = compare(out, a, b, rule)
    return found


def line(found: Comparison, target: str) -> ComparisonLine:
    return next(line for line in found.lines if line.name == target)


def xner(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def change(out: Path, label: str, **more: Any) -> None:
    """Replace fields of a label's records; `cell` and `cost` are updated."""
    store = Records(out)
    for record in store.all():
        if record.cell["label"] == label:
            cell = {**record.cell, **more.get("cell", {})}
            cost = replace(record.cost, **more.get("cost", {}))
            store.put(replace(record, **{**more, "cell": cell, "cost": cost}))


def test_numbers_are_those_of_the_paired_difference(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, targets=("de", "fi", "zh"), seeds=(1, 2, 3, 4)))
    found = one(tmp_path, "concner", "en_trans")
    assert (found.rule, [x.name for x in found.lines]) == ("source-dev", ["de", "fi", "zh"])
    p_values = []
    for target in ("de", "fi", "zh"):
        counts = [
            counts_of([s for s in frame.read([tmp_path]) if (s.label, s.target) == (label, target)])["source-dev"]
            for label in ("concner", "en_trans")
        ]
        expected = difference(counts[0], counts[1])
        narrow = expected.limits(0.9)
        here = line(found, target)
        assert here.difference == pytest.approx(100 * expected.mean)
        assert here.interval == pytest.approx(tuple(100 * limit for limit in expected.limits()))
        assert here.p == pytest.approx(expected.p)
        assert here.equivalent == (narrow[0] > -0.01 and narrow[1] < 0.01)
        assert (here.seeds, here.sentences) == ((1, 2, 3, 4), 80)
        p_values.append(expected.p)
    assert [x.p_holm for x in found.lines] == pytest.approx(holm(p_values))
    assert found.macro.difference == pytest.approx(np.mean([x.difference for x in found.lines]))
    back = one(tmp_path, "en_trans", "concner")
    assert [x.difference for x in back.lines] == pytest.approx([-(x.difference or 0) for x in found.lines])
    assert back.macro.p == pytest.approx(found.macro.p)


def test_better_worse_and_their_words(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY))
    found = one(tmp_path)
    assert [x.verdict for x in (*found.lines, found.macro)] == ["better"] * 3
    assert found.macro.p is not None and found.macro.p < 0.01
    said = conclusions(found)
    assert re.match(r"concner − zero_shot: \+[\d.]+ F1 on average over two languages \(95 % \+[\d.]+ to \+", said[0])
    assert "significantly higher (p = 0.004). Better in two, worse in none, undecided in none." in said[0]
    assert said[1] == "concner is significantly better in de, fi."
    low, high = found.macro.interval or (0.0, 0.0)
    named = re.match(
        r"Seeds make up (\d+) % of the difference's variance, .* with 6 seeds .* ±(.*) instead of ±(.*)\.$", said[2]
    )
    assert named and 0 < int(named[1]) <= 100 and float(named[2]) < float(named[3])
    assert float(named[3]) == pytest.approx((high - low) / 2, abs=0.051)
    worse = conclusions(one(tmp_path, "zero_shot", "concner"))
    assert worse[1] == "zero_shot is significantly worse in de, fi." and "significantly lower" in worse[0]
    assert worse[0].partition(" F1 ")[0].endswith(said[0].partition(" F1 ")[0].rpartition("+")[2]), "the same size"


def test_one_training_under_two_names(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a": 0.7, "a+b": 0.7}))
    found = one(tmp_path, "a", "a+b")
    assert {x.verdict for x in found.lines} == {"same"} and found.macro.verdict == "same"
    assert found.macro.p == 1.0 and found.macro.equivalent
    said = conclusions(found)
    assert said[1] == "a is the same (in every sentence) in de, fi." and not any("Seeds make up" in x for x in said)
    assert "Better in none, worse in none, equivalent in two, undecided in none." in said[0]


def test_equivalence_needs_a_narrow_interval(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a": 0.7, "b": 0.7}, targets=("de",), sentences=6000, seeds=(1, 2, 3, 4, 5)))
    wide = tmp_path / "wide"
    make(wide, Plan({"a": 0.7, "b": 0.7}, targets=("de",), sentences=60))
    assert line(one(tmp_path, "a", "b"), "de").equivalent
    found = line(one(wide, "a", "b"), "de")
    assert found.equivalent is False and found.verdict == "undecided"
    said = conclusions(one(wide, "a", "b"))
    assert "no difference shown; a difference above 1 F1 is not excluded." in said[0] and " F1 in de (" in said[0]
    assert said[1].startswith("a is not significantly different in de (")


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_below_three_seeds_nothing_is_tested(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    make(tmp_path, Plan(QUALITY, seeds=seeds))
    found = one(tmp_path)
    for here in (*found.lines, found.macro):
        assert (here.p, here.p_holm, here.equivalent, here.verdict) == (None, None, None, "no test")
        assert here.interval is not None and here.what == "test sentences only"
    said = conclusions(found)
    assert said[1] == "concner is not tested (fewer than 3 seeds) in de, fi." and "better" not in " ".join(said)


def test_only_seeds_that_both_have(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.4}, seeds=(1, 2, 3, 4)))
    make(tmp_path, Plan({"concner": 0.7}, seeds=(2, 3, 4, 9)))
    found = line(one(tmp_path), "de")
    assert found.seeds == (2, 3, 4) and "1, 9" in found.note
    assert found.difference == pytest.approx((found.a or 0) - (found.b or 0))
    make(tmp_path / "apart", Plan({"zero_shot": 0.4}, seeds=(1,)))
    make(tmp_path / "apart", Plan({"concner": 0.4}, seeds=(2,)))
    apart = one(tmp_path / "apart")
    assert apart.macro.difference is None and "no seed in common (2 and 1)" in apart.lines[0].note


def test_gaps_and_other_tests_stay_gaps_and_leave_the_average(tmp_path: Path) -> None:
    plan = Plan({"zero_shot": 0.4, "concner": 0.7})
    make(tmp_path, plan)
    for seed in plan.seeds:
        put(tmp_path, Plan({"zero_shot": 0.4}), "zero_shot", "zh", seed)
        put_gap(tmp_path, plan, "concner", "zh", seed, "no translations into zh")
        put(tmp_path, Plan({"zero_shot": 0.4}), "zero_shot", "pt", seed)
        put(tmp_path, Plan({"concner": 0.7}, corpus={**CORPUS, "test": "another"}), "concner", "pt", seed)
    found = one(tmp_path)
    assert found.languages == ("de", "fi")
    gap, other = line(found, "zh"), line(found, "pt")
    assert (gap.verdict, other.verdict) == ("gap", "gap")
    assert "concner: skipped: no translations into zh" in gap.note and other.note == "scored on different tests"
    said = "not to be compared in pt (scored on different tests), zh (concner: skipped: no translations into zh)."
    assert conclusions(found)[1].endswith(said)


def test_missing_counts_leave_the_difference_and_no_test(tmp_path: Path) -> None:
    records = make(tmp_path, Plan({"zero_shot": 0.4, "concner": 0.7}))
    path = Records(tmp_path).sidecar(records[0].key, "counts.npz")
    path.write_bytes(path.read_bytes()[:100])
    found = one(tmp_path)
    assert line(found, "de").verdict == "no interval" and line(found, "fi").verdict == "better"
    assert found.macro.verdict == "no interval" and found.macro.difference is not None
    assert "F1 on average over two languages: not tested, for lack of counts by sentence." in conclusions(found)[0]


def test_factors_and_settings(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.4, "en_trans": 0.7, "concner": 0.7}))
    change(tmp_path, "en_trans", factors=FACTORS)
    change(tmp_path, "concner", factors={**FACTORS, "loss_terms": "cross-entropy + LCL"})
    found = one(tmp_path, "concner", "en_trans")
    assert found.factors == {"loss_terms": ("cross-entropy + LCL", "cross-entropy")} and not found.settings
    assert "They differ in loss terms only, to which a difference may be credited." in conclusions(found)
    change(tmp_path, "en_trans", cost={"steps": 250})
    found = one(tmp_path, "concner", "en_trans")
    assert found.settings == {"steps": ("500", "250")}
    (said,) = [x for x in conclusions(found) if x.startswith("They differ")]
    assert "a difference is not due to any one of them alone" in said and "budgets are unequal (steps)" in said
    assert one(tmp_path, "concner", "zero_shot").factors["data"] == ("both", "unknown")


def test_what_a_search_chose_is_a_difference_in_settings(tmp_path: Path) -> None:
    make(tmp_path, Plan({"en_trans": 0.7, "concner": 0.7}))
    settings = {"trial": 6, "dev_f1": 0.68, "lr": 2e-4, "params": {"alpha": 0.05}}
    change(tmp_path, "concner", cell={"settings": settings})
    change(tmp_path, "en_trans", cell={"settings": {"trial": 3, "dev_f1": 0.69, "lr": 4e-4}})
    found = one(tmp_path, "concner", "en_trans")
    assert found.settings == {"lr": ("0.0002", "0.0004"), "own settings": ('{"alpha":0.05}', "n/a")}
    assert "They differ in 2 respects (lr, own settings)" in " ".join(conclusions(found))


def declare(out: Path, *contrasts: Contrast) -> None:
    """matrix.json of the records, as a matrix with these contrasts writes it."""
    cells = [{"key": record.key, **record.cell} for record in Records(out).all()]
    add_cells(out, cells, "toy", [Written("toy.toml", "", contrasts=contrasts)])


def test_contrasts_declared_in_advance(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY))
    declare(tmp_path, Contrast("concner", "en_trans", "the question", primary=True))
    for a, b in (("concner", "en_trans"), ("en_trans", "concner")):
        found = one(tmp_path, a, b)
        assert (found.declared, found.primary) == ("the question", True)
        assert "Declared in advance: the question." in conclusions(found)
        assert found.title == ("the question" if a == "concner" else "en_trans − concner"), "the sign is A - B"
    assert not one(tmp_path, "concner", "zero_shot").declared
    other_rule = one(tmp_path, "concner", "en_trans", "last")
    assert not other_rule.declared and "the rule last is not the main one" in " ".join(conclusions(other_rule))


TEXT = "".join(f'[[contrast]]\na = "a"\nb = "b"\nname = "{n}"\n' for n in range(3)) + "primary = true\n"


def test_a_declared_contrast_has_one_p_whatever_has_run_and_whoever_asks(tmp_path: Path) -> None:
    """Holm counts the contrasts that the file declares; a run that --set narrowed takes none away."""
    make(tmp_path, Plan(QUALITY))
    contrasts = (Contrast("concner", "zero_shot", "first"), Contrast("concner", "en_trans", "second"))
    cells = [{"key": record.key, **record.cell} for record in Records(tmp_path).all()]
    whole, part = (
        Written("toy.toml", TEXT, ("more=1",), contrasts=contrasts[:1]),
        Written("toy.toml", TEXT, ("narrowed=1",)),
    )
    add_cells(tmp_path, cells, "toy", [whole])
    add_cells(tmp_path, cells, "toy", [part])
    assert declared_contrasts(tmp_path) == [contrasts[0]] and numbers_declared(tmp_path) == (1, 2)
    first, again = one(tmp_path, "concner", "zero_shot"), one(tmp_path, "zero_shot", "concner")
    p = first.macro.p or 0.0
    assert first.declared and 0 < p < 0.5
    assert first.macro.p_holm == again.macro.p_holm == pytest.approx(2 * p)
    together = first.macro.together or (0.0, 0.0)
    assert again.macro.together == pytest.approx((-together[1], -together[0]))
    (listed,) = contrasts_of(groups(read([tmp_path]))[0])
    assert listed.macro.together == together and listed.macro.p_holm == first.macro.p_holm
    add_cells(tmp_path, cells, "toy", [Written("toy.toml", "", contrasts=contrasts[1:])])
    assert declared_contrasts(tmp_path) == [contrasts[1]], "an edited file declares what it says now"


@pytest.mark.parametrize("sizes", ['"data.n_source"', "data.n_source"])
def test_a_contrast_of_each_table_counts(tmp_path: Path, sizes: str) -> None:
    """Axes that make tables of their own, and encoders unless the contrast names one; rows' axes make pairs of rows."""
    axes = f"""[axes]
encoders = ["org/enc", "other"]
targets = ["de", "fi", "zh"]
{sizes} = [100, 300, 1000]
"labels.translator" = ["files", "nllb"]
"""
    text = axes + TEXT + '[[contrast]]\na = "a"\nb = "b"\nname = "e"\nprimary = true\nencoder = "other"\n'
    make(tmp_path, Plan(QUALITY))
    cells = [{"key": record.key, **record.cell} for record in Records(tmp_path).all()]
    declared = [Contrast("concner", "en_trans", "ours"), Contrast("concner", "zero_shot", "others", encoder="other")]
    add_cells(tmp_path, cells, "toy", [Written("toy.toml", text, contrasts=tuple(declared))])
    assert numbers_declared(tmp_path) == (1 * 3 * 2 + 3, 2 * 3 * 2)
    found = one(tmp_path, "concner", "en_trans")
    assert found.macro.p_holm == pytest.approx(min(1.0, 12 * (found.macro.p or 0.0)))
    said = next(text for text in conclusions(found) if text.startswith("Declared"))
    assert said == "Declared in advance: ours, for zh, too, which is not here."
    assert not one(tmp_path, "concner", "zero_shot").declared, "that is declared for another encoder"
    again = text.replace('"0"', '"zeroth"') + "".join(
        f'[[contrast]]\na = "a"\nb = "b"\nname = "{n}"\n' for n in ("z", "y")
    )
    z, y = (Contrast("concner", other, name) for other, name in (("en_trans", "z"), ("zero_shot", "y: rows")))
    add_cells(
        tmp_path, cells, "toy", [Written("m.toml", again, contrasts=(y,)), Written("m.toml", again, contrasts=(z,))]
    )
    assert [c.name for c in contrasts_in_order(tmp_path) if c in (z, y)] == ["z", "y: rows"], "the file's order"
    add_cells(tmp_path, cells, "toy", [Written("m.toml", "")])
    add_cells(tmp_path, cells, "toy", [Written("more.toml", "[axes]\ntargets = ['sw']\n")])
    assert said in conclusions(one(tmp_path, "concner", "en_trans")), "another file declares nothing of this"
    rows = [Contrast(f"concner ({x})", f"en_trans ({x})", f"e: concner ({x}) - en_trans ({x})") for x in ("a", "b")]
    add_cells(tmp_path, cells, "toy", [Written("toy.toml", text, contrasts=(*declared, *rows))])
    assert numbers_declared(tmp_path) == (1 * 3 * 2 + 2 * 3, 2 * 3 * 2), "a contrast of methods is one of each pair"


@pytest.mark.parametrize("seeds", [(1, 2), (1, 2, 3)])
def test_an_interval_over_test_sentences_says_so(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    """In the sentence, in the table of contrasts, whose outcomes are then counted as not tested, and in the figure."""
    make(tmp_path, Plan({"concner": 0.7, "en_trans": 0.5}, seeds=seeds))
    (group,) = groups(read([tmp_path]))
    (found,) = contrasts_of(group)
    few = len(seeds) < 3
    table = contrasts_table(group)
    assert table is not None
    assert ("(95 %, test sentences only: +" in sentence(found)) is few
    assert ("over test sentences only, and not tested" in " ".join(table.notes)) is few
    assert any("not tested" in column for column in table.frame.columns) is few
    figure = forest_figure(group)
    assert figure is not None
    assert any("over test sentences only" in text.get_text().replace("\n", " ") for text in figure.texts) is few


def test_marks_count_all_pairs_of_a_column(tmp_path: Path) -> None:
    """The highest row is chosen by the data, so Holm counts every pair that it was chosen from."""
    differing = 0
    for hundredths in range(3, 9):
        out = tmp_path / str(hundredths)
        make(out, Plan({f"m{n}": 0.4 + 0.01 * hundredths * n for n in range(5)}, targets=("de",)))
        (group,) = groups(read([out]))
        column = {row: scores_of(group, group.main_rule)[row, "de"] for row in group.rows}
        best = max(column, key=lambda row: column[row].mean or 0.0)
        raw = {row: p_value(column[best], column[row]) for row in column if row != best}
        near, nearest = (
            {best}
            | {row for row, p in zip(raw, holm([*raw.values(), *others]), strict=False) if p is None or p >= 0.05}
            for others in ([1.0] * 6, [])
        )
        assert set(marks_of(column).best) == near
        differing += near != nearest
    assert differing, "else the family would not matter here"


def test_the_gap_of_two_rows_is_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    make(tmp_path, Plan({"concner": 0.7, "en_trans": 0.5}, seeds=(1, 2, 3)))
    make(tmp_path, Plan({"concner": 0.2}, seeds=(4,)))
    (group,) = groups(read([tmp_path]))
    found = one(tmp_path, "concner", "en_trans")
    assert found.macro.difference == pytest.approx(average_gap(group, group.targets, *group.rows))


def test_an_average_over_some_languages_is_exploratory(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, targets=("de", "fi", "zh")))
    declare(tmp_path, Contrast("concner", "zero_shot", "the question", primary=True))
    (group,) = groups(read([tmp_path]))
    assert contrasts_of(shown_of(group, TablesSpec()))[0].declared
    assert not any(found.declared for found in contrasts_of(shown_of(group, TablesSpec(columns=("de", "fi", "macro")))))


@given(st.lists(st.floats(0.3, 0.9), min_size=2, max_size=5), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_an_interval_leaves_out_0_exactly_where_holm_rejects(qualities: list[float], seed: int) -> None:
    counts = [
        [counts_for(q, name, str(n + seed), r, 60) for r in (1, 2, 3)] for n, q in enumerate(qualities) for name in "ab"
    ]
    stacked = [np.stack(seeds).sum(axis=2) for seeds in counts]
    estimates = [difference(x, y) for x, y in zip(stacked[::2], stacked[1::2], strict=True)]
    lines = judged_together(
        [ComparisonLine(str(n), p=e.p, difference=e.mean, estimate=e) for n, e in enumerate(estimates)]
    )
    for line in lines:
        assert line.together is not None and line.p_holm is not None
        assert (line.together[0] > 0 or line.together[1] < 0) == (line.p_holm < 0.05)


def test_seeds_that_agree_on_average_by_luck_make_no_equivalence(tmp_path: Path) -> None:
    """Two languages whose seeds go opposite ways: the average of every seed is the same, each language's is not."""
    for label in "ab":
        for target in ("de", "fi"):
            for seed in (1, 2, 3):
                moved = (seed - 2) * (1 if target == "de" else -1) * (0.06 if label == "a" else 0.0)
                put(tmp_path, Plan({label: 0.6 + moved}, sentences=4000), label, target, seed)
    macro = one(tmp_path, "a", "b").macro
    assert macro.estimate is not None and macro.narrow is not None
    low, high = (100 * limit for limit in macro.estimate.limits(0.9))
    assert macro.narrow[1] - macro.narrow[0] > 2 * (high - low) and not macro.equivalent


def test_label_axes_name_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, Plan({"zero_shot": 0.4}))
    for aligner in ("simalign", "statistical"):
        make(tmp_path, Plan({"concner": 0.7}, cell={"axes": {"labels.aligner": aligner}}))
        make(tmp_path, Plan({"en_trans": 0.6}, cell={"axes": {"labels.aligner": aligner}}))
    declare(tmp_path, Contrast("concner (simalign)", "en_trans (simalign)", "the question"))
    found = one(tmp_path, "concner (simalign)", "en_trans (simalign)")
    assert found.declared and not found.settings
    crossed = one(tmp_path, "concner (simalign)", "en_trans (statistical)")
    assert not crossed.declared and crossed.settings["labels.aligner"] == ("simalign", "statistical")
    code, _, err = xner(capsys, "compare", tmp_path, "concner", "zero_shot")
    assert code == 2 and "name one: 'concner (simalign)', 'concner (statistical)'" in err


def test_a_block_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for encoder in ("org/one", "org/two"):
        make(tmp_path, Plan(QUALITY, cell={"encoder": encoder}))
    make(tmp_path, Plan({"concner": 0.4}, cell={"encoder": "org/three"}))
    assert [c.group.encoder for c in compare(tmp_path, "concner", "zero_shot")] == ["org/one", "org/two"]
    code, out, _ = xner(capsys, "compare", tmp_path, "concner", "zero_shot")
    assert code == 0 and out.count("95 % interval") >= 2 and "encoder org/two" in out


def test_oracles_synthetic_corpora_and_imports_are_said(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, oracles=("concner",), rules=("source-dev", "last", "target-dev")))
    change(tmp_path, "zero_shot", cell={"imported": True})
    said = " ".join(conclusions(one(tmp_path, rule="target-dev")))
    for expected in (
        "concner uses gold labels",
        "synthetic: no evidence",
        "zero_shot is imported",
        "looks at target labels",
    ):
        assert expected in said
    assert "They differ" not in said


def test_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, Plan(QUALITY))
    code, out, _ = xner(capsys, "compare", tmp_path, "concner", "zero_shot", "--rule", "last")
    assert code == 0 and "checkpoint last" in out and "Licence of the corpus: CC0" in out
    row = next(x for x in out.splitlines() if x.startswith("de "))
    found = line(one(tmp_path, rule="last"), "de")
    assert f"{found.difference:+.2f}" in row and f"{found.a:.2f}" in row
    assert text(one(tmp_path, rule="last")).strip() == out.strip()
    code, out, _ = xner(capsys, "compare", tmp_path, "concner", "zero_shot", "--json")
    (value,) = json.loads(out)
    assert (value["a"], value["b"], value["rule"], value["declared"]) == ("concner", "zero_shot", "source-dev", None)
    assert value["macro"]["over"] == ["de", "fi"] and value["languages"][0]["verdict"] == "better"
    assert value["conclusions"] == conclusions(one(tmp_path))


def test_without_names_the_declared_contrasts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, Plan(QUALITY))
    declare(tmp_path, Contrast("concner", "zero_shot", "the question"), Contrast("concner", "absent", "another"))
    code, out, _ = xner(capsys, "compare", tmp_path)
    assert code == 0 and out.count("95 % interval  ") == 1 and "Declared in advance: the question" in out


def test_without_names_nor_records_of_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, Plan({"concner": 0.4}))
    code, _, err = xner(capsys, "compare", tmp_path)
    assert code == 2 and "no contrast has records of both sides; name A and B" in err


def test_hostile_names_print_on_one_line(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a\nb\x1b[31m": 0.4, "c": 0.7}))
    shown = text(one(tmp_path, "a\nb\x1b[31m", "c"))
    assert "\x1b" not in shown and all("b [31m" in x for x in shown.splitlines() if x.startswith("a "))


@pytest.mark.parametrize(
    ("words", "message"),
    (
        (("concnr", "zero_shot"), "no method 'concnr' here; did you mean 'concner'?"),
        (("concner", "concner"), "cannot be compared with itself"),
        (("concner", "zero_shot", "--rule", "lst"), "--rule lst: no record has this rule; did you mean 'last'?"),
        (("concner", "elsewhere"), "no table has both: concner in corpus toy"),
        (("concner",), "name both A and B, or, for the declared contrasts, neither and no --rule"),
        (("--rule", "last"), "name both A and B, or, for the declared contrasts, neither and no --rule"),
    ),
)
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    make(tmp_path, Plan(QUALITY))
    make(tmp_path, Plan({"elsewhere": 0.4}, cell={"encoder": "org/other"}))
    code, _, err = xner(capsys, "compare", tmp_path, *words)
    assert code == 2 and message in err and len(err.splitlines()) == 1


def test_help_shows_percent_signs_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "95 % interval" in text and "%%" not in text


def test_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = xner(capsys, "compare", tmp_path / "nowhere", "a", "b")
    assert code == 2 and "no such folder" in err


@pytest.mark.parametrize(
    ("row", "base"),
    [
        ("concner (links, human)", "en_trans (links, human)"),
        ("label_projection (links, align, mt)", "en_trans (links, mt)"),
        ("label_projection (links, align, other)", "zero_shot"),
        ("zero_shot", "en_trans (links, human)"),
        ("en_trans (links, mt)", "en_trans (links, mt)"),
    ],
)
def test_a_row_is_compared_with_the_pool_of_its_own_translations(row: str, base: str) -> None:
    rows = [("other", "en_trans (links, align, other)")]
    rows += [("s", name) for name in ("zero_shot", "en_trans (links, human)", "en_trans (links, mt)", row)]
    assert baseline_of(("s", row), list(dict.fromkeys(rows))) == ("s", base)
