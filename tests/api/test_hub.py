"""Names to commits and files of a commit, against a hub of our own; every fault is one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from bench.api import hub as ours
from bench.api.hub import TRIES, HubName, cached, commit_of, fetch, fetch_shown, here, resolve, verified
from bench.core.errors import BadInput
from tests.support.hub import BAD, Fault, Hub, conversion, serving

INDEX = "model.safetensors.index.json"
MODEL = HubName("model", "org/model", patterns=("*.json", "*.safetensors"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, and a client that knows no other hub and has an empty cache."""
    from huggingface_hub import constants

    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "notes.md").write_text("not read")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    with serving(Hub()) as hub:
        hub.put("model", "org/model", folder)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 2)
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("HF_HUB_OFFLINE", "false")
        monkeypatch.setenv("XNER_CACHE", str(tmp_path / "ours"))
        commit_of.cache_clear()
        yield hub
        commit_of.cache_clear()


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, which the tests do not wait for."""
    pauses: list[float] = []
    monkeypatch.setattr("bench.api.hub.sleep", pauses.append)
    return pauses


def test_a_name_is_resolved_once_and_its_files_are_fetched(hub: Hub) -> None:
    pinned = resolve(MODEL)
    assert pinned.commit == hub.commit("model", "org/model")
    assert (pinned.licence, pinned.bytes) == ("mit", 256 * 40 + len('{"model_type": "bert"}') + 2)
    folder = fetch(MODEL, pinned.commit)
    assert folder.name == pinned.commit
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    before = hub.asked("/resolve/")
    assert fetch(MODEL, pinned.commit) == folder
    assert hub.asked("/resolve/") == before, "what is cached is not asked for again"


def test_a_commit_stays_what_it_was_when_the_branch_moves(hub: Hub, tmp_path: Path) -> None:
    pinned = resolve(MODEL)
    fetch(MODEL, pinned.commit)
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "config.json").write_text("{}")
    hub.put("model", "org/model", moved)
    assert resolve(MODEL).commit != pinned.commit
    assert json.loads((fetch(MODEL, pinned.commit) / "config.json").read_text()) == {"model_type": "bert"}


def test_offline_reads_what_is_cached(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    name = HubName("model", "org/model", "main", MODEL.patterns)
    commit = resolve(name).commit
    fetch(name, commit)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    pinned = HubName("model", "org/model", commit, MODEL.patterns)
    assert resolve(pinned).commit == commit
    assert fetch(pinned, commit).name == commit
    assert len(hub.requests) == before
    with pytest.raises(BadInput, match="not in the hub's cache"):
        resolve(HubName("model", "org/other"))


def test_offline_a_name_stands_for_what_it_stood_for_last(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are fetched by commit, so the client's cache does not know the branch."""
    assert here(MODEL) is None
    folder = fetch(MODEL, resolve(MODEL).commit)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"never read")
    hub.put("model", "org/nllb", pickled)
    hub.put("model", "org/nllb", folder, "refs/pr/39")
    hub.discussions["org/nllb"] = [conversion("org/nllb", 39)]
    names = [
        HubName("model", "org/nllb", revision, MODEL.patterns, safetensors=True)
        for revision in ("", hub.commit("model", "org/nllb"))
    ]
    for name in names:
        fetch(name, resolve(name).commit)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    assert here(MODEL) == folder
    for name in names:
        pinned = resolve(name)
        assert (pinned.commit, pinned.conversion) == (hub.commit("model", "org/nllb", "refs/pr/39"), "refs/pr/39")
        assert commit_of(name) == pinned.commit and here(name) is not None
    for note in (tmp_path / "ours" / "revisions").iterdir():
        note.write_text("{")
    with pytest.raises(BadInput, match="not in the hub's cache"):
        resolve(names[0])
    assert len(hub.requests) == before


