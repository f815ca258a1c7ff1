"""Artefacts and records: whole or absent, built once, the same bytes for the same content."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core import files
from bench.core.errors import BadInput
from bench.core.files import canonical_json, published, write_bytes, write_json
from bench.store.artefacts import META, Artefact, Artefacts, cache_root
from bench.store.record import SCHEMA, Cost, Record, Records, Resources, RuleScores, TypeCounts, from_json
from bench.store.sidecars import Damaged

KEY = "0123456789abcdef"


def build(folder: Path) -> dict[str, Any]:
    (folder / "a.txt").write_text("first\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "b.bin").write_bytes(bytes(range(40)))
    return {"provenance": "test", "count": 2}


def forbidden(folder: Path) -> dict[str, Any]:
    raise AssertionError("it is there already")


@pytest.fixture
def store(tmp_path: Path) -> Artefacts:
    return Artefacts(tmp_path / "cache")


def made(store: Artefacts, key: str = KEY, maker: Callable[[Path], Mapping[str, Any]] = build) -> Artefact:
    return store.get_or_make("stage", key, maker, parents=("other/123",))


# --- published whole --------------------------------------------------------------------------------------------------


def test_an_artefact_is_made_once_and_read_back(store: Artefacts) -> None:
    assert store.get("stage", KEY) is None
    first = made(store)
    assert (first.stage, first.key, first.address, first.parents) == ("stage", KEY, f"stage/{KEY}", ("other/123",))
    assert first.details == {"provenance": "test", "count": 2}
    assert made(store, maker=forbidden) == store.get("stage", KEY) == first
    assert (first.folder / "deep" / "b.bin").read_bytes() == bytes(range(40))
    assert first.folder.stat().st_mode & 0o777 == 0o755, "colleagues who share the cache can read it"


def test_what_a_killed_process_left_of_an_artefact_goes_when_it_is_made_again(store: Artefacts) -> None:
    half = store.folder("stage", KEY).parent / f".{KEY}.abcdefgh"
    other = half.with_name(".another.abcdefgh")
    for folder in (half, other):
        folder.mkdir(parents=True)
        (folder / "eval-000.safetensors").write_bytes(b"half")
    made(store)
    assert (half.exists(), other.exists()) == (False, True), "another artefact may be in the making"


def test_details_are_the_same_when_made_and_when_read(store: Artefacts) -> None:
    first = made(store, "b" * 16, lambda folder: {"pair": (1, 2), "by_number": {10: "a", 2: "b"}})
    assert store.get("stage", "b" * 16) == first
    assert first.details == {"pair": [1, 2], "by_number": {"10": "a", "2": "b"}}


def test_other_keys_and_stages_are_other_artefacts(store: Artefacts) -> None:
    made(store)
    assert store.get("stage", "f" * 16) is None
    assert store.get("other", KEY) is None
    store.remove("stage", KEY)
    assert store.get("stage", KEY) is None
    store.remove("stage", KEY)  # removing what is not there is no error


def _meta(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / META).write_text(text)


def _file_is_a_folder(folder: Path) -> None:
    (folder / "a.txt").unlink()
    (folder / "a.txt").mkdir()


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "no meta": lambda folder: (folder / META).unlink(),
    "no file": lambda folder: (folder / "a.txt").unlink(),
    "cut meta": lambda folder: (folder / META).write_bytes((folder / META).read_bytes()[:-20]),
    "cut file": lambda folder: (folder / "deep" / "b.bin").write_bytes(bytes(range(20))),
    "empty meta": _meta(""),
    "a list": _meta("[]"),
    "null": _meta("null"),
    "another version": _meta('{"files": {}}'),
    "files of another kind": _meta('{"files": ["a.txt"], "seconds": 1, "parents": [], "details": {}}'),
    "a folder for a file": _file_is_a_folder,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_half_written_or_damaged_is_absent_and_is_made_again(store: Artefacts, damage: Callable[[Path], None]) -> None:
    folder = made(store).folder
    damage(folder)
    assert store.get("stage", KEY) is None
    again = made(store)
    assert store.get("stage", KEY) == again
    assert (folder / "a.txt").read_text() == "first\n"
    assert (folder / "deep" / "b.bin").read_bytes() == bytes(range(40))


@given(data=st.data())
@settings(max_examples=60)
def test_a_flipped_byte_anywhere_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    store = Artefacts(tmp_path_factory.mktemp("flip"))
    folder = made(store).folder
    file = folder / data.draw(st.sampled_from(["a.txt", "deep/b.bin", META]))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, 9999)) % len(content)  # its length varies with the seconds that it tells
    content[place] ^= data.draw(st.integers(1, 255))
    if file.name == META and _same_json(content, file.read_bytes()):
        return  # another white space
    file.write_bytes(bytes(content))
    assert store.get("stage", KEY) is None


def _same_json(one: bytes | bytearray, other: bytes) -> bool:
    try:
        return bool(json.loads(one.decode()) == json.loads(other))
    except ValueError:
        return False


def test_a_file_at_the_place_of_a_folder_is_no_artefact(store: Artefacts) -> None:
    store.folder("stage", KEY).parent.mkdir(parents=True)
    store.folder("stage", KEY).write_text("not a folder")
    assert store.get("stage", KEY) is None


@pytest.mark.parametrize("error", [RuntimeError("out of luck"), KeyboardInterrupt()])
def test_a_failing_build_leaves_nothing(store: Artefacts, error: BaseException) -> None:
    def failing(folder: Path) -> dict[str, Any]:
        build(folder)
        raise error

    with pytest.raises(type(error)):
        made(store, maker=failing)
    assert store.get("stage", KEY) is None
    left = [path.name for path in (store.root / "stage").iterdir() if not path.name.endswith(".lock")]
    assert left == []
    assert made(store).details["count"] == 2, "the lock was released"


def test_details_that_are_no_json_leave_nothing(store: Artefacts) -> None:
    with pytest.raises(TypeError):
        made(store, maker=lambda folder: {"folder": folder})
    assert store.get("stage", KEY) is None
    made(store)


def test_a_build_is_not_seen_before_it_is_finished(store: Artefacts) -> None:
    def looking(folder: Path) -> dict[str, Any]:
        details = build(folder)
        assert store.get("stage", KEY) is None
        assert not store.folder("stage", KEY).exists()
        return details

    made(store, maker=looking)


def test_ancestors_come_once_and_missing_ones_are_left_out(store: Artefacts) -> None:
    def make(key: str, *parents: str) -> Artefact:
        return store.get_or_make("stage", key, build, parents=parents)

    make("a" * 8)
    make("b" * 8, "stage/" + "a" * 8)
    make("c" * 8, "stage/" + "a" * 8, "stage/gone")
    last = make("d" * 8, "stage/" + "b" * 8, "stage/" + "c" * 8)
    assert sorted(one.key[0] for one in store.ancestors([last.address])) == ["a", "b", "c", "d"]


def test_the_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    monkeypatch.delenv("XNER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "xner-bench"


# --- made once --------------------------------------------------------------------------------------------------------


def _make_logged(root: Path, log: Path, barrier: Any) -> None:
    """Runs in another process or thread: all get to the same key at once."""

    def slow(folder: Path) -> dict[str, Any]:
        with log.open("a") as file:
            file.write("built\n")
        time.sleep(0.3)  # without the lock the others would begin to build by now
        return build(folder)

    barrier.wait()
    found = Artefacts(root).get_or_make("stage", KEY, slow)
    with log.open("a") as file:
        file.write(f"got {found.details['count']} {(found.folder / 'a.txt').read_text()}")


def _expect_one_build(log: Path, makers: int) -> None:
    lines = log.read_text().splitlines()
    assert lines.count("built") == 1
    assert lines.count("got 2 first") == makers


@pytest.mark.slow
def test_two_processes_that_want_one_key_build_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    log = tmp_path / "log"
    workers = [context.Process(target=_make_logged, args=(tmp_path / "cache", log, barrier)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    _expect_one_build(log, 2)


def test_threads_that_want_one_key_build_it_once(tmp_path: Path) -> None:
    barrier, log = threading.Barrier(4), tmp_path / "log"
    workers = [threading.Thread(target=_make_logged, args=(tmp_path / "cache", log, barrier)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    _expect_one_build(log, 4)


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), published(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    write_json(path, {"b": 1, "a": [None, "é"]})
    assert path.read_text(encoding="utf-8") == '{\n "a": [\n  null,\n  "é"\n ],\n "b": 1\n}\n'
    assert [one.name for one in path.parent.iterdir()] == ["file.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_canonical_json_has_one_text_a_value() -> None:
    assert canonical_json({"b": (1, 2), "a": "é"}) == canonical_json({"a": "é", "b": [1, 2]}) == '{"a":"é","b":[1,2]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


# --- records ----------------------------------------------------------------------------------------------------------

numbers = st.floats(0, 1)
names = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
scores = st.builds(
    RuleScores,
    f1=numbers,
    precision=numbers,
    recall=numbers,
    types=st.dictionaries(names, st.builds(TypeCounts, *[st.integers(0, 99)] * 3), max_size=3),
    step=st.integers(1, 1000),
    dev_f1=st.none() | numbers,
    recall_seen=st.none() | numbers,
    recall_unseen=st.none() | numbers,
    oracle=st.booleans(),
)
records = st.builds(
    Record,
    key=st.just(KEY),
    matrix=names,
    cell=st.dictionaries(names, json_values, max_size=4),
    status=st.sampled_from(["ok", "failed", "skipped"]),
    parents=st.dictionaries(names, names, max_size=3),
    scores=st.dictionaries(names, scores, max_size=2),
    rules=st.lists(names, max_size=3).map(tuple),
    error=st.none() | st.dictionaries(names, names, max_size=2),
    reason=st.none() | names,
    tokens_scored=st.integers(0, 10**6),
    projection=st.dictionaries(names, st.integers(0, 99), max_size=3),
    resources=st.builds(
        Resources, labelled=st.integers(0, 99), translation=st.sampled_from(["none", "human", "machine"])
    ),
    cost=st.builds(Cost, seconds=st.none() | numbers, flops=st.none() | st.floats(0, 1e20)),
    ran=st.dictionaries(names, json_values, max_size=3),
    attempts=st.integers(1, 9),
)


@given(record=records)
@settings(max_examples=60)
def test_records_survive_the_disk_and_have_one_text(tmp_path_factory: pytest.TempPathFactory, record: Record) -> None:
    folder = Records(tmp_path_factory.mktemp("records"))
    folder.put(record)
    assert folder.get(KEY) == record
    before = folder.path(KEY).read_bytes()
    backwards = {name: record.cell[name] for name in reversed(list(record.cell))}
    folder.put(replace(folder.get(KEY) or record, cell=backwards))
    assert folder.path(KEY).read_bytes() == before
    assert from_json(json.loads(before)) == record == from_json(asdict(record))


def plain(**changes: Any) -> Record:
    return replace(Record(key=KEY, matrix="m", cell={"label": "zero_shot"}, status="ok"), **changes)


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, 99, "1", None])
def test_an_unknown_schema_is_refused_with_its_number(tmp_path: Path, schema: Any) -> None:
    folder = Records(tmp_path)
    write_json(folder.path(KEY), asdict(plain()) | {"schema": schema})
    with pytest.raises(BadInput, match=rf"{KEY}\.json: record schema {schema!r} is unknown; .* reads {SCHEMA}"):
        folder.get(KEY)


def test_a_record_of_other_fields_is_refused() -> None:
    value = asdict(plain())
    with pytest.raises(BadInput, match="unknown field 'f2'"):
        from_json(value | {"f2": 1})
    with pytest.raises(BadInput, match="not a record"):
        from_json({name: value[name] for name in value if name != "status"})
    with pytest.raises(BadInput, match="not a record"):
        from_json(value | {"scores": {"last": {"f1": 1.0}}})
    with pytest.raises(BadInput, match="not a record"):
        from_json([])  # type: ignore[arg-type]
    assert set(value) == {one.name for one in fields(Record)}


@pytest.mark.parametrize("text", ["", "{", '{"key": "0123', "\x00\x00\x00", "\ud800"])
def test_a_damaged_record_is_absent(tmp_path: Path, text: str) -> None:
    folder = Records(tmp_path)
    folder.put(plain())
    folder.path(KEY).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert folder.get(KEY) is None
    assert folder.all() == []
    folder.put(plain())
    assert folder.get(KEY) == plain()


def test_all_records_come_by_key_and_damaged_ones_are_left_out(tmp_path: Path) -> None:
    folder = Records(tmp_path)
    assert folder.all() == []
    assert folder.get("nothing") is None
    for key in ("c", "a", "b"):
        folder.put(plain(key=key))
    folder.path("b").write_text("{")
    assert [record.key for record in folder.all()] == ["a", "c"]


def test_a_number_that_json_lacks_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    folder = Records(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        folder.put(plain(diagnostics={"loss": float("nan")}))
    assert folder.get(KEY) is None


def test_sidecars_have_the_same_bytes_and_survive(tmp_path: Path) -> None:
    import gzip

    folder = Records(tmp_path)
    counts = {"last": np.arange(12, dtype=np.int32).reshape(2, 2, 3), "source-dev": np.zeros((2, 2, 3), np.int32)}
    kept = []
    for _ in range(2):
        folder.put_text(KEY, "gold.conll.gz", "Anna B-PER\n")
        folder.put_counts(KEY, counts, ["PER", "LOC"])
        kept.append([folder.sidecar(KEY, name).read_bytes() for name in ("gold.conll.gz", "counts.npz")])
    assert kept[0] == kept[1]
    assert kept[0][0][4:8] == bytes(4), "no time of writing"
    assert gzip.decompress(kept[0][0]) == b"Anna B-PER\n"
    found = folder.counts(KEY)
    assert list(found) == ["last", "source-dev"]
    assert all(np.array_equal(found[rule], counts[rule]) for rule in counts)
    with pytest.raises(Damaged, match="missing"):
        folder.counts("nothing")


@pytest.mark.parametrize("just_now", [True, False])
def test_a_file_is_hashed_again_when_it_changed_or_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, just_now: bool
) -> None:
    path, read = tmp_path / "weights", list[Path]()
    plain = files.sha256_of_file
    monkeypatch.setattr(files, "_JUST_NOW", 10**12 if just_now else 0)
    monkeypatch.setattr(files, "sha256_of_file", lambda path: read.append(path) or plain(path))
    path.write_bytes(b"one")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    assert files.sha256_of_unchanged(path) == files.sha256_of_unchanged(path) == files.sha256_of("one")
    assert len(read) == (2 if just_now else 1)
    time.sleep(0.02)  # longer than a tick of the file system's clock
    path.write_bytes(b"two")
    os.utime(path, ns=times)  # as old as before, by its own word
    assert files.sha256_of_unchanged(path) == files.sha256_of("two")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files.sha256_of_unchanged(path)
