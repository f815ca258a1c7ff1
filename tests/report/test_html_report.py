"""The HTML page: the same bytes, everything escaped, nothing fetched, numbers that lead to records and errors."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from markupsafe import escape

from bench.cli.main import main
from bench.core.conll import conll_text
from bench.core.sentences import Sentence, Span
from bench.report.contrasts import contrasts_of
from bench.report.errors import judged, sample, samples
from bench.report.frame import groups, read
from bench.report.html.page import compact, flat, report_html, shared, write_report
from bench.report.notes import visible
from bench.report.scores import ranking, scores_of
from bench.report.verdicts import sentence
from bench.store.record import Contrast, Records, Written, add_cells
from bench.store.sidecars import GOLD, predictions_name
from tests.support.records_for_tests import Plan, make, put_gap
from tests.support.scored_for_tests import QUALITY, gold_of, make_scored

VOID = {"meta", "img", "input", "br"}
HOSTILE = "<script>alert(1)</script>&\"'\u202eevil\x00\x1b[31m"


class Reader(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("section", "details", "main", "header", "figure", "table", "div", "mark", "bdi", "button"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("section", "details", "main", "header", "figure", "table", "div", "mark", "bdi", "button"):
            assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str, tag: str = "") -> list[str]:
        return [value for of, attribute, value in self.attributes if attribute == name and tag in ("", of)]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A small matrix with gold and predictions, and its page without plots, which cost seconds."""
    out = tmp_path_factory.mktemp("scored")
    make_scored(out, QUALITY | {"en_trans": 0.6}, seeds=(1, 2, 3, 4, 5))
    with no_plots():
        yield out, report_html(out)


def no_plots() -> mock._patch[mock.Mock]:
    return mock.patch("bench.report.html.page.figures_of", return_value=())


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_records_alone_the_same_bytes_wherever_they_lie(tmp_path: Path) -> None:
    plan = Plan({"zero_shot": 0.4, "en_trans": 0.6}, curves=True)
    make(tmp_path / "a", plan)
    make(tmp_path / "other name", plan)
    first, second = (write_report(tmp_path / name) for name in ("a", "other name"))
    assert first == tmp_path / "a" / "report.html" and first.read_bytes() == second.read_bytes()
    text = first.read_text(encoding="utf-8")
    page = Reader(text)
    images = page.values("src")
    assert len(images) >= 4 and all(image.startswith("data:image/svg+xml,%3C") for image in images)
    assert all(text for text in page.values("alt", "img"))
    assert text.index('<ol class="answers">') < text.index("<figure")
    assert str(tmp_path) not in text


