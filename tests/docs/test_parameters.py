"""The pages "A head of your own" and "Parameters": what stands there holds."""

from __future__ import annotations

import importlib.util
import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.core.sentences import Sentence
from tests.support.e2e_tools import REPO, Place, by_name

HOW_TO = REPO / "docs" / "how-to"
TOML = re.findall(r"^```toml\n(.*?)^```$", (HOW_TO / "parameter-sweep.md").read_text(encoding="utf-8"), re.M | re.S)
AXIS, EXCLUDE, SEARCH = TOML[2:]


@pytest.fixture
def crf(tmp_path: Path) -> Any:
    """The module of the page."""
    text = (HOW_TO / "own-head.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "crf_of_the_page.py").write_text(text)
    spec = importlib.util.spec_from_file_location("crf_of_the_page", tmp_path / "crf_of_the_page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_crf_counts_every_sequence(crf: Any) -> None:
    """Of two sentences, one shorter: loss and probabilities as by enumeration."""
    draw = torch.Generator().manual_seed(1)
    tags, lengths = ("O", "B-PER", "I-PER"), (4, 2)
    logits, transitions = torch.randn(2, 4, 3, generator=draw), torch.randn(4, 3, generator=draw)
    gold = torch.tensor([[0, 1, 2, 0], [1, 0, -100, -100]])
    total, expected = 0.0, []
    for row, length in enumerate(lengths):
        scores = {}
        for path in itertools.product(range(3), repeat=length):
            steps = zip((3, *path), path, strict=False)
            scores[path] = float(sum(logits[row, n, t] + transitions[b, t] for n, (b, t) in enumerate(steps)))
        every = torch.tensor(list(scores.values())).logsumexp(0)
        total += float(every) - scores[tuple(gold[row, :length].tolist())]
        shares = {path: torch.exp(torch.tensor(score) - every) for path, score in scores.items()}
        expected.append(
            torch.tensor([[sum(s for p, s in shares.items() if p[n] == t) for t in range(3)] for n in range(length)])
        )
    sentences = tuple(Sentence(str(n), "en", ("w",) * n) for n in lengths)
    inputs = SimpleNamespace(labels=gold, word_mask=gold != -100, sentences=sentences)
    batch, tagger = SimpleNamespace(logits=logits, inputs=inputs), SimpleNamespace(tags=tags, transitions=transitions)
    (term,) = crf.Crf().loss(tagger, SimpleNamespace(labelled=batch))
    assert float(term.value) == pytest.approx(total / sum(lengths), abs=1e-5)
    for found, shares_of in zip(crf.decode(tagger, batch).probabilities, expected, strict=True):
        assert torch.allclose(torch.from_numpy(found), shares_of, atol=1e-5)


def matrix(place: Place, text: str) -> Path:
    """A block of the page as a matrix of seconds, over the tiny encoder."""
    axes = {"targets": '["de"]', "seeds": "[1]", "encoders": f'["{place.encoder}"]', "methods": '["concner"]'}
    missing = "".join(f"{name} = {values}\n" for name, values in axes.items() if f"{name} = [" not in text)
    missing = missing if "[search]" not in text else "".join(f"{name} = {values}\n" for name, values in axes.items())
    text = text.replace("[axes]\n", f"[axes]\n{missing}") if "[axes]" in text else f"{text}[axes]\n{missing}"
    rest = '[data]\ncorpus = "demo"\nn_source = 24\nn_dev = 20\n[corpus.demo]\nn_train = 40\nn_dev = 24\nn_test = 16\n'
    rest += '[labels]\ntranslator = "frames"\n[train]\nsteps = 4\nbatch = 8\nevals = 2\nthreads = 1\n'
    return place.matrix(f'name = "sweep"\n{text}{rest}')


def planned(place: Place, *more: str) -> list[dict[str, Any]]:
    ran = place.xner("plan", "small.toml", "--json", *more)
    assert ran.code == 0, ran.err
    cells: list[dict[str, Any]] = ran.json()["cells"]
    return cells


@pytest.mark.slow
def test_an_axis_gives_rows_of_one_table(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    ran = place.xner("run", matrix(place, AXIS), "--out", place.out)
    assert ran.code == 0, ran.err
    records = by_name(place.out)
    assert len(records) == 2 and sorted(path.name for path in (place.out / "tables").glob("main*.md")) == ["main.md"]
    table = (place.out / "tables" / "main.md").read_text(encoding="utf-8")
    for row in ("en_trans", *(f"concner (alpha={alpha})" for alpha in (0.05, 0.5, 5.0))):
        assert f"| {row} " in table, row
    ran = place.xner("compare", place.out, "concner (alpha=5.0)", "concner (alpha=0.05)")
    assert ran.code == 0 and "alpha" in ran.out, ran.err


def test_excluded_cells_and_a_search_are_planned_as_told(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    matrix(place, EXCLUDE)
    cells = [(cell["target"], cell["axes"]["method.concner.alpha"]) for cell in planned(place)]
    assert sorted(cells) == [("de", 0.05), ("de", 0.5), ("de", 5.0), ("zh", 0.05), ("zh", 0.5)]
    matrix(place, SEARCH)
    searched = planned(place, "--set", "search.run=true")
    assert {(cell["trial"], cell["seed"]) for cell in searched} == set(itertools.product(range(4), (101, 102)))
