"""README and the pages of docs: every block of code is compiled, parsed or run, every link leads somewhere."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import parser
from bench.plan import registry
from bench.plan.spec import parsed_matrix, shipped
from bench.report.tables import MAKERS
from bench.run.slurm import load_profile
from tests.studies.__main__ import studies
from tests.support.e2e_tools import REPO, demo_sentences, write_corpus

LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=REPO,
    check=True,
    capture_output=True,
    text=True,
).stdout.split()
FILES = sorted({name for name in LISTED if (REPO / name).is_file()})
PAGES = [
    name for name in FILES if name.startswith("docs/") or ("/" not in name and name != "CHANGELOG.md")
]  # which names what is gone
UNCHECKED = {"text", "mermaid", "math"}  # files, figures, formulas: no code


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else its fence says, and where it stands."""

    page: str
    line: int
    language: str
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page) if block.language in languages]


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    text = (REPO / page).read_text(encoding="utf-8")
    fences = re.finditer(r"^```(\S*)[ ]*(.*)\n((?:.*\n)*?)```$", text, re.M)
    return tuple(Block(page, text[: match.start()].count("\n") + 1, match[1], match[2], match[3]) for match in fences)


def prose(page: str) -> str:
    return re.sub(r"^```.*?^```$", "", (REPO / page).read_text(encoding="utf-8"), flags=re.M | re.S)


# --- code -------------------------------------------------------------------------------------------------------------


