"""The corpora conll and wikiann, the translations that users bring, and the translator that looks them up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.api.recipes import Facts
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence, Span
from bench.plan import registry
from data_recipes.corpora.conll.corpus import ConllCorpus
from data_recipes.corpora.wikiann.corpus import REPOSITORY, TAGS, WikiannCorpus
from data_recipes.translators.files import FilesTranslator

TRAIN = "# sent_id = s1\nAnna\tB-PER\nvisits\tO\nParis\tB-LOC\n\n# sent_id = s2\nBonn\tB-LOC\n"


def conll(folder: Path, **params: Any) -> ConllCorpus:
    corpus = registry.make("corpus", "conll", {"path": str(folder), **params})
    assert isinstance(corpus, ConllCorpus)
    return corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "en/train.conll": TRAIN,
        "en/test.conll": "anna\tB-PER\nVisits\tO\nParis\tB-LOC\n\nOslo\tB-LOC\n",
        "de/test.conll": "Bonn\tB-LOC\n",
        "de/unlabelled.txt": "ein Satz\n\nnoch einer\n",
        "translations/de.tsv": "# provenance: human, two of us\nid\ttext\ttags\n"
        "s1\tAnna besucht Paris\tB-PER O B-LOC\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


# --- conll ------------------------------------------------------------------------------------------------------------


def test_conll_reads_languages_and_splits(folder: Path) -> None:
    corpus = conll(folder)
    assert corpus.languages() == ("de", "en")
    first = corpus.read("en", "train")[0]
    assert first == Sentence("s1", "en", ("Anna", "visits", "Paris"), (Span(0, 1, "PER"), Span(2, 3, "LOC")))
    assert corpus.read("de", "train") == []
    assert [s.words for s in corpus.read("de", "unlabelled")] == [("ein", "Satz"), ("noch", "einer")]
    with pytest.raises(BadInput, match="no files of language 'dee'; did you mean 'de'"):
        corpus.read("dee", "train")


def test_conll_path_may_be_relative_to_the_data_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_DATA", str(folder.parent))
    assert conll(Path(folder.name)).languages() == ("de", "en")
    with pytest.raises(BadInput, match="no folder nowhere"):
        conll(Path("nowhere")).languages()


def test_conll_files_globs_and_split_names(tmp_path: Path) -> None:
    for name in ("valid/hu.txt", "all/x/1.tsv", "all/y/2.tsv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{Path(name).stem} B-LOC\n", encoding="utf-8")
    corpus = conll(
        tmp_path,
        pattern="{split}/{language}.txt",
        split_names={"dev": "valid"},
        files={"fi/test": "all/*/*.tsv", "fi/unlabelled": "all/x/1.tsv"},
    )
    assert corpus.languages() == ("fi", "hu")
    assert [s.words for s in corpus.read("hu", "dev")] == [("hu",)]
    assert [s.id for s in corpus.read("fi", "test")] == ["1-1", "2-1"]
    assert corpus.read("fi", "unlabelled")[0].spans is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"pattern": "{language}.conll"}, "pattern: must hold"),
        ({"files": {"en": "x"}}, "files: must have keys language/split"),
        ({"files": {"en/train": "/x"}}, "files: must be relative to path"),
        ({"scheme": "IOB3"}, "IOB3"),
        ({"pathh": "x"}, "did you mean 'path'"),
    ],
)
def test_conll_parameters_are_checked(tmp_path: Path, params: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        conll(tmp_path, **params)


def test_conll_refuses_placeholders_only_as_a_test(folder: Path) -> None:
    (folder / "en" / "train.conll").write_text("a\tO\n", encoding="utf-8")
    (folder / "en" / "test.conll").write_text("a\tO\n", encoding="utf-8")
    assert conll(folder).read("en", "train")[0].spans == ()
    with pytest.raises(BadInput, match="placeholders"):
        conll(folder).read("en", "test")


def test_conll_refuses_repeated_ids(folder: Path) -> None:
    (folder / "en" / "train.conll").write_text(TRAIN + "\n" + TRAIN, encoding="utf-8")
    with pytest.raises(BadInput, match="two sentences have the id 's1'"):
        conll(folder).read("en", "train")


def test_check_reports_overlap_and_coverage(folder: Path) -> None:
    found = conll(folder).check()
    assert "en: 1 of 2 test sentences are also in train" in found
    assert any(line.startswith("translations/de.tsv: 1 of 2 en training sentences, 1 with tags") for line in found)


# --- translations -----------------------------------------------------------------------------------------------------


def test_translations_become_pairs_and_the_translator_counts_what_is_missing(folder: Path) -> None:
    corpus = conll(folder)
    (pair,) = corpus.pairs("en", "de")
    assert pair.target == Sentence("s1", "de", ("Anna", "besucht", "Paris"), (Span(0, 1, "PER"), Span(2, 3, "LOC")))
    made = FilesTranslator().translate(corpus.read("en", "train"), "de", corpus)
    assert made.targets == (replace(pair.target, spans=None), None)
    assert made.counts == {"translated": 1, "missing": 1}
    assert made.provenance == "human, two of us"
    assert corpus.pairs("en", "fi") == []
    with pytest.raises(BadInput, match="no translations from en into fi"):
        FilesTranslator().translate(corpus.read("en", "train"), "fi", corpus)


def test_links_and_human_provenance_come_from_the_corpus(folder: Path) -> None:
    links: tuple[Link, ...] = ((0, 0),)

    class Linked(ConllCorpus):
        facts = Facts("t", "l", human_translations=True)

        def pairs(self, source: str, target: str) -> list[Pair]:
            return [replace(pair, links=links) for pair in super().pairs(source, target)]

    corpus = Linked(conll(folder).params)
    made = FilesTranslator().translate(corpus.read("en", "train"), "de", corpus)
    assert (made.links, made.provenance) == ((links, None), "human")
    assert FilesTranslator().translate([], "de", corpus).targets == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\ttekst\n", "de.tsv:1: expected the header"),
        ("id\ttext\n", "no translation in this file"),
        ("id\ttext\ns1\n", "de.tsv:2: 1 columns, expected 2"),
        ("id\ttext\ns1\ta\ns1\tb\n", "de.tsv:3: id 's1' is here a second time"),
        ("id\ttext\ns1\t \n", "de.tsv:2: an empty id or text"),
        ("id\ttext\ttags\ns1\ta b\tO\n", "de.tsv:2: 1 tags for 2 words"),
        ("id\ttext\ttags\ns1\ta b\tO I-PER\n", "de.tsv:2: word 2: expected B-PER"),
        ("id\ttext\ttags\ns1\ta\tB-PRE\n", "unknown entity type 'PRE'; did you mean 'PER'"),
        ("id\ttext\nx1\ta\n", "no id is the id of a training sentence: 'x1' here, 's1' there"),
    ],
)
def test_malformed_translations(folder: Path, text: str, message: str) -> None:
    (folder / "translations" / "de.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        conll(folder).pairs("en", "de")


# --- wikiann ----------------------------------------------------------------------------------------------------------

ROWS = {
    "train": [(["Anna", "", "Ulm"], [1, 0, 6]), (["Bonn"], [5])],
    "validation": [(["Rom"], [5])],
    "test": [(["bonn"], [5]), (["Oslo"], [5])],
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_parquet(path: Path, rows: list[tuple[list[str], list[int]]], names: list[str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "tokens": [tokens for tokens, _ in rows],
            "ner_tags": pa.array([tags for _, tags in rows], pa.list_(pa.int64())),
            "langs": [["xx"] * len(tokens) for tokens, _ in rows],
        }
    )
    if names:
        features = {"ner_tags": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot like the hub cache's, with English; other languages are not in it."""
    folder = tmp_path / "snapshots" / COMMIT
    for split, rows in ROWS.items():
        write_parquet(folder / "en" / f"{split}-00000-of-00001.parquet", rows, list(TAGS))

    def snapshot_download(repo: str, *, repo_type: str, revision: str, **rest: Any) -> str:
        assert (repo, repo_type, set(rest)) == (
            REPOSITORY,
            "dataset",
            {"allow_patterns", "ignore_patterns", "local_files_only"},
        )
        if revision not in ("main", COMMIT):
            raise FileNotFoundError(revision)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setenv("XNER_DATA", str(tmp_path / "data"))
    return folder


