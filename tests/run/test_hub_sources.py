"""A matrix whose encoder and corpus are a hub's: online, offline, with the hub dead or changed; faults in one line."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.api.hub import commit_of
from data_recipes.corpora.wikiann.corpus import REPOSITORY
from tests.conftest import toy_sentences
from tests.support.e2e_tools import Place, Ran, matrix_text, records
from tests.support.hub import BAD, Fault, Hub, conversion, serving

ENCODER = "org/tiny"
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")


@dataclass(frozen=True)
class Online(Place):
    """A place whose commands may ask the hub, unless they are told not to."""

    hub: Hub = field(default_factory=Hub)

    def environment(self) -> dict[str, str]:
        here = {"HF_HUB_OFFLINE": "false", "HF_ENDPOINT": self.hub.url, "HF_HUB_CACHE": str(self.root / "hub")}
        return super().environment() | here

    def run(self, *more: str) -> Ran:
        return self.xner("run", "small.toml", "--out", "out", *more)

    def lock(self) -> dict[str, str]:
        rows = json.loads((self.out / "sources.lock.json").read_text())["sources"]
        return {row["id"]: row["commit"] for row in rows}


def write_language(folder: Path, language: str, seed: int) -> None:
    (folder / language).mkdir(parents=True)
    for number, (split, count) in enumerate((("train", 40), ("validation", 24), ("test", 16))):
        sentences = toy_sentences(count, 10 * seed + number, language)
        tags = []
        for sentence in sentences:
            row = [0] * len(sentence.words)
            for span in sentence.spans or ():
                row[span.start : span.end] = [TAGS.index(f"I-{span.type}")] * (span.end - span.start)
                row[span.start] = TAGS.index(f"B-{span.type}")
            tags.append(row)
        table = pa.table({"tokens": [list(s.words) for s in sentences], "ner_tags": tags})
        pq.write_table(table, folder / language / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def online(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Online]:
    from huggingface_hub import constants

    encoder, corpus = tmp_path / "repositories" / "tiny", tmp_path / "repositories" / "wikiann"
    shutil.copytree(tiny_folder, encoder)
    for number, language in enumerate(("en", "de"), 1):
        write_language(corpus, language, number)
    with serving(Hub(page=100)) as hub:
        hub.put("model", ENCODER, encoder)
        hub.put("dataset", REPOSITORY, corpus)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        changed = {"ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_OFFLINE": False}
        changed |= {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_TOKEN_PATH": str(tmp_path / "token")}
        for name, value in (changed | {"HF_HUB_ETAG_TIMEOUT": 2, "HF_HUB_DOWNLOAD_TIMEOUT": 2}).items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("bench.api.hub.sleep", lambda seconds: None)
        monkeypatch.setenv("XNER_CACHE", str(tmp_path / "ours"))
        commit_of.cache_clear()
        place = Online(tmp_path, tiny_folder, hub)
        data = 'overlap = "drop-from-train"'
        text = matrix_text(Path(ENCODER), seeds=(1, 2), data=data, corpus='corpus = "wikiann"')
        place.matrix(text)
        yield place
        commit_of.cache_clear()


def test_the_same_run_again_offline_and_with_the_hub_dead(online: Online, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = online.hub
    ran = online.run()
    assert ran.code == 0, ran.err
    assert "fetching model org/tiny (1 of 1" in ran.err and "fetching dataset" in ran.err and "\r" not in ran.err
    assert online.lock() == {
        ENCODER: hub.commit("model", ENCODER),
        REPOSITORY: hub.commit("dataset", REPOSITORY),
    }
    first = {record["key"]: record for record in records(online.out)}
    read = {"encoder": f"{ENCODER}@{online.lock()[ENCODER]}", "corpus": f"{REPOSITORY}@{online.lock()[REPOSITORY]}"}
    assert all(record["sources"] == read for record in first.values())
    assert read["encoder"] in (online.out / "tables" / "cost.md").read_text()
    times = {path: path.stat().st_mtime_ns for path in (online.out / "records").iterdir()}

    def nothing_new(*more: str) -> None:
        before = len(hub.requests)
        again = online.run(*more)
        assert again.code == 0, again.err
        assert "0 to run" in again.err and "Traceback" not in again.err
        assert {record["key"] for record in records(online.out)} == first.keys()
        assert {path: path.stat().st_mtime_ns for path in (online.out / "records").iterdir()} == times
        assert len(hub.requests) == before, "what is locked and cached is not asked for"

    nothing_new()
    nothing_new("--offline")
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", "http://127.0.0.1:9")
    nothing_new()
    elsewhere = online.xner("plan", "small.toml", "--out", "elsewhere", "--offline")
    assert elsewhere.code == 0, f"without a lock a name stands for what it was last resolved to: {elsewhere.err}"
    assert online.xner("why", "out", "de").out.count("hit") == 2
    assert online.xner("doctor", "out").out.count("in the cache at commit") == 2


def test_what_was_planned_is_trained_though_the_repository_changes(online: Online, tmp_path: Path) -> None:
    hub = online.hub
    old = hub.commit("model", ENCODER)
    plan = online.xner("plan", "small.toml", "--out", "out", "--json")
    assert plan.code == 0, plan.err
    assert plan.json()["download_bytes"].keys() == {ENCODER}
    assert plan.json()["time"]["unknown"] == 0 < plan.json()["time"]["seconds"], "timed by its configuration"
    assert online.run("--only", "seed=1").code == 0
    moved = tmp_path / "repositories" / "moved"
    shutil.copytree(hub.folders["model", ENCODER]["main"], moved)
    (moved / "tokenizer.json").write_text("{}")  # whoever reads this one fails
    hub.put("model", ENCODER, moved)
    ran = online.run("--jobs", "2")
    assert ran.code == 0, ran.err
    made = records(online.out)
    assert {record["key"] for record in made} == {cell["key"] for cell in plan.json()["cells"]}
    assert {record["sources"]["encoder"] for record in made} == {f"{ENCODER}@{old}"}

    upgraded = online.run("--upgrade")
    new = hub.commit("model", ENCODER)
    assert f"org/tiny: commit {old} becomes {new}" in upgraded.err
    assert upgraded.code == 1, "the cells of the broken encoder fail, each with a record"
    assert online.lock()[ENCODER] == new
    assert online.run("--upgrade", "--offline").code == 2


PLACES = {
    "resolving an encoder": "^GET /api/models/org/tiny$",
    "resolving a corpus": "^GET /api/datasets/.*/revision/main$",
    "listing": "^GET /api/models/org/tiny/tree",
    "a small file": r"/org/tiny/resolve/.*config\.json",
    "a large file": "^GET /files/.*safetensors",
    "a parquet file": "^GET /files/.*parquet",
}
FAULTS = {
    "401": (Fault("", status=401), "401"),
    "403": (Fault("", status=403), "403"),
    "404": (Fault("", status=404), "404"),
    "429": (Fault("", status=429, headers={"Retry-After": "300"}), "wait 300 s"),
    "500": (Fault("", status=500), "500"),
    "503": (Fault("", status=503), "503"),
    "cut": (Fault("", cut=0), "cannot be reached"),
    "slow": (Fault("", sleep=0.5), "cannot be reached"),
}


SLOW = ("cut", "slow")  # each try waits: of one place


@pytest.mark.parametrize(("place", "fault"), [(p, f) for p in PLACES for f in FAULTS if f not in SLOW or "large" in p])
def test_a_fault_is_one_line_before_anything_is_written(
    online: Online, place: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, said = FAULTS[fault]
    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: sleep(min(seconds, 0.01)))  # between the hub client's tries
    if fault == "slow":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    online.hub.faults = [replace(what, match=PLACES[place])]
    ran = online.run()
    lines = [line for line in ran.err.splitlines() if not line.startswith(("fetching ", "warning: "))]
    assert ran.code == 2 and "Traceback" not in ran.err
    assert len(lines) == 1 and lines[0].startswith("xner: ") and said in lines[0], ran.err
    assert not (online.out / "records").exists()
    online.hub.faults = []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (('axes.encoders=["bert-base-multilingual-cased"]',), "OWNER/NAME); did you mean 'google-bert/bert-base-mul"),
        (('axes.encoders=["org/tyni"]',), "model org/tyni: the hub has no such model, or it is private"),
        (('encoder."org/tiny".revision="v9"',), "model org/tiny has no revision 'v9' (404)"),
        (('axes.targets=["fr"]',), f"data set {REPOSITORY} has no fr/*.parquet at revision 'main'"),
        (("corpus.wikiann.revision=v9",), f"data set {REPOSITORY} has no revision 'v9'"),
    ],
)
def test_wrong_names_are_told(online: Online, arguments: tuple[str, ...], said: str) -> None:
    ran = online.run(*(part for argument in arguments for part in ("--set", argument)))
    assert (ran.code, ran.err.count("\n")) == (2, 1) and said in ran.err, ran.err


@pytest.mark.parametrize(("token", "said"), [("", "accept its licence"), ("hf_x", "no access"), (BAD, "the token")])
def test_a_gated_encoder(online: Online, token: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    online.hub.gated.add(ENCODER)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    ran = online.run()
    assert ran.code == 2 and said in ran.err.splitlines()[-1] and "Traceback" not in ran.err, ran.err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM is a decoder"),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel is a decoder"),
        ({"model_type": "bert", "is_decoder": True}, "bert with is_decoder is a decoder"),
        ({"model_type": "mbart", "is_encoder_decoder": True}, "mbart is an encoder-decoder"),
        ({"model_type": "own", "auto_map": {"AutoModel": "own.Own"}}, "'own' needs the code of its repository"),
        ({"model_type": "bert", "num_hidden_layers": 2}, "freeze = 2, but it has 2 layers"),
        (None, "has no config.json"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "has no fast tokenizer"),
    ],
)
def test_an_encoder_that_cannot_work_is_refused_before_its_weights_are_fetched(
    online: Online, tmp_path: Path, config: dict[str, object] | None, said: str
) -> None:
    folder = tmp_path / "repositories" / "unfit"
    shutil.copytree(online.hub.folders["model", ENCODER]["main"], folder)
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if said == "has no fast tokenizer":
        from transformers import ByT5Tokenizer

        (folder / "tokenizer.json").unlink()
        ByT5Tokenizer().save_pretrained(folder)
    online.hub.put("model", ENCODER, folder)
    ran = online.xner(
        "plan", "small.toml", "--out", "out", "--set", f'encoder."{ENCODER}".freeze={2 * ("freeze" in said)}'
    )
    lines = [line for line in ran.err.splitlines() if not line.startswith("fetching ")]
    assert ran.code == 2 and len(lines) == 1 and f"encoder '{ENCODER}'" in lines[0] and said in lines[0], ran.err
    assert online.hub.asked("safetensors") == 0


def test_data_are_fetched_and_verified(online: Online) -> None:
    first = online.xner("data", "fetch", "wikiann", "--languages", "de")
    assert first.code == 0 and "wikiann de: train 40, dev 24, test 16 sentences" in first.out, first.err
    blob = max((online.root / "hub").rglob("blobs/*"), key=lambda path: path.stat().st_size)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"?")
    second = online.xner("data", "fetch", "wikiann", "--languages", "de")
    assert second.code == 0 and "1 files fetched again: not as published" in second.err, second.err
    assert blob.read_bytes() == whole
    checked = online.xner("data", "check", "wikiann")
    assert checked.code == 0 and "wikiann: de: train 40, dev 24, test 16 sentences" in checked.out, checked.out
    assert f"de: revision 'main' is commit {online.hub.commit('dataset', REPOSITORY)}: pin it" in checked.out
    assert "wikiann: en:" not in checked.out, "it is not here"


def test_pickled_weights_are_planned_as_their_conversion(online: Online, tmp_path: Path) -> None:
    hub, pickled, converted = online.hub, tmp_path / "pickled", tmp_path / "converted"
    for folder, file in ((pickled, "pytorch_model.bin"), (converted, "model.safetensors")):
        folder.mkdir()
        (folder / file).write_bytes(b"weights")
        (folder / "config.json").write_text("{}")
    hub.put("model", "org/nllb", pickled)
    revision = hub.commit("model", "org/nllb")
    labels = 'translator = "nllb"\naligner = "statistical"\n[translator.nllb]\nmodel = "org/nllb"\nrevision = "{}"'
    corpus = 'corpus = "wikiann"'
    text = matrix_text(Path(ENCODER), ("label_projection",), labels=labels.format(revision), corpus=corpus)
    online.matrix(text.replace("[data]", '[data]\noverlap = "drop-from-train"', 1))
    ran = online.xner("plan", "small.toml", "--out", "out", "--json")
    assert ran.code == 2 and f"org/nllb has no safetensors at revision '{revision}'" in ran.err
    hub.put("model", "org/nllb", converted, "refs/pr/39")
    hub.discussions["org/nllb"] = [conversion("org/nllb", 39)]
    ran = online.xner("plan", "small.toml", "--out", "out", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["download_bytes"]["org/nllb"] == len(b"weights{}")
    assert "as much disk in the hub's cache" in online.xner("plan", "small.toml", "--out", "out").out


def test_masakhaner_of_the_hub_asks_nobody_else(online: Online, tmp_path: Path) -> None:
    names = {"info": {"features": {"ner_tags": {"feature": {"names": list(TAGS)}}}}}
    for split in ("train", "validation", "test"):
        file = tmp_path / "repositories" / "masakhaner2" / "ewe" / f"masakhaner2-{split}.parquet"  # the older layout
        file.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"tokens": [["Anna", "sleeps"]], "ner_tags": [[1, 0]]})
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), file)
    online.hub.put("dataset", "masakhane/masakhaner2", file.parents[1], "refs/convert/parquet")
    ran = online.xner("data", "fetch", "masakhaner", "--languages", "ewe", "--set", "layout=hub")
    assert ran.code == 0, ran.err
    assert "masakhaner ewe: train 1, dev 1, test 1 sentences" in ran.out
    assert online.xner("data", "fetch", "masakhaner", "--languages", "hau", "--set", "layout=hub").code == 2
