"""Plots of stored records: the same bytes, no global state, no glyph that the font lacks."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest

from bench.core.errors import BadInput
from bench.report.bars import bars_figure
from bench.report.canvas import looks, settings
from bench.report.frame import Group, groups, read
from bench.report.plots import write_plots
from bench.report.scores import rows_of
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
    assert {path.stem for path in first} == {"f1", "gain", "ranks", "f1-cost", "curves", "loss"} and len(first) == 18
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_bars_name_gaps_intervals_and_oracles(tmp_path: Path) -> None:
    plan = Plan(QUALITY, oracles=("gold_translation",))
    make(tmp_path, plan)
    for target in plan.targets:
        put_gap(tmp_path, plan, "label_projection", target, 1, "no links", failed=target == "de")
    with settings():
        figure = bars_figure(group_of(tmp_path))
    assert figure is not None
    (axis,) = figure.axes
    assert axis.get_ylabel() == "F1 (strict, %)" and axis.get_ylim()[0] == 0
    assert [text.get_text() for text in axis.texts] == ["failed", "skipped"]
    assert "synthetic: no evidence" in figure.get_suptitle().replace("\n", " ")
    assert "95 % interval over seeds and test sentences" in figure.get_supxlabel().replace("\n", " ")
    labels = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert "gold_translation (oracle)" in labels and len(labels) == 5
    assert {patch.get_hatch() for patch in axis.patches} == {"", "////"}


def test_methods_differ_in_grey(tmp_path: Path) -> None:
    make(tmp_path, Plan({f"m{i:02}": 0.5 for i in range(11)}, targets=("de",), seeds=(1,)))
    group = group_of(tmp_path)
    shown = list(looks(group, rows_of(group), frozenset()).values())
    assert len({(look.face, look.hatch) for look in shown}) == 11
    greys = [luminance(look.face) for look in shown[:8]]
    assert min(b - a for a, b in pairwise(greys)) > 0.03


def test_hostile_names_draw_as_text(tmp_path: Path) -> None:
    names = {"_hidden": 0.5, "$x$": 0.6, "中文|<b>": 0.7, "a$b": 0.4}
    make(tmp_path, Plan(names, targets=("de",), seeds=(1,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        written = write_plots(tmp_path, ["png"])
    assert {path.name for path in written} == {"f1.png", "f1-cost.png"}


def test_bad_format(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.5}, targets=("de",), seeds=(1,)))
    with pytest.raises(BadInput, match="did you mean 'png'"):
        write_plots(tmp_path, ["pnng"])