def test_nothing_is_fetched_and_only_its_own_script_may_run(scored: tuple[Path, str]) -> None:
    page = Reader(scored[1])
    assert page.tags["script"] == page.tags["style"] == 1 and not page.tags["link"] and not page.tags["iframe"]
    assert all(url.startswith(("#", "records/")) for url in page.values("href"))
    assert all(url.startswith("data:") for url in page.values("src"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert not re.search(r"https?:", scored[1].replace("http://www.w3.org/", ""))
    (policy,) = [value for value in page.values("content", "meta") if "default-src" in value]
    script = scored[1].split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy


def test_links_lead_somewhere_and_ids_are_one_each(scored: tuple[Path, str]) -> None:
    page = Reader(scored[1])
    assert not page.open
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {url[1:] for url in page.values("href") if url[0] == "#"} <= set(ids)
    for url in page.values("href"):
        assert url[0] == "#" or (scored[0] / url).is_file()


def test_a_number_leads_to_its_seeds_records_and_errors(scored: tuple[Path, str]) -> None:
    out, text = scored
    (group,) = groups(read([out]))
    score = scores_of(group, group.main_rule)[("toy", "concner"), "de"]
    row = re.search(r"<tr><th scope=\"row\">[^\n]*?<bdi>concner</bdi>.*", text)
    assert row is not None
    found = re.search(rf'<td class="n" data-v="[\d.]+">(?:<b>)?<a href="#([\w-]+)">{score.mean:.1f}</a>', row[0])
    assert found is not None
    part = text.split(f'<div id="{found[1]}"')[1].split('class="cell"')[0]
    for one in group.stored:
        if (one.label, one.target) == ("concner", "de"):
            assert f'href="records/{one.record.key}.json"' in part
            assert f'<td class="n">{100 * one.record.scores["source-dev"].f1:.2f}' in part
    assert "of 40 sentences hold an error" in part and 'href="#g0-browser" data-a="1" data-target="de"' in part


def packed(text: str) -> list[dict[str, Any]]:
    """What the page's browser of sentences unpacks."""
    blocks = re.findall(r'<template class="packed">(.*?)</template>', text)
    return [json.loads(zlib.decompress(base64.b64decode(block))) for block in blocks]


def test_the_page_opens_with_the_contrasts_in_plain_words(scored: tuple[Path, str]) -> None:
    out, text = scored
    (group,) = groups(read([out]))
    first, second = contrasts_of(group)
    assert (first.a, first.b, second.a) == ("concner", "en_trans", "zero_shot") or (second.a, first.a) == (
        "concner",
        "zero_shot",
    )
    answers = text.split('<ol class="answers">')[1].split("</ol>")[0]
    for one in (first, second):
        assert str(escape(sentence(one))) in answers
        assert re.fullmatch(
            r"\w+ − en_trans: [+−][\d.]+ F1 on average over two languages \(9[\d.]+ % [+−]?[\d.]+ to [+−]?[\d.]+\): "
            r"(significantly (higher|lower) \(p [=<] [\d.]+(, by less than 1 F1)?\)|no difference shown; .*)\. "
            r"Better in \w+, worse in \w+, undecided in \w+\. Takes as long\.",
            sentence(one),
        )
    said = "".join(Reader(text).text)
    assert "Exploratory: the matrix declares no contrast for this table." in said
    assert "Synthetic: no evidence about languages." in said and "Human translations: an upper bound" in said


def test_declared_contrasts_come_alone_and_the_primary_one_first(tmp_path: Path) -> None:
    records = make(tmp_path, Plan({"zero_shot": 0.4, "en_trans": 0.6, "concner": 0.7}))
    declared = (Contrast("concner", "zero_shot", "second"), Contrast("concner", "en_trans", "first", primary=True))
    cells = [{"key": one.key, **one.cell} for one in records]
    add_cells(tmp_path, cells, "toy", [Written("toy.toml", "", contrasts=declared)])
    (group,) = groups(read([tmp_path]))
    found = contrasts_of(group)
    assert [(one.declared, one.primary, one.macro.p_holm == one.macro.p) for one in found] == [
        ("first", True, True),
        ("second", False, True),
    ]
    with no_plots():
        text = report_html(tmp_path)
    assert text.index("<b>Primary.</b> first: ") < text.index(">second: ") and "Declared before the runs." in text


def test_below_three_seeds_nothing_differs_significantly(tmp_path: Path) -> None:
    make(tmp_path, Plan({"zero_shot": 0.2, "en_trans": 0.9}, seeds=(1, 2)))
    with no_plots():
        said = "".join(Reader(report_html(tmp_path)).text)
    assert "not tested, with fewer than 3 seeds" in said and "significantly" not in said.split("What to know")[0]
    (group,) = groups(read([tmp_path]))
    assert ranking(group).pairs == 0


def test_gaps_are_told_with_their_reasons(tmp_path: Path) -> None:
    plan = Plan({"zero_shot": 0.4, "en_trans": 0.6})
    make(tmp_path, plan)
    put_gap(tmp_path, plan, "concner", "de", 1, "no links for <de>")
    put_gap(tmp_path, plan, "concner", "fi", 1, "it <broke>", failed=True)
    with no_plots():
        text = report_html(tmp_path)
    said = "".join(Reader(text).text)
    assert "1 × skipped: no links for <de>" in said and "1 × failed: ValueError: it <broke>" in said
    assert "gold or predictions of seed 2: missing" in said  # these records have no gold
    assert "no links for &lt;de&gt;" in text and "<de>" not in text


def test_oracles_are_in_no_tested_pair(tmp_path: Path) -> None:
    make(tmp_path, Plan({"a": 0.3, "b": 0.6, "best": 0.95}, oracles=("best",)))
    (group,) = groups(read([tmp_path]))
    found = ranking(group)
    assert found.pairs == 1 and [row[1] for row in found.rows] == ["best", "b", "a"]
    assert not [pair for pair in found.p_values if ("toy", "best") in pair]
    assert not contrasts_of(group), "nor is one a contrast by default"


def test_a_long_reason_is_told_to_its_end(tmp_path: Path) -> None:
    why = f"no translations; {'add some, ' * 20}(corpus conll: translations/<language>.tsv)"
    put_gap(tmp_path, Plan({}), "zero_shot", "de", 1, why)
    assert f"1 × skipped: {why}" in "".join(Reader(report_html(tmp_path)).text)


def test_without_a_score_there_is_still_a_page(tmp_path: Path) -> None:
    put_gap(tmp_path, Plan({}), "zero_shot", "de", 1, "no encoder")
    assert "nothing can be said" in report_html(tmp_path)


# --- what comes from outside ------------------------------------------------------------------------------------------


def test_hostile_content_is_text(tmp_path: Path) -> None:
    gold = [
        Sentence("id " + HOSTILE, "ar", ("<script>", "مرحبا", "&amp;", "\u202e", "😀"), (Span(0, 2, "PER"),)),
        Sentence("b", "ar", ("x",), ()),
    ]
    with mock.patch(
        "tests.support.scored_for_tests.gold_of", lambda target, *_: gold if target == "ar" else gold_of(target)
    ):
        make_scored(tmp_path, {"zero_shot": 0.0, "a<b>\"'": 0.0}, targets=("ar", "de"))
    store = Records(tmp_path)
    for one in store.all():
        corpus = {**one.corpus, "title": HOSTILE, "notes": [HOSTILE], "licence": HOSTILE}
        store.put(replace(one, corpus=corpus, versions={HOSTILE: HOSTILE}))
    text = write_report(tmp_path).read_bytes().decode()
    page = Reader(text)
    assert page.tags["script"] == 1 and not page.open
    assert "\u202e" not in text and "\x00" not in text and "\x1b" not in text
    said = "".join(page.text)
    assert "<script>alert(1)</script>&\"'⟨U+202E⟩evil␀␛[31m" in said
    (data,) = packed(text)
    test = data["tests"][0]
    assert (test["target"], test["ids"]) == ("ar", [visible("id " + HOSTILE)])
    assert test["words"] == ["<script>\nمرحبا\n&amp;\n⟨U+202E⟩\n😀"] and test["gold"] == [[0, 2, 0]]
    assert test["found"] == [{"0": []}, {"0": []}] and data["types"][0] == "PER"


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0xAD, 0x200B, 0x202E, 0x2066, 0xFEFF, 0xD800, 0xFFFE])
def test_what_is_invisible_is_shown_or_a_blank(code: int) -> None:
    shown = str(escape(visible(f"a{chr(code)}b")))
    assert chr(code) not in shown or code == 0x20
    assert shown.encode() and shown.startswith("a") and shown.endswith("b") and len(shown) > 2


