"""The LaTeX tables through LaTeX itself: they compile, and hostile names are printed, not obeyed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.plan.matrix import cells
from bench.plan.spec import load_matrix, shipped
from bench.report.frame import Group, groups, read
from bench.report.tables import MAKERS, write_tables
from bench.report.tables.render import latex
from tests.support.e2e_tools import REPO
from tests.support.records_for_tests import CORPUS, Plan, make, put

pytestmark = pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("pdftotext")),
    reason="needs pdflatex and pdftotext (Debian: texlive-latex-recommended, poppler-utils)",
)
GOLDEN = Path(__file__).parent / "golden"
NAMES = (
    r"<script>alert(1)</script>",
    r"\input{/etc/passwd}",
    r"a_b&c% #1 $x$ ^~ {y}",
    "*star*",
    "[x]",
    "naïve Šašek ő",
)
OTHER = "中文 עברית 😀"  # letters that pdflatex has no font for


def compiled(folder: Path, files: list[Path]) -> str:
    """The text of the pages that hold these tables; LaTeX stops at its first error."""
    inputs = "\n".join(rf"\input{{{path.name}}}\clearpage" for path in files)
    for path in files:
        if path.parent != folder:
            shutil.copy(path, folder)
    (folder / "all.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage[paperwidth=90cm,paperheight=60cm]{geometry}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "all.tex"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert ran.returncode == 0, ran.stdout[-2000:]
    text = subprocess.run(["pdftotext", "-layout", "all.pdf", "-"], cwd=folder, capture_output=True, check=True)
    return squeezed(text.stdout.decode())


def squeezed(text: str) -> str:
    """Without what TeX draws as rules or moves (underscores, spaces), and with its signs as they are typed."""
    return re.sub(r"[\s_]", "", text).translate(str.maketrans("’”ˆ˜−", "'\"^~-"))


def test_the_golden_tables_compile(tmp_path: Path) -> None:
    files = sorted(GOLDEN.glob("*.tex"))
    text = compiled(tmp_path, files)
    assert len(files) == 8 and text.count("Golden<records>") >= len(files)
    assert "labelprojection" in text and "ab&c|%" in text and "54.1±10.5" in text


def test_hostile_names_are_printed(tmp_path: Path) -> None:
    quality = {name: 0.3 + 0.05 * i for i, name in enumerate(NAMES)}
    make(tmp_path / "out", Plan(quality, targets=("de", "zh"), corpus={**CORPUS, "title": " ".join(NAMES)}))
    files = [path for path in write_tables(tmp_path / "out") if path.suffix == ".tex"]
    text = compiled(tmp_path, files)
    for name in NAMES[:5]:
        assert squeezed(name) in text, name


def test_letters_of_other_scripts_stay_for_an_engine_that_has_them(tmp_path: Path) -> None:
    make(tmp_path, Plan({OTHER: 0.5}))
    files = [path for path in write_tables(tmp_path) if path.suffix == ".tex"]
    assert files and all(OTHER in path.read_text(encoding="utf-8") for path in files)


# --- in two columns ---------------------------------------------------------------------------------------------------

SUITES = sorted(path.parent for path in (REPO / "results" / "reference").glob("*/records.jsonl"))
TWO_COLUMNS = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\setlength{\columnwidth}{3.3in}\setlength{\columnsep}{0.2in}\setlength{\textwidth}{6.8in}\setlength{\textheight}{9.5in}
\setlength{\oddsidemargin}{0pt}\setlength{\topmargin}{-0.5in}
\begin{document}
"""


def overfull(folder: Path, files: list[Path]) -> list[str]:
    """What of these tables leaves the text of an article in two columns by more than a point."""
    inputs = "\n".join(rf"\input{{{path.as_posix()}}}\clearpage" for path in files)
    (folder / "two.tex").write_text(f"{TWO_COLUMNS}{inputs}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "two.tex"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert ran.returncode == 0, ran.stdout[-2000:]
    boxes = re.findall(r"(Overfull \\[hv]box \(([\d.]+)pt too .*)|(Float too large.*)", ran.stdout)
    return [box or large for box, points, large in boxes if large or float(points) > 1]


def tables_of(group: Group, folder: Path, *names: str) -> list[Path]:
    """The files of these tables, of those that the group has data for."""
    files = []
    for name in names:
        if (table := MAKERS[name](group, name)) is not None:
            files.append(folder / f"{name}.tex")
            files[-1].write_text(latex(table), encoding="utf-8")
    return files


def test_an_overfull_table_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "wide.tex").write_text(r"\begin{table}\begin{tabular}{l}" + "m" * 90 + r"\end{tabular}\end{table}")
    assert len(overfull(tmp_path, [tmp_path / "wide.tex"])) == 1


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name)
def test_tables_of_committed_suites_stay_in_two_columns(
    suite: Path, tmp_path: Path, unpacked_suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XNER_CACHE", str(unpacked_suites))
    papers = sorted((suite / "paper").glob("*.tex"))
    assert overfull(tmp_path, papers) == []
    for group in groups(read([suite])):
        assert overfull(tmp_path, tables_of(group, tmp_path, "main")) == []


@pytest.mark.parametrize("matrix", shipped())
def test_main_tables_of_shipped_matrices_stay_in_two_columns(matrix: str, tmp_path: Path) -> None:
    """With made-up scores of the matrix's rows and languages."""
    out, planned = tmp_path / "out", cells(load_matrix(matrix))
    one = [cell for cell in planned if (cell.seed, cell.encoder) == (planned[0].seed, planned[0].encoder)]
    for number, cell in enumerate(one):
        axes = {key: value for key, value in cell.axes.items() if key.startswith("labels.")}
        put(out, Plan({cell.label: 0.3 + number % 7 / 10}, cell={"axes": axes}), cell.label, cell.target, 1)
    (group,) = groups(read([out]))
    assert overfull(tmp_path, tables_of(group, tmp_path, "main", "contrasts")) == []


def test_golden_tables_stay_in_two_columns(tmp_path: Path) -> None:
    assert overfull(tmp_path, sorted(GOLDEN.glob("*.tex"))) == []
