"""Groups of languages, average ranks, confused types, and F1 against the number of source sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.languages import NLLB
from bench.core.sentences import Span
from bench.report.contrasts import compare
from bench.report.errors import confusion
from bench.report.frame import Group, groups, read
from bench.report.plots.across import N_SOURCE, sets_along, sources_figure, sweep_figure
from bench.report.plots.canvas import settings
from bench.report.plots.methods import confusion_figure, ranks_figure
from bench.report.scores import Ranking, ranking, scores_of
from bench.report.tables.scores import UNKNOWN, family_of, groups_table, pretrained_on, script_of
from data_recipes.encoders.mini.text import LANGUAGES
from tests.conftest import toy_sentences
from tests.support.records_for_tests import Plan, make
from tests.support.scored_for_tests import make_scored

TYPES = ("LOC", "PER")


def group_of(out: Path) -> Group:
    (group,) = groups(read([out]))
    return group


# --- languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Ana i Маја", "Latin"),
        ("Ана и Maja", "Cyrillic"),
        ("在 2019 年 IBM 的", "Han"),
        ("Ελλάδα", "Greek"),
        ("12 - ,", UNKNOWN),
    ],
)
def test_the_script_is_read_off_the_text(text: str, script: str) -> None:
    assert script_of(text.split()) == script


def test_every_language_of_the_suites_has_a_family() -> None:
    assert [code for code in NLLB if family_of(code) == UNKNOWN] == []
    assert family_of("tlh") == UNKNOWN


def test_pretraining_lists() -> None:
    assert {pretrained_on("mini", code) for code in ("en", *LANGUAGES)} == {"seen"}
    assert pretrained_on("mini", "nl") == "not seen"
    mbert, large = "google-bert/bert-base-multilingual-cased", "FacebookAI/xlm-roberta-large"
    assert [pretrained_on(mbert, code) for code in ("yor", "hau", "th")] == ["seen", "not seen", "seen"]
    assert [pretrained_on(large, code) for code in ("yor", "hau", "th")] == ["not seen", "seen", "seen"]
    assert pretrained_on("somebody/else", "de") == UNKNOWN


def test_means_over_groups(tmp_path: Path) -> None:
    make_scored(tmp_path, targets=("de", "da", "zh"))
    group = group_of(tmp_path)
    made = groups_table(group)
    assert made is not None
    # the toy text is in Latin letters whatever its code: scripts are one group, and no column
    assert list(made.frame.columns) == ["method", "family: Germanic", "family: Sino-Tibetan"]
    row = next(row for row in made.rows() if row["method"].text == "concner")
    f1 = {one.target: [] for one in group.stored}
    for one in group.stored:
        if one.label == "concner":
            f1[one.target].append(100 * one.record.scores["source-dev"].f1)
    expected = np.mean([np.mean(f1["de"]), np.mean(f1["da"])])
    assert row["family: Germanic"].value == pytest.approx(expected)
    assert row["family: Sino-Tibetan"].value == pytest.approx(np.mean(f1["zh"]))
    assert "family: Germanic: de, da." in made.notes


def test_one_group_is_no_table(tmp_path: Path) -> None:
    make_scored(tmp_path, targets=("de", "da"))
    assert groups_table(group_of(tmp_path)) is None


# --- ranks ------------------------------------------------------------------------------------------------------------


def test_ranks_by_hand(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a": 0.3, "b": 0.9, "c": 0.6, "best": 1.2}, oracles=("best",)))
    group = group_of(tmp_path)
    ranks = ranking(group).average_ranks(scores_of(group, group.main_rule))
    assert {row[1]: rank for row, rank in ranks.items()} == {"b": 1.0, "c": 2.0, "a": 3.0}
    assert [row[1] for row in ranks] == ["b", "c", "a"]


def test_equals_share_their_rank(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a": 0.3, "b": 0.9, "b+kd": 0.9}))  # the last two are one training
    group = group_of(tmp_path)
    found = ranking(group)
    ranks = found.average_ranks(scores_of(group, group.main_rule))
    assert {row[1]: rank for row, rank in ranks.items()} == {"b": 1.5, "b+kd": 1.5, "a": 3.0}
    assert [[row[1] for row in run] for run in found.ties(list(ranks))] == [["b", "b+kd"]]


def test_bars_are_the_longest_runs() -> None:
    rows = [("s", name) for name in "abcd"]
    told = {(0, 1): 0.5, (1, 2): 0.4, (0, 2): 0.01, (2, 3): 0.9, (1, 3): 0.3, (0, 3): 0.001}
    p = {(rows[x], rows[y]): value for (x, y), value in told.items()}
    found = Ranking(p_values=p | {(b, a): value for (a, b), value in p.items()})
    assert [[row[1] for row in run] for run in found.ties(rows)] == [["a", "b"], ["b", "c", "d"]]


def test_the_plot_of_ranks(tmp_path: Path) -> None:
    quality = {"a": 0.3, "b": 0.9, "c": 0.1}
    make(tmp_path / "two", Plan(quality))
    make(tmp_path / "one", Plan(quality, targets=("de",)))
    make(tmp_path / "few", Plan(quality, seeds=(1,)))
    with settings():
        drawn = ranks_figure(group_of(tmp_path / "two"))
        assert drawn is not None and "Holm over 3 pairs" in " ".join(drawn.get_supxlabel().split())
        assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == ["b  1.0", "a  2.0", "c  3.0"]
        assert ranks_figure(group_of(tmp_path / "one")) is None
        few = ranks_figure(group_of(tmp_path / "few"))
        assert few is not None and "no bars" in " ".join(few.get_supxlabel().split())


# --- types ------------------------------------------------------------------------------------------------------------


def test_confusion_by_hand() -> None:
    gold = [[Span(0, 2, "PER"), Span(4, 5, "LOC")], [Span(0, 1, "LOC")], []]
    found = [[Span(0, 1, "LOC"), Span(1, 2, "PER"), Span(4, 5, "PER")], [], [Span(3, 4, "PER")]]
    # the first entity: one word each of a LOC and a PER, its own type wins; the fourth predicted one touches no gold
    assert confusion(gold, found, TYPES).tolist() == [[0, 1, 1], [0, 1, 0], [0, 1, 0]]


spans = st.lists(st.sampled_from(["O", "B-PER", "B-LOC"]), min_size=6, max_size=6).map(
    lambda tags: [Span(i, i + 1, tag[2:]) for i, tag in enumerate(tags) if tag != "O"]
)


@given(st.lists(st.tuples(spans, spans), max_size=4))
def test_every_gold_entity_is_counted_once(pairs: Sequence[tuple[list[Span], list[Span]]]) -> None:
    golds, founds = [gold for gold, _ in pairs], [found for _, found in pairs]
    counts = confusion(golds, founds, TYPES)
    for place, type_ in enumerate(TYPES):
        assert counts[place].sum() == sum(span.type == type_ for gold in golds for span in gold)
    same = confusion(golds, golds, TYPES)
    assert same.sum() == np.trace(same[:-1, :-1]), "gold against itself is a diagonal"


def test_the_plot_of_types(tmp_path: Path) -> None:
    make_scored(tmp_path / "scored")
    make(tmp_path / "bare", Plan({"zero_shot": 0.5}))
    with settings():
        drawn = confusion_figure(group_of(tmp_path / "scored"))
        assert drawn is not None and len(drawn.axes) == 2, "a panel a method"
        assert [axis.get_title() for axis in drawn.axes] == ["zero_shot", "concner"]
        first = [text.get_text() for text in drawn.axes[0].texts]
        gold = [span.type for s in toy_sentences(40, 7, "de") for span in s.spans or ()]
        assert len(first) == 9 and sum(int(text) for text in first[:3]) == pytest.approx(100, abs=1)
        assert gold
        assert confusion_figure(group_of(tmp_path / "bare")) is None, "no sidecars"


# --- source sentences -------------------------------------------------------------------------------------------------


def test_f1_against_source_sentences(tmp_path: Path) -> None:
    for size, more in ((100, 0.0), (1000, 0.3)):
        cell = {"axes": {"data.n_source": size}, "n_source": size, "z": f"{size:05}"}
        make(tmp_path / "sizes", Plan({"zero_shot": 0.3 + more, "en_trans": 0.5 + more}, cell=cell))
    (several,) = sets_along(groups(read([tmp_path / "sizes"])), N_SOURCE)
    with settings():
        drawn = sources_figure(several)
    assert drawn is not None
    (axis,) = drawn.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["100", "1,000"]
    lines = {line.get_label().strip(): line for line in axis.lines}
    assert set(lines) == {"zero_shot", "en_trans"}
    assert list(lines["zero_shot"].get_xdata()) == [100, 1000]
    low, high = lines["zero_shot"].get_ydata()
    assert low < high
    make(tmp_path / "plain", Plan({"zero_shot": 0.5}))
    assert sets_along(groups(read([tmp_path / "plain"])), N_SOURCE) == []


# --- a parameter as an axis -------------------------------------------------------------------------------------------


def test_the_values_of_a_parameter_are_rows_of_one_table(tmp_path: Path) -> None:
    """Comparable by name, and drawn as a line; what has no such parameter is a row beside them."""
    make(tmp_path, Plan({"zero_shot": 0.4}))
    for alpha, quality in ((0.1, 0.5), (1.0, 0.7), (10.0, 0.6)):
        make(tmp_path, Plan({"concner": quality}, cell={"axes": {"method.concner.alpha": alpha}}))
    group = group_of(tmp_path)
    assert {row[1] for row in group.rows} == {"zero_shot", *(f"concner (alpha={alpha})" for alpha in (0.1, 1.0, 10.0))}
    (comparison,) = compare(tmp_path, "concner (alpha=1.0)", "concner (alpha=0.1)")
    assert (comparison.macro.difference or 0) > 0 and len(comparison.lines) == 2
    with settings():
        drawn = sweep_figure(group)
    assert drawn is not None
    (axis,) = drawn.axes
    assert axis.get_xlabel() == "concner.alpha"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0.1", "1.0", "10.0"]
    (line,) = axis.lines
    low, high, middle = line.get_ydata()
    assert line.get_label() == " concner" and low < middle < high
    assert sweep_figure(group.only(["zero_shot", "concner (alpha=0.1)"])) is None, "one value is no sweep"
