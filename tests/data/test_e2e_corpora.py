"""Corpora of one's own, from end to end: leakage, translations made elsewhere, long sentences, wrong files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.sentences import Sentence, Span, tags_of
from tests.support.e2e_tools import Place, by_name, demo_sentences, matrix_text, records, small_corpus, write_corpus


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    return Place(tmp_path, tiny_folder)


FILES = 'translator = "files"\naligner = "gold"'


def run(place: Place, corpus: str, *arguments: str, methods: tuple[str, ...] = ("zero_shot",), **tables: str) -> int:
    """Run a matrix of German and Chinese on a corpus; the exit code."""
    text = matrix_text(place.encoder, methods, ("de", "zh"), corpus=corpus, **{"labels": FILES} | tables)
    ran = place.xner("run", place.matrix(text), "--out", place.out, *arguments)
    assert "Traceback" not in ran.err
    return ran.code


# --- leakage ----------------------------------------------------------------------------------------------------------


def leaking(place: Place) -> str:
    """German test: sentence 3 is English training sentence 5 in capitals, 7 and 8 translate 9 and 10."""
    train = demo_sentences("en", "train", 32)
    test = demo_sentences("de", "test", 16)
    words = tuple(word.upper() for word in train[5].words)
    test[3] = replace(test[3], words=words, spans=train[5].spans)
    for number in (7, 8):
        test[number] = replace(test[number], group=f"both-{number}")
        train[number + 2] = replace(train[number + 2], group=f"both-{number}")
    return small_corpus(place.root / "leaks", en_train=train, de_test=test)


def test_a_leak_skips_the_cell_and_says_why(place: Place) -> None:
    assert run(place, leaking(place), "--set", "data.n_source=32") == 0
    found = by_name(place.out)
    german = found["zero_shot", "de", 1]
    assert german["status"] == "skipped"
    assert "1 training sentences equal a test sentence" in german["reason"]
    assert "2 more" in german["reason"]
    assert "drop-from-train" in german["reason"]
    assert german["scores"] == {}
    assert found["zero_shot", "zh", 1]["status"] == "ok"
    assert "leakage" in (place.out / "tables" / "main.md").read_text(encoding="utf-8")


def test_dropped_sentences_are_counted(place: Place) -> None:
    corpus = leaking(place)
    settings = ("--set", "data.n_source=32", "--set", "data.overlap=drop-from-train")
    assert run(place, corpus, *settings) == 0
    found = by_name(place.out)
    assert found["zero_shot", "de", 1]["status"] == found["zero_shot", "zh", 1]["status"] == "ok"
    assert found["zero_shot", "de", 1]["overlap"] == {"text": 1, "group": 2}
    assert found["zero_shot", "zh", 1]["overlap"] == {"text": 0, "group": 0}
    fits = {record["parents"]["fit:main"] for record in found.values()}
    assert len(fits) == 2, "the German cell was trained on three sentences less"


def test_a_leak_through_unlabelled_text_is_found(place: Place) -> None:
    test = demo_sentences("de", "test", 16)
    text = demo_sentences("de", "unlabelled", 12)
    lines = [" ".join(s.words) for s in (*text, test[4])]
    corpus = small_corpus(place.root / "leaks", de_test=test)
    (place.root / "leaks" / "de" / "unlabelled.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run(place, corpus, "--only", "target=de", methods=("zero_shot", "zero_shot+kd")) == 0
    found = by_name(place.out)
    assert found["zero_shot", "de", 1]["status"] == "ok"
    assert "leakage: 1 training sentences" in found["zero_shot+kd", "de", 1]["reason"]
    assert not list(place.out.rglob("*.safetensors"))


def test_english_text_in_the_test_of_another_language_counts_for_its_own_cells_only(place: Place) -> None:
    """The guard compares a cell's training text with that cell's test."""
    chinese = demo_sentences("zh", "test", 16)
    chinese[0] = replace(demo_sentences("en", "train", 32)[0], language="zh")
    corpus = small_corpus(place.root / "mixed", zh_test=chinese)
    assert run(place, corpus, "--set", "data.n_source=32") == 0
    found = by_name(place.out)
    assert found["zero_shot", "de", 1]["status"] == "ok"
    assert found["zero_shot", "zh", 1]["status"] == "skipped"


# --- translations -----------------------------------------------------------------------------------------------------


def write_translations(folder: Path, pairs: list[tuple[str, Sentence]], tagged: bool) -> None:
    rows = ["# provenance: two translators", "id\ttext\ttags" if tagged else "id\ttext"]
    for id_, sentence in pairs:
        tags = "\t" + " ".join(tags_of(sentence.spans or (), len(sentence.words))) if tagged else ""
        rows.append(f"{id_}\t{sentence.text}{tags}")
    (folder / "translations").mkdir()
    (folder / "translations" / "de.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def german_training(count: int) -> list[tuple[str, Sentence]]:
    from data_recipes.corpora.demo.corpus import DemoCorpus, DemoParams

    return [(p.source.id, p.target) for p in DemoCorpus(DemoParams(n_train=count)).pairs("en", "de")]


def test_own_tagged_translations_make_an_oracle(place: Place) -> None:
    corpus = small_corpus(place.root / "own")
    write_translations(place.root / "own", german_training(32)[:20], tagged=True)
    assert run(place, corpus, "--set", "data.n_source=32", methods=("gold_translation", "zero_shot")) == 0
    found = by_name(place.out)
    german, chinese = found["gold_translation", "de", 1], found["gold_translation", "zh", 1]
    assert german["status"] == "ok"
    assert german["resources"]["translated"] == 20, "part of the training sentences is enough"
    assert german["resources"]["target_gold"] == 20
    assert chinese["status"] == "skipped"
    assert "no gold-labelled translations in 'zh'" in chinese["reason"]
    assert {found["zero_shot", target, 1]["status"] for target in ("de", "zh")} == {"ok"}


def test_translations_without_tags_are_no_oracle(place: Place) -> None:
    corpus = small_corpus(place.root / "own")
    write_translations(place.root / "own", german_training(32), tagged=False)
    assert run(place, corpus, "--only", "target=de", methods=("gold_translation",)) == 0
    (record,) = records(place.out)
    assert (record["status"], "no gold-labelled translations" in record["reason"]) == ("skipped", True)


def test_without_translations_projection_is_a_gap_with_a_reason(place: Place) -> None:
    corpus = small_corpus(place.root / "own")
    assert run(place, corpus, methods=("en_trans", "zero_shot", "target_supervised", "zero_shot+kd")) == 0
    found = by_name(place.out)
    for target in ("de", "zh"):
        assert found["zero_shot", target, 1]["status"] == "ok"
        reasons = {}
        for label in ("en_trans", "target_supervised", "zero_shot+kd"):
            assert found[label, target, 1]["status"] == "skipped", found[label, target, 1]["error"]
            reasons[label] = found[label, target, 1]["reason"]
        assert f"no translations from en into {target}" in reasons["en_trans"]
        assert "no gold-labelled training sentences" in reasons["target_supervised"]
        assert "no unlabelled text" in reasons["zero_shot+kd"]


def test_a_language_without_a_test_is_a_gap(place: Place) -> None:
    corpus = small_corpus(place.root / "own")
    (place.root / "own" / "zh" / "test.conll").rename(place.root / "own" / "zh" / "train.conll")
    assert run(place, corpus) == 0
    found = by_name(place.out)
    assert found["zero_shot", "de", 1]["status"] == "ok"
    assert found["zero_shot", "zh", 1]["status"] == "skipped"
    assert "language 'zh', test: no sentences" in found["zero_shot", "zh", 1]["reason"]


# --- long sentences ---------------------------------------------------------------------------------------------------


def test_a_sentence_of_2000_words_is_scored_whole(place: Place) -> None:
    test = demo_sentences("de", "test", 16)
    words: list[str] = []
    spans: list[Span] = []
    while len(words) < 2000:
        one = test[len(spans) % 16]
        spans += [Span(s.start + len(words), s.end + len(words), s.type) for s in one.spans or ()]
        words += one.words
    long = Sentence("long", "de", tuple(words), tuple(spans))
    odd = Sentence("odd", "de", ("\u200d", "x" * 3000, "\u00ad", "Anna"), (Span(3, 4, "PER"),))
    corpus = small_corpus(place.root / "long", de_test=[*test, long, odd])
    assert run(place, corpus, "--only", "target=de", recipe="max_length = 32") == 0
    (record,) = records(place.out)
    assert record["status"] == "ok", record["error"]
    total = sum(len(s.words) for s in test) + len(words) + 4
    assert record["tokens_scored"] == record["tokens_gold"] == total
    for score in record["scores"].values():
        gold = sum(counts["tp"] + counts["fn"] for counts in score["types"].values())
        assert gold == len(spans) + 1 + sum(len(s.spans or ()) for s in test)


# --- what is wrong with the files -------------------------------------------------------------------------------------


def spoiled(place: Place, name: str, content: bytes) -> str:
    corpus = small_corpus(place.root / "bad")
    (place.root / "bad" / name).write_bytes(content)
    return corpus


GOOD = b"Anna\tB-PER\nlacht\tO\n\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("en/train.conll", GOOD + b"Bob\tX-PER\n", "train.conll:4: tag 'X-PER' is not O, B-X", id="tag"),
        pytest.param("en/train.conll", GOOD + b"Bob\tI-PER\n", "en/train.conll:4: expected B-PER", id="scheme"),
        pytest.param("en/train.conll", GOOD + b"Bob\tB-PRE\n", "did you mean 'PER'?", id="type"),
        pytest.param("en/train.conll", GOOD + b"Bob\n", "en/train.conll:4: ", id="column"),
        pytest.param("de/test.conll", GOOD + b"B\xf6b\tO\n", "de/test.conll:4: not UTF-8", id="encoding"),
        pytest.param("de/test.conll", b"", "de/test.conll:1: no sentence", id="empty"),
        pytest.param("de/test.conll", b"\n\n \n", "de/test.conll:1: no sentence", id="blank"),
        pytest.param("de/test.conll", b"Anna\tO\nlacht\tO\n\n", "placeholders, not gold", id="placeholders"),
        pytest.param("de/test.conll", b"Anna\t_\nlacht\t_\n\n", "placeholders, not gold", id="underscores"),
        pytest.param("de/test.conll", b"PK\x03\x04\0\0\0", "a NUL byte", id="binary"),
        pytest.param("en/train.conll", b"# sent_id = a\n" + GOOD + b"# sent_id = a\n" + GOOD, "the id 'a'", id="id"),
    ],
)
def test_malformed_files_are_named_with_their_line(place: Place, name: str, content: bytes, said: str) -> None:
    text = matrix_text(place.encoder, ("zero_shot",), ("de",), corpus=spoiled(place, name, content), labels=FILES)
    for verb in ("run", "plan"):
        ran = place.xner(verb, place.matrix(text), "--out", place.out)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("xner: ") and said in ran.err
        assert len(ran.err.splitlines()) == 1, ran.err


def test_malformed_translations_are_named_with_their_line(place: Place) -> None:
    corpus = small_corpus(place.root / "bad")
    (place.root / "bad" / "translations").mkdir()
    (place.root / "bad" / "translations" / "de.tsv").write_text("id\ttext\ttags\ndemo-train-00000\tAnna lacht\tO\n")
    text = matrix_text(place.encoder, ("gold_translation",), ("de",), corpus=corpus, labels=FILES)
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 2
    assert "translations/de.tsv:2: 1 tags for 2 words" in ran.err


def test_files_that_a_matrix_does_not_need_may_be_wrong(place: Place) -> None:
    corpus = spoiled(place, "zh/test.conll", b"")
    assert run(place, corpus, "--only", "target=de") == 0


def test_a_rule_without_a_dev_set_is_refused(place: Place) -> None:
    splits = {"en/train": demo_sentences("en", "train", 32), "de/test": demo_sentences("de", "test", 16)}
    corpus = write_corpus(place.root / "few", splits)
    ran = place.xner("run", place.matrix(matrix_text(place.encoder, ("zero_shot",), ("de",), corpus=corpus)))
    assert ran.code == 2 and not place.out.exists()
    assert "'source-dev' chooses on dev sentences, and corpus 'conll' has none in 'en'" in ran.err


def test_a_corpus_without_dev_takes_the_last_checkpoint(place: Place) -> None:
    splits = {"en/train": demo_sentences("en", "train", 32), "de/test": demo_sentences("de", "test", 16)}
    splits["zh/test"] = demo_sentences("zh", "test", 16)
    last = ("--only", "target=de", "--set", 'train.rules=["last"]')
    assert run(place, write_corpus(place.root / "few", splits), *last) == 0
    (record,) = records(place.out)
    assert record["status"] == "ok", record["error"]
    assert list(record["scores"]) == record["rules"] == ["last"]
    assert (record["scores"]["last"]["step"], record["scores"]["last"]["dev_f1"]) == (4, None)
    assert record["resources"]["dev"] == 0
