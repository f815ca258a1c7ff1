"""How right translations and their labels were, and the plot of that across translators of one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.sentences import Pair, Sentence, Span
from bench.measure.links import edits, label_quality
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.report import plots
from bench.report.frame import groups, read
from bench.report.plots.across import TRANSLATOR, quality_figure, sets_along
from bench.report.plots.canvas import settings
from tests.support.e2e_tools import Place, matrix_text, records
from tests.support.records_for_tests import Plan, make

WORDS = st.lists(st.sampled_from("abc"), max_size=6)


def pair(id_: str, text: str, *spans: tuple[int, int, str]) -> Pair:
    source = Sentence(id_, "en", (id_,))
    return Pair(source, Sentence(id_, "de", tuple(text.split()), tuple(Span(*span) for span in spans)))


# --- measures ---------------------------------------------------------------------------------------------------------


def test_entities_count_by_type_and_words_and_left_out_sentences_as_missed() -> None:
    known = [
        pair("a", "Anna Lee ging nach Bonn .", (0, 2, "PER"), (4, 5, "LOC")),
        pair("b", "Bonn und Bonn", (0, 1, "LOC"), (2, 3, "LOC")),
        pair("c", "Ulm", (0, 1, "LOC")),
    ]
    moved = pair(
        "a", "Gestern ging Anna Lee nach Bonn", (2, 4, "PER"), (5, 6, "ORG")
    )  # a place wrong: right all the same
    once = pair("b", "Bonn und Bonn", (0, 1, "LOC"))
    left_out, elsewhere = pair("c", "Ulm"), pair("z", "x", (0, 1, "PER"))
    found = label_quality([moved, once, elsewhere], [moved, once, left_out, elsewhere], known)
    assert found["projection_precision"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["projection_recall"] == pytest.approx(2 / 5, abs=1e-6)
    assert found["projection_f1"] == 0.5
    assert found["translation_accuracy"] == pytest.approx(1 - 4 / 10, abs=1e-6)


def test_nothing_to_compare_with_is_no_number() -> None:
    one = pair("a", "x", (0, 1, "PER"))
    unlabelled = Pair(one.source, Sentence("a", "de", ("x",)))
    assert label_quality([one], [one], []) == {}
    assert label_quality([one], [one], [unlabelled]) == {}
    assert label_quality([], [], [one]) == {}


@given(WORDS, WORDS, WORDS)
def test_edits_are_a_distance(a: Sequence[str], b: Sequence[str], c: Sequence[str]) -> None:
    assert (edits(a, b) == 0) == (list(a) == list(b))
    assert edits(a, b) == edits(b, a) <= max(len(a), len(b))
    assert edits(a, b) >= abs(len(a) - len(b))
    assert edits(a, c) <= edits(a, b) + edits(b, c)


def test_edits_of_known_cases() -> None:
    assert [edits("kitten", "sitting"), edits("ab", "ba"), edits("", "abc")] == [3, 2, 3]


# --- the plot ---------------------------------------------------------------------------------------------------------


def test_only_groups_that_differ_in_the_translator_are_one_plot(tmp_path: Path) -> None:
    for rate in (0.0, 0.3):
        for size in (100, 200):
            axes = {"translator.frames.error_rate": rate, "data.n_source": size}
            cell = {"axes": axes, "z": f"{rate} {size}"}  # z: the fixture's keys take the end of what differs
            make(tmp_path / "varied", Plan({"label_projection": 0.5}, ("de",), (1,), cell=cell))
    sets = sets_along(groups(read([tmp_path / "varied"])), TRANSLATOR)
    assert [[one.axes for one in several] for several in sets] == [
        [f"data.n_source={size}, translator.frames.error_rate={rate}" for rate in (0.0, 0.3)] for size in (100, 200)
    ]
    with settings():
        assert quality_figure(sets[0]) is None, "records without measures draw nothing"
    make(tmp_path / "plain", Plan({"label_projection": 0.5}, ("de", "fi"), (1,)))
    assert sets_along(groups(read([tmp_path / "plain"])), TRANSLATOR) == []


def test_every_transfer_and_error_rate_of_a_small_demo(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, tiny_folder)
    axes = '"labels.transfer" = ["align", "placeholder", "marker"]\n"translator.frames.error_rate" = [0.0, 0.4]\n'
    labels = 'translator = "frames"\nfallback = "drop"'
    place.matrix(matrix_text(tiny_folder, ("label_projection",), labels=labels).replace("[data]", f"{axes}[data]", 1))
    ran = place.xner("run", "small.toml", "--out", place.out)
    assert ran.code == 0, ran.err
    found = {
        (one["cell"]["axes"]["labels.transfer"], one["cell"]["axes"]["translator.frames.error_rate"]): one[
            "diagnostics"
        ]
        for one in records(place.out)
    }
    assert len(found) == 6
    for (transfer, rate), one in found.items():
        assert one["translation_accuracy"] == found["align", rate]["translation_accuracy"], "of the plain translations"
        assert (one["translation_accuracy"] == 1) == (rate == 0), transfer
        assert (one["projection_f1"] > 0.99) == (rate == 0), transfer
    assert found["marker", 0.4]["projection_f1"] < found["align", 0.4]["projection_f1"], "what is damaged is left out"
    monkeypatch.setattr(plots, "MAKERS", {})  # the others have tests of their own
    assert [path.name for path in plots.write_plots(place.out, ["png"])] == ["quality.png"]
    (several,) = sets_along(groups(read([place.out])), TRANSLATOR)
    with settings():
        figure = quality_figure(several)
    assert figure is not None
    left, right = figure.axes
    assert len(left.lines) == len(right.lines) == 3, "a line a transfer"
    for line in left.lines:
        assert [round(x) for x in line.get_xdata()][-1] == 100 and len(line.get_xdata()) == 2  # type: ignore[arg-type,union-attr]
    assert "synthetic" in figure.get_suptitle().replace("\n", " ")
    assert "error_rate=0.4" in figure.get_supxlabel().replace("\n", " ")


def test_the_shipped_matrix_has_every_transfer_and_rate() -> None:
    assert "demo-transfer.toml" in {one.name for one in (files("bench.plan") / "matrices").iterdir()}
    made = cells(load_matrix("demo-transfer"))
    crossed = {(cell.labels.transfer, cell.translator_params["error_rate"]) for cell in made}
    assert crossed == {(t, rate) for t in ("align", "placeholder", "marker") for rate in (0.0, 0.1, 0.3)}
    assert len(made) == 9 * 4 * 3 and {cell.labels.fallback for cell in made} == {"drop"}
