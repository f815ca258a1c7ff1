"""`xner prune`: what nothing needs is freed, to the byte that it says; nothing else is touched."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import main
from bench.data import sources
from bench.report.tables import paper
from bench.run.job import JOBS
from bench.run.local import ASIDE
from bench.store.artefacts import Artefacts, claimed
from bench.store.record import AT_TOP, Record, Records, add_cells, training_base
from tests.support.e2e_tools import Place, matrix_text, records
from tests.support.records_for_tests import Plan, cell_of

KEYS = {name: f"{number:x}" * 32 for number, name in enumerate(("current", "older", "waiting", "imported", "alone"), 1)}
FIT, OTHER = "a" * 32, "b" * 32


def put(out: Path, name: str, label: str = "m", seed: int = 1, imported: bool = False, **more: Any) -> Record:
    cell = cell_of(Plan({}), label, "de", seed) | ({"imported": True} if imported else {})
    record = Record(**({"key": KEYS[name], "matrix": "small", "cell": cell, "status": "ok"} | more))
    store = Records(out)
    store.put_text(record.key, "gold.conll.gz", "# sent_id = 1\nx\tO\n\n")
    store.put(record)
    return record


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished cell with an older record, an import, kept weights, leftovers of killed processes, foreign files."""
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    made = put(out, "current", parents={"fit:main": FIT})
    put(out, "older")
    put(out, "imported", label="theirs", imported=True)
    add_cells(out, [{"key": made.key} | {k: v for k, v in made.cell.items() if k != "params"}], "small")
    weights(out, FIT, made)
    for name in (f"models/fit/.{FIT}.x1y2z3_4/weights.safetensors", "forced/records/x.json", ".claims/abc.lock"):
        write(out / name)
    for name in (
        f"records/.{KEYS['older']}.json.abcdefgh.tmp",
        f"models/fit/.{FIT}.lock",
        f"sidecars/{'c' * 32}/key.json",
    ):
        write(out / name)
    for name in ("notes.txt", "records/mine.txt", "sidecars/mine/x", ".git/config", "models/fit/.DS_Store"):
        write(out / name)
    return out


def weights(out: Path, key: str, record: Record) -> None:
    def build(to: Path) -> dict[str, str]:
        (to / "w.safetensors").write_bytes(b"x" * 1000)
        return {"base": training_base(record.cell), "target": ""}

    Artefacts(out / "models").get_or_make("fit", key, build)


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("12345678")


def files(out: Path) -> dict[str, int]:
    return {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}


def pruned(out: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, int, set[str]]:
    """What it said, the bytes that it said, and what is gone."""
    before = files(out)
    assert main(["prune", str(out), *arguments]) == 0
    said = capsys.readouterr().out
    after = files(out)
    found = re.search(r"([\d,]+) bytes (?:would be )?freed\n$", said)
    assert found and after.items() <= before.items()
    gone = before.keys() - after.keys()
    number = int(found[1].replace(",", ""))
    if "--dry-run" not in arguments:
        assert number == sum(before[name] for name in gone)
    return said, number, {name for name in gone if before[name]}


LEFTOVERS = {
    f"models/fit/.{FIT}.x1y2z3_4/weights.safetensors",
    "forced/records/x.json",
    ".claims/abc.lock",
    f"records/.{KEYS['older']}.json.abcdefgh.tmp",
    f"models/fit/.{FIT}.lock",
    f"sidecars/{'c' * 32}/key.json",
}
WEIGHTS = {f"models/fit/{FIT}/w.safetensors", f"models/fit/{FIT}/artefact.json"}


def test_what_each_part_writes_at_the_top_is_known() -> None:
    assert {JOBS, ASIDE, sources.FILE, paper.FOLDER} <= AT_TOP


def test_weights_and_leftovers_are_freed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(out)
    said, would, gone = pruned(out, "--dry-run", capsys=capsys)
    assert not gone and would > 1000 and f"models/fit/{FIT}" in said
    assert files(out).items() <= before.items()
    said, freed, gone = pruned(out, capsys=capsys)
    assert (gone, freed) == (WEIGHTS | LEFTOVERS, would)
    assert "kept: 1 older records that newer ones replace: --stale frees them" in said
    for name in ("notes.txt", "records/mine.txt", "sidecars/mine", ".git", "models/fit/.DS_Store"):
        assert f"not ours, left alone: {name}\n" in said
    (out / "sources.lock.json").write_text("[]")
    (out / "paper").mkdir()
    assert not {"sources.lock.json", "paper"} & {
        line.rpartition(" ")[2] for line in pruned(out, capsys=capsys)[0].splitlines()
    }
    assert pruned(out, capsys=capsys)[1:] == (0, set())


