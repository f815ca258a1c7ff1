"""`xner encoder-check` on made-up data and a tiny encoder: every part, gaps, random weights, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.api.source_files import FLORES_HELD_OUT, NTREX_HELD_OUT, held_out
from bench.core.errors import BadInput, Unavailable
from bench.plan import registry
from tests.support import packed_e5
from tests.support.e2e_tools import Place, snapshot
from tests.support.pud_files import iob2, write, write_pud

ENGLISH = ("Anna went in Rome .", "a dog was here .", "Bob works in Oslo now .", "the old man saw Paris .")
GERMAN = ("Anna war in Rome .", "here was a dog .", "Bob in Oslo works now .", "Paris saw the man .")


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    data = tmp_path / "data"
    write_pud(data)
    for part in ("test", "dev"):
        write(data, f"flores/en-de/flores-{part}.en", "\n".join((*ENGLISH, part)) + "\n")
        write(data, f"flores/en-de/flores-{part}.de", "\n".join((*GERMAN, part)) + "\n")
        rows = [("Anna was in Rome", "B-PER O O B-LOC", f"{part}-1"), ("a dog", "O O", f"{part}-2")]
        write(data, f"uner/en_ewt/en_ewt-ud-{part}.iob2", iob2(rows))
        write(data, f"uner/zh_gsdsimp/zh_gsdsimp-ud-{part}.iob2", iob2([("巴黎 好", "B-LOC O", f"{part}-1")]))
    return Place(tmp_path, tiny_folder)


def test_every_part_and_what_is_kept(place: Place) -> None:
    command = (
        "encoder-check",
        place.encoder,
        "--languages",
        "en,de,zh",
        "--seeds",
        "2",
        "--jobs",
        "1",
        "--threads",
        "1",
        "--out",
        "kept",
    )
    ran = place.xner(*command, "--json")
    assert ran.code == 0, ran.err
    found = ran.json()
    assert (found["split"], found["seeds"], found["lr"], found["matcher"]) == ("test", [1, 2], 2e-4, "min-max")
    [one] = found["encoders"]
    assert (one["encoder"], one["layer"], one["layers"]) == (place.encoder.name, 2, 2)
    assert one["weights_bytes"] == (place.encoder / "model.safetensors").stat().st_size
    assert 4 * one["parameters"] <= one["weights_bytes"], "a pooler, which is not counted"
    assert one["retrieval"]["de"]["sentences"] == 5 and 0 < one["retrieval"]["de"]["to_en"] <= 1
    assert one["pieces_per_word"].keys() == {"en", "de"} and one["pieces_per_word"]["en"] >= 1
    assert one["linear"].keys() == {"en", "zh"} and one["means"]["linear_targets"] == one["linear"]["zh"]
    assert one["projection"].keys() == {"itermax", "intersection"}
    assert all(scores.keys() == {"de", "zh"} for scores in one["projection"].values())
    assert one["ner"].keys() == {"en", "zh"} and one["ner"]["zh"]["seeds"].keys() == {"1", "2"}
    assert one["means"]["ner_targets"] == one["ner"]["zh"]["mean"], "without English"
    gaps = {(gap["part"], gap["language"]): gap["reason"] for gap in one["gaps"]}
    assert gaps.keys() == {("retrieval", "zh"), ("linear", "de"), ("ner", "de"), ("ner", "europarl-en")}
    assert all("run 'xner data fetch" in reason and str(place.root) not in reason for reason in gaps.values())
    assert "4 cells, 4 to run" in ran.err and str(place.root) not in ran.out

    before = snapshot(place.root / "kept")
    again = place.xner(*command)
    assert again.code == 0 and "to run" not in again.err and snapshot(place.root / "kept") == before
    for text in (
        "itermax, min-max spans",
        "intersection, min-max spans",
        "5 of FLORES",
        "mean of 2 seeds",
        "not measured",
    ):
        assert text in again.out
    mean = f"{100 * one['ner']['en']['mean']:.1f}"
    assert mean in again.out.partition("zero-shot NER")[2]


def test_dev_sets_for_choices(place: Place) -> None:
    """Other sentences of the same corpora; the test is not read, so it need not be there."""
    for path in [*(place.root / "data").rglob("*en_ewt-ud-test*"), *(place.root / "data").rglob("flores-test.*")]:
        path.unlink()
    choice = ("--split", "dev", "--languages", "en,de", "--seeds", "1", "--threads", "1", "--json")
    ran = place.xner("encoder-check", place.encoder, *choice)
    assert ran.code == 0, ran.err
    [one] = ran.json()["encoders"]
    assert one["projection"] is None, "PUD has no dev set"
    assert one["ner"].keys() == {"en"} and one["retrieval"].keys() == {"de"}
    assert [(gap["part"], gap["reason"]) for gap in one["gaps"]] == [
        ("linear", "its corpus has no dev set"),
        ("ner", "its corpus has no dev set"),
    ]


def test_random_weights_are_a_row_beside(place: Place) -> None:
    ran = place.xner("encoder-check", place.encoder, f"random:{place.encoder}", "--only", "retrieval", "--json")
    assert ran.code == 0, ran.err
    own, drawn = ran.json()["encoders"]
    assert drawn["encoder"] == f"{own['encoder']}-random" and drawn["key"] != own["key"]
    assert (drawn["parameters"], drawn["layers"]) == (own["parameters"], own["layers"])
    assert own["ner"] is None and drawn["pieces_per_word"] == own["pieces_per_word"], "the same tokenizer"
    [folder] = place.cache.glob("encoder/*/*-random")
    first = (folder / "model.safetensors").read_bytes()
    assert first != (place.encoder / "model.safetensors").read_bytes()
    from bench.encoder_check.check import write_random

    write_random(str(place.encoder), place.root / "again")
    assert (place.root / "again" / "model.safetensors").read_bytes() == first, "seeded"


def test_it_says_whose_weights_they_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(place.root / "site"))
    packed_e5.install(place.root / "site", packed_e5.packed())
    ran = place.xner("encoder-check", "e5-small", "--only", "retrieval", "--languages", "de", "--layer", "2")
    assert ran.code == 0, ran.err
    assert "\ne5-small: intfloat/multilingual-e5-small, 4-bit weights read back to float32; MIT licence\n" in ran.out


def test_what_is_refused(place: Place) -> None:
    for arguments, message in {
        ("tinny",): "encoder 'tinny' is neither a folder nor a recipe nor a hub id (OWNER/NAME); did you mean 'tiny'?",
        (place.encoder, "--only", "retreival"): "--only: no part 'retreival'; did you mean 'retrieval'?",
        (place.encoder, "--languages", "de,xx"): "--languages: no part has 'xx'",
        (place.encoder, "--layer", "3"): "--layer 3: the encoder 'tiny-for-tests' has layers 0 to 2",
        (place.encoder, "--seeds", "0"): "--seeds 0: at least 1",
        (place.encoder, "--freeze", "-1"): "--freeze -1: at least 0",
        (place.encoder, "--freeze", "2"): "--freeze 2: 'tiny-for-tests' has 2 layers, the last must learn",
        (place.encoder, place.encoder): "the encoder 'tiny-for-tests' is named twice",
        (place.encoder, "--split", "dev", "--only", "projection"): "leave projection out",
        (
            place.encoder,
            "--only",
            "retrieval",
            "--languages",
            "fi",
        ): "nothing could be measured: $XNER_DATA/flores/en-fi",
    }.items():
        ran = place.xner("encoder-check", *arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert message in ran.err and len(ran.err.splitlines()) <= 2, ran.err


def test_held_out_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    for part, size in (("dev", FLORES_HELD_OUT + 50), ("test", 30)):
        for side in ("en", "de"):
            write(tmp_path, f"flores/en-de/flores-{part}.{side}", "".join(f"{part} {side} {i}\n" for i in range(size)))
    dev, test = held_out("de", "dev"), held_out("de", "test")
    assert (dev.english[0], dev.other[-1], len(dev.other)) == ("dev en 50", "dev de 249", FLORES_HELD_OUT)
    assert len(test.english) == 30 and test.text == "FLORES"
    for name in ("src.eng", "ref.swa"):
        write(tmp_path, f"ntrex/newstest2019-{name}.txt", "".join(f"{name} {i}\n" for i in range(500)))
    dev, test = held_out("sw", "dev"), held_out("sw", "test")
    assert (dev.other[0], test.other[-1], dev.text) == (f"ref.swa {500 - NTREX_HELD_OUT}", "ref.swa 499", "NTREX")
    assert len(dev.other) == len(test.other) == NTREX_HELD_OUT // 2 and not set(dev.other) & set(test.other)
    with pytest.raises(Unavailable, match=r"flores/en-fi/flores-test\.fi is not here"):
        held_out("fi", "test")
    write(tmp_path, "flores/en-fi/flores-test.fi", "yksi\n")
    with pytest.raises(BadInput, match=r"flores-test\.fi: 1 lines, but 30"):
        held_out("fi", "test")


def test_tests_of_uner_pud_by_parameter(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_DATA", str(place.root / "data"))
    corpus, dev = registry.make("corpus", "uner_pud"), registry.make("corpus", "uner_pud", {"tests": "dev"})
    assert dev.read("zh", "test") == corpus.read("zh", "dev") != corpus.read("zh", "test")
    assert dev.read("en", "train") == corpus.read("en", "train")
    assert registry.make("corpus", "uner_pud", {"tests": "dev", "english": "europarl"}).read("en", "test") == []
    with pytest.raises(Unavailable, match="en-europarl"):
        registry.make("corpus", "uner_pud", {"english": "europarl"}).read("en", "test")


def test_the_matrix_is_what_the_readme_says() -> None:
    from bench.plan.matrix import cells
    from bench.plan.spec import load_matrix

    made = cells(load_matrix("encoder-check"))
    assert {(c.method, c.train.epochs, c.train.batch, c.train.rules, c.train.budget) for c in made} == {
        ("zero_shot", 8, 32, ("last",), "epochs")
    }
    assert json.dumps(sorted({c.seed for c in made})) == "[1, 2, 3]"
