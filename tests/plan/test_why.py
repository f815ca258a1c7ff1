"""`xner why` and `xner plan`: what makes a cell stale is named, and nothing else makes one stale."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bench.plan.fingerprint import fingerprint
from bench.plan.stages import VERSIONS
from tests.support.e2e_tools import Place, Ran, by_name, install_methods, matrix_text, records, small_corpus

PLUGIN = """
from bench.api.method import Method, TrainingSet, singles
from xner_why_methods.helper import kept

class Plugin(Method):
    name = "helped"

    def prepare(self, round, ask):
        return TrainingSet(labelled=singles(kept(ask.source())))
"""
HELPER = '''"""Help."""

SHARE = 1.0

def kept(sentences):
    # a comment
    return sentences[: int(len(sentences) * SHARE)]
'''


@dataclass(frozen=True)
class Done:
    """A finished matrix of a plug-in and of one of our own methods on a corpus of files."""

    place: Place
    matrix: Path
    helper: Path

    def states(self, *arguments: str) -> dict[str, set[str]]:
        """By method the states that `plan` finds, code read anew as a new process would."""
        found: dict[str, set[str]] = {}
        for cell in self.plan(*arguments)["cells"]:
            found.setdefault(cell["label"], set()).add(cell["state"])
        return found

    def plan(self, *arguments: str) -> Any:
        fingerprint.cache_clear()
        ran = self.place.xner("plan", self.matrix, "--out", self.place.out, "--json", *arguments)
        assert ran.code == 0, ran.err
        return ran.json()

    def why(self, *words: str) -> Ran:
        fingerprint.cache_clear()
        return self.place.xner("why", self.place.out, *words)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Done]:
    place = Place(tmp_path_factory.mktemp("why"), tiny_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place.root / "site"))
        install_methods(place.root / "site", "xner_why_methods", {"helped": PLUGIN})
        helper = place.root / "site" / "xner_why_methods" / "helper.py"
        helper.write_text(HELPER)
        corpus = small_corpus(place.root / "corpus")
        text = matrix_text(tiny_folder, ("helped", "zero_shot"), ("de", "zh"), corpus=corpus, train="evals = 1")
        done = Done(place, place.matrix(text.replace("evals = 2\n", "")), helper)
        ran = place.xner("run", done.matrix, "--out", place.out)
        assert ran.code == 0, ran.err
        yield done
    fingerprint.cache_clear()


@pytest.fixture
def done(once: Done) -> Iterator[Done]:
    """The same for every test: what one changes is put back."""
    kept = {
        path: path.read_bytes() for path in [once.helper, once.matrix, *(once.place.root / "corpus").rglob("*.conll")]
    }
    matrix = once.place.out / "matrix.json"
    before = matrix.read_bytes()
    yield once
    for path, content in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    matrix.write_bytes(before)
    _forget_corpora()


def _forget_corpora() -> None:
    from bench.data import cell_data as data

    data._corpus.cache_clear()


FRESH = {"helped": {"ok"}, "zero_shot": {"ok"}}


def test_a_hit_is_explained(done: Done) -> None:
    ran = done.why("zero_shot", "de")
    key = by_name(done.place.out)["zero_shot", "de", 1]["key"]
    assert ran.code == 0 and not ran.err
    assert ran.out.startswith(f"zero_shot de {done.place.encoder.name} seed 1: hit\n")
    assert key in ran.out
    assert done.states() == FRESH
    assert done.place.xner("verify", done.place.out).out.splitlines()[-1].endswith("no mismatch")


def test_a_helper_makes_only_the_cells_of_its_method_stale(done: Done) -> None:
    done.helper.write_text(HELPER.replace("SHARE)]", "SHARE + 0.5)]"))
    assert done.states() == {"helped": {"stale"}, "zero_shot": {"ok"}}
    ran = done.why("helped", "de")
    first = ran.out.splitlines()[1]
    assert "helped de" in ran.out and ": stale" in ran.out
    assert first.startswith("  code.helped.xner_why_methods.helper: ") and " → " in first
    old, _, new = first.rpartition(": ")[2].partition(" → ")
    assert len(old) == len(new) == 8 and old != new
    assert "more" not in ran.out, "nothing else differs"
    assert "hit" in done.why("zero_shot", "de").out


def test_a_declared_version_stands_for_the_code(done: Done) -> None:
    """Raising it is what makes cells stale, and an edit without that does not."""
    plugin = done.helper.with_name("helped.py")
    cls = importlib.import_module("xner_why_methods.helped").Plugin
    with mock.patch.object(cls, "version", "2", create=True):
        assert done.states() == {"helped": {"stale"}, "zero_shot": {"ok"}}
        assert done.why("helped", "de").out.splitlines()[1].endswith(" → version 2")
        before = [cell["key"] for cell in done.plan()["cells"]]
        plugin.write_text(PLUGIN.replace("kept(", "list("))
        assert [cell["key"] for cell in done.plan()["cells"]] == before
    assert done.states() == {"helped": {"stale"}, "zero_shot": {"ok"}}, "one line, no version"
    plugin.write_text(PLUGIN)
    assert done.states() == FRESH


def test_a_stage_with_another_version_makes_stale_what_it_made(done: Done) -> None:
    raised = {**VERSIONS, "fit": VERSIONS["fit"] + 1}
    with mock.patch("bench.data.identity.VERSIONS", raised):
        assert done.states() == {"helped": {"stale"}, "zero_shot": {"stale"}}
        said = f"  stages.fit: {VERSIONS['fit']} → {raised['fit']}"
        assert done.why("zero_shot", "de").out.splitlines()[1] == said
    with mock.patch("bench.data.identity.VERSIONS", {**VERSIONS, "project": 99}):
        assert done.states() == FRESH, "neither projects anything"


@pytest.mark.parametrize(
    ("old", "new"),
    (
        ("# a comment", "# another, longer one"),
        ('"""Help."""', '"""Helps."""\n# much'),
        ("1.0", "1.0  # all"),
        (" * ", "*"),
    ),
)
def test_comments_and_layout_make_nothing_stale(done: Done, old: str, new: str) -> None:
    assert old in HELPER
    done.helper.write_text(HELPER.replace(old, new))
    assert done.states() == FRESH


@pytest.mark.parametrize(
    ("change", "said"),
    (
        ("train.steps=5", "train.steps: 4 → 5"),
        ("data.n_source=23", "data.n_source: 24 → 23"),
        ("data.n_dev=19", "data.n_dev: 20 → 19"),
        ("train.decoding=viterbi", "train.decoding: greedy → viterbi"),
        ("method.zero_shot.distil_loss=kl", "method.zero_shot.distil_loss: mse → kl"),
    ),
)
def test_a_setting_is_named_with_both_values(done: Done, change: str, said: str) -> None:
    cells = [cell for cell in done.plan("--set", change)["cells"] if cell["label"] == "zero_shot"]
    assert [cell["differs"] for cell in cells] == [[said], [said]]
    ran = done.why("zero_shot", "zh", "--set", change)
    assert ran.out.splitlines()[1] == f"  {said}"
    edited = done.place.root / "edited.toml"
    key, _, value = change.rpartition(".")[2].partition("=")
    if f"{key} = " in done.matrix.read_text():
        before = next(line for line in done.matrix.read_text().splitlines() if line.startswith(f"{key} = "))
        edited.write_text(done.matrix.read_text().replace(before, f"{key} = {value}"))
        assert done.why("zero_shot", "zh", "--matrix", str(edited)).out == ran.out


def test_versions_and_encoders_are_named(done: Done, tmp_path: Path) -> None:
    with mock.patch("bench.plan.keys._version", return_value="9.9"):
        lines = done.why("zero_shot", "de").out.splitlines()
    assert lines[1].startswith("  versions.tokenizers: ") and lines[1].endswith(" → 9.9")
    assert any(line.startswith("  versions.torch: ") for line in lines)
    other = shutil.copytree(done.place.encoder, tmp_path / done.place.encoder.name)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.2}))
    edited = tmp_path / "edited.toml"
    edited.write_text(done.matrix.read_text().replace(str(done.place.encoder), str(other)))
    ran = done.why("zero_shot", "de", "--matrix", str(edited))
    assert ran.out.splitlines()[1].startswith("  encoder.files.config.json: ")


def test_data_are_named(done: Done) -> None:
    path = done.place.root / "corpus" / "de" / "test.conll"
    first, rest = path.read_text(encoding="utf-8").split("\n\n", 1)
    path.write_text(f"{rest.rstrip()}\n\n{first}\n\n", encoding="utf-8")
    _forget_corpora()
    assert done.states() == {"helped": {"ok", "stale"}, "zero_shot": {"ok", "stale"}}, "of German only"
    assert done.why("zero_shot", "de").out.splitlines()[1].startswith("  data.test sentences: ")
    assert ": hit" in done.why("zero_shot", "zh").out


def test_data_moved_elsewhere_make_nothing_stale(done: Done, tmp_path: Path) -> None:
    moved = shutil.copytree(done.place.root / "corpus", tmp_path / "moved")
    assert done.states("--set", f'corpus.conll.path="{moved}"') == FRESH
    for path in (done.place.root / "corpus").rglob("*.conll"):
        path.unlink()
    _forget_corpora()
    assert done.states("--set", f'corpus.conll.path="{moved}"') == FRESH
    ran = done.why("zero_shot", "de")
    assert ran.code == 0 and ": unknown" in ran.out and "cannot be planned today" in ran.out
    assert ": hit" in done.why("zero_shot", "de", "--set", f'corpus.conll.path="{moved}"').out


@pytest.mark.parametrize("change", ('axes.targets=["zh", "de"]', 'axes.methods=["zero_shot", "helped"]', "name=other"))
def test_the_order_of_axes_and_the_name_are_in_no_key(done: Done, change: str) -> None:
    assert done.states("--set", change) == FRESH


def test_a_missing_cell_has_no_older_record(done: Done) -> None:
    plan = done.plan("--set", "axes.seeds=[1, 2]")
    assert {cell["state"] for cell in plan["cells"] if cell["seed"] == 2} == {"missing"}
    key = by_name(done.place.out)["helped", "zh", 1]["key"]
    path = done.place.out / "records" / f"{key}.json"
    whole = path.read_bytes()
    path.unlink()
    try:
        ran = done.why("helped", "zh")
        assert ": missing\n" in ran.out and key in ran.out
    finally:
        path.write_bytes(whole)


def test_a_record_is_named_by_how_its_key_begins(done: Done) -> None:
    record = by_name(done.place.out)["helped", "de", 1]
    assert done.why(record["key"][:6]).out == done.why("helped/de/1").out == done.why("method=helped de").out
    assert done.why("de").out.count(": hit") == 2
    bad = done.why("zero_shto")
    assert bad.code == 2 and bad.err == "xner: no cell or key is named 'zero_shto'; did you mean 'zero_shot'?\n"
    both = done.why("zero_shot", "helped")
    assert both.code == 2 and "no cell matches all of" in both.err


def test_an_older_record_is_compared_when_it_is_named(done: Done) -> None:
    """After a run with other settings into the same folder."""
    old = by_name(done.place.out)["zero_shot", "de", 1]["key"]
    only = ("--only", "method=zero_shot", "--only", "target=de", "--set", "train.steps=3")
    ran = done.place.xner("run", done.matrix, "--out", done.place.out, *only)
    assert ran.code == 0, ran.err
    try:
        assert ": hit" in done.why("zero_shot", "de").out
        assert done.why(old[:8]).out.splitlines()[1] == "  train.steps: 4 → 3"
        assert ": hit" in done.why("zero_shot", "zh").out, "each cell by the last matrix that has it"
    finally:
        for record in records(done.place.out):
            if record["cost"]["steps"] == 3:
                (done.place.out / "records" / f"{record['key']}.json").unlink()


def test_what_an_older_version_wrote_is_said(done: Done) -> None:
    key = by_name(done.place.out)["zero_shot", "de", 1]["key"]
    path = done.place.out / "sidecars" / key / "key.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        assert "were not stored" in done.why("zero_shot", "de", "--set", "train.steps=5").out
    finally:
        path.write_bytes(whole)


def test_records_hold_no_path_of_this_machine(done: Done) -> None:
    paths = list((done.place.out / "sidecars").rglob("key.json"))
    assert {record["key"] for record in records(done.place.out)} <= {path.parent.name for path in paths}
    for path in paths:
        assert str(done.place.root) not in path.read_text() and path.stat().st_size < 20_000


# --- plan -------------------------------------------------------------------------------------------------------------


def test_plan_counts_what_is_shared_and_knows_the_time(done: Done) -> None:
    more = ("--set", "axes.seeds=[1, 2]", "--set", 'axes.targets=["de", "zh"]')
    plan = done.plan(*more)
    assert (plan["units_to_run"], plan["trainings_to_run"]) == (2, 2), "one training of each method serves both targets"
    known = [record["cost"]["seconds"] for record in records(done.place.out)]
    assert plan["time"]["unknown"] == 0 and plan["time"]["records"] == 4
    assert 2 * min(known) <= plan["time"]["seconds"] + 0.06 <= 2 * max(known) + 0.12
    other = done.plan(*more, "--set", "train.steps=7")
    time = other["time"]
    assert (time["unknown"], time["calibrated"], time["records"]) == (0, 4, 0), "no record of so many steps"
    assert time["seconds"] > 0
    said = done.place.xner("plan", done.matrix, "--out", done.place.out, "--set", "train.steps=7").out
    assert "stale    4\n" in said and "stale: 4 x train.steps: 4 → 7\n" in said
    assert "(estimate 2 of 2 units by timing a few steps here: " in said
    assert "missing  0\n" in said


def test_steps_are_timed_once_for_a_shape(tmp_path: Path, tiny_folder: Path) -> None:
    """The cache holds what they took; twice the steps take about twice as long, another depth is another shape."""
    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder))

    def seconds(*settings: str) -> float:
        arguments = [part for setting in settings for part in ("--set", setting)]
        time = place.xner("plan", matrix, "--out", place.out, "--json", *arguments).json()["time"]
        assert (time["unknown"], time["calibrated"]) == (0, 1)
        return float(time["seconds"])

    def timed() -> set[Path]:
        return set((place.cache / "calibration").glob("*/artefact.json"))

    once = timed() if seconds("train.steps=2000") else set()
    assert seconds("train.steps=4000") > 1.8 * seconds("train.steps=2000")
    assert timed() == once and len(once) == 1
    seconds(f'encoder."{tiny_folder}".layers=1')
    assert len(timed()) == 2


def test_an_encoder_that_cannot_be_timed_is_unknown(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    with mock.patch("bench.train.calibrate._measured", side_effect=RuntimeError("no such kernel\nmore")):
        plan = place.xner("plan", place.matrix(matrix_text(tiny_folder)), "--out", place.out)
    assert plan.code == 0 and "can be timed: no such kernel\n" in plan.err
    assert "time in one process: unknown" in plan.out


def test_plan_names_shared_artefacts(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder, ("en_trans", "label_projection"), ("de", "zh"), seeds=(1, 2)))
    plan = place.xner("plan", matrix, "--out", place.out, "--json").json()
    shared = {one["stage"]: (one["here"], one["to_make"]) for one in plan["artefacts"]}
    assert shared == {"translate": (0, 4), "links": (0, 4)}, "for both methods: two targets, two seeds"
    assert plan["trainings_to_run"] == 8 and plan["time"]["calibrated"] == plan["units_to_run"] == 8


@pytest.mark.parametrize("given", [("--set", "train.stepz=5"), ("--matrix", "demoo")])
def test_a_wrong_setting_is_not_an_answer(done: Done, given: tuple[str, str]) -> None:
    ran = done.why("zero_shot", "de", *given)
    assert ran.code == 2 and "did you mean" in ran.err and ran.out == ""
