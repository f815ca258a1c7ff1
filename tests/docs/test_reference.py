"""The pages that are read off the code are those of this code."""

from __future__ import annotations

import sys

import pytest

from tests.support.e2e_tools import REPO

sys.path.insert(0, str(REPO / "docs"))  # a folder of pages, no package
import make_reference

NAMES = ("cli.md", "matrix-keys.md", "api.md")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    texts: dict[str, str] = make_reference.pages()
    return texts


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_as_the_code_is(pages: dict[str, str], name: str) -> None:
    text = (REPO / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert text == pages[name], "python docs/make_reference.py writes it again"


def test_they_hold_what_a_reader_looks_up(pages: dict[str, str]) -> None:
    assert set(pages) == set(NAMES)
    for verb in ("run", "data check", "new method", "compare", "doctor"):
        assert f"\n## xner {verb}\n" in pages["cli.md"]
    assert "| `--only K=V` |" in pages["cli.md"] and "| `--engine local\\|slurm` |" in pages["cli.md"]
    keys = pages["matrix-keys.md"]
    assert "| `n_source` | whole number | `1000` | labelled source sentences" in keys
    assert "### `concner`" in keys and '| `classes` | `"type"` or `"tag"` | `"tag"` |' in keys
    assert "class Method(ABC):" in pages["api.md"] and "_Named(" not in pages["api.md"].replace("=_Named", "")
