"""A paper's tables: what its author asks for is what is printed, one command gives the same bytes again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli.main import main
from bench.plan.fingerprint import digest_of
from bench.plan.naming import bibtex
from bench.plan.registry import KINDS, names
from bench.plan.sections import TablesSpec
from bench.report.frame import groups, read
from bench.report.tables.paper import paper_texts
from bench.report.verify import verify
from bench.store.record import Written, add_cells
from tests.support.records_for_tests import Plan, make, put_gap
from tests.support.scored_for_tests import make_scored

QUALITY = {
    "zero_shot": 0.4,
    "trans_only": 0.45,
    "en_trans": 0.55,
    "concner": 0.6,
    "concner+kd": 0.7,
    "concner+no-lcl": 0.62,
    "concner+no-tcl": 0.64,
}
MATRIX = """
[tables]
rows = ["zero_shot", "trans_only", "en_trans", "concner+kd=ConCNER", "*no-lcl", "*no-tcl", "concner=w/o KD"]
columns = ["de", "es", "macro"]
intervals = "none"
label = "tab:concner"
[[variant]]
name = "concner+no-lcl"
use = "concner"
display = "w/o LCL"
[[variant]]
name = "concner+no-tcl"
use = "concner"
display = "w/o TCL"
"""


def suite(out: Path, quality: Mapping[str, float] = QUALITY, matrix: str = "") -> Path:
    records = make(out, Plan(quality, ("de", "es", "fi"), oracles=("gold_translation",)))
    cells = [{"key": record.key} | {k: v for k, v in record.cell.items() if k != "params"} for record in records]
    add_cells(out, cells, "toy", [Written("toy.toml", matrix)] if matrix else None)
    return out


def body(text: str) -> list[list[str]]:
    """The cells of a table's rows, the head first."""
    return [row.removesuffix(r" \\").split(" & ") for row in re.findall(r"^[^%\n].* & .*$", text, re.M)]


def test_rows_of_the_matrix_without_a_record_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {label: f1 for label, f1 in QUALITY.items() if label not in ("trans_only", "concner+no-tcl")}
    out = suite(tmp_path, measured, MATRIX)
    assert main(["tables", str(out)]) == 0
    assert "[tables] rows without a record are left out: trans_only, *no-tcl\n" in capsys.readouterr().err
    rows = [row[0] for row in body((out / "paper" / "concner.tex").read_text())]
    assert rows[1:] == ["En", "En + Trans", "ConCNER", "w/o LCL", "w/o KD"]
    assert main(["tables", str(out), "--rows", "trans_only"]) == 2, "what the command asks for must be there"


def test_the_matrix_says_the_layout_of_concners_main_table(tmp_path: Path) -> None:
    out = suite(tmp_path, matrix=MATRIX)
    assert main(["tables", str(out)]) == 0
    text = (out / "paper" / "concner.tex").read_text(encoding="utf-8")
    rows = body(text)
    assert rows[0] == ["method", "de", "es", "macro"] and r"\label{tab:concner}" in text
    shown = [row[0] for row in rows[1:]]
    assert shown == ["En", "Trans", "En + Trans", "ConCNER", "w/o LCL", "w/o TCL", "w/o KD"]
    assert "±" not in text and r"\pm" not in text
    assert all(re.search(r"\d\d\.\d", cell) for row in rows[1:] for cell in row[1:])
    assert (out / "tables" / "main.md").is_file()  # which calls rows as commands do
    assert "| concner+kd |" in (out / "tables" / "main.md").read_text(encoding="utf-8")


def test_options_win_and_write_only_what_they_ask_for(tmp_path: Path) -> None:
    out = suite(tmp_path, matrix=MATRIX)
    assert main(["tables", str(out), "--rows", "zero_shot=English, en_trans", "--label", "tab:two"]) == 0
    assert [path.name for path in (out / "paper").iterdir()] == ["two.tex"] and not (out / "tables").exists()
    text = (out / "paper" / "two.tex").read_text(encoding="utf-8")
    assert [row[0] for row in body(text)] == ["method", "English", "En + Trans"]


