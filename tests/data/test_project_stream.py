"""Projection a part at a time: the same output whatever the size of a part, and complaints that count all lines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.core.conll import TaggedFile, lines_of, read_lines, read_tagged
from bench.core.errors import BadInput
from bench.core.files import beside, text_lines
from bench.core.sentences import Link, Pair, tags_of
from bench.data import aligning
from bench.data.aligning import Texts
from bench.measure.score import Summary, summary, summed
from bench.store.record import TypeCounts
from data_recipes.corpora.demo.corpus import DemoCorpus
from tests.support.e2e_tools import Place, Ran
from tests.support.tag_scores import score_tags

MORE = ("--filter", "comp-src", "--matcher", "longest", "--evaluate", "gold", "--json")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Twenty sentences of the demo, with links that lose some entities."""
    from bench.core.conll import conll_text

    pairs, draw = DemoCorpus().pairs("en", "de")[:20], random.Random(1)
    kept = [[link for link in pair.links or () if draw.random() < 0.9] for pair in pairs]
    texts = {
        "source": conll_text(pair.source for pair in pairs),
        "gold": conll_text(pair.target for pair in pairs),
        "target": "".join(f"{pair.target.text}\n" for pair in pairs),
        "links": "".join(" ".join(f"{s}-{t}" for s, t in links) + "\n" for links in kept),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Place(tmp_path, tmp_path)


def project(place: Place, *more: str, links: tuple[str, ...] = ("--links", "links")) -> Ran:
    return place.xner("project", "--source", "source", "--target", "target", *links, "--out", "out.conll", *more)


def cut(place: Place, name: str, lines: int) -> None:
    path = place.root / name
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]), encoding="utf-8")


def test_the_size_of_a_part_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = project(place, *MORE).json()
    text = (place.root / "out.conll").read_bytes()
    assert 0 < whole["pairs_filtered"] < 20 and 0 < whole["scores"]["f1"] <= 1 and whole["scores"]["sentences"] > 1
    for size in (1, 3, 20):
        monkeypatch.setattr(aligning, "PART", size)
        assert project(place, *MORE).json() == whole
        assert (place.root / "out.conll").read_bytes() == text


@pytest.mark.parametrize("size", [3, 100])
@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("target", 7, "source has 20 sentences but target has 7 lines"),
        ("links", 7, "links has 7 lines of links but there are 20 sentence pairs"),
        ("links", 6, "links has 6 lines of links but there are 20 sentence pairs"),
    ],
)
def test_files_that_end_too_soon(
    place: Place, monkeypatch: pytest.MonkeyPatch, size: int, name: str, lines: int, said: str
) -> None:
    monkeypatch.setattr(aligning, "PART", size)
    cut(place, name, lines)
    ran = project(place)
    assert ran.code == 2 and said in ran.err
    assert not (place.root / "out.conll").exists()
    assert not [path for path in place.root.iterdir() if path.suffix == ".tmp"], "nothing half-written is left"


@pytest.mark.parametrize("name", ["links", "gold"])
def test_files_that_go_on_too_long(place: Place, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(aligning, "PART", 4)
    more = {"links": "0-0\n", "gold": "x O\n"}[name]
    path = place.root / name
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    ran = project(place, "--evaluate", "gold")
    assert ran.code == 2 and f"{name} has 21 " in ran.err and " 20 " in ran.err


def test_lines_are_counted_over_parts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligning, "PART", 3)
    lines = (place.root / "links").read_text(encoding="utf-8").splitlines()
    lines[10] = "0-99"
    (place.root / "links").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "links:11: link 0-99" in project(place).err


def test_an_aligner_sees_parts_or_all_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_recipes.aligners import statistical

    sizes: list[int] = []

    def align(self: Any, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Stands in for eflomal, which is an extra."""
        sizes.append(len(pairs))
        return [((0, 0),) for _ in pairs]

    monkeypatch.setattr(statistical.StatisticalAligner, "align", align)
    monkeypatch.setattr(aligning, "PART", 6)
    aligner = ("--aligner", "statistical")
    found = project(place, "--json", links=aligner).json()
    assert sizes == [20] and found["written"] == 20, "it learns from all"
    text = (place.root / "out.conll").read_bytes()
    monkeypatch.setattr(statistical.StatisticalAligner, "streams", True)
    sizes.clear()
    assert project(place, links=aligner).code == 0
    assert sizes == [6, 6, 6, 2]
    assert text.count(b"\n\n") == (place.root / "out.conll").read_bytes().count(b"\n\n") == 20


# --- the readers ------------------------------------------------------------------------------------------------------


def test_texts_are_read_again_for_every_pass(place: Place) -> None:
    texts = Texts(TaggedFile(place.root / "source"), place.root / "target")
    assert list(texts) == list(texts)


def test_items_beside_rows() -> None:
    def says(found: int, rows: int) -> str:
        return f"{found} of {rows}"

    assert list(beside("ab", "xy", says)) == [("a", "x"), ("b", "y")]
    assert list(beside("a-b", "xy", says, lambda row: row != "-")) == [("a", "x"), ("-", None), ("b", "y")]
    with pytest.raises(BadInput, match="1 of 3"):
        list(beside("a-bc", "x", says, lambda row: row != "-"))
    with pytest.raises(BadInput, match="3 of 1"):
        list(beside("a", "xyz", says))


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\n", "\ufeffa\r\n\r\nb", "a\rb\u2028c\n"])
def test_lines_end_where_they_always_did(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(text.encode())
    wanted = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    assert list(lines_of(path)) == read_lines(path) == wanted
    assert list(text_lines(path)) == (wanted[:-1] if wanted[-1] == "" else wanted)


def test_a_bad_byte_is_found_when_its_line_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"# a comment\n\na\tO\n\nb\tO\n\nc\xff\tO\n")
    sentences = iter(TaggedFile(path))
    assert [next(sentences).words, next(sentences).words] == [("a",), ("b",)]
    with pytest.raises(BadInput, match=r"f:7: not UTF-8 \(byte 0xff\)"):
        list(sentences)
    with pytest.raises(BadInput, match=r"f:7: not UTF-8"):
        read_tagged(path)


def test_scores_of_parts_add_up() -> None:
    pairs = DemoCorpus().pairs("en", "de")[:30]
    gold = [tags_of(pair.target.spans or (), len(pair.target.words)) for pair in pairs]
    found = [tags if number % 3 else ("O",) * len(tags) for number, tags in enumerate(gold)]
    whole = score_tags(gold, found, "strict")
    types: dict[str, TypeCounts] = {}
    for start in range(0, 30, 7):
        part = score_tags(gold[start : start + 7], found[start : start + 7], "strict")
        types = summed(types, summary(part.counts, part.types).types)
    assert Summary.of(types) == summary(whole.counts, whole.types)