def test_a_data_set_is_resolved_once_and_cached_by_language(hub: Hub, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    for language in ("de", "zh"):
        (stored / language).mkdir(parents=True)
        (stored / language / "test.parquet").write_bytes(b"rows")
    hub.put("dataset", "org/data", stored)
    de, zh = (HubName("dataset", "org/data", "main", (f"{language}/*.parquet",)) for language in ("de", "zh"))
    commit = commit_of(de)
    fetch(de, commit)
    asked = hub.asked("/api/datasets/org/data")
    assert commit_of(zh) == commit and hub.asked("/api/datasets/org/data") == asked
    assert cached(de, commit) == here(de) and here(de) is not None
    assert cached(zh, commit) is None and here(zh) is None, "an older client takes one language for the whole"


def test_pickled_weights_are_read_from_their_conversion(hub: Hub, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"never read")
    hub.put("model", "org/nllb", pickled)
    name = HubName("model", "org/nllb", patterns=("*.safetensors",), safetensors=True)
    with pytest.raises(BadInput, match="no safetensors at revision 'main'"):
        resolve(name)
    converted = tmp_path / "converted"
    converted.mkdir()
    (converted / "model.safetensors").write_bytes(b"weights")
    hub.put("model", "org/nllb", converted, "refs/pr/39")
    hub.discussions["org/nllb"] = [conversion("org/nllb", 39)]
    pinned = resolve(name)
    assert (pinned.conversion, pinned.commit) == ("refs/pr/39", hub.commit("model", "org/nllb", "refs/pr/39"))
    assert (fetch(name, pinned.commit) / "model.safetensors").read_bytes() == b"weights"


def test_files_in_folders_are_not_read(hub: Hub, tmp_path: Path) -> None:
    """A repository may hold another runtime's safetensors and tokenizer beside pickled weights."""
    stored = tmp_path / "stored"
    (stored / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "pytorch_model.bin", "onnx/model.safetensors", "onnx/tokenizer.json"):
        (stored / name).write_bytes(b"{}")
    hub.put("model", "org/mixed", stored)
    name = HubName("model", "org/mixed", patterns=("*.json", "*.safetensors"), safetensors=True)
    with pytest.raises(BadInput, match="no safetensors at revision 'main'"):
        resolve(name)
    pinned = resolve(replace(name, safetensors=False))
    assert pinned.bytes == 4
    assert sorted(path.name for path in fetch(name, pinned.commit).iterdir()) == ["config.json", "tokenizer.json"]
    assert not hub.asked("/resolve/.*onnx")


@pytest.mark.parametrize("held", [("config.json",), ("config.json", "tokenizer.json", "model-1.safetensors", INDEX)])
def test_a_part_that_another_tool_cached_is_completed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: tuple[str, ...]
) -> None:
    stored = tmp_path / "stored"
    stored.mkdir()
    shards = ("model-1.safetensors", "model-2.safetensors")
    for file in ("config.json", "tokenizer.json", *shards):
        (stored / file).write_bytes(b"{}")
    (stored / INDEX).write_text(json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}))
    hub.put("model", "org/sharded", stored)
    name = HubName("model", "org/sharded", patterns=("*.json", "*.safetensors"), safetensors=True)
    commit = hub.commit("model", "org/sharded")
    for file in held:
        hf_hub_download("org/sharded", file, revision=commit)
    assert cached(name, commit) is None
    with monkeypatch.context() as patched, pytest.raises(BadInput, match="cache: run once without --offline"):
        patched.setenv("HF_HUB_OFFLINE", "1")
        fetch_shown(name, commit)
    folder = fetch_shown(name, commit)
    assert len(list(folder.iterdir())) == 5
    assert cached(name, commit) is not None
    for damaged in ("{", "[]", '{"weight_map": 1}'):
        (folder / INDEX).write_text(damaged)
        assert cached(name, commit) is None, "in one line when it is loaded, not here"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("place", ["^GET /api/models/org/model$", r"/resolve/.*safetensors", r"^GET /files/"])
@pytest.mark.parametrize("times", [1, 10**9])
def test_faults_that_may_pass_are_tried_again(
    hub: Hub, slept: list[float], status: int, place: str, times: int
) -> None:
    hub.faults = [Fault(place, status=status, times=times)]

    def everything() -> Path:
        return fetch(MODEL, resolve(MODEL).commit)

    if times == 1:
        assert (everything() / "model.safetensors").is_file()
        return
    with pytest.raises(BadInput) as raised:
        everything()
    assert "org/model" in str(raised.value) and str(status) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert slept == [2.0**n for n in range(TRIES - 1)]


