"""A packed suite reads as the folder that it was packed from, and unpacks to the same bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.main import main
from bench.core.conll import conll_text
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, Span
from bench.store import packed
from bench.store.artefacts import claimed
from bench.store.packed import is_packed, pack, refuse_packed, unpack
from bench.store.record import Records
from bench.store.sidecars import GOLD, compressed, predictions_name
from tests.support.records_for_tests import Plan, make

PLAN = Plan({"zero_shot": 0.5, "en_trans": 0.6}, seeds=(1, 2), curves=True)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "suite"
    for record in make(out, PLAN):
        store = Records(out)
        gold = [Sentence("a", "de", ("Anna", "ging"), (Span(0, 1, "PER"),), "g1"), Sentence("b", "de", ("Und",), ())]
        store.put_text(record.key, GOLD, conll_text(gold))
        wrong = [gold[0], Sentence("b", "de", ("Und",), (Span(0, 1, "LOC"),))]
        store.put_text(record.key, predictions_name("last"), conll_text(wrong if "en" in record.key else gold))
        store.sidecar(record.key, "space.npz").write_bytes(b"anything at all")
    return out


def contents(folder: Path) -> dict[str, str]:
    """Hashes of the files by name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_is_packed_unpacks_to_the_same_bytes(suite: Path) -> None:
    before = contents(suite)
    pack(suite)
    assert sorted(contents(suite)) == sorted(packed.FILES)
    unpack(suite)
    assert contents(suite) == before


def test_readers_see_no_difference(suite: Path) -> None:
    before = {record.key: (record, Records(suite).counts(record.key)) for record in Records(suite).all()}
    pack(suite)
    after = Records(suite)
    assert [record.key for record in after.all()] == sorted(before)
    for key, (record, counts) in before.items():
        assert after.get(key) == record
        assert {rule: array.tolist() for rule, array in after.counts(key).items()} == {
            rule: array.tolist() for rule, array in counts.items()
        }


def test_tables_of_a_packed_folder_are_those_of_the_folder(suite: Path) -> None:
    assert main(["tables", str(suite)]) == 0
    before = contents(suite / "tables")
    shutil.rmtree(suite / "tables")
    assert main(["pack", str(suite)]) == 0
    assert main(["tables", str(suite)]) == 0
    assert contents(suite / "tables") == before
    assert main(["status", str(suite)]) == 0


def test_two_readers_unpack_it_once(suite: Path) -> None:
    pack(suite)
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(packed.opened, [suite] * 4))
    assert len({*places}) == 1 and len(list(places[0].glob("records/*.json"))) == 8


def test_packing_that_was_interrupted_resumes(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(suite)
    kept = shutil.copytree(suite, suite.with_name("kept"))
    pack(suite)
    shutil.copytree(kept / "records", suite / "records")  # the power failed before everything was removed
    pack(suite)
    assert not (suite / "records").exists()
    unpack(suite)
    assert contents(suite) == before


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_other_records_beside_the_packed_ones_stay(suite: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As after a checkout that brings packed files back into a folder that was unpacked and run on."""
    kept = shutil.copytree(suite, suite.with_name("kept"))
    more = make(kept, Plan({"concner": 0.7}, seeds=(1,))) if verb == "pack" else []
    pack(suite)
    shutil.copytree(kept / "records", suite / "records")
    path = Records(kept).path(Records(kept).all()[0].key)
    newer = suite / "records" / (f"{more[0].key}.json" if more else path.name)
    if not more:
        newer.write_text(path.read_text().replace('"attempts": 1', '"attempts": 2'))
    before = contents(suite)
    assert main([verb, str(suite)]) == 2
    said = capsys.readouterr().err
    assert newer.name in said and "move `records` and `sidecars` elsewhere" in said and said.count("\n") == 1
    assert contents(suite) == before


def test_what_cannot_be_packed_is_left_alone(suite: Path) -> None:
    key = Records(suite).all()[0].key
    Records(suite).sidecar(key, GOLD).write_bytes(compressed("# sent_id = a\nAnna\tB-PER\textra\n\n"))
    before = contents(suite)
    with pytest.raises(BadInput, match=f"{key}/{GOLD}: not what a run writes"):
        pack(suite)
    assert contents(suite) == before


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("records/notes.txt", b"mine", "not a record that a run wrote"),
        ("records/list.json", b"[]", "not a record that a run wrote"),
        ("records/KEY.json", b'{"key": "KEY", "sche', "not a record that a run wrote"),
        ("records/another.json", b'{"key": "KEY", "schema": 1}', "not a record that a run wrote"),
        ("sidecars/notes.txt", b"mine", "sidecars/notes.txt has no record"),
        ("sidecars/KEY/counts.npz", b"PK", "counts.npz: not what a run writes"),
        (f"sidecars/KEY/{GOLD}", b"no gzip", f"{GOLD}: not what a run writes"),
        ("sidecars/KEY/curves.json", b"[1]", "curves.json: not what a run writes"),
        ("sidecars/KEY/curves.json", b"{", "curves.json: not what a run writes"),
        ("sidecars/KEY/folder/file", b"", "folder: not what a run writes"),
    ],
)
def test_a_folder_with_a_damaged_or_foreign_file_is_left_alone(
    suite: Path, name: str, data: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = suite / name.replace("KEY", Records(suite).all()[0].key)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    before = contents(suite)
    assert main(["pack", str(suite)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert contents(suite) == before


@pytest.mark.parametrize("name", packed.FILES)
def test_a_damaged_file_is_one_line(suite: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    pack(suite)
    whole = (suite / name).read_bytes()
    (suite / name).write_bytes(whole[: len(whole) // 2])
    assert main(["tables", str(suite)]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1


def test_a_packed_folder_takes_no_records(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuse_packed(suite)
    pack(suite)
    with pytest.raises(BadInput, match="xner unpack"):
        refuse_packed(suite)
    assert main(["prune", str(suite)]) == 2
    assert "xner unpack" in capsys.readouterr().err
    with pytest.raises(BadInput, match="not a packed suite"):
        unpack(suite.with_name("elsewhere"))
    assert is_packed(suite)


def test_a_suite_that_is_being_run_is_not_packed(suite: Path) -> None:
    with claimed(suite, "a unit"), pytest.raises(BadInput, match="a run is at work here"):
        pack(suite)
    record, store = Records(suite).all()[0], Records(suite)
    pack(suite)
    with pytest.raises(BadInput, match="is packed"):
        store.put(record)


words = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=6)
sentences = st.lists(
    st.lists(st.tuples(words, st.sampled_from(["O", "B-PER", "I-PER", "B-x#y"])), min_size=1, max_size=4)
)


@given(sentences.filter(bool), st.lists(st.booleans(), min_size=1, max_size=3))
def test_any_sidecar_of_ours_survives(tagged: list[list[tuple[str, str]]], grouped: list[bool]) -> None:
    blocks = []
    for number, sentence in enumerate(tagged):
        head = [f"# sent_id = {number}"] + ["# group = g"] * grouped[number % len(grouped)]
        blocks.append("\n".join([*head, *(f"{word}\t{tag}" for word, tag in sentence)]) + "\n\n")
    text = "".join(blocks)
    rows, metadata = packed._tag_rows({("k", GOLD): text, ("k", "predictions-last.conll.gz"): text})
    assert [row["text"] is None for row in rows] == [False, True]
    assert dict(packed._conll(rows, json.loads(metadata["tags"]))) == dict.fromkeys(
        [("k", GOLD), ("k", "predictions-last.conll.gz")], compressed(text)
    )
