"""The diagnostics of the encoder's space: measures by hand, the sidecar, the table and the plot."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report import plots
from bench.train.diagnostics import POINTS, Space, compared
from tests.support.e2e_tools import Place, by_name, matrix_text


def space(seed: int, words: int = 12, pairs: int = 4) -> Space:
    rng = np.random.default_rng(seed)

    def unit(*shape: int) -> Any:
        vectors = rng.normal(size=shape).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    classes = rng.choice(["LOC", "O", "PER"], words)
    return Space(unit(pairs, 5), unit(pairs, 5), unit(words, 5), classes, rng.choice(["de", "en"], words))


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_measures_by_hand(seed: int) -> None:
    one = space(seed)
    found = one.measures()
    close = [[float(a @ b) for b in one.target] for a in one.source]
    right = sum(max(range(4), key=lambda j: row[j]) == i for i, row in enumerate(close))
    back = sum(max(range(4), key=lambda j: close[j][i]) == i for i in range(4))
    assert (found["retrieval_forward"], found["retrieval_backward"]) == (right / 4, back / 4)
    same, other = [], []
    for i, j in itertools.combinations(range(12), 2):
        kinds = {str(one.classes[i]), str(one.classes[j])}
        if kinds != {"O"}:
            (same if len(kinds) == 1 else other).append(float(one.words[i] @ one.words[j]))
    for name, values in (("same_label", same), ("other_label", other)):
        assert (name in found) == bool(values)
        if values:
            assert found[name] == pytest.approx(sum(values) / len(values), abs=1e-4)


def test_the_plot_shows_the_same_words_before_and_after() -> None:
    measures, sidecar = compared(space(1, 900), space(2, 900), np.random.default_rng(0))
    assert {name.partition("_")[0] for name in measures} == {"before", "after"}
    with np.load(io.BytesIO(sidecar), allow_pickle=False) as arrays:
        assert arrays["before"].shape == arrays["after"].shape == (6 * POINTS, 2)
        assert len(arrays["label"]) == len(arrays["language"]) == 6 * POINTS
        assert ((arrays["explained"] > 0) & (arrays["explained"] <= 1)).all()


def test_principal_components() -> None:
    """Points on a line: the first component is the line, the second nothing, all variance in the plane."""
    line = np.outer(np.arange(6, dtype=np.float32), [3.0, 4.0, 0.0])
    one = Space(line, line, line, np.array(["O"] * 6), np.array(["en"] * 6))
    points, share = one.plane(range(6))
    assert share == pytest.approx(1)
    assert np.allclose(np.diff(points[:, 0]), 5, atol=1e-4) or np.allclose(np.diff(points[:, 0]), -5, atol=1e-4)
    assert np.allclose(points[:, 1], 0, atol=1e-4)


def test_a_run_records_prints_and_draws_them(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "MAKERS", {"space": plots.MAKERS["space"]})  # the others have tests of their own
    place = Place(tmp_path, tiny_folder)
    place.matrix(matrix_text(tiny_folder, ("en_trans", "concner", "concner+kd"), targets=("de", "zh")))
    ran = place.xner("run", "small.toml", "--out", place.out, figures=True)
    assert ran.code == 0, ran.err
    records = by_name(place.out)
    assert not [name for name in records["en_trans", "de", 1]["diagnostics"] if name.startswith(("before", "after"))]
    plain, student = (records[label, "de", 1] for label in ("concner", "concner+kd"))
    assert plain["diagnostics"] == student["diagnostics"], "of the round before distillation"
    assert 0 <= plain["diagnostics"]["after_retrieval_forward"] <= 1
    table = (place.out / "tables" / "space.md").read_text()
    assert "| concner | cosine, same label | after |" in table
    assert "en_trans" not in table.partition("| method")[2]
    for format_ in ("png", "svg", "pdf"):
        assert (place.out / "figures" / f"space.{format_}").stat().st_size > 1000
    before = (place.out / "figures" / "space.svg").read_bytes()
    place.xner("plots", place.out, figures=True)
    assert (place.out / "figures" / "space.svg").read_bytes() == before