def test_wikiann_reads_the_hub(cached: Path) -> None:
    corpus = registry.make("corpus", "wikiann", {"revision": COMMIT})
    first, second = corpus.read("en", "train")
    assert first == Sentence("en-train-1", "en", ("Anna", "\ufffd", "Ulm"), (Span(0, 1, "PER"), Span(2, 3, "LOC")))
    assert (second.id, corpus.types, len(corpus.languages())) == ("en-train-2", ("PER", "ORG", "LOC"), 176)
    assert corpus.read("en", "dev")[0].words == ("Rom",)
    assert corpus.read("en", "unlabelled")[0] == replace(first, spans=None)


def test_wikiann_check_reports_overlap_repairs_and_the_commit(cached: Path) -> None:
    found = WikiannCorpus().check()
    assert found == [
        "en: train 2, dev 1, test 2 sentences",
        "en: 1 of 2 test sentences are also in train",
        "en: 1 entities that start with I-",
        "en: 1 tokens empty or with control characters, now U+FFFD",
        f"en: revision 'main' is commit {COMMIT}: pin it",
    ]


def test_wikiann_that_is_not_here_says_what_to_do(cached: Path) -> None:
    with pytest.raises(BadInput, match=f"{REPOSITORY} has no de train at commit {COMMIT}"):
        WikiannCorpus().read("de", "train")
    with pytest.raises(BadInput, match="not in the hub's cache"):
        registry.make("corpus", "wikiann", {"revision": "other"}).read("en", "train")
    with pytest.raises(BadInput, match="no language 'eng'; did you mean"):
        WikiannCorpus().read("eng", "train")


