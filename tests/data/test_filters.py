"""The filters on constructed sentences, and what `labelled` makes of the sentences that they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.api.projection import project
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence, Span
from bench.data.projected import labelled
from bench.data.rules import load_filter, load_matcher
from tests.support.e2e_tools import Place, matrix_text, records

PER, LOC = Span(0, 2, "PER"), Span(3, 4, "LOC")
WHOLE = ((0, 0), (1, 1), (3, 3))


def pair(links: tuple[Link, ...], spans: tuple[Span, ...] = (PER, LOC), n_source: int = 5, n_target: int = 5) -> Pair:
    source = Sentence("1", "en", tuple("abcdefghij"[:n_source]), spans)
    return Pair(source, Sentence("1", "de", ("x",) * n_target), links)


def kept(name: str, one: Pair, matcher: str = "min-max") -> bool:
    spans, links = one.source.spans or (), one.links or ()
    return load_filter(name).keep(one, project(spans, links, len(one.target.words), load_matcher(matcher)))


@pytest.mark.parametrize("name", ["comp-src", "comp-tgt", "comp-ins", "length-ratio"])
def test_a_clean_sentence_stays(name: str) -> None:
    assert kept(name, pair(WHOLE))
    assert kept(name, pair((), spans=())), "also one without entities, linked or not"


def test_comp_src_wants_a_link_at_every_word_of_an_entity() -> None:
    assert not kept("comp-src", pair(((0, 0), (3, 3)))), "the second word of PER has none"
    assert not kept("comp-src", pair(((0, 0), (1, 1)))), "LOC has none"
    assert kept("comp-src", pair(((0, 0), (1, 4), (3, 3)))), "where the links lead is not its matter"


def test_comp_tgt_wants_the_linked_words_of_an_entity_together() -> None:
    assert not kept("comp-tgt", pair(((0, 0), (1, 2), (3, 3))))
    assert kept("comp-tgt", pair(((0, 1), (1, 0), (3, 3)))), "in any order"
    assert kept("comp-tgt", pair(((0, 0), (0, 1), (1, 1), (3, 3)))), "also shared or several"
    assert kept("comp-tgt", pair(((3, 3),))), "an entity without links breaks nothing"
    assert not kept("comp-tgt", pair(((0, 0), (1, 2), (3, 3))), matcher="longest"), "whatever the matcher made of it"


def test_comp_ins_wants_as_many_of_each_type() -> None:
    assert not kept("comp-ins", pair(((0, 0), (1, 1)))), "LOC is unaligned"
    assert not kept("comp-ins", pair(((0, 0), (1, 1), (3, 1)))), "PER and LOC conflict"
    assert kept("comp-ins", pair(((0, 0), (3, 3)))), "half of PER will do"
    assert not kept("comp-ins", pair(((0, 0), (3, 3))), matcher="ratio"), "unless the matcher rejects it"


@pytest.mark.parametrize(
    ("n_source", "n_target", "stays"), [(4, 10, True), (4, 11, False), (10, 4, True), (10, 3, False), (5, 5, True)]
)
def test_length_ratio_has_two_bounds(n_source: int, n_target: int, stays: bool) -> None:
    assert kept("length-ratio", pair((), (), n_source, n_target)) is stays


def test_the_sentences_refused_are_left_out_and_their_entities_filtered() -> None:
    clean, no_link, conflict = pair(WHOLE), pair(((0, 0), (3, 3))), pair(((0, 0), (1, 1), (3, 1)))
    none, bare = pair(()), pair((), spans=())
    every = [clean, no_link, conflict, none, bare]

    plain, counts = labelled(every, "min-max")
    assert len(plain) == 5
    assert counts == {"entities": 8, "projected": 5, "unaligned": 2, "conflicting": 1, "filtered": 0} | {
        "pairs": 5,
        "pairs_filtered": 0,
    }
    some, counts = labelled(every, "min-max", ["comp-src"])
    assert [one.target.spans for one in some] == [plain[i].target.spans for i in (0, 2, 4)]
    assert counts == {"entities": 8, "projected": 3, "unaligned": 0, "conflicting": 1, "filtered": 4} | {
        "pairs": 3,
        "pairs_filtered": 2,
    }
    least, counts = labelled(every, "min-max", ["comp-src", "comp-ins"])
    assert [one.target.spans for one in least] == [plain[i].target.spans for i in (0, 4)]
    assert counts == {"entities": 8, "projected": 2, "unaligned": 0, "conflicting": 0, "filtered": 6} | {
        "pairs": 2,
        "pairs_filtered": 3,
    }
    assert labelled(every, "min-max", ["comp-ins", "comp-src"]) == (least, counts), "in any order"


def test_unknown_names_are_refused_also_without_sentences() -> None:
    with pytest.raises(BadInput, match="unknown filter 'comp'"):
        labelled([], "min-max", ["comp"])
    with pytest.raises(BadInput, match="unknown matcher 'longst'; did you mean 'longest'"):
        labelled([], "longst")


def test_the_counts_reach_the_record_and_the_table(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    labels = (
        'translator = "frames"\nmatcher = "merge-gap"\nfilters = ["comp-ins"]\n[translator.frames]\nerror_rate = 1.0'
    )
    ran = place.xner("run", place.matrix(matrix_text(tiny_folder, ("en_trans", "label_projection"), labels=labels)))
    assert ran.code == 0, ran.err
    found = {record["cell"]["label"]: record["projection"] for record in records(place.root / "results" / "small")}
    for counts in found.values():
        outcomes = [counts[name] for name in ("projected", "unaligned", "conflicting", "filtered")]
        assert sum(outcomes) == counts["entities"] == found["en_trans"]["entities"]
        assert counts["pairs"] + counts["pairs_filtered"] == 24
    assert found["en_trans"]["pairs_filtered"] == found["en_trans"]["filtered"] == 0
    assert found["label_projection"]["pairs_filtered"] > 0 < found["label_projection"]["filtered"]
    table = (place.root / "results" / "small" / "tables" / "projection.md").read_text(encoding="utf-8")
    assert "| entities | projected | unaligned | conflicting | filtered | pairs | pairs_filtered | errors |" in table
