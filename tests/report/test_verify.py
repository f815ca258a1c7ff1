"""`xner verify`: a folder that agrees with itself is clean, and whatever is changed in it is named."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli.main import main
from bench.core.conll import conll_text
from bench.core.sentences import digest
from bench.report.frame import groups, read
from bench.report.rescore import Verified
from bench.report.tables import main_tables, write_shown, write_tables
from bench.report.verify import verify
from bench.store.artefacts import Artefacts
from bench.store.packed import pack
from bench.store.record import Records, add_cells, matrix_cells
from bench.store.sidecars import GOLD, Damaged, digest_of, parsed, read_sidecar, unpacked
from tests.support.e2e_tools import Place, by_name, matrix_text
from tests.support.e2e_tools import unpacked as unpacked_text
from tests.support.scored_for_tests import gold_of, make_scored


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a run leaves it."""
    out = tmp_path_factory.mktemp("verify") / "toy"
    make_scored(out)
    Artefacts(out / "models").get_or_make("fit", "k1", lambda folder: {"n": (folder / "w").write_text("weights")})
    write_tables(out)
    write_shown(out, main_tables(groups(read([out]))))
    return out


@pytest.fixture
def out(clean: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(clean, tmp_path / "toy"))


def first(out: Path) -> Any:
    """concner / de / seed 1."""
    return next(r for r in Records(out).all() if r.cell["label"] == "concner" and r.cell["target"] == "de")


def said(found: Verified) -> str:
    return "\n".join(map(str, found.findings))


def edit_record(out: Path, change: Callable[[Any], Any]) -> Path:
    """Change the JSON of the first record in place."""
    path = Records(out).path(first(out).key)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, sort_keys=True))
    return path


def edit_text(out: Path, name: str, change: Callable[[str], str]) -> Path:
    path = Records(out).sidecar(first(out).key, name)
    path.write_bytes(gzip.compress(change(unpacked(path)).encode()))
    return path