def test_wikiann_refuses_other_parquet(cached: Path) -> None:
    path = cached / "en" / "train-00000-of-00001.parquet"
    for rows, names, message in (
        ([(["a"], [7])], None, "row 1: ner_tags holds 7; expected 0 to 6"),
        ([(["a"], [1, 2])], None, "1 tokens but 2 tags"),
        ([(["a"], [1])], ["O", "B-LOC"], "ner_tags stands for"),
    ):
        write_parquet(path, rows, names)
        with pytest.raises(BadInput, match=message):
            WikiannCorpus().read("en", "train")
    pq.write_table(pa.table({"words": [["a"]]}), path)
    with pytest.raises(BadInput, match=r"columns tokens and ner_tags|not the parquet"):
        WikiannCorpus().read("en", "train")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match="not the parquet of unimelb-nlp/wikiann"):
        WikiannCorpus().read("en", "train")


def test_wikiann_text_layout_is_the_same_sentences(tmp_path: Path, cached: Path) -> None:
    hub_sentences = WikiannCorpus().read("en", "train")
    folder = tmp_path / "data" / "wikiann" / "en"
    folder.mkdir(parents=True)
    (folder / "train").write_text("en:Anna\tB-PER\nen:\tO\nen:Ulm\tI-LOC\n\nen:Bonn\tB-LOC\n\n", encoding="utf-8")
    assert WikiannCorpus().read("en", "train") == hub_sentences
    text_only = registry.make("corpus", "wikiann", {"layout": "text"})
    assert text_only.languages() == ("en",)
    (folder / "train").write_text("Anna\tB-PER\n", encoding="utf-8")
    with pytest.raises(BadInput, match="train:1: expected 'en:token'"):
        text_only.read("en", "train")
    (folder / "train").write_text("en:Anna\tB-PRE\n", encoding="utf-8")
    with pytest.raises(BadInput, match="'B-PRE' is not a tag of WikiAnn; did you mean 'B-PER'"):
        text_only.read("en", "train")
    (folder / "test").write_text("en:Anna\tO\n", encoding="utf-8")
    with pytest.raises(BadInput, match="the en test has no entity"):
        text_only.read("en", "test")