def test_retry_after_is_honoured_and_a_long_one_is_said(hub: Hub, slept: list[float]) -> None:
    hub.faults = [Fault("^GET /api/", status=429, headers={"Retry-After": "7"}, times=1)]
    resolve(MODEL)
    assert slept == [7.0]
    hub.faults = [Fault("^GET /api/", status=429, headers={"Retry-After": "300"})]
    with pytest.raises(BadInput, match=r"too many requests \(429\): wait 300 s"):
        resolve(MODEL)
    assert slept == [7.0], "nobody wants to wait for minutes without a word"


@pytest.mark.parametrize("times", [1, TRIES])
def test_a_large_file_that_breaks_off_is_a_fault_of_the_network(
    slept: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int
) -> None:
    """hf_xet raises a bare RuntimeError whatever happened."""
    answers: list[RuntimeError | str] = [RuntimeError("CAS Client Error: request sent\nfailed")] * times
    answers.append(str(tmp_path))

    def snapshot_download(*_: object, **__: object) -> str:
        answer = answers.pop(0)
        if isinstance(answer, str):
            return answer
        raise answer

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    if times == 1:
        assert fetch(MODEL, "0" * 40) == tmp_path
    else:
        with pytest.raises(BadInput, match=r"cannot be reached \(CAS Client Error: request sent\)") as raised:
            fetch(MODEL, "0" * 40)
        assert "\n" not in str(raised.value)
    assert len(slept) == min(times, TRIES - 1)


def test_a_damaged_file_is_fetched_again_wherever_the_client_keeps_it(hub: Hub, tmp_path: Path) -> None:
    """Newer clients keep large files in a store that all repositories share, behind a second link."""
    commit = resolve(MODEL).commit
    stored = fetch(MODEL, commit) / "model.safetensors"
    blob, shared = stored.resolve(), tmp_path / "cache" / "shared"
    assert blob.name == hashlib.sha256(bytes(range(256)) * 40).hexdigest()
    for damaged in (b"cut", bytes(256 * 40)):
        blob.unlink()
        shared.write_bytes(damaged)
        blob.symlink_to(shared)
        assert verified(MODEL, commit)[1] == 1
        assert stored.read_bytes() == bytes(range(256)) * 40
        assert verified(MODEL, commit)[1] == 0
        blob = stored.parent / stored.readlink()


def test_a_cut_download_resumes(hub: Hub) -> None:
    hub.faults = [Fault("^GET /files/", cut=1000, times=1)]
    folder = fetch(MODEL, resolve(MODEL).commit)
    assert (folder / "model.safetensors").read_bytes() == bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (HubName("model", "org/other"), "no such model, or it is private"),
        (HubName("dataset", "org/model"), "no such data set"),
        (HubName("model", "org/model", "v9"), "no revision 'v9'"),
        (HubName("model", "org/a--b..c"), "not a hub id"),
    ],
)
def test_wrong_names_are_one_line(hub: Hub, name: HubName, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        resolve(name)


@pytest.mark.parametrize(
    ("token", "said"),
    [(None, "accept its licence at"), ("hf_other", "has no access"), (BAD, "refuses the token")],
)
def test_gated_repositories(hub: Hub, token: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add("org/model")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    commit = resolve(MODEL).commit
    with pytest.raises(BadInput, match=said):
        fetch(MODEL, commit)


def test_a_hub_that_cannot_be_reached(hub: Hub, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="cannot be reached") as raised:
        resolve(MODEL)
    assert len(slept) == TRIES - 1 and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("true", True), ("", False), ("false", False), ("0", False)]
)
def test_offline_as_the_client_reads_it(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, other in (("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), ("TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE")):
        monkeypatch.setenv(variable, value)
        monkeypatch.delenv(other, raising=False)
        assert ours.offline() is expected
