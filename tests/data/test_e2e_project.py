"""`xner project` on anybody's files: what it writes, counts and refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.core.conll import conll_text, read_conll
from data_recipes.corpora.demo.corpus import DemoCorpus
from tests.support.e2e_tools import Place, Ran

SOURCE = "Anna B-PER\nmet O\nBob B-PER\nSmith I-PER\n\nParis B-LOC\nis O\nfine O\n"
TARGET = "Bob Smith traf Anna\nParis ist sehr schön\n"
LINKS = "0-3 1-2 2-0 3-1\n0-0 1-1 2-3\n"
GOLD = "Bob B-PER\nSmith I-PER\ntraf O\nAnna B-PER\n\nParis B-LOC\nist O\nsehr O\nschön B-LOC\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    write(tmp_path, source=SOURCE, target=TARGET, links=LINKS, gold=GOLD)
    return Place(tmp_path, tmp_path)


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def project(place: Place, *more: str, links: Sequence[str] = ("--links", "links")) -> Ran:
    return place.xner("project", "--source", "source", "--target", "target", *links, "--out", "out.conll", *more)


def test_labels_follow_the_links(place: Place) -> None:
    ran = project(place)
    assert ran.code == 0, ran.err
    assert ran.out == (
        "2 sentences: 2 written, 0 filtered\n3 entities: 3 projected, 0 unaligned, 0 conflicting, 0 filtered\n"
    )
    assert (place.root / "out.conll").read_text(encoding="utf-8") == (
        "# sent_id = source-1\nBob\tB-PER\nSmith\tI-PER\ntraf\tO\nAnna\tB-PER\n\n"
        "# sent_id = source-2\nParis\tB-LOC\nist\tO\nsehr\tO\nschön\tO\n\n"
    )


def test_a_gold_file_gives_scores(place: Place) -> None:
    found = project(place, "--evaluate", "gold", "--json").json()
    assert found["scores"]["precision"] == 1
    assert found["scores"]["recall"] == 0.75
    assert (found["scores"]["sentences"], found["scores"]["tokens"]) == (2, 8)
    assert found["scores"]["types"]["LOC"] | {"tp": 1, "fp": 0, "fn": 1} == found["scores"]["types"]["LOC"]
    text = project(place, "--evaluate", "gold")
    scored = place.xner("score", "gold", "out.conll")
    assert text.out.endswith(f"\n\n{scored.out}"), "the same as xner score says of the file"


def test_filtered_sentences_are_left_out_and_counted(place: Place) -> None:
    write(place.root, links="0-3 1-2 2-0 3-1\n1-1\n")
    ran = project(place, "--filter", "comp-src", "--filter", "comp-tgt", "--evaluate", "gold")
    assert ran.out.startswith(
        "2 sentences: 1 written, 1 filtered (comp-src 1)\n"
        "3 entities: 2 projected, 0 unaligned, 0 conflicting, 1 filtered\n\n1 sentences, 4 tokens"
    )
    (left,) = read_conll(place.root / "out.conll", "de", ("PER", "LOC"))
    assert left.id == "source-1"

    found = project(place, "--filter", "comp-src", "--keep-filtered", "--json").json()
    assert (found["written"], found["pairs"], found["pairs_filtered"], found["filtered"]) == (2, 1, 1, 1)
    assert found["refused_by"] == {"comp-src": 1}
    assert "scores" not in found
    assert len(read_conll(place.root / "out.conll", "de", ("PER", "LOC"))) == 2

    write(place.root, links="\n\n")
    (place.root / "out.conll").unlink()
    ran = project(place, "--filter", "comp-src")
    assert ran.code == 2 and "the filters (comp-src) leave none of 2 sentences" in ran.err
    assert not (place.root / "out.conll").exists()


def test_each_matcher_answers_for_itself(place: Place) -> None:
    write(place.root, source="New B-LOC\nYork I-LOC\n", target="ein York x y New\n", links="0-4 1-1\n")
    spans = {}
    for matcher in ("min-max", "longest", "merge-gap", "ratio"):
        assert project(place, "--matcher", matcher).code == 0
        (found,) = read_conll(place.root / "out.conll", "de", ("LOC",))
        spans[matcher] = [(s.start, s.end) for s in found.spans or ()]
    assert spans == {"min-max": [(1, 5)], "longest": [(1, 2)], "merge-gap": [(1, 2)], "ratio": []}


def test_ids_groups_and_unusual_spaces_are_kept(place: Place) -> None:
    head = "# sent_id = a7\n# parallel_id = g1\n"
    write(place.root, source=f"{head}Anna B-PER\n", target="  An\u00a0na\t,  \n", links="0-0")
    assert project(place).code == 0
    (found,) = read_conll(place.root / "out.conll", "", ("PER",))
    assert (found.id, found.group, found.words) == ("a7", "g1", ("An\u00a0na", ","))


def test_other_schemes_of_the_source(place: Place) -> None:
    write(place.root, source="Anna S-PER\nmet O\nBob B-PER\nSmith E-PER\n\nParis S-LOC\nis O\nfine O\n")
    assert project(place, "--scheme", "BIOES", "--json").json()["projected"] == 3
    ran = project(place)
    assert ran.code == 2 and "source:1: " in ran.err


def test_the_demo_s_translations_are_projected_without_a_loss(place: Place) -> None:
    pairs = DemoCorpus().pairs("en", "de")[:40]
    (place.root / "source").write_bytes(conll_text([pair.source for pair in pairs]).encode())
    (place.root / "gold").write_bytes(conll_text([pair.target for pair in pairs]).encode())
    write(place.root, target="".join(f"{pair.target.text}\n" for pair in pairs))
    write(place.root, links="".join(" ".join(f"{s}-{t}" for s, t in pair.links or ()) + "\n" for pair in pairs))
    found = project(place, "--evaluate", "gold", "--json", "--filter", "comp-src", "--filter", "comp-ins").json()
    assert found["projected"] == found["entities"] > 40
    assert found["scores"]["f1"] == 1


def test_an_aligner_links_as_xner_align_does(place: Place, tiny_folder: Path) -> None:
    write(place.root, text="Anna met Bob Smith\nParis is fine\n")
    chosen = ("--aligner", "simalign", "--encoder", str(tiny_folder), "--set", "layer=2")
    ran = place.xner("align", "text", "target", *chosen, "--out", "made")
    assert ran.code == 0, ran.err
    assert project(place, links=("--links", "made")).code == 0
    wanted = (place.root / "out.conll").read_bytes()
    (place.root / "out.conll").unlink()
    found = project(place, "--json", links=chosen).json()
    assert "simalign" in found["links"]
    assert (place.root / "out.conll").read_bytes() == wanted


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ((), "where do the links come from? --links F or --aligner A"),
        (("--aligner", "simaling"), "unknown aligner 'simaling'; did you mean 'simalign'?"),
        (("--aligner", "simalign"), "needs --encoder"),
    ],
)
def test_links_must_come_from_somewhere(place: Place, links: tuple[str, ...], said: str) -> None:
    ran = project(place, links=links)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err and ran.err.count("\n") == 1


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "more", "said"),
    [
        ({"target": "Bob Smith traf Anna\n"}, (), "source has 2 sentences but target has 1 lines"),
        ({"target": "Bob Smith\x07 traf Anna\nx\n"}, (), "target:1: a control character in "),
        ({"links": "0-0\n"}, (), "links has 1 lines of links but there are 2 sentence pairs"),
        ({"links": "0-0\n0-4\n"}, (), "links:2: link 0-4: the target sentence has no word 4, only 0 to 3"),
        ({"links": "4-0\n0-0\n"}, (), "links:1: link 4-0: the source sentence has no word 4, only 0 to 3"),
        ({"links": "0-0 1\n0-0\n"}, (), "links:1: '1' is not a link such as 3-4"),
        ({"links": "0-0\n-1-0\n"}, (), "links:2: '-1-0' is not a link such as 3-4"),
        ({"source": SOURCE.replace("B-LOC", "B_LOC")}, (), "source:6: "),
        ({"source": SOURCE.replace("B-LOC", "I-LOC")}, (), "source:6: expected B-LOC"),
        ({"gold": GOLD.replace("traf", "trifft")}, (), "gold:3 has 'trifft' where target:1 has 'traf'"),
        ({"gold": GOLD.replace("schön B-LOC\n", "")}, (), "gold:6: a sentence of 3 words where target:2 has 4"),
        ({"gold": GOLD.split("\n\n")[0]}, (), "gold has 1 sentences but target has 2 lines that are not empty"),
        ({"gold": GOLD.replace("B-LOC", "LOC")}, (), "gold:6: tag 'LOC' is not O, B-X or I-X"),
        ({}, ("--matcher", "longets"), "unknown matcher 'longets'; did you mean 'longest'?"),
        ({}, ("--filter", "comp-in"), "unknown filter 'comp-in'; did you mean 'comp-ins'?"),
        ({}, ("--filter", "comp-src", "--filter", "comp-src"), "--filter comp-src is given twice"),
        ({}, ("--links", "nowhere"), "nowhere: cannot be read"),
        ({}, ("--aligner", "gold"), "--links and --aligner: links come from one of them"),
        ({}, ("--set", "layer=1"), "--set belongs to --aligner, but links come from --links links"),
        ({}, ("--encoder", "tiny"), "--encoder belongs to --aligner"),
        ({}, ("--out", "source"), "--out source: this file is read"),
        ({}, ("--out", "source/x.conll"), "--out source/x.conll: cannot be written"),
    ],
)
def test_wrong_input_is_one_line(place: Place, texts: dict[str, str], more: tuple[str, ...], said: str) -> None:
    write(place.root, **texts)
    ran = project(place, "--evaluate", "gold", *more)
    assert (ran.code, ran.out) == (2, ""), ran
    assert ran.err.startswith("xner: ") and ran.err.count("\n") == 1
    assert said in ran.err
    assert not (place.root / "out.conll").exists()
