"""The suites that are committed: their predictions give their scores, their records the tables beside them."""

from __future__ import annotations

import base64
import io
import os
import re
import shlex
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from matplotlib import image

from bench.cli.main import main
from bench.measure.statistics import holm
from bench.plan.sections import TablesSpec
from bench.report import tables
from bench.report.compare import ComparisonLine, compared
from bench.report.contrasts import contrasts_of
from bench.report.frame import groups, read
from bench.report.html.page import report_html
from bench.report.plots import MAKERS
from bench.report.plots.canvas import saved, settings
from bench.report.tables.paper import shown_of
from bench.report.tables.render import markdown
from bench.report.verdicts import sentence, signed
from bench.report.verify import verify
from tests.support.e2e_tools import REPO

sys.path.insert(0, str(REPO / "docs"))  # a folder of pages, no package
import make_results

DRAWINGS = sorted((REPO / "results" / "reference").glob("*/figures/*.png"))
PAPERS = sorted((REPO / "results" / "reference").glob("*/paper/*.tex"))
SUITES = sorted(path.parent for path in (REPO / "results" / "reference").glob("*/records.jsonl"))


@pytest.fixture(autouse=True, scope="module")
def cache(unpacked_suites: Path) -> Iterator[None]:
    with mock.patch.dict(os.environ, XNER_CACHE=str(unpacked_suites)):
        yield


def test_there_are_some_and_few_files() -> None:
    assert SUITES and PAPERS and DRAWINGS and [path for path in SUITES if (path / "report.html").is_file()]
    kept = [REPO / "results" / name for name in ("published", "reference")]  # the rest are runs
    assert sum(path.is_file() for folder in kept for path in folder.glob("**/*")) <= 60


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name)
def test_a_committed_suite_is_clean(suite: Path) -> None:
    verified = verify(suite)
    assert not verified.findings
    assert verified.counts["scores"] >= verified.counts["records"] > 0


@pytest.mark.parametrize(
    "suite", [path for path in SUITES if (path / "report.html").is_file()], ids=lambda path: path.name
)
def test_a_committed_report_is_made_again_to_the_byte(suite: Path) -> None:
    """But for its drawings and the compression, which are matplotlib's and zlib's business."""
    with mock.patch("bench.report.html.page.figures_of", return_value=()):
        made = report_html(suite)
    assert text_of(made) == text_of((suite / "report.html").read_text(encoding="utf-8"))