def test_a_clean_folder(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(clean)]) == 0
    text = capsys.readouterr().out
    assert "12 records, 24 scores, 1 artefacts, " in text and text.endswith("no mismatch\n") and "note" not in text
    assert main(["verify", str(clean), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["clean"] and value["mismatches"] == value["notes"] == []
    assert value["checked"]["tables"] == len(list((clean / "tables").iterdir()))


def test_a_packed_folder_is_verified_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped demo, packed: every score made again. Its tables may be in an earlier version's words."""
    shipped = Path(__file__).parents[2] / "results" / "reference" / "demo"
    out = Path(shutil.copytree(shipped, tmp_path / "demo", ignore=shutil.ignore_patterns("figures", "report.html")))
    assert main(["pack", str(out)]) == 0 and not (out / "records").exists()
    capsys.readouterr()
    main(["verify", str(out), "--json"])
    value = json.loads(capsys.readouterr().out)
    assert value["checked"]["records"] == 36 and value["checked"]["scores"] == 108
    assert [one for one in value["mismatches"] if not one["file"].startswith("tables/")] == []
    assert not any("parquet" in note or "README" in note for note in value["notes"])


def test_a_changed_packed_record_is_named(out: Path) -> None:
    edit_record(out, lambda record: record["scores"]["last"].update(f1=0.99))
    key = first(out).key
    pack(out)
    assert f"records/{key}.json: scores.last.f1: stored 0.99" in said(verify(out))


def test_the_digest_is_the_runners() -> None:
    gold = gold_of("de")
    assert digest_of(parsed(conll_text(gold)), "de") == digest(gold)


def test_what_a_run_leaves_is_clean(tmp_path: Path, tiny_folder: Path) -> None:
    """Through the command line: run, verify, compare, import of its own predictions, verify again."""
    place = Place(tmp_path, tiny_folder)
    methods = ("zero_shot", "en_trans", "concner")
    question = '\n[[contrast]]\na = "concner"\nb = "en_trans"\nname = "the question"\n'
    ran = place.xner("run", place.matrix(matrix_text(tiny_folder, methods) + question), "--out", place.out)
    assert ran.code == 0, ran.err
    checked = place.xner("verify", place.out)
    assert checked.code == 0 and "note" not in checked.out, checked.out
    (compared,) = place.xner("compare", place.out, "concner", "en_trans", "--json").json()
    assert (
        compared["declared"] == "the question"
        and list(compared["factors"]) == ["loss_terms"]
        and not compared["settings"]
    )
    record = by_name(place.out)["en_trans", "de", 1]
    paths = []
    for name in ("gold", "predictions-last"):
        paths.append(tmp_path / f"{name}.conll")
        paths[-1].write_text(unpacked_text(place.out, record["key"], name), encoding="utf-8")
    words = ("--method", "copy", "--target", "de", "--seed", "1", "--rule", "last")
    imported = place.xner("import", place.out, *paths, *words)
    assert imported.code == 0, imported.err
    copy = by_name(place.out)["copy", "de", 1]
    assert copy["scores"]["last"]["types"] == record["scores"]["last"]["types"]
    assert copy["corpus"]["test"] == record["corpus"]["test"] and copy["cell"]["encoder"] == record["cell"]["encoder"]
    (compared,) = place.xner("compare", place.out, "copy", "en_trans", "--rule", "last", "--json").json()
    assert compared["languages"][0]["verdict"] == "same"
    assert place.xner("tables", place.out).code == 0
    checked = place.xner("verify", place.out)
    assert checked.code == 0, checked.out


# --- a number that does not follow ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    (
        (lambda r: r["scores"]["last"].update(f1=0.99), "scores.last.f1: stored 0.99, should be 0."),
        (lambda r: r["scores"]["last"].update(recall=float("nan")), "scores.last.recall: stored nan"),
        (lambda r: r["scores"]["last"]["types"]["PER"].update(tp=0), "scores.last.types.PER (tp, fp, fn): stored (0, "),
        (
            lambda r: r["scores"]["last"]["types"].update(X={"tp": 1, "fp": 0, "fn": 0}),
            "types.X (tp, fp, fn): stored (1",
        ),
        (lambda r: r.update(sentences=41), "sentences: stored 41, should be 40"),
        (lambda r: r.update(tokens_scored=3), "tokens_scored: stored 3, should be "),
        (lambda r: r["cell"].update(target="fi"), "cell.target is not what matrix.json says: stored fi, should be de"),
        (lambda r: r["corpus"].update(test="0" * 64), "not the test that the record names"),
        (lambda r: r["corpus"].update(test="x"), "corpus.test is no digest of a test"),
        (lambda r: r["scores"].pop("last"), "holds the rule 'last', of which there is no score"),
        (lambda r: r.update(scores={}), "scores by rule"),
    ),
)
def test_a_changed_record(out: Path, change: Callable[[Any], Any], what: str) -> None:
    path = edit_record(out, change)
    found = verify(out)
    assert what in said(found)
    assert any(Path(one.file).stem == path.stem or path.stem in one.file for one in found.findings)


def test_a_changed_count(out: Path) -> None:
    store, key = Records(out), first(out).key
    counts = store.counts(key)
    counts["last"][5, 1, 2] += 1
    store.put_counts(key, counts, ("PER", "LOC"))
    found = verify(out)
    (one,) = [x for x in found.findings if x.file.endswith("counts.npz")]
    assert "last: sentence 6 ('toy-7-de-5'), LOC (tp, fp, fn)" in one.what
    assert eval_tuple(one.stored)[2] == eval_tuple(one.expected)[2] + 1


def eval_tuple(text: str) -> list[int]:
    return [int(part) for part in text.strip("()").split(",")]


@pytest.mark.parametrize(
    ("change", "what"),
    (
        (lambda c: {"last": c["last"]}, "lacks the rule 'source-dev'"),
        (lambda c: {**c, "best": c["last"]}, "holds the rule 'best'"),
        (lambda c: {**c, "last": c["last"][:9]}, "stored int32 (9, 2, 3), should be int32 (40, 2, 3)"),
        (lambda c: {**c, "last": c["last"].astype(float)}, "stored float64"),
    ),
)
def test_counts_of_another_form(out: Path, change: Callable[[Any], Any], what: str) -> None:
    store, key = Records(out), first(out).key
    store.put_counts(key, change(store.counts(key)), ("PER", "LOC"))
    assert what in said(verify(out))


