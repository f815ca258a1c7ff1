"""A method that misbehaves fails its own cell: the others finish, the summary names it, --retry runs it again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.e2e_tools import Place, Ran, by_name, install_methods, matrix_text, snapshot

HEAD = """
from pathlib import Path
from bench.core.sentences import Span
from bench.api.method import Method, Need, Predictions, Skip, Term, TrainingSet, singles

class Plugin(Method):
    name = "{name}"
"""

BROKEN = {  # name → body of the class, type of the error, a part of its message
    "raises": (
        """
    def prepare(self, round, ask):
        if not Path("repaired").exists():
            raise RuntimeError("no such luck")
        return super().prepare(round, ask)
""",
        "RuntimeError",
        "no such luck",
    ),
    "loses": (
        """
    def loss(self, tagger, step):
        (term,) = super().loss(tagger, step)
        return (term, Term("own", term.value * float("nan")))
""",
        "FloatingPointError",
        "'own' became nan at step 1",
    ),
    "overlaps": (
        """
    def predict(self, ask, models, sentences):
        found = super().predict(ask, models, sentences)
        return Predictions(tuple((Span(0, 2, "PER"), Span(1, 3, "LOC")) for _ in sentences), found.probabilities)
""",
        "ValueError",
        "ill-formed span",
    ),
    "leaves": (
        """
    def predict(self, ask, models, sentences):
        found = super().predict(ask, models, sentences)
        return Predictions(found.spans[1:], found.probabilities[1:])
""",
        "ValueError",
        "15 predictions for 16 sentences",
    ),
    "invents": (
        """
    def predict(self, ask, models, sentences):
        found = super().predict(ask, models, sentences)
        return Predictions(tuple((Span(0, 1, "GOD"),) for _ in sentences), found.probabilities)
""",
        "ValueError",
        "'GOD'; the types are PER, LOC, ORG",
    ),
    "reaches": (
        """
    def prepare(self, round, ask):
        return TrainingSet(labelled=singles([pair.target for pair in ask.labelled_translations()]))
""",
        "UndeclaredNeed",
        "LABELLED_TRANSLATION",
    ),
    "peeks": (
        """
    def prepare(self, round, ask):
        return TrainingSet(labelled=singles(ask.target_gold()))
""",
        "UndeclaredNeed",
        "TARGET_GOLD",
    ),
    "returns": (
        """
    def prepare(self, round, ask):
        return ask.source()
""",
        "TypeError",
        "not a TrainingSet",
    ),
    "empties": (
        """
    def prepare(self, round, ask):
        ask.source()
        return TrainingSet()
""",
        "skip",
        "nothing to train on",
    ),
    "declines": (
        """
    def applies(self, cell):
        return Skip(f"not for {cell.target}")