def text_of(page: str) -> str:
    """A page without its drawings and the blanks between tags, and with what its browser of sentences unpacks."""
    unpacked = re.sub(
        r'(?<=class="packed">)[^<]*', lambda block: zlib.decompress(base64.b64decode(block[0])).decode(), page
    )
    return re.sub(r"\s*<figure .*?</figure>\s*|(?<=>)\s+(?=<)", "", unpacked, flags=re.DOTALL)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_papers_table_is_made_again_by_its_command(paper: Path, tmp_path: Path) -> None:
    out = shutil.copytree(paper.parents[1], tmp_path / "out", ignore=shutil.ignore_patterns("paper"))
    first = paper.read_text(encoding="utf-8").splitlines()[0].removeprefix("% made by: ")
    command = [str(out) if word == "OUT" else word for word in shlex.split(first)[1:]]
    assert main([*command, "--bib"]) == 0
    for path in paper.parent.glob("*"):
        if path in (paper, paper.with_name("references.bib")):
            assert (out / "paper" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_committed_drawing_is_made_again(drawing: Path) -> None:
    """To the byte where matplotlib is the one that drew it, else nearly the same picture."""
    (group,) = groups(read([drawing.parents[1]]))
    with settings():
        figure = MAKERS[drawing.stem](group)
        assert figure is not None
        made = saved(figure, "png")
    if made != drawing.read_bytes():
        new, old = (image.imread(io.BytesIO(data)) for data in (made, drawing.read_bytes()))
        assert new.shape == old.shape and abs(new - old).mean() < 0.02


def test_the_pages_show_what_the_records_give() -> None:
    """Every table and sentence that `python docs/make_results.py` writes."""
    made = make_results.pages()
    assert {REPO / "README.md", REPO / "docs" / "results.md"} < set(made) and len(made) == 2 + len(SUITES)
    assert not [path for path, text in made.items() if text != path.read_text(encoding="utf-8")]


def test_a_page_is_made_from_other_records() -> None:
    """Tables by their columns, sentences by what they compare; the rest stays."""
    (group,) = groups(read([REPO / "results/reference/demo"]))
    table = tables.MAKERS["main"](group, "main")
    said = sentence(compared(group, "en_trans", "zero_shot", group.main_rule))
    head, *rows = re.findall(r"^\|.*\n", markdown(table), re.M)
    old = f"Text.\n\n{head}| old | 1 |\n\n- Not declared: en_trans − zero_shot: +99\n  F1.\n- More text.\n\n| other |\n"
    new = make_results.with_sentences(make_results.with_tables(old, [table, None]), group)
    expected = f"Text. {head} {' '.join(rows)} - Not declared: {said} - More text. | other |"
    assert new.split() == expected.split() and new.endswith("\n- More text.\n\n| other |\n")
    kept = "- Not declared: en_trans − nobody: +1 F1.\n- Not declared: en_trans − zero_shot: +99\nA paragraph.\n"
    made = make_results.with_sentences(kept, group)
    assert made.startswith("- Not declared: en_trans − nobody: +1 F1.\n") and made.endswith("\nA paragraph.\n")


def test_the_readmes_table_is_the_suites() -> None:
    rows = re.findall(r"^\| \w.*$", (REPO / "results/reference/demo/README.md").read_text(encoding="utf-8"), re.M)
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert len(rows) > 2
    assert not [row for row in rows if row not in readme]


def test_the_answer_is_what_the_declared_contrasts_say() -> None:
    """README's first screen: the table of the declared contrasts, the headline's figures, and the table of F1."""
    (group,) = groups(read([REPO / "results/reference/uner-reference"]))
    measured = [comparison for comparison in contrasts_of(group) if comparison.macro.difference is not None]
    assert measured and all(comparison.declared for comparison in measured)
    table = tables.MAKERS["contrasts"](group, "contrasts")
    assert table is not None
    rows = re.findall(r"^\|.*$", markdown(table), re.M)
    readme = page("README.md")
    assert len(rows) == 2 + len(measured) and all(row in readme for row in rows)
    files, results = "concner (files)", page("docs/results.md")
    pairs = {b: compared(group, files, b, group.main_rule) for b in ("zero_shot", "no-contrast (files)")}
    terms, zero_shot = pairs["no-contrast (files)"].macro, pairs["zero_shot"].macro
    assert f"`no-contrast`, the pool at ConCNER's settings | {difference(terms)}, p = {terms.p_holm:.3f} |" in readme
    assert f"ConCNER − zero-shot | {difference(zero_shot)}, {zero_shot.verdict} |" in readme
    pool, projection = (signed(comparison.macro.difference or 0).removeprefix("+") for comparison in measured[:2])
    worth = signed(terms.difference or 0).removeprefix("+")
    assert f"ConCNER beats label projection by {projection} F1 and the naive pool by {pool}" in readme
    assert f"its two terms add {worth} (exploratory)" in readme
    distilled = [comparison for comparison in measured if "both distilled" in comparison.title]
    assert len(distilled) == 2 and all(f"- {sentence(comparison)}" in results for comparison in distilled)
    kd_pool, kd_projection = (line.macro for line in distilled)
    assert (kd_pool.verdict, kd_projection.verdict) == ("better", "better")
    leads = [signed(line.difference or 0).removeprefix("+") for line in (kd_projection, kd_pool)]
    said_of_leads = "both sides distilled its leads are {} and {}, the latter (p = {:.3f})"
    assert said_of_leads.format(*leads, kd_pool.p_holm) in readme
    pairs_of_readme = [("concner (files)", "no-contrast (files)"), ("concner (files)", "zero_shot")]
    said = re.findall(r"^- Not declared: (.+?) − (.+?):", (REPO / "docs/results.md").read_text(encoding="utf-8"), re.M)
    exploratory = [pair for pair in [*said, *pairs_of_readme] if "bergamot" not in pair[0]]
    over_all = holm([compared(group, a, b, group.main_rule).macro.p for a, b in exploratory])
    significant = [pair for pair, p in zip(exploratory, over_all, strict=True) if p is not None and p < 0.05]
    assert len(over_all) == 16, "as docs/results.md says, and which survive"
    oracle = [("gold_translation", "en_trans (files)"), ("gold_translation", "zero_shot")]
    better = "simalign, ngram-ilp, files"  # labels, in Chinese
    projection_on_better, concner_on_better = f"label_projection+en ({better})", f"concner ({better}, labels=matrix)"
    assert significant == [
        ("en_trans+kd (files)", "en_trans (files)"),
        ("concner+kd (files)", files),
        *oracle,
        (projection_on_better, "label_projection+en (files)"),
        (concner_on_better, projection_on_better),
    ]
    adjusted = dict(zip(exploratory, over_all, strict=True))
    assert f"terms at equal settings (p = {adjusted[files, 'no-contrast (files)']:.3f} then)" in results
    for pair in (("concner+kd (files)", "zero_shot"), ("no-contrast (files)", "label_projection+en (files)")):
        assert f"{adjusted[pair]:.2f}" == "0.08", "as docs/results.md says of both"
    pair = compared(group, projection_on_better, "label_projection+en (files)", group.main_rule).macro
    lead = compared(group, concner_on_better, projection_on_better, group.main_rule).macro
    (before,) = (line for line in measured[1].lines if line.name == "zh")
    gains = [f"{line.difference or 0:.1f}" for line in (pair, lead, before)]
    assert f"Label projection gains {gains[0]} F1" in results
    assert "lead on the same labels is {} ({} before)".format(*gains[1:]) in results
    assert f"{difference(lead)}, {lead.verdict} (usual labels: {signed(before.difference or 0)}) |" in readme
    for a, b in (
        ("en_trans+kd (files)", "en_trans (files)"),
        ("concner+kd (files)", files),
        ("concner+kd (files)", "zero_shot"),
        ("no-contrast (files)", "en_trans (files)"),
        ("no-contrast (files)", "label_projection+en (files)"),
        ("concner (bergamot)", files),
        *oracle,
    ):
        assert f"- Not declared: {sentence(compared(group, a, b, group.main_rule))}" in results
    labels = (
        "zero_shot",
        *(
            f"{name} (files)"
            for name in ("en_trans", "label_projection", "label_projection+en", "no-contrast", "concner")
        ),
    )
    main_table = tables.MAKERS["main"](shown_of(group, TablesSpec(rows=labels)), "main")
    assert main_table is not None
    rows = re.findall(r"^\|.*$", markdown(main_table), re.M)
    assert len(rows) == 8 and all(row in readme for row in rows)


def page(name: str) -> str:
    """A page on one line."""
    return " ".join((REPO / name).read_text(encoding="utf-8").split())


def difference(line: ComparisonLine) -> str:
    """An average difference as README's second table prints it."""
    low, high = map(signed, line.together or line.interval or ())
    return f"{signed(line.difference or 0)} ({100 * line.level:.3g} % {low} to {high})"


def test_what_fewer_sentences_change_is_what_the_records_say() -> None:
    """README's lines, and what the suite's page says of 100 and 300 sentences, and of 1,000 in these languages."""
    sizes = groups(read([REPO / "results/reference/uner-n-source"]))
    many = read([REPO / "results/reference/uner-reference"])
    (thousand,) = groups([run for run in many if run.target in sizes[0].targets])
    text, readme = page("results/reference/uner-n-source/README.md"), page("README.md")
    parts = dict(re.findall(r"## ([\d,]+) sentences (.*?)(?=## |$)", text))
    assert list(parts) == ["100", "300", "1,000"] and len(sizes) == 2
    verdicts = []
    for few in sizes:
        part = parts[str(few.stored[0].table_axes["data.n_source"])]
        table = re.findall(r"^\|.*$", markdown(tables.MAKERS["main"](few, "main")), re.M)
        assert len(table) == 7 and all(row in part for row in table)
        measured = [comparison for comparison in contrasts_of(few) if comparison.macro.difference is not None]
        verdicts.append([comparison.macro.verdict for comparison in measured])
        assert all(f"- {sentence(comparison)}" in part for comparison in measured)
    assert verdicts == [["undecided", "undecided", "worse"], ["undecided", "better", "worse"]], "as the page says"
    for at_each in zip(*(contrasts_of(few) for few in sizes), strict=True):
        if at_each[0].macro.difference is None:
            continue
        names = [name if name == "zero_shot" else f"{name} (files)" for name in (at_each[0].a, at_each[0].b)]
        at_many = compared(thousand, *names, thousand.main_rule)
        assert f"- {sentence(at_many)}" in parts["1,000"]
        shown = "; ".join(f"{difference(each.macro)}, {each.macro.verdict}" for each in at_each)
        assert f"{at_each[0].title} | {shown}; {signed(at_many.macro.difference or 0)} |" in readme


def test_what_unlabelled_parallel_text_is_worth_is_what_the_records_say() -> None:
    """The page's declared contrasts and table; README's lines have the same numbers."""
    (group,) = groups(read([REPO / "results/reference/low-resource"]))
    text, readme = page("results/reference/low-resource/README.md"), page("README.md")
    measured = contrasts_of(group)
    assert [comparison.primary for comparison in measured] == [True, True]
    for comparison in measured:
        assert f"- {sentence(comparison)}" in text
        assert f"| {difference(comparison.macro)}, {comparison.macro.verdict} |" in readme
    table = re.findall(r"^\|.*$", markdown(tables.MAKERS["main"](group, "main")), re.M)
    assert len(table) == 6 and all(row in text for row in table)