def test_older_records_go_only_when_asked(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, _, gone = pruned(out, "--stale", capsys=capsys)
    older = {name for name in gone if KEYS["older"] in name} - LEFTOVERS
    assert older == {f"records/{KEYS['older']}.json", f"sidecars/{KEYS['older']}/gold.conll.gz"}
    assert gone == older | WEIGHTS | LEFTOVERS
    assert f"m de {KEYS['older'][:8]}" in said
    assert {record.key for record in Records(out).all()} == {KEYS["current"], KEYS["imported"]}


def test_an_older_record_stays_while_nothing_replaces_it(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Records(out).path(KEYS["current"]).unlink()
    said, _, gone = pruned(out, "--stale", capsys=capsys)
    assert not {name for name in gone if KEYS["older"] in name} - LEFTOVERS
    assert "kept: 1 older records whose newer one is not there yet" in said
    put(out, "current", status="failed", error={"type": "E", "message": "m", "traceback": ""})
    assert "whose newer one is not there yet" in pruned(out, "--stale", capsys=capsys)[0], "a failure replaces nothing"


def test_without_a_matrix_nothing_is_stale(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "matrix.json").unlink()
    _, _, gone = pruned(out, "--stale", capsys=capsys)
    assert {record.key for record in Records(out).all()} == {KEYS[n] for n in ("current", "older", "imported")}
    assert f"records/{KEYS['older']}.json" not in gone


def test_weights_that_an_unfinished_cell_may_need_stay(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the same encoder and seed; those of another seed, whose cells are done, go."""
    done = put(out, "alone", seed=2, parents={"fit:main": OTHER})
    weights(out, OTHER, done)
    waiting = dict(done.cell) | {"label": "m+kd", "seed": 1}
    cells = [{"key": done.key, **done.cell}, {"key": KEYS["waiting"], **waiting}]
    add_cells(out, [{k: v for k, v in cell.items() if k != "params"} for cell in cells], "small")
    said, _, gone = pruned(out, capsys=capsys)
    assert {name for name in gone if "/fit/" in name} - LEFTOVERS == {
        f"models/fit/{OTHER}/w.safetensors",
        f"models/fit/{OTHER}/artefact.json",
    }
    assert "kept: 1 weights that the 1 unfinished cells may need" in said


def test_exported_taggers_and_the_cache_go_only_when_asked(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(out / "taggers" / KEYS["current"] / "model.safetensors")
    cache = Artefacts(tmp_path / "cache")
    cache.get_or_make("translate", "d" * 32, lambda to: (to / "t").write_text("t") and {})
    cache.get_or_make("links", "e" * 32, lambda to: (to / "l").write_text("l") and {}, (f"translate/{'d' * 32}",))
    cache.get_or_make("links", "f" * 32, lambda to: (to / "l").write_text("other") and {})
    put(out, "current", parents={"fit:main": FIT, "labels": f"links/{'e' * 32}", "encoder": "9" * 32})
    said = pruned(out, capsys=capsys)[0]
    assert "--taggers frees them" in said and cache.get("links", "e" * 32) is not None
    _, _, gone = pruned(out, "--taggers", capsys=capsys)
    assert gone == {f"taggers/{KEYS['current']}/model.safetensors"}
    assert main(["prune", str(out), "--cache"]) == 0
    assert cache.get("links", "e" * 32) is None and cache.get("translate", "d" * 32) is None
    assert cache.get("links", "f" * 32) is not None, "of another folder"


def test_nothing_is_freed_while_a_run_is_at_work(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(out)
    with claimed(out, "a unit of another process"):
        assert main(["prune", str(out)]) == 2
    assert "a run is at work here (1 claimed units): wait for it, or stop it" in capsys.readouterr().err
    assert before.items() <= files(out).items()
    assert main(["prune", str(out)]) == 0


def test_cells_that_were_taken_out_of_their_matrix_are_forgotten(tmp_path: Path, tiny_folder: Path) -> None:
    """A row that was removed half-way stayed missing for ever; what --set planned beside the file stays planned."""
    place = Place(tmp_path, tiny_folder)

    def run(*methods: str, lose: str, more: tuple[str, ...] = ()) -> None:
        matrix = place.matrix(matrix_text(tiny_folder, methods))
        assert place.xner("run", matrix, "--out", place.out, *more).code == 0
        for record in records(place.out):
            if f"{record['cell']['label']} {record['cell']['seed']}" == lose:  # as if the run had ended before it
                (place.out / "records" / f"{record['key']}.json").unlink()

    def missing() -> int:
        return int(place.xner("status", place.out, "--json").json()["total"]["missing"])

    run("zero_shot", "en_trans", lose="en_trans 1")
    run("zero_shot", lose="zero_shot 7", more=("--set", "axes.seeds=[1, 7]"))
    assert missing() == 2
    assert "matrix.json: 1 cells without a record" in place.xner("prune", place.out, "--dry-run").out
    assert missing() == 2
    assert place.xner("prune", place.out, "--json").json()["unnamed"] == 1
    assert missing() == 1
    assert place.xner("prune", place.out, "--json").json()["unnamed"] == 0


def test_a_cell_whose_encoders_folder_is_not_seen_from_here_stays_planned(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pruned from another folder it lost its place in matrix.json, and its weights."""
    place = Place(tmp_path, tiny_folder)
    shutil.copytree(tiny_folder, tmp_path / "runs" / "best")
    matrix = place.matrix(matrix_text(Path("runs/best"), ("zero_shot",), ("de",), (1,)))
    assert place.xner("run", matrix, "--out", place.out).code == 0
    (record,) = (place.out / "records").glob("*.json")
    record.unlink()
    monkeypatch.setenv("XNER_CACHE", str(place.cache))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["prune", str(place.out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unnamed"] == 0
