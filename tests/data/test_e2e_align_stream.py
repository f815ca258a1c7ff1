"""`xner align` a part at a time, interrupted and resumed, and against gold links; the aligner softmax in a matrix."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.api.recipes import Embedded
from bench.core.sentences import Link, Pair
from bench.data import aligning
from bench.measure.links import GoldLinks, LinkScore
from data_recipes.aligners.softmax import Softmax
from tests.support.e2e_tools import Place, matrix_text, records

ENGLISH = "Anna went in Rome .\nthe big man met Bob at Oslo today .\n\na dog was here .\nBob met Anna .\n"
GERMAN = "Anna went Rome in .\nBob met the big man today at Oslo .\n\nhere was a dog .\nAnna met Bob .\n"
SOFTMAX = ("--aligner", "softmax", "--set", "layer=0", "--set", "threshold=0.02")


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    (tmp_path / "en.txt").write_text(ENGLISH, encoding="utf-8")
    (tmp_path / "de.txt").write_text(GERMAN, encoding="utf-8")
    return Place(tmp_path, tiny_folder)


def command(place: Place, *more: str) -> tuple[str | Path, ...]:
    return ("align", "en.txt", "de.txt", *SOFTMAX, "--encoder", place.encoder, *more)


# --- a part at a time -------------------------------------------------------------------------------------------------


class Parts:
    """How many pairs each call of the aligner got; interrupted in the `stop`th."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        self.asked: list[int] = []
        self.stop = 0
        whole = Softmax.align

        def align(aligner: Softmax, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
            self.asked.append(len(pairs))
            if len(self.asked) == self.stop:
                raise KeyboardInterrupt
            return whole(aligner, pairs)

        monkeypatch.setattr(Softmax, "align", align)
        monkeypatch.setattr(aligning, "PART", size)


def test_parts_give_what_the_whole_gives(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = place.xner(*command(place))
    assert whole.code == 0, whole.err
    lines = whole.out.splitlines()
    assert len(lines) == 5 and lines[2] == "" and all(lines[i] for i in (0, 1, 3, 4))
    parts = Parts(monkeypatch, 2)
    assert place.xner(*command(place)).out == whole.out
    assert parts.asked == [2, 1, 1], "two lines at a time; the empty one is not the aligner's"
    assert place.xner(*command(place, "--out", "l.txt")).code == 0
    assert (place.root / "l.txt").read_text() == whole.out
    assert sorted(path.name for path in place.root.glob("l.txt*")) == ["l.txt"]


def test_it_goes_on_where_it_was_interrupted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.root / "gold").write_text("0-0\n\n\n0-2\n0-2\n")
    out = ("--out", "l.txt", "--evaluate", "gold", "--json")
    whole = place.xner(*command(place, "--out", "whole.txt", *out[2:]))
    parts = Parts(monkeypatch, 2)
    parts.stop = 2
    assert place.xner(*command(place, *out)).code == 130
    expected = (place.root / "whole.txt").read_text()
    first = "".join(line + "\n" for line in expected.splitlines()[:2])
    assert (place.root / "l.txt.part").read_text() == first, "what was linked is written"
    other = place.xner(*command(place, *out, "--set", "temperature=2"))
    assert other.code == 2 and "begun with different parameters" in other.err
    parts.asked.clear()
    parts.stop = 0
    resumed = place.xner(*command(place, *out))
    assert resumed.code == 0 and "l.txt: resumes after line 2" in resumed.err
    assert parts.asked == [1, 1]
    assert (place.root / "l.txt").read_text() == expected
    assert resumed.json() == whole.json(), "the score is of all pairs"


def test_restart_forgets(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch, 2)
    parts.stop = 2
    assert place.xner(*command(place, "--out", "l.txt")).code == 130
    parts.stop = 0
    parts.asked.clear()
    assert place.xner(*command(place, "--out", "l.txt", "--set", "layer=1", "--restart")).code == 0
    assert parts.asked == [2, 1, 1]


def test_a_pipe_is_read_once(place: Place) -> None:
    whole = place.xner(*command(place)).out
    (place.root / "de.txt").unlink()
    os.mkfifo(place.root / "de.txt")
    writer = threading.Thread(target=(place.root / "de.txt").write_text, args=(GERMAN,), daemon=True)
    writer.start()
    assert place.xner(*command(place)).out == whole
    writer.join(timeout=10)


def test_a_bad_line_is_found_before_anything_is_linked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(monkeypatch, 1)
    (place.root / "de.txt").write_bytes(GERMAN.encode() + b"\xff\n")
    ran = place.xner(*command(place))
    assert (ran.code, ran.out, parts.asked) == (2, "", [])
    assert "de.txt:6: not UTF-8 (byte 0xff)" in ran.err


# --- against gold links -----------------------------------------------------------------------------------------------


def test_rates_by_hand() -> None:
    """Two pairs: A = 4, S = 3, P = 5, A∩S = 2, A∩P = 3, so 3/4, 2/3, 12/17 and AER 1 - 5/7."""
    score = LinkScore()
    score.add([(0, 0), (1, 1), (1, 1), (2, 0)], GoldLinks(frozenset({(0, 0), (2, 2)}), frozenset({(1, 1)})))
    score.add([(0, 0)], GoldLinks(frozenset({(0, 0)}), frozenset({(0, 0), (1, 0)})))
    assert (score.pairs, score.found, score.sure, score.possible) == (2, 4, 3, 5)
    assert (score.found_sure, score.found_possible) == (2, 3)
    assert score.precision == 3 / 4 and score.recall == 2 / 3
    assert score.f1 == pytest.approx(12 / 17) and score.aer == pytest.approx(1 - 5 / 7)


def test_rates_where_there_is_nothing() -> None:
    none = LinkScore()
    assert (none.aer, none.precision, none.recall, none.f1) == (None,) * 4
    none.add([], GoldLinks(frozenset({(0, 0)}), frozenset()))
    assert (none.aer, none.precision, none.recall, none.f1) == (1.0, None, 0.0, None)
    none.add([(1, 1)], GoldLinks(frozenset(), frozenset()))
    assert (none.aer, none.precision, none.recall, none.f1) == (1.0, 0.0, 0.0, 0.0)


def fixed(monkeypatch: pytest.MonkeyPatch, *links: tuple[Link, ...]) -> None:
    """Whatever the text: these links, pair by pair."""
    rest = itertools.cycle(links)

    def links_of(aligner: Softmax, source: Embedded, target: Embedded) -> tuple[Link, ...]:
        return next(rest)

    monkeypatch.setattr(Softmax, "links_of", links_of)


@pytest.mark.parametrize(
    ("gold", "more"),
    [("0-0 2?3 3p2\n1-1 0p0\n", ()), ("\ufeff1-1 3?4 4p3 1?1\r\n2-2 1p1", ("--from", "1"))],
)
def test_the_score_is_printed(place: Place, monkeypatch: pytest.MonkeyPatch, gold: str, more: tuple[str, ...]) -> None:
    """A = 5, S = 2, P = 5, A∩S = 1, A∩P = 3; links go to a file or nowhere."""
    (place.root / "en.txt").write_text("a dog was here\nBob met\n")
    (place.root / "de.txt").write_text("here was a dog\nmet Bob Anna\n")
    (place.root / "gold").write_text(gold, encoding="utf-8", newline="")
    fixed(monkeypatch, ((0, 0), (0, 1), (1, 2), (2, 3)), ((0, 0),))
    monkeypatch.setattr(aligning, "PART", 1)
    ran = place.xner(*command(place, "--evaluate", "gold", *more))
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == "2 pairs: 5 links; gold: 2 sure, 3 only possible"
    assert ran.out.splitlines()[1].split() == ["AER", "precision", "recall", "F1"]
    assert ran.out.splitlines()[2].split() == ["42.86", "60.00", "50.00", "54.55"]
    as_json = place.xner(*command(place, "--evaluate", "gold", "--json", "--out", "l.txt", *more))
    report = as_json.json()
    assert report["aer"] == pytest.approx(1 - 4 / 7) and report["precision"] == 3 / 5 and report["recall"] == 1 / 2
    assert (place.root / "l.txt").read_text() == "0-0 0-1 1-2 2-3\n0-0\n"


@pytest.mark.parametrize(
    ("gold", "more", "message"),
    [
        ("0-0\n0:0\n\n\n\n", (), "gold:2: '0:0' is not a link such as 3-4 (sure), 3?4 or 3p4 (possible)"),
        ("0-0\n\n\n\n", (), "gold has 4 gold lines for 5 pairs"),
        ("\n\n\n\n\n0-0\n", (), "gold has 6 gold lines for 5 pairs"),
        ("0-7\n\n\n\n\n", (), "gold:1: link 0-7: the target sentence has no word 7, only 0 to 4"),
        (
            "5p0\n\n\n\n\n",
            (),
            "gold:1: link 5p0: the source sentence has no word 5, only 0 to 4; counted from 1? --from",
        ),
        ("\n0-1\n\n\n\n", ("--from", "1"), "gold:2: link 0-1: the source sentence has no word 0, only 1 to 9"),
        ("\n\n0-0\n\n\n", (), "gold:3: link 0-0: the source sentence has no word 0, none at all"),
        ("", (), "gold has 0 gold lines for 5 pairs"),
        (None, (), "gold: cannot be read: No such file or directory"),
        ("é\n\n\n\n\n", (), "is not a link such as"),
        ("\n\n\n\n\n", ("--out", "gold"), "--out gold: this file is read"),
        ("\n\n\n\n\n", ("--restart",), "--restart needs --out F"),
    ],
)
def test_wrong_gold(place: Place, gold: str | None, more: tuple[str, ...], message: str) -> None:
    if gold is not None:
        (place.root / "gold").write_text(gold, encoding="utf-8")
    ran = place.xner(*command(place, "--evaluate", "gold", *more))
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize("option", [("--json",), ("--from", "1")])
def test_options_of_a_score_without_one(place: Place, option: tuple[str, ...]) -> None:
    ran = place.xner(*command(place, *option))
    assert ran.code == 2 and f"{option[0]} belongs to --evaluate GOLD.pharaoh" in ran.err


# --- a matrix ---------------------------------------------------------------------------------------------------------


def test_a_matrix_with_softmax(place: Place) -> None:
    labels = f'translator = "frames"\naligner = "softmax"\naligner_encoder = "{place.encoder}"'
    text = matrix_text(place.encoder, ("en_trans",), ("de",), labels=labels, recipe="align_layer = 2")
    ran = place.xner("run", place.matrix(text), "--out", place.out, "--device", "cpu")
    assert ran.code == 0, ran.err
    (record,) = records(place.out)
    assert record["status"] == "ok" and record["projection"]["projected"] > 0
