"""Types confused, with types of any number, length and script: every number has room, every name is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.cli.main import main
from bench.core.sentences import Sentence, Span
from bench.report.frame import groups, read
from bench.report.plots import canvas
from bench.report.plots.canvas import plain, saved, settings
from bench.report.plots.methods import confusion_figure
from tests.support import scored_for_tests

LONG = ("medical_condition_or_disease", "organisation-governmental", "creative_work_of_art", "PER")
MANY = tuple(f"TYPE{number}" for number in range(33))
CHINESE, ARABIC, DEVANAGARI = ("人名", "地名", "组织机构"), ("شخص", "مكان"), ("व्यक्ति", "स्थान")


def suite(out: Path, types: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The group of a suite with these types; every entity is found."""

    def gold_of(target: str, sentences: int = 40) -> list[Sentence]:
        made = [Sentence(str(n), target, ("a", "b"), (Span(0, 1, types[n % len(types)]),)) for n in range(sentences)]
        return made

    monkeypatch.setattr(scored_for_tests, "TYPES", tuple(types))
    monkeypatch.setattr(scored_for_tests, "gold_of", gold_of)
    monkeypatch.setattr(scored_for_tests, "found_in", lambda gold, *_: [replace(s) for s in gold])
    scored_for_tests.make_scored(out)
    (group,) = groups(read([out]))
    return group


@pytest.mark.parametrize("types", [LONG, MANY, CHINESE, ARABIC, DEVANAGARI, ("PER", "LOC")], ids=lambda types: types[0])
def test_every_number_has_room(types: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = suite(tmp_path, types, monkeypatch)
    with settings(), warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that collapses, or a glyph that no font has, is a warning
        figure = confusion_figure(group)
        assert figure is not None
        assert saved(figure, "png")
        renderer: Any = FigureCanvasAgg(figure).get_renderer()
        for axis in figure.axes:
            box = axis.get_window_extent(renderer).width / (len(types) + 1)
            numbers = [text for text in axis.texts if text.get_text()]
            assert {text.get_text() for text in numbers} >= {"100"}
            assert max(text.get_window_extent(renderer).width for text in numbers) < box


@pytest.mark.parametrize("types", [LONG, ARABIC], ids=lambda types: types[0])
def test_xner_plots_draws_them(
    types: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite(tmp_path, types, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["plots", str(tmp_path), "--format", "png"]) == 0
    assert (tmp_path / "figures" / "confusion.png").stat().st_size > 20_000
    assert "not applied" not in capsys.readouterr().err


def test_what_no_font_has_is_an_escape_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canvas._family_with.cache_clear()
    canvas._say_missing.cache_clear()
    monkeypatch.setattr(canvas.font_manager.fontManager, "ttflist", [])
    with settings():
        assert plain("Ł\u0905\u0906") == "Ł\\u0905\\u0906", "matplotlib's own font has the first alone"
    assert capsys.readouterr().err.count("DEVANAGARI") == 1
    canvas._family_with.cache_clear()
    canvas._say_missing.cache_clear()