def test_counts_without_a_type(out: Path) -> None:
    store, key = Records(out), first(out).key
    store.put_counts(key, {rule: array[:, :1] for rule, array in store.counts(key).items()}, ("PER",))
    assert "types PER, LOC: stored int32 (40, 1, 3), should be int32 (40, 2, 3)" in said(verify(out))


@pytest.mark.parametrize(
    ("name", "change", "what"),
    (
        (GOLD, lambda t: t.replace("\tB-PER", "\tB-LOC", 1), "not the test that the record names"),
        (GOLD, lambda t: t.replace("# group = toy/3", "# group = toy/4"), "not the test that the record names"),
        (GOLD, lambda t: t.replace("\tB-PER", "\tPER", 1), "no IOB2 tag: 'PER'"),
        (GOLD, lambda t: t[:-1], "the last sentence is cut off"),
        (GOLD, lambda t: "", "empty"),
        ("predictions-last.conll.gz", lambda t: t.replace("\tB-LOC", "\tB-PER", 1), "scores.last.f1: stored "),
        (
            "predictions-last.conll.gz",
            lambda t: t.replace("# sent_id = toy-7-de-2\n", "# sent_id = x\n"),
            "id of sentence 3",
        ),
        ("predictions-last.conll.gz", lambda t: t.replace("dog\t", "cat\t", 1), "stored 'cat', should be 'dog'"),
        ("predictions-last.conll.gz", lambda t: t.partition("\n\n")[2], "sentences: stored 39, should be 40"),
        ("predictions-last.conll.gz", lambda t: t.replace("\tO\n", "\tO\tO\n", 1), "expected a word, a tab and a tag"),
        ("predictions-last.conll.gz", lambda t: "no CoNLL\n\n", "line 1: expected '# sent_id = …', found 'no CoNLL'"),
    ),
)
def test_changed_gold_and_predictions(out: Path, name: str, change: Callable[[str], str], what: str) -> None:
    edit_text(out, name, change)
    found = verify(out)
    assert what in said(found)
    assert {one.file.split("/")[1].removesuffix(".json") for one in found.findings if "tables" not in one.file} == {
        first(out).key
    }, "and of no other record"


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", (GOLD, "predictions-last.conll.gz", "counts.npz"))
@pytest.mark.parametrize("how", ("missing", "truncated", "empty", "folder"))
def test_files_that_are_missing_or_damaged(out: Path, name: str, how: str) -> None:
    path = Records(out).sidecar(first(out).key, name)
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes(data[: len(data) // 2] if how == "truncated" else b"")
    found = verify(out)
    assert any(one.file == path.relative_to(out).as_posix() for one in found.findings)
    if how == "missing":
        assert f"{name}: missing" in said(found)


@pytest.mark.parametrize("name", ["curves.json", "key.json"])
@pytest.mark.parametrize(("content", "what"), [(b'{"loss', "truncated or not JSON"), (b"[]", "expected a JSON object")])
def test_json_beside_a_record_is_read(out: Path, name: str, content: bytes, what: str) -> None:
    Records(out).sidecar(first(out).key, name).write_bytes(content)
    assert f"{name}: {what}" in said(verify(out))


@pytest.mark.parametrize(
    ("content", "what"),
    (
        (b'{"key": ', "truncated or not JSON"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"[]", "expected a JSON object"),
        (b'{"schema": 7}', "record schema 7 is unknown; this version reads 1"),
        (b"[" * 100000, "not a record"),
        (b"1" * 5000, "not a record"),
        (b'{"schema": 1, "sauce": 2}', "unknown field 'sauce'"),
        (b'{"schema": 1, "sau\\nce": 2}', r"unknown field 'sau\nce'"),
        (b'{"schema": 1, "key": "x", "matrix": "", "cell": 5, "status": "ok"}', "'cell' is 5"),
        (
            b'{"schema": 1, "key": "y", "matrix": "", "cell": {"label": "a", "target": "b"}, "status": "ok"}',
            "is not the file's",
        ),
        (
            b'{"schema": 1, "key": "x", "matrix": "", "cell": {"label": "a", "target": "b"}, "status": "on"}',
            "status 'on'",
        ),
    ),
)
def test_records_that_are_none(out: Path, content: bytes, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "records" / "x.json").write_bytes(content)
    assert main(["verify", str(out)]) == 1
    text = capsys.readouterr().out
    assert "records/x.json" in text and what in text and "1 mismatch\n" in text
    assert "tables/: not checked" in text


@pytest.mark.parametrize("content", [b'{"todo": "buy milk"}', b"[]", b"[" * 100000, b"1" * 5000, b"\xff"])
def test_somebodys_file_among_the_records_stops_no_verb(
    out: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(out)]) == 0
    before = capsys.readouterr().out
    (out / "records" / "notes.json").write_bytes(content)
    assert main(["status", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == before
    if content in (b"[]", b'{"todo": "buy milk"}'):
        assert "warning: " in said.err and "notes.json: not a record" in said.err and "left out" in said.err
    assert main(["tables", str(out), "--format", "md"]) == 0
    assert main(["verify", str(out)]) == 1


def test_foreign_files_and_leftovers(out: Path) -> None:
    key = first(out).key
    for name in ("records/notes.txt", f"sidecars/{key}/old.conll.gz", "tables/my.md", "tables/.main.md.x.tmp"):
        (out / name).write_text("x")
    (out / "sidecars" / "orphan").mkdir()
    (out / "records" / ".k.json.abc.tmp").write_text("x")
    (out / "sidecars" / key / ".gold.conll.gz.abc.tmp").write_text("x")
    for name in ("thesis.docx", "sources.lock.json"):
        (out / name).write_text("x")
    (out / "logs").mkdir()
    found = verify(out)
    assert [one.file for one in found.findings] == [
        "records/notes.txt",
        f"sidecars/{key}/old.conll.gz",
        "sidecars/orphan",
        "tables/my.md",
    ]
    for part in ("records/.k.json", ".gold.conll.gz.abc", "thesis.docx", "tables/.main.md"):
        assert any(part in note for note in found.notes), part
    assert not any(ours in note for note in found.notes for ours in ("sources.lock.json", "logs"))


def test_a_corpus_smaller_than_asked_for_is_no_mismatch(out: Path) -> None:
    cells = [{**cell, "n_source": 5000} for cell in matrix_cells(out)]
    add_cells(out, cells)
    write_tables(out)
    assert not verify(out).findings
    add_cells(out, [{**cell, "n_source": 500} for cell in cells])
    assert "cell.n_source is not what matrix.json says" in said(verify(out))


def test_unfinished_cells_are_no_mismatch(out: Path) -> None:
    key = first(out).key
    Records(out).path(key).unlink()
    write_tables(out)
    (out / "tables" / "main.txt").unlink()
    found = verify(out)
    assert not found.findings, said(found)
    assert any(f"sidecars/{key}" in note for note in found.notes)
    assert any("1 of the matrix's 12 cells have no" in note for note in found.notes)


def test_a_damaged_matrix_and_damaged_weights(out: Path) -> None:
    (out / "matrix.json").write_text("{")
    (out / "models" / "fit" / "k1" / "w").write_text("Weights")
    found = verify(out)
    assert "matrix.json: not JSON" in said(found) and "models/fit/k1: damaged" in said(found)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_changed_table(out: Path) -> None:
    path = out / "tables" / "main.csv"
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], lines[1].replace("de,", "de,1", 1), *lines[2:]]))
    (one,) = verify(out).findings
    assert (
        one.file == "tables/main.csv" and "line 2" in one.what and ",de,1" in one.stored and ",de,1" not in one.expected
    )