def test_joiners_and_scripts_stay() -> None:
    assert visible("می\u200cخواهم 👩\u200d💻 中文") == "می\u200cخواهم 👩\u200d💻 中文"


# --- errors -----------------------------------------------------------------------------------------------------------


def test_kinds_of_errors() -> None:
    gold = [Span(0, 1, "PER"), Span(1, 2, "PER"), Span(3, 5, "LOC"), Span(5, 7, "ORG"), Span(8, 9, "LOC")]
    found = [Span(0, 1, "PER"), Span(1, 2, "LOC"), Span(4, 5, "LOC"), Span(5, 6, "PER"), Span(7, 8, "LOC")]
    ours, theirs = judged(gold, found)
    assert ours == ["correct", "type", "boundary", "type and boundary", "missed"]
    assert theirs == ["correct", "type", "boundary", "type and boundary", "spurious"]


def test_counts_of_kinds_are_those_of_the_record(scored: tuple[Path, str]) -> None:
    (group,) = groups(read([scored[0]]))
    for one in samples(group).values():
        types = one.stored.record.scores["source-dev"].types.values()
        tp, fp, fn = (sum(getattr(c, name) for c in types) for name in ("tp", "fp", "fn"))
        kinds = one.kinds
        assert kinds["correct"] == tp and sum(kinds.values()) - tp - kinds["spurious"] == fn
        assert one.gold is not None
        assert kinds["spurious"] <= fp and 0 < len(one.found) <= len(one.gold.spans) == 40
        f1s = sorted(
            o.record.scores["source-dev"].f1
            for o in group.stored
            if (o.label, o.target) == (one.stored.label, one.stored.target)
        )
        assert one.stored.record.scores["source-dev"].f1 == f1s[len(f1s) // 2], "the median seed"


def test_the_browser_has_what_every_method_predicts(scored: tuple[Path, str]) -> None:
    out, text = scored
    (group,) = groups(read([out]))
    (data,) = packed(text)
    assert data["rows"] == [row[1] for row in group.rows] and [test["target"] for test in data["tests"]] == ["de", "fi"]
    first = contrasts_of(group)[0]
    assert [data["rows"][n] for n in data["start"]] == [first.a, first.b]
    made = samples(group)
    for test in data["tests"]:
        assert test["wrong"] == len(test["ids"]) == len(test["words"]) == len(test["gold"]) <= 40
        for row, found, seed in zip(group.rows, test["found"], test["seeds"], strict=True):
            one = made[row, test["target"]]
            assert one.stored.seed == seed and len(found) == len(one.found)
            assert one.gold is not None
            wrong = {one.gold.ids[i]: list(spans) for i, spans in one.found.items()}
            for place, numbers in found.items():
                parts = [numbers[n : n + 3] for n in range(0, len(numbers), 3)]
                spans = [Span(first, end, data["types"][type_]) for first, end, type_ in parts]
                assert wrong[test["ids"][int(place)]] == spans


def test_other_sentences_and_damage_are_told(tmp_path: Path) -> None:
    make_scored(tmp_path, {"zero_shot": 0.5}, targets=("de",), seeds=(1,))
    (one,) = read([tmp_path])
    one.store.put_text(one.record.key, predictions_name("source-dev"), conll_text(gold_of("de", 3)))
    assert "not of the same sentences" in sample(one, "source-dev", {}).why
    one.store.sidecar(one.record.key, GOLD).write_bytes(b"no gzip")
    assert "cannot be read" in sample(one, "source-dev", {}).why
    with no_plots():
        assert "No sentences to compare: " in report_html(tmp_path)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_facts_are_told_once(tmp_path: Path) -> None:
    records = make(tmp_path, Plan({"zero_shot": 0.5}, targets=("de",)))
    facts = [flat(one) for one in records]
    assert facts[0]["cell.encoder"] == "org/enc" and facts[0]["resources.labelled"] == "1000"
    assert not [name for name in facts[0] if name.startswith(("scores", "key"))] and "cell.seed" not in facts[0]
    assert shared([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}]) == {"a": "1"} and shared([]) == {}


