"""Published figures: as in their sources, each with what differs; printed under ours where the corpus is the same."""

from __future__ import annotations

import csv
import os
from dataclasses import astuple, fields
from pathlib import Path

import pytest

from bench.core.errors import BadInput
from bench.plan import registry
from bench.report import tables
from bench.report.frame import groups, read
from bench.report.published import FOLDER, INTRINSIC, PART, TAGGING, Published, agreement, figures, published_table
from tests.support.records_for_tests import CORPUS, Plan, make

NAMES = [one.name for one in fields(Published)]
ROW = Published(
    "A & B 2022 (arXiv 1)",
    "Table 1",
    "Best",
    "mBERT",
    "Toy",
    "de",
    "overall_f1",
    "92.03",
    "http://a",
    "toy",
    "",
    "x | y",
)


def write(
    folder: Path, *rows: Published | tuple[str, ...], head: list[str] | None = None, name: str = INTRINSIC
) -> Path:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([head or NAMES, *(astuple(row) if isinstance(row, Published) else row for row in rows)])
    return folder


def changed(**values: str) -> Published:
    return Published(**{**vars(ROW), **values})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two rows on two languages, intrinsic, on the corpus `toy`."""
    cell, corpus = {"intrinsic": True, "encoder": "none"}, {**CORPUS, "types": ["PER", "LOC"]}
    quality = {"gold_projection": 0.4, "other": 0.6}
    make(tmp_path / "out", Plan(quality, ("de", "fi"), (1,), rules=("last",), cell=cell, corpus=corpus))
    return tmp_path / "out"


def test_published_rows_stand_under_ours(out: Path, tmp_path: Path) -> None:
    (group,) = groups(read([out]))
    folder = write(
        tmp_path,
        ROW,
        changed(language="fi", value="9"),
        changed(language="avg", method="Other", value="71", differs="x"),
        changed(language="hu", value="1"),  # not in this table
        changed(corpus="", value="2"),  # of a corpus that we do not have
        changed(corpus="other", value="3"),
        changed(metric="overall_recall", value="4"),
    )
    table = published_table(group, "published", folder)
    assert table is not None
    rows = list(table.rows())
    assert [(row["from"].text, row["method"].text) for row in rows] == [
        ("ours", "gold_projection"),
        ("ours", "other"),
        ("A & B 2022", "Best"),
        ("A & B 2022", "Other"),
    ]
    ours = tables.main_table(group).frame
    assert [row["de"].value for row in rows[:2]] == [one.value for one in ours["de"]]
    assert [row["macro"].value for row in rows[:2]] == [one.value for one in ours["macro"]]
    assert (rows[2]["de"].value, rows[2]["fi"].value, rows[2]["macro"].text) == (92.03, 9.0, "–")
    assert (rows[3]["macro"].value, rows[3]["de"].text) == (71.0, "–")
    noted = [[table.footnotes[note - 1] for note in row["method"].notes] for row in rows]
    source = "A & B 2022 (arXiv 1), Table 1; mBERT; Toy: http://a"
    assert noted == [[], [], [source, "x", "y"], [source, "x"]]
    assert not any(cell.bold for row in rows for cell in row.values()), "no test was made against them"
    assert "types PER, LOC" in " ".join(table.notes)


def test_every_format_prints_figure_and_source(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, ROW)
    monkeypatch.setattr("bench.report.published.figures", lambda _, name: figures(folder, name))
    tables.write_tables(out)
    stem = out / "tables" / "published"
    text = stem.with_suffix(".md").read_text(encoding="utf-8")
    assert "| A &amp; B 2022 | Best<sup>1,2,3</sup> | 92.03 | – | – |" in text and "http://a" in text
    assert "92.03" in stem.with_suffix(".tex").read_text(encoding="utf-8")
    with stem.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["method"] == "Best" and row["language"] == "de"]
    assert [(row["mean"], row["low"]) for row in found] == [("92.0300", "")] and "http://a" in found[0]["note"]


def test_no_table_where_nothing_compares(out: Path, tmp_path: Path) -> None:
    (group,) = groups(read([out]))
    assert published_table(group, "published", tmp_path / "none") is None
    assert published_table(group, "published", write(tmp_path, changed(language="avg", corpus="other"))) is None
    make(tmp_path / "tagger", Plan({"zero_shot": 0.5}, ("de",), (1,)))
    (tagger,) = groups(read([tmp_path / "tagger"]))
    assert published_table(tagger, "published", write(tmp_path, ROW)) is None, "a tagger's F1 is another thing"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([changed(value="ninety")], "projection.csv:2: value 'ninety' is no number"),
        ([ROW, changed(source_url="")], "projection.csv:3: a published figure needs source_url"),
        ([changed(differs="")], "needs source_url and differs"),
        ([ROW, ("a", "b")], "projection.csv:3: 2 columns, must be 12"),
    ],
)
def test_a_bad_row_is_named(rows: list[Published], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        figures(write(tmp_path, *rows))


def test_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"projection.csv:1: columns are paper, value; must be paper, table"):
        figures(write(tmp_path, head=["paper", "value"]))


def test_taggers_have_figures_of_their_own_and_unverified_ones_say_so(tmp_path: Path) -> None:
    make(tmp_path / "out", Plan({"concner": 0.5, "en_trans": 0.4}, ("de",), (1,), cell={"encoder": "lab/mBERT"}))
    (group,) = groups(read([tmp_path / "out"]))
    ours = 100 * next(one.record.scores["source-dev"].f1 for one in group.stored if one.label == "concner")
    close, far = f"{ours + 1:.2f}", f"{ours - 9:.2f}"
    same = {"metric": "f1", "matches": "concner / mBERT"}
    folder = write(
        tmp_path,
        changed(**same, value=close, table="secondary report, not checked against the paper"),
        changed(**same, value=far, method="another"),
        changed(**{**same, "matches": "concner / XLM-R"}, method="other encoder"),
        changed(metric="f1", method="nothing of ours"),
        changed(**same, language="fi", method="no such language of ours"),
        name=TAGGING,
    )
    table = published_table(group, "published", folder)
    assert table is not None
    froms = [row["from"].text for row in table.rows()]
    assert froms[:3] == ["ours", "ours", "reported, unverified: A & B 2022"] and "A & B 2022" in froms[3:]
    first, second = agreement([group], 2.0, folder)
    assert first.startswith(
        f"toy de concner: ours {ours:.1f}, reported, unverified {close} (A & B 2022 (arXiv 1)): -1.0"
    )
    assert "within ±2; x; y" in first and f"published {far}" in second and "outside ±2" in second
    assert agreement([group], 10.0, folder)[1].count("within") == 1


def test_the_verb_lists_agreement(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.cli.main import main

    assert main(["verify", str(out), "--against", "published"]) == 0
    assert "no row of ours is meant to reproduce" in capsys.readouterr().out
    assert main(["verify", str(out), "--against", "published", "--tolerance", "-1"]) == 2
    assert "--tolerance -1: must not be negative" in capsys.readouterr().err


# --- what is shipped --------------------------------------------------------------------------------------------------


def test_the_shipped_figures_name_our_corpora_and_are_percentages() -> None:
    found = [*figures(), *figures(name=TAGGING)]
    assert {one.corpus for one in found} == {"europarl_ner", "wikiann", "masakhaner", ""}
    assert set(registry.names("corpus")) >= {one.corpus for one in found if one.corpus}
    assert all(0 <= float(one.value) <= 100 for one in found)
    for one in found:
        if one.corpus and one.language != "avg":
            assert one.language in registry.make("corpus", one.corpus).languages(), one
    for one in found:
        if one.matches:
            method, _, encoder = one.matches.partition(" / ")
            assert method in registry.names("method") and encoder
    unverified = {one.paper for one in found if one.unverified}
    assert any("ConCNER" in paper for paper in unverified)
    assert not [one for one in found if one.differs != PART.join(filter(None, one.differs.split(PART)))]
    keys = [astuple(one)[:7] for one in found]
    assert len(keys) == len(set(keys)), "a figure stands twice"
    assert (FOLDER / "README.md").is_file()


@pytest.mark.data
def test_the_shipped_figures_are_those_of_the_collected_sources() -> None:
    """Where `published/` lies beside $XNER_DATA: every figure stands in what was collected there, to the letter."""
    sources = Path(os.environ.get("XNER_DATA", "")).resolve().parent / "published"
    if not sources.is_dir():
        pytest.skip("no folder `published` beside $XNER_DATA")
    known = set()
    for path in sources.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            known |= {tuple(row.values()) for row in csv.DictReader(file)}
    assert not [one for one in (*figures(), *figures(name=TAGGING)) if astuple(one)[:9] not in known]