def test_one_command_gives_the_same_bytes_and_verify_looks_at_them(tmp_path: Path) -> None:
    make_scored(out := tmp_path / "toy")
    assert main(["tables", str(out), "--decimals", "2", "--intervals", "paren", "--only", "main, types"]) == 0
    before = {path.name: path.read_bytes() for path in (out / "paper").iterdir()}
    assert sorted(before) == ["main-types.tex", "main.tex"]
    assert main(["tables", str(out), "--decimals", "2", "--intervals", "paren", "--only", "main,types"]) == 0
    assert {path.name: path.read_bytes() for path in (out / "paper").iterdir()} == before
    assert not verify(out).findings and verify(out).counts["tables"] == 2
    path = out / "paper" / "main.tex"
    path.write_text(path.read_text(encoding="utf-8").replace(r"\bottomrule", r"\midrule"), encoding="utf-8")
    (finding,) = verify(out).findings
    assert "paper/main.tex" in str(finding)


def one(out: Path, **keys: object) -> str:
    (text,) = paper_texts(groups(read([out])), TablesSpec(**keys)).values()  # type: ignore[arg-type]
    return text


def test_order_layout_decimals_and_rule(tmp_path: Path) -> None:
    out = suite(tmp_path)
    by_score = body(one(out, order="score", intervals="none"))
    values = [float(re.search(r"[\d.]+", row[-2])[0]) for row in by_score[1:]]  # type: ignore[index]
    assert by_score[0][-2] == "macro" and values == sorted(values, reverse=True)
    by_name = [row[0] for row in body(one(out, order="name"))[1:]]
    assert by_name == sorted(by_name) and by_name[0].startswith("concner")
    tall = body(one(out, layout="tall", columns=("es", "de"), intervals="paren", rows=("zero_shot", "en_trans")))
    assert tall[0] == ["language", r"zero\_shot", r"en\_trans"] and [row[0] for row in tall[1:]] == ["es", "de"]
    assert all(re.search(r"\d\.\d \(\$\\pm\$\d+\.\d\)", cell) for row in tall[1:] for cell in row[1:])
    assert re.search(r"\d\d\.\d{3}[ }]", one(out, decimals=3))
    main_rule, last = (body(one(out, intervals="none", columns=("de",), rule=rule))[1:] for rule in ("", "last"))
    assert main_rule != last


def test_families_are_blocks_of_rows(tmp_path: Path) -> None:
    out = suite(tmp_path, {"zero_shot": 0.4, "gold_translation": 0.8, "en_trans": 0.5})
    text = one(out, layout="by-family")
    assert text.index("source sentences only") < text.index(r"en\_trans") < text.index("oracle}")
    assert text.index("oracle}") < text.index(r"gold\_translation$^{\dagger}$")


def test_notes_and_gaps(tmp_path: Path) -> None:
    plan = Plan(QUALITY)
    make(tmp_path, plan)
    put_gap(tmp_path, plan, "label_projection", "de", 1, "no links")
    short, full, none = (one(tmp_path, notes=notes) for notes in ("short", "full", "none"))
    assert "Licence" in full and "Licence" not in short and r"\raggedright" not in none
    for text in (short, full):
        (row,) = [row for row in body(text) if row[0].startswith(r"label\_projection")]
        assert row[1:] == ["–", "–", "–", r"– \\"[:1]] and text.count("no links") == 1
    assert all("synthetic: no evidence about languages" in text for text in (short, full, none))
    assert "synthetic" in one(tmp_path, caption="Ours")


