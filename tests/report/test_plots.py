"""Plots of stored records: the same bytes, no global state, no glyph that the font lacks."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure

from bench.core.errors import BadInput
from bench.report.contrasts import contrasts_of
from bench.report.frame import Group, groups, read
from bench.report.plots import write_plots
from bench.report.plots.across import _common_seeds, translations_figure
from bench.report.plots.canvas import FAMILIES, looks, settings
from bench.report.plots.methods import (
    _cut,
    cost_figure,
    critical_difference,
    f1_figure,
    forest_figure,
    pairs_figure,
    pareto,
)
from bench.report.plots.training import curves_figure, loss_figure
from bench.report.verdicts import signed
from bench.store.record import Records, Translation
from tests.support.records_for_tests import Plan, make, put_gap

QUALITY = {"zero_shot": 0.4, "en_trans": 0.6, "concner": 0.7, "gold_translation": 0.9}


def group_of(out: Path) -> Group:
    (group,) = groups(read([out]))
    return group


def luminance(face: str) -> float:
    red, green, blue = matplotlib.colors.to_rgb(face)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_all_plots_twice_the_same_bytes_and_no_global_state(tmp_path: Path) -> None:
    plan = Plan(QUALITY, oracles=("gold_translation",), curves=True)
    make(tmp_path / "a", plan)
    make(tmp_path / "b", plan)
    before = dict(matplotlib.rcParams)
    first = write_plots(tmp_path / "a")
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9}):  # a user's own settings
        second = write_plots(tmp_path / "b")
    assert [path.name for path in first] == [path.name for path in second]
    assert {path.stem for path in first} == {
        "forest",
        "f1",
        "pairs",
        "ranks",
        "f1-cost",
        "curves",
        "loss",
    } and len(first) == 21
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_dots_name_gaps_intervals_and_oracles(tmp_path: Path) -> None:
    plan = Plan(QUALITY, oracles=("gold_translation",))
    make(tmp_path, plan)
    for target in plan.targets:
        put_gap(tmp_path, plan, "label_projection", target, 1, "no links", failed=target == "de")
    with settings():
        figure = f1_figure(group_of(tmp_path))
    assert figure is not None
    average, de, fi = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["average", "de", "fi"]
    assert [text.get_text() for axis in (average, de, fi) for text in axis.texts] == ["failed", "skipped"]
    assert "synthetic: no evidence" in figure.get_suptitle().replace("\n", " ")
    assert "95 % interval over seeds and test sentences" in figure.get_supxlabel().replace("\n", " ")
    labels = [text.get_text() for text in average.get_yticklabels()]
    assert labels[-1] == "gold_translation (oracle)" and len(labels) == 5
    hollow = [line for line in de.lines if line.get_marker() != "None" and line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1, "the oracle"


def test_forest_has_every_contrast_with_its_interval_and_the_zone_of_no_matter(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, oracles=("gold_translation",)))
    group = group_of(tmp_path)
    with settings():
        figure = forest_figure(group)
        assert figure is not None
        titles = [" ".join(axis.get_title().split()) for axis in figure.axes]
    assert titles == [c.title for c in contrasts_of(group)] and len(titles) == 2
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["average", "de", "fi"]
    for axis, comparison in zip(figure.axes, contrasts_of(group), strict=True):
        lines: list[Any] = list(axis.collections)
        drawn = [tuple(segment[:, 0]) for several in lines for segment in several.get_segments()]
        for line in (comparison.macro, *comparison.lines):
            assert line.together in drawn
        zone: Any = axis.patches[0]
        assert (zone.get_x(), zone.get_width()) == (-1.0, 2.0)


def test_a_very_wide_interval_is_cut_and_said_to_be() -> None:
    with settings():
        axis = Figure().subplots()
        usual = [(axis, 0, (-2.0, 4.0)), (axis, 1, (1.0, 3.0)), (axis, 2, (0.0, 2.0))]
        assert _cut(usual) == "" == _cut([])
        assert not axis.lines
        assert "arrow" in _cut([*usual, (axis, 3, (-1.0, 50.0))])
    assert axis.get_xlim() == pytest.approx((-25.725, 25.725)), "its middle is in sight"
    assert [line.get_marker() for line in axis.lines] == [">"]


def test_pairs_say_what_is_significant(tmp_path: Path) -> None:
    make(tmp_path / "three", Plan({"a": 0.3, "b": 0.32, "c": 0.9}, seeds=(1, 2, 3, 4, 5)))
    make(tmp_path / "two", Plan({"a": 0.3, "c": 0.9}))
    with settings():
        figure = pairs_figure(group_of(tmp_path / "three"))
        assert figure is not None and pairs_figure(group_of(tmp_path / "two")) is None
    weights = {text.get_position(): text.get_fontweight() for text in figure.axes[0].texts}
    assert weights[1, 0] == weights[2, 0] == "bold" and weights[2, 1] == "normal" and len(weights) == 6


def test_every_method_has_a_cost_and_partial_ones_stand_where_their_difference_puts_them(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.4, "label_projection": 0.6, "concner": 0.7}))
    make(tmp_path, Plan({"translate_test": 0.5}, targets=("de",)))
    make(tmp_path, Plan({"best": 0.95}, oracles=("best",)))
    make(tmp_path, Plan({"ensemble": 0.9}, targets=("de",), seeds=(1, 2)))  # too few seeds to be placed by them
    with settings():
        figure = cost_figure(group_of(tmp_path))
    assert figure is not None
    assert len(figure.legends[0].get_texts()) == 5
    note = " ".join(figure.get_supxlabel().split())
    assert "by the difference from their baseline, as they lack a language: translate_test." in note
    assert figure.axes[0].get_xlabel() == "seconds of a cell"


def test_a_limit_beside_0_keeps_its_sign() -> None:
    assert [signed(x) for x in (0.04, -0.04, 0.0, 0.001, -3.25, 12.0)] == [
        "+0.04",
        "−0.04",
        "0.0",
        "0.0",
        "−3.2",
        "+12.0",
    ]


def test_pareto_and_critical_difference_by_hand() -> None:
    rows = {
        ("s", name): point for name, point in {"a": (1, 5), "b": (2, 4), "c": (2, 7), "d": (3, 7), "e": (9, 9)}.items()
    }
    assert [row[1] for row in pareto(rows)] == ["a", "c", "e"]
    # Demšar 2006, tables 5 and 6: q of 4 classifiers 2.569, over 14 data sets 1.25
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)


def test_a_method_looks_the_same_in_every_table_of_a_suite(tmp_path: Path) -> None:
    make(tmp_path, Plan({f"m{i:02}": 0.5 for i in range(11)}, targets=("de",), seeds=(1,)))
    make(tmp_path, Plan({"m03": 0.5}, targets=("de",), seeds=(1,), cell={"encoder": "org/two"}))
    one, two = groups(read([tmp_path]))
    shown = looks(one, one.rows)
    assert len({(look.face, look.marker) for look in shown.values()}) == 11
    assert looks(two, two.rows)[two.rows[0]] == shown["toy", "m03"]
    greys = [luminance(look.face) for look in shown.values()]
    assert min(b - a for a, b in pairwise(greys)) > 0.01


def test_families_have_their_hues_and_order(tmp_path: Path) -> None:
    make(tmp_path, Plan(QUALITY, oracles=("gold_translation",)))
    factors = {
        "zero_shot": {"data": "en"},
        "en_trans": {"data": "both", "loss_terms": "cross-entropy"},
        "concner": {"data": "both", "loss_terms": "cross-entropy + LCL", "teacher": "none", "unlabelled_text": "no"},
    }
    store = Records(tmp_path)
    for record in store.all():
        store.put(replace(record, factors=factors.get(record.cell["label"], {})))
    group = group_of(tmp_path)
    shown = looks(group, group.rows[::-1])
    assert [look.family for look in shown.values()] == [*list(FAMILIES)[:3], "oracle"]
    assert [look.face for look in shown.values()] == [hue.lower() for hue in (*list(FAMILIES.values())[:3], "#999999")]


def test_translators_side_by_side(tmp_path: Path) -> None:
    made: tuple[tuple[str, Translation], ...] = (("files", "human"), ("apertium", "machine"))
    for translator, who in made:
        axes = {"labels.translator": translator}
        make(tmp_path, Plan({"en_trans": 0.6, "concner": 0.7}, cell={"axes": axes}))
        store = Records(tmp_path)
        for record in store.all():
            if record.cell["axes"] == axes:
                store.put(replace(record, resources=replace(record.resources, translation=who)))
    make(tmp_path / "one", Plan({"en_trans": 0.6}))
    with settings():
        figure = translations_figure(group_of(tmp_path))
        assert figure is not None and translations_figure(group_of(tmp_path / "one")) is None
    assert [axis.get_title() for axis in figure.axes] == ["de", "fi"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["concner", "en_trans"]
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["human", "machine: apertium"]


def test_translators_are_compared_over_the_same_seeds(tmp_path: Path) -> None:
    rows = {}
    for translator, seeds in (("files", (1, 2, 3)), ("apertium", (2, 3, 4))):
        axes = {"labels.translator": translator}
        make(tmp_path, Plan({"concner": 0.7}, seeds=seeds, cell={"axes": axes}))
        rows[translator] = ("toy", f"concner ({translator})")
    group = group_of(tmp_path)
    assert {*rows.values()} == {*group.rows}
    kept = {(run.row, run.record.cell["seed"]) for run in _common_seeds(group, {"concner": rows}).stored}
    assert kept == {(row, seed) for row in rows.values() for seed in (2, 3)}


def test_curves_with_one_point_are_not_drawn(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.5}, curves=True))
    for record in Records(tmp_path).all():
        path = Records(tmp_path).sidecar(record.key, "curves.json")
        path.write_text('{"eval_step":[50],"source-dev":[0.5],"step":[50],"loss":{"ce":[1.0]}}')
    with settings():
        assert curves_figure(group_of(tmp_path)) is None and loss_figure(group_of(tmp_path)) is None


def test_hostile_names_draw_as_text(tmp_path: Path) -> None:
    names = {"_hidden": 0.5, "$x$": 0.6, "中文|<b>": 0.7, "a$b": 0.4}
    make(tmp_path, Plan({**names, "en_trans": 0.3}, targets=("de",), seeds=(1,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        written = write_plots(tmp_path, ["png"])
    assert {path.name for path in written} == {"f1.png", "forest.png", "pairs.png", "f1-cost.png"}


def test_bad_format(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.5}, targets=("de",), seeds=(1,)))
    with pytest.raises(BadInput, match="did you mean 'png'"):
        write_plots(tmp_path, ["pnng"])
