"""`xner speed score`, `report` and `startup`: what they measure, and that a results folder stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli.main import main
from tests.studies import speed_small
from tests.support.e2e_tools import snapshot
from tests.support.scored_for_tests import make_scored


def test_scores_equal_seqevals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed", "score", "--sentences", "400", "--rounds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same"] and found["f1"]["xner"] == pytest.approx(found["f1"]["seqeval"], abs=1e-12)
    assert 0.3 < found["f1"]["xner"] < 0.95, "a tenth of the tags is wrong"
    ours, theirs = found["sides"]
    assert (ours["side"], theirs["side"]) == ("xner", "seqeval")
    assert theirs["ratio"] == pytest.approx(theirs["seconds"] / ours["seconds"])


def test_other_scores_are_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bench.measure.score.f1", lambda counts: 0.5)
    assert main(["speed", "score", "--sentences", "50", "--rounds", "1"]) == 1
    assert "F1 differ" in capsys.readouterr().out


def test_a_report_is_timed_without_touching_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_scored(tmp_path / "out")
    before = snapshot(tmp_path / "out")
    monkeypatch.setattr(
        "bench.report.plots.write_plots", lambda out, formats: [out]
    )  # 10 s of drawing, tested elsewhere
    assert main(["speed", "report", str(tmp_path / "out"), "--rounds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [side["side"] for side in found["sides"]] == ["tables", "plots", "report"]
    assert found["records"] == len(list((tmp_path / "out" / "records").glob("*.json"))) > 0
    assert snapshot(tmp_path / "out") == before


def test_startup_runs_new_processes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(speed_small, "_finished", lambda name, command: ran.append(name))
    assert main(["speed", "startup", "--rounds", "2"]) == 0
    assert [ran.count(name) for name in ("xner --help", "python -c pass")] == [3, 3], "a warm-up and two rounds"
    assert "import torch, transformers" in capsys.readouterr().out


def test_a_command_that_fails_is_named() -> None:
    import sys

    from bench.core.errors import BadInput

    with pytest.raises(BadInput, match="'broken' failed: ValueError: no"):
        speed_small._finished("broken", [sys.executable, "-c", "raise ValueError('no')"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "--corpus", "demmo"), "did you mean 'demo'"),
        (("score", "--sentences", "0"), "--sentences 0: at least 1"),
        (("report", "nowhere"), "nowhere"),
        (("startup", "--rounds", "0"), "--rounds 0: at least 1"),
    ],
)
def test_bad_input(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed", *words]) == 2
    assert said in capsys.readouterr().err
