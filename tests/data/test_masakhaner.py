"""The corpus `masakhaner`: the published text form, the hub's parquet, and the choice of English source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.api.recipes import Corpus
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Sentence, Span
from bench.plan import registry
from data_recipes.corpora.masakhaner.corpus import REPOSITORY
from tests.support.pud_files import write, write_pud

TEXT = 'Bédié B-PER\nna O\nmasa B-DATE\n"""" O\n\nG5 B-ORG\nSahel I-ORG\n\n'  # as published: a quote mark is four
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-DATE", "I-DATE"]


def masakhaner(**params: Any) -> Corpus:
    corpus = registry.make("corpus", "masakhaner", params)
    assert isinstance(corpus, Corpus)
    return corpus


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_pud(tmp_path)
    write(tmp_path, "uner/en_ewt/en_ewt-ud-dev.iob2", "# sent_id = e-1\n1\tRome\tB-LOC\t-\t-\n")
    for split in ("train", "dev", "test"):
        write(tmp_path, f"masakhaner2/ewe/{split}.txt", TEXT)
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    return tmp_path


EXPECTED = [
    Sentence("ewe-test-1", "ewe", ("Bédié", "na", "masa", '""""'), (Span(0, 1, "PER"),)),
    Sentence("ewe-test-2", "ewe", ("G5", "Sahel"), (Span(0, 2, "ORG"),)),
]


def test_text_files_without_dates(data: Path) -> None:
    corpus = masakhaner()
    assert corpus.read("ewe", "test") == EXPECTED
    assert [(s.id, s.spans) for s in corpus.read("ewe", "unlabelled")] == [("ewe-train-1", None), ("ewe-train-2", None)]
    assert len(corpus.languages()) == 21 and corpus.pairs("en", "ewe") == []
    assert "ewe: 2 of 2 test sentences are also in train" in corpus.check()
    with pytest.raises(BadInput, match="no language 'ew'; did you mean 'ewe'"):
        corpus.read("ew", "test")
    with pytest.raises(Unavailable, match=r"wol/test.txt is not here: run 'xner data fetch masakhaner2/wol'"):
        masakhaner(layout="text").read("wol", "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a B-MISC\n", r"ewe/test.txt:1: unknown entity type 'MISC'"),
        ("a O\n", r"all 1 tags are 'O': placeholders"),
        ("a\n", r"ewe/test.txt:1: columns 0 \(token\) and -1 \(tag\)|same column"),
    ],
)
def test_other_text_is_refused(data: Path, text: str, message: str) -> None:
    write(data, "masakhaner2/ewe/test.txt", text)
    with pytest.raises(BadInput, match=message):
        masakhaner().read("ewe", "test")


def test_english_is_a_choice(data: Path) -> None:
    assert [s.id for s in masakhaner().read("en", "train")][:1] == ["en_pud/n01001-0001"]
    assert [s.id for s in masakhaner().read("en", "dev")] == ["en_ewt/e-1"]
    own = masakhaner(source="conll2003")
    with pytest.raises(Unavailable, match=r"conll2003/train.txt is not here: CoNLL-2003 is not open"):
        own.read("en", "train")
    write(data, "conll2003/train.txt", "-DOCSTART- -X- -X- O\n\nEU NNP B-NP I-ORG\nGerman JJ B-NP I-MISC\n")
    assert [s.spans for s in own.read("en", "train")] == [(Span(0, 1, "ORG"),)]
    write(data, "wikiann/en/train", "en:Rome\tB-LOC\n")
    assert masakhaner(source="wikiann").read("en", "train")[0].words == ("Rome",)
    with pytest.raises(BadInput, match="'conll' is not one of the values; did you mean 'conll2003'"):
        masakhaner(source="conll")


# --- the hub ----------------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_parquet(path: Path, rows: list[tuple[list[str], list[int]]], names: list[str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"tokens": [tokens for tokens, _ in rows], "ner_tags": [tags for _, tags in rows]})
    if names:
        features = {"ner_tags": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)


@pytest.fixture
def cached(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = data / COMMIT

    def snapshot_download(repo: str, *, repo_type: str, revision: str, **rest: Any) -> str:
        assert (repo, repo_type, set(rest)) == (
            REPOSITORY,
            "dataset",
            {"allow_patterns", "ignore_patterns", "local_files_only"},
        )
        if revision not in ("refs/convert/parquet", COMMIT):
            raise FileNotFoundError(revision)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return folder


def test_the_hub_gives_the_same_sentences(cached: Path) -> None:
    rows = [(list(EXPECTED[0].words), [1, 0, 7, 0]), (["G5", "Sahel"], [3, 4])]
    write_parquet(cached / "ewe" / "test" / "0000.parquet", rows, TAGS)
    assert masakhaner(layout="hub").read("ewe", "test") == EXPECTED
    write_parquet(cached / "ewe" / "masakhaner2-validation.parquet", rows, TAGS)  # the older layout
    assert [s.words for s in masakhaner(layout="hub").read("ewe", "dev")] == [s.words for s in EXPECTED]
    order = [*TAGS[:1], *TAGS[5:7], *TAGS[1:5], *TAGS[7:]]  # the file's own names decide, whatever their order
    moved = [(words, [order.index(TAGS[tag]) for tag in tags]) for words, tags in rows]
    write_parquet(cached / "ewe" / "test" / "0000.parquet", moved, order)
    assert masakhaner(layout="hub").read("ewe", "test") == EXPECTED


def test_other_parquet_is_refused(cached: Path) -> None:
    path = cached / "ewe" / "test" / "0000.parquet"
    corpus = masakhaner(layout="hub")
    with pytest.raises(BadInput, match="masakhaner2 has no ewe test at commit"):
        corpus.read("ewe", "test")
    for rows, names, message in (
        ([(["a"], [1])], None, "does not say what the numbers"),
        ([(["a"], [9])], TAGS, "row 1: ner_tags holds 9"),
        ([(["a"], [1, 2])], TAGS, "row 1: 1 tokens but 2 tags"),
        ([(["a\n"], [1])], TAGS, r"row 1: token 'a\\n'"),
        ([([], [])], TAGS, "row 1: no tokens"),
        ([(["a"], [1])], ["O", "B-MISC"], "row 1: unknown entity type 'MISC'"),
        ([(["a"], [1])], ["O", "PER"], "row 1: tag 'PER' is not O, B-X or I-X"),
        ([(["a"], [0])], TAGS, "the ewe test has no entity"),
    ):
        write_parquet(path, rows, names)
        with pytest.raises(BadInput, match=message):
            corpus.read("ewe", "test")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match="not the parquet of masakhane/masakhaner2"):
        corpus.read("ewe", "test")
    with pytest.raises(BadInput, match="not in the hub's cache"):
        masakhaner(layout="hub", revision="main").read("ewe", "test")