def test_every_block_says_what_it_is() -> None:
    known = {"python", "toml", "sh", "console", *UNCHECKED}
    assert not [
        f"{block}: {block.language!r}" for page in PAGES for block in blocks_of(page) if block.language not in known
    ]
    assert len(blocks("sh")) > 15 and len(blocks("toml")) >= 5 and len(blocks("python")) > 50


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles_and_imports_what_there_is(block: Block) -> None:
    tree = ast.parse(block.text, str(block))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in (
            "bench",
            "methods",
            "data_recipes",
        ):
            module = importlib.import_module(str(node.module))
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)], str(node.module)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_a_matrix_or_a_profile(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole matrix, or sections that are one with a head; in a folder where the corpora that it names are."""
    given = tomllib.loads(block.text)
    monkeypatch.chdir(tmp_path)
    for language in ("en", "de", "sw"):
        split = "train" if language == "en" else "test"
        write_corpus(tmp_path / "my-corpus", {f"{language}/{split}": demo_sentences("en", "test", 4)})
    if "title=" in block.info:
        (tmp_path / "cluster.toml").write_text(block.text, encoding="utf-8")
        assert load_profile(tmp_path / "cluster.toml").partition == given["partition"]
        return
    spec = parsed_matrix(str(block), block.text if "name" in given else whole(block.text, given))
    assert spec.axes.methods


def whole(text: str, given: dict[str, Any]) -> str:
    """A part of a matrix with what it needs to be one: the axes, the encoders and rows that it names, a corpus."""
    rows = [contrast[side] for contrast in given.get("contrast", ()) for side in "ab"]
    variants = [row for row in rows if row not in registry.names("method")]
    axes = {
        "methods": ["zero_shot", *rows],
        "targets": ["de"],
        "seeds": [1],
        "encoders": ["none", *given.get("encoder", ())],
    }
    missing = "".join(
        f"{name} = {json.dumps(values)}\n" for name, values in axes.items() if name not in given.get("axes", ())
    )
    more = "".join(f'[[variant]]\nname = "{row}"\nuse = "label_projection"\nenglish = true\n' for row in variants)
    more += "" if "data" in given else '[data]\ncorpus = "demo"\n'
    if "axes" in given:
        return 'name = "page"\n' + text.replace("[axes]\n", f"[axes]\n{missing}") + more
    return f'name = "page"\n{text}\n[axes]\n{missing}{more}'


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a block of shell."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield words[:end]
            words = words[end + 1 :]


def complaint(words: list[str]) -> str:
    """What is wrong with a command, "" if nothing is."""
    if words[:1] == ["xner"]:
        try:
            args = parser().parse_args(words[1:])
        except SystemExit as leave:
            return "" if leave.code == 0 else f"no such command: {shlex.join(words)}"
        named = str(getattr(args, "matrix", None) or "")
        known = named.endswith(".toml") or named in ("", "MATRIX", *shipped())
        return "" if known else f"no shipped matrix: {named}"
    if words[:3] == ["python", "-m", "tests.studies"]:
        return "" if words[3:] and words[3] in {*studies(), "NAME"} else f"no such study: {shlex.join(words)}"
    if words[:2] == ["pip", "install"]:
        extras = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        asked = [e for word in words for e in re.findall(r"^(?:\.|xner-bench)\[(.+)\]$", word) for e in e.split(",")]
        return "".join(f"no extra {extra}" for extra in asked if extra not in extras)
    if words[:1] == ["python"]:
        return "" if words[1] == "-m" or (REPO / words[1]).is_file() else f"no such file: {words[1]}"
    return (
        ""
        if words[0] in {"pytest", "ruff", "mypy", "mkdocs", "git", "pre-commit", "twine", "apt", "jupyter", ".ci/run"}
        else f"unknown program: {words[0]}"
    )


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_shell_calls_what_there_is(block: Block) -> None:
    assert not [wrong for words in commands(block.text) if (wrong := complaint(words))]


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_are_there(page: str) -> None:
    """`xner VERB --option` between backticks: the verb exists, and so does each option of it."""
    verbs = verbs_of(parser())
    wrong = []
    for code in re.findall(r"`xner ([^`]+)`", prose(page)):
        words = code.split()
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in verbs), "")
        if name not in verbs and words[0] not in ("VERB", "--help", "--version", "new", "data"):
            wrong.append(code)
        for option in re.findall(r"(?<=\s)--[a-z-]+", code):
            if name and option not in verbs[name] and option != "--help":
                wrong.append(f"{name}: {option}")
    assert not wrong


def verbs_of(parser: Any, before: str = "") -> dict[str, set[str]]:
    """The options of each verb."""
    found: dict[str, set[str]] = {}
    for action in parser._actions:
        for name, verb in (action.choices or {}).items() if isinstance(action.choices, dict) else ():
            found[f"{before}{name}"] = {option for own in verb._actions for option in own.option_strings}
            found |= verbs_of(verb, f"{before}{name} ")
    return found


# --- links ------------------------------------------------------------------------------------------------------------


@cache
def anchors(page: str) -> frozenset[str]:
    """Those of a page's headings, as MkDocs and GitHub make them where both agree."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return frozenset(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings)


@pytest.mark.parametrize("page", FILES)
def test_links_lead_somewhere(page: str) -> None:
    folder, wrong = (REPO / page).parent, []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "http://", "mailto:")), target
            continue
        file = (folder / path).resolve() if path else REPO / page
        if not file.exists():
            wrong.append(target)
        elif anchor and anchor not in anchors(file.relative_to(REPO).as_posix()):
            wrong.append(f"{target}: no such heading")
    assert not wrong


def test_every_page_is_in_the_navigation() -> None:
    navigation = (REPO / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    pages = {name.removeprefix("docs/") for name in FILES if name.startswith("docs/")}
    assert pages == set(re.findall(r"[\w/-]+\.md", navigation))


def test_every_shipped_matrix_is_on_its_page() -> None:
    text = (REPO / "docs" / "reference" / "matrices.md").read_text(encoding="utf-8")
    assert set(shipped()) == set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.M))))


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (REPO / "CITATION.cff").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest and newest[1] == version


def test_the_tables_that_are_named_are_made() -> None:
    text = (REPO / "docs" / "how-to" / "paper-tables.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.M)))
    assert len(named) > 8 and set(named) <= set(MAKERS)