def test_what_all_rows_share_is_not_printed(tmp_path: Path) -> None:
    for aligner in ("simalign", "softmax"):
        for matcher in ("longest", "ratio"):
            axes = {"labels.aligner": aligner, "labels.matcher": matcher}
            make(tmp_path, Plan({"gold_projection": 0.6}, cell={"axes": axes}))
    assert [row[0] for row in body(one(tmp_path))[1:]] == [
        "simalign, longest",
        "simalign, ratio",
        "softmax, longest",
        "softmax, ratio",
    ]
    assert [row[0] for row in body(one(tmp_path, rows=("* (softmax, *)",)))[1:]] == ["longest", "ratio"]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--rows", "zero_shto", "did you mean 'zero_shot'"),
        ("--rows", "zero_shot=X, en_trans=X", "would both print as 'X'"),
        ("--columns", "dee", "no column 'dee'"),
        ("--rule", "lats", "'last'"),
        ("--only", "mian", "no table 'mian'"),
        ("--layout", "broad", "wide"),
        ("--decimals", "9", "decimals"),
        ("--label", "tab:x}", "label"),
        ("--label", "tab:", "label"),
    ],
)
def test_bad_options_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, says: str
) -> None:
    assert main(["tables", str(suite(tmp_path)), option, value]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not (tmp_path / "paper").exists()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.sampled_from(["matrix", "score", "name"]),
    layout=st.sampled_from(["wide", "tall", "by-family"]),
    intervals=st.sampled_from(["pm", "paren", "none"]),
    notes=st.sampled_from(["none", "short", "full"]),
    caption=st.text(max_size=20),
)
def test_any_options_give_one_number_a_row_and_column(
    tmp_path_factory: pytest.TempPathFactory, order: str, layout: str, intervals: str, notes: str, caption: str
) -> None:
    out = suite(tmp_path_factory.mktemp("any"), {"zero_shot": 0.4, "concner": 0.6})
    keys = {"order": order, "layout": layout, "intervals": intervals, "notes": notes, "caption": caption}
    text = one(out, columns=("de", "fi"), **keys)
    assert len(body(text)) == 3 and all(len(row) == 3 for row in body(text))
    assert text == one(out, columns=("de", "fi"), **keys)
    assert [line[0] for line in text.split("\n")[:4]] == ["%", "%", "%", "\\"]  # no caption ends the comments


# --- names and citations ----------------------------------------------------------------------------------------------


def test_every_plugin_cites_what_is_there() -> None:
    cells = [{"method": name, "corpus": "demo", "encoder": "e5-small"} for name in names("method")]
    raws = [{kind.name: name} for kind in KINDS for name in names(kind.name)]
    text = "\n".join(bibtex(cells, {"labels": {**raw, "filters": names("filter")}}) for raw in raws)
    text += bibtex([{"method": "zero_shot", "corpus": name, "encoder": ""} for name in names("corpus")], {})
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.M)
    assert {"fu2022concner", "sabet2020simalign", "mayhew2024universal", "wang2024multilingual"} <= set(keys)
    assert text.count("{") == text.count("}") and "ebing2025devil" in keys
    known = {k for file in Path(__file__).parents[2].glob("*/references.bib") for k in _keys(file)}
    assert set(keys) == known  # and nothing is kept that no plug-in cites


def _keys(file: Path) -> list[str]:
    return re.findall(r"^@\w+\{(\w+),$", file.read_text(encoding="utf-8"), re.M)


def test_bib_holds_what_the_rows_rest_on(tmp_path: Path) -> None:
    out = suite(tmp_path, matrix='[labels]\naligner = "softmax"\n')
    assert main(["tables", str(out), "--bib"]) == 0
    text = (out / "paper" / "references.bib").read_text(encoding="utf-8")
    assert "fu2022concner" in text and "dou2021word" in text
    assert main(["tables", str(out), "--bib", "--rows", "zero_shot"]) == 0
    assert "dou2021word" not in (out / "paper" / "references.bib").read_text(encoding="utf-8")


def test_names_for_papers_change_no_key(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (file := tmp_path / "m.py").write_text(text, encoding="utf-8")
        return digest_of(file)

    plain = digest("X = 1\nclass M:\n    name = 'm'\n")
    assert digest("X = 1\nCITES = ('a',)\nclass M:\n    name = 'm'\n    display = 'M'\n    cites = ('a',)\n") == plain
    assert digest("X = 1\ndisplay = 2\nclass M:\n    name = 'm'\n") != plain
    assert digest("X = 1\nclass M:\n    name = 'm'\n    shown = 'M'\n") != plain
