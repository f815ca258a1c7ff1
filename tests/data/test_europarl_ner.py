"""The corpus `europarl_ner`: four sides joined by line, MISC in or out, never a training text for its own tests."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.api.recipes import Corpus
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Span
from bench.data.cell_data import Guard
from bench.plan import registry
from data_recipes.corpora.europarl_ner import corpus as recipe
from tests.support.pud_files import write


def europarl(**params: Any) -> Corpus:
    corpus = registry.make("corpus", "europarl_ner", params)
    assert isinstance(corpus, Corpus)
    return corpus


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for language, text in {"en": "The\tO\nEU\tB-ORG\n\nLaw\tB-MISC\n\n", "it": "L'\tO\nUE\tB-ORG\n\nLa\tO\n\n"}.items():
        write(tmp_path, f"europarl_ner/{language}-europarl.test.conll02", text)
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    monkeypatch.setattr(recipe, "SENTENCES", 2)
    return tmp_path


def test_lines_are_pairs_with_gold_on_both_sides(data: Path) -> None:
    corpus = europarl()
    first, second = corpus.pairs("en", "it")
    assert (first.source.spans, first.target.spans) == ((Span(1, 2, "ORG"),), (Span(1, 2, "ORG"),))
    assert [first.source.group, first.target.group, second.target.group] == ["europarl/1", "europarl/1", "europarl/2"]
    assert (second.source.spans, corpus.types) == ((), ("PER", "LOC", "ORG"))
    assert corpus.read("en", "test") == corpus.read("it", "train") == corpus.pairs("it", "en") == []
    assert Guard(corpus.read("it", "test")).overlap(corpus.read("en", "train")).by_group == 2


def test_misc_is_kept_on_request(data: Path) -> None:
    corpus = europarl(misc=True)
    assert corpus.read("en", "train")[1].spans == (Span(0, 1, "MISC"),)
    assert corpus.types == ("PER", "LOC", "ORG", "MISC")
    assert "en: 2 sentences, 0 of them repeated; PER 0, LOC 0, ORG 1, MISC 1" in corpus.check()


def test_missing_and_short_files_are_named(data: Path) -> None:
    with pytest.raises(Unavailable, match=r"de-europarl.test.conll02 is not here: run 'xner data fetch europarl_ner'"):
        europarl().read("de", "test")
    assert any("is not here" in line for line in europarl().check())
    write(data, "europarl_ner/it-europarl.test.conll02", "L'\tO\nUE\tB-ORG\n")
    with pytest.raises(BadInput, match=r"1 sentences, expected 2: the four files are joined by line"):
        europarl().pairs("en", "it")
    with pytest.raises(BadInput, match="no language 'ess'; did you mean 'es'"):
        europarl().read("ess", "test")


@pytest.mark.data
def test_the_published_files() -> None:
    if not (Path(os.environ.get("XNER_DATA", "")) / "europarl_ner").is_dir():
        pytest.skip("needs europarl_ner in $XNER_DATA")
    corpus = europarl(misc=True)
    entities = {}
    for language in ("de", "es", "it"):
        pairs = corpus.pairs("en", language)
        assert len(pairs) == 799 and all(pair.source.group == pair.target.group for pair in pairs)
        entities[language] = Counter(span.type for pair in pairs for span in pair.target.spans or ())
    assert entities["es"] == {"ORG": 328, "MISC": 186, "LOC": 99, "PER": 84}
    assert sum(entities["de"].values()) == 693 and sum(entities["it"].values()) == 693