def test_compact_keeps_the_drawing() -> None:
    svg = '<svg><!-- x --><metadata>m</metadata><g id="axes_1"><path id="G" d="M 1.23456 -7.891\nL 2 3" /></g></svg>'
    assert compact(svg) == '<svg><g><path id="G" d="M 1.23 -7.89 L 2 3" /></g></svg>'


def test_the_verb_writes_the_page_and_verify_knows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    make_scored(out, {"zero_shot": 0.5}, targets=("de",), seeds=(1,))
    with no_plots():
        assert main(["report", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [(out / "report.html").as_posix()]}
    assert main(["verify", str(out), "--json"]) == 0
    assert not [note for note in json.loads(capsys.readouterr().out)["notes"] if "report.html" in note]
    assert main(["report", str(tmp_path / "nowhere")]) == 2


def test_many_cells_keep_fewer_sentences(tmp_path: Path) -> None:
    make_scored(tmp_path, {"zero_shot": 0.3}, targets=("de", "fi"), seeds=(1,))
    with no_plots(), mock.patch.multiple("bench.report.html.page", _SENTENCES=4, _FEWEST=1):
        (data,) = packed(report_html(tmp_path))
    assert [len(test["words"]) for test in data["tests"]] == [2, 2] and all(test["wrong"] > 2 for test in data["tests"])


def test_one_training_under_two_names_does_not_differ_significantly(tmp_path: Path) -> None:
    make(tmp_path, Plan({"x": 0.5, "x+y": 0.5, "z": 0.9}))
    (group,) = groups(read([tmp_path]))
    found = ranking(group)
    x, y = (row for row in found.rows if row[1] != "z")
    assert found.p_values[x, y] == 1.0 and found.means[x] == found.means[y]