def test_a_missing_table_and_one_that_no_version_wrote(out: Path) -> None:
    (out / "tables" / "types.md").unlink()
    (out / "tables" / "main.tex").write_bytes(b"\xff")
    found = verify(out)
    assert {(one.file, one.what.split(";")[0]) for one in found.findings} == {
        ("tables/types.md", "missing"),
        ("tables/main.tex", "not UTF-8 at byte 0"),
    }


def test_only_the_formats_that_are_there_are_wanted(out: Path) -> None:
    for path in (out / "tables").iterdir():
        if path.suffix != ".md":
            path.unlink()
    assert not verify(out).findings
    shutil.rmtree(out / "tables")
    assert not verify(out).findings


def test_a_folder_that_was_renamed(out: Path) -> None:
    found = verify(out.rename(out.with_name("moved")))
    assert not found.findings and not found.notes, "no table depends on the folder's name"


def test_records_that_make_no_table_are_a_finding(out: Path) -> None:
    shutil.copytree(out / "sidecars" / first(out).key, out / "sidecars" / "twin")
    text = Records(out).path(first(out).key).read_text().replace(f'"key": "{first(out).key}"', '"key": "twin"')
    (out / "records" / "twin.json").write_text(text)
    (out / "matrix.json").unlink()
    assert "tables: cannot be made again: " in said(verify(out)) and "two records for concner" in said(verify(out))


