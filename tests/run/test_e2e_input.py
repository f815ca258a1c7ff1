"""Wrong input: one line on standard error, `xner: …`, that names place and remedy; exit code 2, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.e2e_tools import REPO, Place, Ran, matrix_text, small_corpus


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Place:
    found = Place(tmp_path_factory.mktemp("input"), tiny_folder)
    found.matrix(matrix_text(tiny_folder, ("zero_shot", "zero_shot+kd", "en_trans")))
    return found


def refused(ran: Ran, *said: str) -> None:
    """The command printed nothing but one line of complaint that holds each of these."""
    assert ran.code == 2, ran
    assert ran.out == ""
    assert ran.err.startswith("xner: "), ran.err
    assert ran.err.count("\n") == 1 and ran.err.endswith("\n"), ran.err
    for part in said:
        assert part in ran.err


def edited(place: Place, old: str, new: str) -> Path:
    text = place.root.joinpath("small.toml").read_text(encoding="utf-8")
    assert old in text
    return place.matrix(text.replace(old, new, 1), "edited")


@pytest.mark.parametrize("verb", ("run", "plan"))
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[train]", "[train", ("edited.toml:", "not TOML")),
        ("steps = 4", "steps = 4\nsteps = 5", ("edited.toml:", "not TOML")),
        ("steps = 4", "stepps = 4", ("edited.toml:", "train.stepps", "did you mean 'steps'?")),
        ("[labels]", "[lables]", ("edited.toml:", "lables", "did you mean 'labels'?")),
        ("steps = 4", 'steps = "4"', ("edited.toml:", "train.steps", "expected a whole number")),
        ("steps = 4", "steps = 0", ("train.steps", "above 0")),
        ("steps = 4", "steps = 1", ("train", "evals")),
        ("steps = 4", 'steps = 4\nprecision = "fp16"', ("train.precision", "'fp16'", "did you mean")),
        ("steps = 4", 'steps = 4\nrules = ["test"]', ("train.rules", "'test'")),
        ("threads = 1", "threads = 0", ("train.threads", "above 0")),
        ("lr = 1e-3", "lr = 1e-3\nfreeze = 2", ("tiny-for-tests'", "freeze = 2", "2 layers", "must learn")),
        ('"zero_shot"', '"zero_shoot"', ("edited.toml:3", "axes.methods[1]", "did you mean 'zero_shot'?")),
        ('"de"', '"dee"', ("edited.toml:4", "axes.targets[1]", "did you mean 'de'?")),
        ('"de"', '"German"', ("axes.targets", "not a language code")),
        ('["de"]', "[]", ("axes.targets", "empty")),
        ('["de"]', '["de", "de"]', ("axes.targets[2]", "twice")),
        ("seeds = [1]", "seeds = [-1]", ("axes.seeds", "below 0")),
        ("seeds = [1]", 'seeds = ["1"]', ("axes.seeds", "whole number")),
        ("seeds = [1]", "", ("axes", "'seeds' is missing")),
        ('corpus = "demo"', 'corpus = "demmo"', ("data.corpus", "did you mean 'demo'?")),
        ('corpus = "demo"', "", ("data", "'corpus' is missing")),
        ("n_test = 16", "n_tests = 16", ("corpus.demo.n_tests", "did you mean 'n_test'?")),
        ("n_test = 16", "n_test = -1", ("corpus demo", "n_test is -1")),
        ('translator = "frames"', 'translator = "frame"', ("labels.translator", "did you mean 'frames'?")),
        ('translator = "frames"', 'aligner = "golden"', ("labels.aligner", "did you mean 'gold'?")),
        ('translator = "frames"', 'matcher = "minmax"', ("edited.toml:", "labels.matcher", "did you mean 'min-max'?")),
        (
            'translator = "frames"',
            'filters = ["comp-src", "comp-tgd"]',
            ("edited.toml:", "labels.filters[2]: unknown filter 'comp-tgd'; did you mean 'comp-tgt'?"),
        ),
        ("seeds = [1]", 'seeds = [1]\n"labels.matcher" = ["ratio", "ration"]', ("labels.matcher[2]", "'ratio'?")),
        (
            "seeds = [1]",
            'seeds = [1]\n"labels.filters" = [[], ["comp-src", "comp"]]',
            ("edited.toml:", "axes.labels.filters[2][2]: unknown filter 'comp'"),
        ),
        ("distil = true", "distill = true", ("variant[1].distill", "did you mean 'distil'?")),
        ("distil = true", 'distil_loss = "cosine"', ("variant[1].distil_loss", "'cosine'")),
        ('use = "zero_shot"', 'use = "zero"', ("variant[1].use", "did you mean 'zero_shot'?")),
        ('name = "small"', 'name = "../small"', ("edited.toml:1", "name")),
        ("n_source = 24", "n_source = 0", ("data.n_source", "above 0")),
        ("lr = 1e-3", "lr = nan", ("lr", "finite")),
        ("lr = 1e-3", "lr = 1e-3\nmax_length = 2", ("max_length", "at least 8")),
    ],
)
def test_wrong_matrix(place: Place, verb: str, old: str, new: str, said: tuple[str, ...]) -> None:
    refused(place.xner(verb, edited(place, old, new), "--out", place.out), *said)


@pytest.mark.parametrize("verb", ("run", "plan"))
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.toml",), ("missing.toml", "there is no such file")),
        (("missing",), ("no matrix is named 'missing'",)),
        (("dmeo",), ("did you mean 'demo'?",)),
        ((".",), ("no matrix is named '.'",)),
        (("small.toml", "--only", "method=en_tran"), ("--only", "did you mean 'en_trans'?")),
        (("small.toml", "--only", "methods=en_trans"), ("--only", "unknown key 'methods'", "did you mean 'method'?")),
        (("small.toml", "--only", "de"), ("--only de", "expected key=value")),
        (("small.toml", "--only", "seed=7"), ("--only", "seed has no value '7'")),
        (("small.toml", "--set", "train.step=5"), ("--set", "train.step", "did you mean 'steps'?")),
        (("small.toml", "--set", "trian.steps=5"), ("--set", "did you mean 'train'?")),
        (("small.toml", "--set", "train.steps"), ("--set train.steps", "expected key=value")),
        (("small.toml", "--set", "train.steps=many"), ("--set", "train.steps", "whole number")),
        (("small.toml", "--set", "axes.targets=[]"), ("--set", "axes.targets", "empty")),
    ],
)
def test_wrong_arguments(place: Place, verb: str, arguments: tuple[str, ...], said: tuple[str, ...]) -> None:
    refused(place.xner(verb, *arguments, "--out", place.out), *said)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("tinny", ("encoder 'tinny'", "did you mean 'tiny'?")),
        ("./nowhere", ("encoder './nowhere'", "neither a folder")),
        ("org/never-cached", ("model org/never-cached", "not in the hub's cache")),
        ("empty", ("encoder folder 'empty'", "config.json")),
        ("empty/encodre", ("model empty/encodre", "nor is there a folder empty/encodre here")),
    ],
)
def test_wrong_encoder(place: Place, encoder: str, said: tuple[str, ...]) -> None:
    place.root.joinpath("empty").mkdir(exist_ok=True)
    text = place.root.joinpath("small.toml").read_text(encoding="utf-8").replace(str(place.encoder), encoder)
    for verb in ("run", "plan"):
        refused(place.xner(verb, place.matrix(text, "edited"), "--out", place.out), *said)


def test_pickled_weights_are_no_encoder(place: Place) -> None:
    folder = place.root / "pickled"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        folder.joinpath(name).write_bytes(place.encoder.joinpath(name).read_bytes())
    folder.joinpath("pytorch_model.bin").write_bytes(b"\x80\x04.")
    text = place.root.joinpath("small.toml").read_text(encoding="utf-8").replace(str(place.encoder), str(folder))
    refused(place.xner("run", place.matrix(text, "edited"), "--out", place.out), "safetensors")


def test_wrong_number_of_jobs(place: Place) -> None:
    refused(place.xner("run", "small.toml", "--out", place.out, "--jobs", "0"), "--jobs 0")
    refused(place.xner("run", "small.toml", "--out", place.out, "--jobs", "-1"), "--jobs -1")


def test_out_is_a_file(place: Place) -> None:
    file = place.root / "file"
    file.touch()
    for out in (file, file / "below"):
        refused(place.xner("run", "small.toml", "--out", out), "--out", str(out))
        refused(place.xner("plan", "small.toml", "--out", out), str(out))
    assert file.read_bytes() == b""


def test_folders_that_cannot_be(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = place.xner("run", "small.toml", "--out", "")
    assert ran.code == 2 and "argument --out: empty: name a folder" in ran.err
    refused(place.xner("tables", "x" * 300), "x" * 300, "File name too long")
    place.root.joinpath("file").touch()
    monkeypatch.setattr(Place, "cache", place.root / "file")
    refused(place.xner("plan", "small.toml"), "XNER_CACHE=", "a file, where the folder")


def test_no_such_device(place: Place) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    refused(place.xner("run", "small.toml", "--out", place.out, "--device", "cuda"), "--device cuda", "--device cpu")
    assert not place.out.exists(), "refused before anything is written"


def test_data_that_is_not_there(place: Place) -> None:
    corpus = 'corpus = "conll"\n[corpus.conll]\npath = "nowhere"'
    text = matrix_text(place.encoder, corpus=corpus, labels='translator = "files"')
    refused(place.xner("run", place.matrix(text, "edited"), "--out", place.out), "no folder nowhere")
    text = text.replace('path = "nowhere"', "")
    refused(place.xner("run", place.matrix(text, "edited"), "--out", place.out), "corpus conll has no language 'en'")
    text = matrix_text(place.encoder, targets=("fi",), corpus=small_corpus(place.root / "own"))
    refused(place.xner("run", place.matrix(text, "edited"), "--out", place.out), "no language 'fi'")


@pytest.mark.parametrize("verb", ("status", "tables", "plots"))
def test_results_that_are_not_there(place: Place, verb: str) -> None:
    refused(place.xner(verb, "nothing", figures=True), "nothing", "xner run")
    place.root.joinpath("hollow").mkdir(exist_ok=True)
    refused(place.xner(verb, "hollow", figures=True), "hollow", "no records")


def test_wrong_formats_and_records(place: Place) -> None:
    out = place.root / "strange"
    out.joinpath("records").mkdir(parents=True, exist_ok=True)
    out.joinpath("records", "a.json").write_text(json.dumps({"schema": 99}))
    refused(place.xner("tables", "strange"), "schema 99")
    refused(place.xner("tables", "strange", "--format", "html"), "unknown format 'html'")
    out.joinpath("records", "a.json").write_text("[1]")
    ran = place.xner("tables", "strange")  # somebody's file is named and left out; then there is no record at all
    assert ran.code == 2 and "a.json: not a record" in ran.err and "strange: no records here" in ran.err


def test_wrong_files_to_score(place: Place) -> None:
    gold = place.root / "gold.conll"
    gold.write_text("Anna\tB-PER\n")
    refused(place.xner("score", "gold.conll", "missing.conll"), "missing.conll", "cannot be read")
    refused(place.xner("score", place.root, "gold.conll"), "cannot be read")


@pytest.mark.parametrize("arguments", ((), ("run",), ("run", "demo", "--jobs", "two"), ("score", "a")))
def test_wrong_usage(place: Place, arguments: tuple[str, ...]) -> None:
    ran = place.xner(*arguments)
    assert ran.code == 2
    assert "usage: xner" in ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pln", "demo"), "xner: unknown verb 'pln'; did you mean 'plan'?\n"),
        (("data", "fetsch"), "xner data: unknown verb 'fetsch'; did you mean 'fetch'?\n"),
    ],
)
def test_a_misspelt_verb_is_named_with_the_nearest(place: Place, arguments: tuple[str, ...], said: str) -> None:
    ran = place.xner(*arguments)
    assert (ran.code, ran.err) == (2, said)


def test_the_version_and_python_m_bench(place: Place) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--version"], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("xner ") and ran.stdout == place.xner("--version").out
