"""`xner align` and the study `speed align` on any files, and a matrix whose aligner embeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.core.files import read_parallel
from bench.data.aligning import pharaoh
from bench.store.artefacts import Artefacts
from tests.support.e2e_tools import Place, matrix_text, records

ENGLISH = "Anna went in Rome .\nthe big man met Bob at Oslo today .\n\na dog was here .\n"
GERMAN = "Anna went Rome in .\nBob met the big man today at Oslo .\n\nhere was a dog .\n"


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    (tmp_path / "en.txt").write_text(ENGLISH, encoding="utf-8")
    (tmp_path / "de.txt").write_text(GERMAN, encoding="utf-8")
    return Place(tmp_path, tiny_folder)


def links_of(text: str) -> list[set[tuple[int, int]]]:
    return [{(int(s), int(t)) for s, t in (link.split("-") for link in line.split())} for line in text.splitlines()]


def test_links_of_two_files(place: Place) -> None:
    """A text and itself, and the last sentence longer: equal words at equal places find each other."""
    (place.root / "de.txt").write_text(ENGLISH + "a dog was\n", encoding="utf-8")
    (place.root / "en.txt").write_text(ENGLISH + "a dog was here .\n", encoding="utf-8")
    choice = ("--aligner", "simalign", "--encoder", place.encoder, "--set", "layer=0", "--set", "matching=intersection")
    ran = place.xner("align", "en.txt", "de.txt", *choice, "--out", "links.txt")
    assert (ran.code, ran.out) == (0, ""), ran.err
    written = (place.root / "links.txt").read_text(encoding="utf-8")
    lengths = [len(line.split()) for line in [*ENGLISH.splitlines(), "a dog was"]]
    assert links_of(written) == [{(i, i) for i in range(length)} for length in lengths]
    assert written.splitlines()[2] == "", "two empty lines: an empty line"
    assert "5 pairs, 22 links" in ran.err and f"simalign, {place.encoder.name}, layer 0 of 2" in ran.err
    out = place.xner("align", "en.txt", "de.txt", *choice)
    assert (out.code, out.out) == (0, written)
    assert place.xner("align", "en.txt", "de.txt", *choice, "--out", "-").out == written


def test_settings_are_the_aligners(place: Place) -> None:
    base = ("align", "en.txt", "de.txt", "--aligner", "simalign", "--encoder", place.encoder)
    outs = {
        matching: place.xner(*base, "--set", f"matching={matching}", "--set", "layer=2").out
        for matching in ("intersection", "itermax", "match")
    }
    few, more, most = (links_of(out) for out in outs.values())
    assert all(a <= b for a, b in zip(few, more, strict=True)) and few != more
    assert few != most
    for settings, message in {
        "layr=2": "--set: layr: unknown key 'layr'; did you mean 'layer'?",
        "layer=3": "layer 3, but the encoder has layers 0 to 2",
        "matching=iter": "--set: matching: 'iter' is not one of the values; did you mean 'itermax'?",
        "layer": "--set takes KEY=VALUE, not 'layer'",
    }.items():
        ran = place.xner(*base, "--set", settings)
        assert ran.code == 2 and message in ran.err and ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--aligner", "simaling"), "unknown aligner 'simaling'; did you mean 'simalign'?"),
        (("--aligner", "simalign"), "the aligner 'simalign' embeds sentences and needs --encoder"),
        (("--aligner", "simalign", "--encoder", "./none"), "'./none' is neither a folder nor a recipe nor a hub id"),
        (("--aligner", "gold"), "the gold aligner needs pairs whose links are known"),
        (("--aligner", "gold", "--encoder", "tiny"), "--encoder: the aligner 'gold' embeds nothing"),
        (("--aligner", "gold", "--set", "layer=8"), "unknown key 'layer'"),
    ],
)
def test_wrong_aligners(place: Place, arguments: tuple[str, ...], message: str) -> None:
    ran = place.xner("align", "en.txt", "de.txt", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("a b\nc\n", "x\n", "en.txt has 2 lines but de.txt has 1: line 2 has no partner"),
        ("a\n", "x\ny\nz", "en.txt has 1 lines but de.txt has 3: line 2 has no partner"),
        ("a\n\nb\n", "x\ny\nz\n", "en.txt:2: an empty line, but de.txt:2 has words"),
        ("", "", "en.txt: no line in this file"),
        ("a\x07\n", "x\n", "en.txt:1: a control character in 'a\\x07'"),
        ("a\n", None, "de.txt: cannot be read: No such file or directory"),
    ],
)
def test_files_that_do_not_correspond(place: Place, source: str, target: str | None, message: str) -> None:
    (place.root / "en.txt").write_text(source, encoding="utf-8")
    (place.root / "de.txt").unlink()
    if target is not None:
        (place.root / "de.txt").write_text(target, encoding="utf-8")
    ran = place.xner("align", "en.txt", "de.txt", "--aligner", "gold")
    assert ran.code == 2 and ran.err == f"xner: {message}\n"


def test_reading_and_writing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffone  two\tthree\r\n\r\nfour\u00a0five\u3000six\r\n".encode())
    (tmp_path / "b").write_bytes(b"eins\n\nzwei")
    pairs = list(read_parallel(tmp_path / "a", tmp_path / "b", ("en", "de")))
    assert [pair.source.words for pair in pairs] == [("one", "two", "three"), (), ("four\u00a0five\u3000six",)]
    assert [pair.target.words for pair in pairs] == [("eins",), (), ("zwei",)]
    assert {(pair.source.language, pair.target.language) for pair in pairs} == {("en", "de")}
    assert pharaoh([((0, 0), (1, 2)), ()]) == "0-0 1-2\n\n"


def test_only_empty_lines(place: Place) -> None:
    for name in ("en.txt", "de.txt"):
        (place.root / name).write_text("\n\n", encoding="utf-8")
    ran = place.xner("align", "en.txt", "de.txt", "--aligner", "simalign", "--encoder", place.encoder)
    assert (ran.code, ran.out) == (0, "\n\n")


def test_an_output_that_cannot_be_written(place: Place) -> None:
    (place.root / "folder").mkdir()
    choice = ("--aligner", "simalign", "--encoder", place.encoder)
    ran = place.xner("align", "en.txt", "de.txt", *choice, "--out", "folder")
    assert ran.code == 2 and "folder: cannot be written: it is a folder" in ran.err


# --- speed ------------------------------------------------------------------------------------------------------------


def test_both_sides_and_the_ratio_are_printed(place: Place) -> None:
    long = " ".join(["the big man met Anna at Rome"] * 30)
    (place.root / "en.txt").write_text(ENGLISH * 3 + long + "\n", encoding="utf-8")
    (place.root / "de.txt").write_text(GERMAN * 3 + long + "\n", encoding="utf-8")
    files = ("--source", "en.txt", "--target", "de.txt", "--encoder", place.encoder, "--threads", "1")
    ran = place.study("speed", "align", *files, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    facts = {"pairs": 9, "left_out": 1, "threads": 1, "device": "cpu", "layer": 1, "layers": 2, "rounds": 2}
    assert {name: report[name] for name in facts} == facts
    assert [row["matching"] for row in report["matchings"]] == ["intersection", "itermax", "match"]
    for row in report["matchings"]:
        assert row["theirs"] > 0 and row["ratio"] == pytest.approx(row["ours"] / row["theirs"])
        assert row["same"] and row["differing"] == 0 and row["differences"] == [] and row["links"] > 20
    assert str(place.root) not in json.dumps(report), "an encoder is named, never its path"
    table = place.study("speed", "align", *files, "--pairs", "4", "--set", "matching=itermax", "--set", "layer=2")
    assert table.code == 0
    head, _, row = table.out.splitlines()
    assert head.startswith("4 pairs, subword level; tiny-for-tests, layer 2 of 2; cpu, 1 threads; median of 2 rounds")
    assert row.startswith("itermax") and row.count("/s") == 2 and "×" in row


def test_several_languages_share_their_english_side(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [pair for pair in zip(ENGLISH.split("\n"), GERMAN.split("\n"), strict=True) if pair[0]]
    monkeypatch.setattr("data_recipes.parallel_text.lines_of", lambda text, source, target: lines)
    options = ("--encoder", place.encoder, "--threads", "1", "--set", "matching=itermax", "--json")
    ran = place.study("speed", "align", "--to", "de,fi", "--pairs", "2", *options)
    assert ran.code == 0, ran.err
    assert ran.json()["pairs"] == 4, "two of each language"


def test_links_that_differ_are_listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matching of ours that loses a link is found out: exit code 1."""
    from data_recipes.aligners import simalign

    whole = simalign.Simalign.links_of
    monkeypatch.setattr(simalign.Simalign, "links_of", lambda *given: whole(*given)[1:])
    files = ("--source", "en.txt", "--target", "de.txt", "--encoder", place.encoder, "--set", "matching=intersection")
    ran = place.study("speed", "align", *files, "--threads", "1")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[2].split()[-1] == "3"
    assert len(lines) == 6 and all("only ours none" in line and "NOT a tie" in line for line in lines[3:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --source F --target F"),
        (("--source", "en.txt"), "--source and --target go together"),
        (("--source", "en.txt", "--target", "de.txt", "--to", "fi"), "--to fi: languages of NTREX"),
        (("--rounds", "1"), "--rounds 1: at least 2"),
        (("--pairs", "0"), "--pairs 0: at least 1"),
        (("--set", "layr=1"), "unknown key 'layr'"),
    ],
)
def test_what_speed_refuses(place: Place, arguments: tuple[str, ...], message: str) -> None:
    ran = place.study("speed", "align", "--encoder", place.encoder, *arguments)
    assert ran.code == 2 and message in ran.err
    if not arguments:
        assert "XNER_DATA" in ran.err, "and the other way: bring NTREX here"


# --- a matrix ---------------------------------------------------------------------------------------------------------


def test_a_matrix_whose_aligner_embeds(place: Place) -> None:
    labels = f'translator = "frames"\naligner = "simalign"\naligner_encoder = "{place.encoder}"'
    text = matrix_text(place.encoder, ("en_trans",), ("de", "bg"), labels=labels, recipe="align_layer = 2")
    ran = place.xner("run", place.matrix(text), "--out", place.out, "--device", "cpu")
    assert ran.code == 0, ran.err
    done = records(place.out)
    assert [record["status"] for record in done] == ["ok", "ok"]
    cache = Artefacts(place.cache)
    links = [found for path in (place.cache / "links").glob("[0-9a-f]*") if (found := cache.get("links", path.name))]
    assert [found.details["layer"] for found in links] == [2, 2], "the recipe's"
    assert len({parent for found in links for parent in found.parents if parent.startswith("embed/")}) == 1
    assert all(record["projection"]["projected"] > 0 for record in done)
    missing = place.xner("plan", place.matrix(matrix_text(place.encoder, ("en_trans",), labels='aligner = "simalign"')))
    assert missing.code == 2 and "labels.aligner_encoder" in missing.err