# --- bad input and odd input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ("nowhere", "empty", "file"))
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: str) -> None:
    out = tmp_path / "out"
    if make == "empty":
        (out / "records").mkdir(parents=True)
    elif make == "file":
        out.write_text("x")
    assert main(["verify", str(out)]) == 2
    err = capsys.readouterr().err
    assert ("nothing can be verified" if make == "empty" else "no such folder") in err and len(err.splitlines()) == 1


def test_a_sidecar_that_may_not_be_read(out: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = Records(out).sidecar(first(out).key, GOLD)
    path.chmod(0)
    assert "cannot be read: Permission denied" in said(verify(out))


def test_hostile_names_print_on_one_line(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "records" / "a\nb\x1b[31m.json").write_text("{")
    assert main(["verify", str(out)]) == 1
    text = capsys.readouterr().out
    assert "\x1b" not in text and len(text.splitlines()) == 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_byte_of_a_sidecar_is_noticed_or_harmless(out: Path, data: st.DataObject) -> None:
    """Never a crash. A byte that changes nothing of the content (a time in a header) may pass."""
    shutil.rmtree(out / "tables", ignore_errors=True)  # they cost the most
    store, key = Records(out), first(out).key
    name = data.draw(st.sampled_from([GOLD, "predictions-source-dev.conll.gz", "counts.npz"]))
    path = store.sidecar(key, name)
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    content = store.counts(key) if name == "counts.npz" else read_sidecar(path)
    path.write_bytes(
        before[:place] + bytes([before[place] ^ (1 << data.draw(st.integers(0, 7)))]) + before[place + 1 :]
    )
    try:
        if not [one for one in verify(out).findings if key in one.file]:
            now = store.counts(key) if name == "counts.npz" else read_sidecar(path)
            if name == "counts.npz":
                assert all(np.array_equal(now[rule], content[rule]) for rule in content)  # type: ignore[index]
            else:
                assert now == content
    finally:
        path.write_bytes(before)


def test_counts_that_seem_to_be_encrypted_are_damaged(out: Path) -> None:
    """A flipped bit that zipfile answers with a RuntimeError: bit 0 of the flags in the central directory."""
    key = first(out).key
    path = Records(out).sidecar(key, "counts.npz")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] ^= 1
    path.write_bytes(bytes(raw))
    assert [one for one in verify(out).findings if key in one.file]
    assert main(["tables", str(out)]) == 0, "the other cells' numbers are not lost"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_sidecar_or_damaged(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conll.gz"
    for content in (data, gzip.compress(data)):
        path.write_bytes(content)
        try:
            found = read_sidecar(path)
        except Damaged:
            continue
        assert len(found.ids) == len(found.words) == len(found.tags) > 0