""",
        "skip",
        "not for de",
    ),
}


@dataclass(frozen=True)
class Failing:
    """A matrix of one sound and many unsound methods, after its first run."""

    place: Place
    matrix: Path
    ran: Ran


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Any:
    place = Place(tmp_path_factory.mktemp("broken"), tiny_folder)
    sources = {name: HEAD.format(name=name) + body for name, (body, _, _) in BROKEN.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place.root / "site"))
        install_methods(place.root / "site", "xner_broken_methods", sources)
        matrix = place.matrix(matrix_text(tiny_folder, ("raises", *list(BROKEN)[1:], "zero_shot")))
        yield Failing(place, matrix, place.xner("run", matrix, "--out", place.out))


@pytest.mark.parametrize("name", [name for name, (_, error, _) in BROKEN.items() if error != "skip"])
def test_the_record_holds_what_happened(failing: Failing, name: str) -> None:
    record = by_name(failing.place.out)[name, "de", 1]
    _, error, message = BROKEN[name]
    assert record["status"] == "failed"
    assert error in record["error"]["type"]
    assert message in record["error"]["message"]
    assert record["error"]["traceback"].startswith("Traceback")
    assert record["scores"] == {} and record["attempts"] == 1
    assert f"failed: {name} de seed 1: {record['error']['type']}" in failing.ran.err
    assert (failing.place.out / "records" / f"{record['key']}.json").stat().st_size <= 10_000


@pytest.mark.parametrize("name", [name for name, (_, error, _) in BROKEN.items() if error == "skip"])
def test_a_skip_is_no_failure(failing: Failing, name: str) -> None:
    record = by_name(failing.place.out)[name, "de", 1]
    assert (record["status"], record["error"]) == ("skipped", None)
    assert BROKEN[name][2] in record["reason"]
    assert f"failed: {name}" not in failing.ran.err
    assert f"skipped (1 cells): {record['reason']}" in failing.ran.err


def test_the_others_finish_and_the_exit_code_says_so(failing: Failing) -> None:
    assert failing.ran.code == 1
    record = by_name(failing.place.out)["zero_shot", "de", 1]
    assert record["status"] == "ok"
    failures = sum(error != "skip" for _, error, _ in BROKEN.values())
    assert f"{failures} cells failed" in failing.ran.err
    assert "--retry" in failing.ran.err
    assert "Traceback" not in failing.ran.err
    main = (failing.place.out / "tables" / "main.md").read_text(encoding="utf-8")
    assert "zero_shot" in main and "raises" in main


def test_status_names_each_failure(failing: Failing) -> None:
    ran = failing.place.xner("status", failing.place.out, "--json")
    cells = {cell["method"]: cell for cell in ran.json()["cells"]}
    (why,) = cells["raises"]["why"]
    assert re.fullmatch(r"failed: RuntimeError: no such luck \(.*raises\.py:\d+, in prepare\)", why)
    assert cells["declines"]["why"] == {"skipped: not for de": 1}
    assert cells["zero_shot"]["ok"] == 1


def test_nothing_half_made_is_left(failing: Failing) -> None:
    assert not list(failing.place.root.rglob("*.tmp"))
    assert not list(failing.place.out.rglob("*.safetensors"))


def test_only_a_retry_runs_failures_again(failing: Failing) -> None:
    place = failing.place
    before = snapshot(place.out / "records")
    again = place.xner("run", failing.matrix, "--out", place.out)
    assert (again.code, "0 to run" in again.err) == (1, True)
    assert snapshot(place.out / "records") == before

    place.root.joinpath("repaired").touch()
    retried = place.xner(
        "run", failing.matrix, "--out", place.out, "--retry", "--only", "method=raises,zero_shot,declines"
    )
    assert retried.code == 0, retried.err
    assert "3 cells, 2 done, 1 to run" in retried.err
    found = by_name(place.out)
    assert (found["raises", "de", 1]["status"], found["raises", "de", 1]["attempts"]) == ("ok", 2)
    assert found["raises", "de", 1]["scores"] == found["zero_shot", "de", 1]["scores"], "it trains the same thing"
    changed = {name for name, value in snapshot(place.out / "records").items() if value != before[name]}
    assert changed == {f"{found['raises', 'de', 1]['key']}.json"}
    assert json.loads(before[next(iter(changed))][1])["key"] == found["raises", "de", 1]["key"]


def test_weights_of_a_cell_that_fails_late_are_freed(failing: Failing) -> None:
    place = Place(failing.place.root / "late", failing.place.encoder)
    only = ("--only", "method=overlaps")
    ran = place.xner("run", failing.matrix, "--out", place.out, *only)
    assert ran.code == 1
    assert not list(place.out.rglob("*.safetensors"))


PAIRED = """
from bench.api.method import Method, Need, Term, TrainingSet, pairs

class Plugin(Method):
    name = "paired_only"
    needs = frozenset({Need.LABELLED_TRANSLATION})

    def prepare(self, round, ask):
        return TrainingSet(paired=pairs(ask.labelled_translations()))

    def loss(self, tagger, step):
        from bench.api.objectives import cross_entropy

        assert step.labelled is None and step.unlabelled is None
        return (Term("ce", cross_entropy(step.paired)),)

    def on_epoch(self, tagger, state):
        assert 0 < state.step <= state.total
"""


def test_a_method_from_elsewhere_with_one_stream_of_its_own(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry point is enough; it trains as en_trans does where its stream and loss say the same."""
    place = Place(tmp_path, tiny_folder)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    install_methods(tmp_path / "site", "xner_paired_methods", {"paired_only": PAIRED})
    matrix = place.matrix(matrix_text(tiny_folder, ("paired_only", "paired_only+kd")))
    ran = place.xner("run", matrix, "--out", place.out)
    assert ran.code == 0, json.dumps([record["error"] for record in by_name(place.out).values()], indent=1)
    cost = by_name(place.out)["paired_only", "de", 1]["cost"]
    assert (cost["steps"], cost["sentences"], cost["forward_passes"]) == (4, 32, 4)
