"""Files as this field's corpora and tools leave them, through the command line: read as what they are, or refused."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from bench.core.sentences import Sentence
from tests.support.e2e_tools import Place, Ran, demo_sentences, matrix_text, records, small_corpus


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path)


def write(place: Place, **texts: str) -> None:
    for name, text in texts.items():
        path = place.root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def rows(text: str) -> str:
    """`word tag | word tag || word tag`: a sentence is closed by `||`."""
    return "\n\n".join("\n".join(row.strip() for row in one.split("|")) for one in text.split("||")) + "\n"


def score(place: Place, gold: str, found: str, *more: str) -> Ran:
    write(place, gold=gold, pred=found)
    return place.xner("score", "gold", "pred", *more)


def total(ran: Ran) -> tuple[int, int, int]:
    """Gold, found and correct entities of a JSON score, or of the scores of a projection."""
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    types = found.get("scores", found)["types"].values()
    tp, fp, fn = (sum(one[name] for one in types) for name in ("tp", "fp", "fn"))
    return tp + fn, tp + fp, tp


def refused(ran: Ran, *said: str) -> None:
    assert (ran.code, ran.out) == (2, ""), ran
    assert ran.err.startswith("xner: ") and ran.err.count("\n") == 1
    for part in said:
        assert part in ran.err


# --- A1: ill-formed gold and predictions ------------------------------------------------------------------------------


PARTLY = rows("Ann B-PER | met O | Bo O || UN I-ORG | and O | EU I-ORG")


@pytest.mark.parametrize(
    ("gold", "options", "said"),
    [
        (PARTLY, (), ("gold:5: 2 of 3 gold entities", "'I-ORG'", "--scheme IOB1", "--mode conlleval")),
        (rows("UN I-ORG | and O | EU I-ORG"), (), ("gold:1: 2 of 2 gold entities",)),
        (rows("a B-PER | b I-LOC | c I-LOC"), (), ("gold:2: 1 of 2 gold entities",)),
        (rows("a B-PER | b O || c E-PER"), ("--scheme", "BIOES"), ("gold:1: 2 of 2 gold entities", "--scheme")),
    ],
)
def test_gold_that_a_mode_would_drop_is_refused(
    place: Place, gold: str, options: tuple[str, ...], said: tuple[str, ...]
) -> None:
    found = "\n".join(line.split(" ")[0] + " O" if line else "" for line in gold.split("\n"))
    refused(score(place, gold, found, *options), *said)
    again = ("import", "out", "gold", "pred", "--method", "m", "--target", "de", "--seed", "1", *options)
    refused(place.xner(*again), *said)
    assert not (place.root / "out").exists()


def test_the_ways_out_read_all_of_the_gold(place: Place) -> None:
    for options in (
        ("--scheme", "IOB1"),
        ("--mode", "conlleval"),
        ("--mode", "seqeval-default"),
        ("--scheme=IOB1,IOB2",),
    ):
        assert total(score(place, PARTLY, PARTLY.replace("I-ORG", "B-ORG"), "--json", *options)) == (3, 3, 3)


@pytest.mark.parametrize(
    ("found", "figures"),
    [
        (rows("a B-PER | b I-PER || c I-LOC | d O"), "66.67 here and 100.00"),
        (rows("a B-PER | b I-PER || c O | d I-LOC"), "66.67 here and 50.00"),  # one right, one wrong: F1 is lower then
        (rows("a I-LOC | b O || c I-LOC | d I-PER"), "0.00 here and 40.00"),
    ],
)
def test_predictions_that_are_dropped_are_named(place: Place, found: str, figures: str) -> None:
    gold = rows("a B-PER | b I-PER || c B-LOC | d O")
    ran = score(place, gold, found)
    assert ran.code == 0 and "predicted entities are ill-formed, the first at pred:" in ran.err and figures in ran.err
    again = place.xner("import", "out", "gold", "pred", "--method", "m", "--target", "de", "--seed", "1")
    assert figures in again.err
    assert score(place, gold, found, "--mode", "conlleval").err == ""


def test_dropped_predictions_are_named_where_both_figures_are_the_same(place: Place) -> None:
    ran = score(place, rows("a B-PER | b O"), rows("a O | b I-PER"))
    assert "1 predicted entities are ill-formed, the first at pred:2 ('I-PER')" in ran.err


@pytest.mark.parametrize(
    ("gold", "count"),
    [("Bob I-PER | ging O | Rom B-LOC || so O", 1), ("Bob I-PER | ging O | Rom I-LOC || so O", 2)],
)
def test_gold_of_project_has_the_scheme_that_is_said(place: Place, gold: str, count: int) -> None:
    write(place, source=rows("Bob I-PER | went O | Rome I-LOC || so O"), target="Bob ging Rom\nso\n")
    write(place, links="0-0 1-1\n0-0\n", gold=rows(gold))
    files = (
        "--source",
        "source",
        "--target",
        "target",
        "--links",
        "links",
        "--out",
        "o",
        "--evaluate",
        "gold",
        "--json",
    )
    assert total(place.xner("project", *files, "--scheme", "IOB1")) == (2, 1, 1)
    refused(place.xner("project", *files, "--scheme", "IOB1,IOB2"), f"gold:1: {count} of 2 gold", "--scheme IOB1")


# --- A2: types that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["I-O", "B-O", "I-0", "I-_"])
def test_tags_without_a_type_are_no_entities(place: Place, tag: str) -> None:
    gold, found = rows(f"x O || a {tag} | Ann B-PER"), rows("x O || a O | Ann B-PER")
    type_ = tag[2:]
    for mode in ("strict", "seqeval-default"):
        refused(score(place, gold, found, "--mode", mode), f"gold:3: tag '{tag}'", f"--label-map {type_}=O")
    perl = score(place, gold, found, "--mode", "conlleval", "--json")
    assert total(perl) == (2, 1, 1) and f"note: gold:3: conlleval.pl takes tags such as '{tag}'" in perl.err
    assert total(score(place, gold, found, "--json", "--label-map", f"{type_}=O")) == (1, 1, 1)
    write(place, c__en__train=gold)
    checked = place.xner("data", "check", "conll", "--set", "path=c", "--set", "pattern={language}/{split}")
    assert checked.code == 1 and f"train:3: tag '{tag}'" in checked.out


# --- A3: -DOCSTART- ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["-DOCSTART- O", "-DOCSTART- -X- O O", "-DOCSTART-"])
def test_a_document_s_start_divides_sentences(place: Place, mark: str) -> None:
    text = rows(f"a O | Ann I-PER | {mark} | Bob I-PER | b O")
    found = score(place, text, text, "--scheme", "IOB1", "--json")
    assert total(found) == (2, 2, 2) and json.loads(found.out)["sentences"] == 2


def test_a_numbered_document_s_start(place: Place) -> None:
    text = "1\tAnn\tI-PER\tO\n2\tx\tO\tO\n1\t-DOCSTART-\tO\tO\n1\tBob\tI-PER\tO\n"
    options = ("--token-column", "1", "--tag-column", "2", "--scheme", "IOB1", "--json")
    assert total(score(place, text, text, *options)) == (2, 2, 2)


# --- A4 and B7: columns, comments and rows of published formats -------------------------------------------------------


GERMEVAL = "#\thttp://x.de\t[2009-10-17]\n1\tSchleswig\tO\tO\n2\tHolstein\tB-ORG\tB-LOC\n3\t#\tO\tO\n\n"
UNER = "# sent_id = a-1\n# text = In Bonn\n1\tIn\tO\t-\t-\n2\tBonn\tB-LOC\t-\tannotator1\n\n"
HIPE = (
    "TOKEN\tNE-COARSE-LIT\tNE-COARSE-METO\tNEL-LIT\tMISC\n# hipe2022:document_id = d1\n# hipe2022:language = de\n"
    "Bonn\tB-loc\tB-org\tQ1\t_\n# segment_iiif_link = _\nam\tO\tO\t_\tNoSpaceAfter\n\n# hipe2022:document_id = d2\n"
    "Rhein\tB-loc\tO\tQ2\tEndOfLine\n"
)
CONLLU = (
    "# newdoc id = n1\n# sent_id = 1\n1\tVa\tir\tVERB\t_\t_\t0\troot\t_\tNER=O\n2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\ta\ta\tADP\t_\t_\t1\tcase\t_\t_\n3\tel\tel\tDET\t_\t_\t1\tdet\t_\tSpaceAfter=No|NER=B-LOC\n"
    "3.1\tel\t_\t_\t_\t_\t_\t_\t_\t_\n4\tRin\tRin\tPROPN\t_\t_\t1\tobl\t_\tNER=I-LOC\n\n"
)
CONLL2003 = "-DOCSTART- -X- -X- O\n\nU.N. NNP I-NP I-ORG\nofficial NN I-NP O\nEkeus NNP I-NP I-PER\n2-3 CD B-NP O\n\n"
MULTICONER = "# id 5239d808 domain=en\nanna _ _ B-PER\nleft _ _ O\n\n# id 5f domain=en\n# _ _ O\nrom _ _ B-LOC\n\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GERMEVAL, ("gold:2: which of 4 columns", "2 (such as 'B-ORG'), 3 (such as 'B-LOC')", "--token-column 1")),
        (UNER, ("gold:3: which of 5 columns", "column 2 (such as 'B-LOC')", "--token-column 1 --tag-column 2")),
        (HIPE, ("1 (NE-COARSE-LIT, such as 'B-loc'), 2 (NE-COARSE-METO, such as 'B-org')", "MISC, '_'")),
        (CONLLU, ("gold:3: which of 10 columns", "--token-column 1")),
        ("Ann NNP B-PER ann1\nwent VB O ann2\n", ("column 2 (such as 'B-PER')", "'ann1'", "--tag-column 2")),
        ("Ann B-PER B-PER\nwent O O\n", ("columns 1 (such as 'B-PER'), 2 (such as 'B-PER')",)),
        ("Ann NNP x\nwent VB y\n", ("no column holds tags",)),
    ],
)
def test_columns_that_are_not_clear_are_named(place: Place, text: str, said: tuple[str, ...]) -> None:
    refused(score(place, text, text), *said)
    again = ("import", "out", "gold", "pred", "--method", "m", "--target", "de", "--seed", "1")
    refused(place.xner(*again), *said)
    write(place, c__en__train=text)
    checked = place.xner("data", "check", "conll", "--set", "path=c", "--set", "pattern={language}/{split}")
    assert checked.code == 1 and said[-1].rpartition("gold")[2] in checked.out


FORMATS: list[tuple[str, dict[str, Any], int, int]] = [
    (GERMEVAL, {"token_column": 1, "tag_column": 2}, 1, 3),
    (UNER, {"token_column": 1, "tag_column": 2}, 1, 2),
    (HIPE, {"tag_column": 1}, 2, 3),
    (CONLLU, {"token_column": 1}, 1, 4),
    (CONLL2003, {"scheme": "IOB1"}, 2, 4),
    (MULTICONER, {}, 2, 4),
    ("Word;Tag\nAnn;B-PER\nwent;O\n", {"separator": ";"}, 1, 2),
    ("% a note\nAnn B-PER\n% another\n# O\n", {"comments": "%"}, 1, 2),
]


@pytest.mark.parametrize(("text", "options", "entities", "tokens"), FORMATS)
def test_published_formats_are_read_as_they_are(
    place: Place, text: str, options: dict[str, Any], entities: int, tokens: int
) -> None:
    given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    ran = score(place, text, text, *given, "--json")
    assert total(ran) == (entities,) * 3
    assert json.loads(ran.out)["tokens"] == tokens
    imported = place.xner("import", "out", "gold", "pred", "--method", "m", "--target", "de", "--seed", "1", *given)
    assert imported.code == 0 and f"{tokens} tokens" in imported.out
    lines = (place.out / "records").glob("*.json")
    assert [json.loads(path.read_text())["tokens_gold"] for path in lines] == [tokens]

    from bench.plan import registry

    write(place, c__en__train=text)
    types = sorted(json.loads(ran.out)["types"])
    read = registry.make(
        "corpus", "conll", {"path": str(place.root / "c"), "pattern": "{language}/{split}", "types": types} | options
    ).read("en", "train")
    assert (sum(len(s.spans or ()) for s in read), sum(len(s.words) for s in read)) == (entities, tokens)


@pytest.mark.parametrize(("text", "options", "entities", "tokens"), FORMATS)
def test_project_reads_them_too(place: Place, text: str, options: dict[str, Any], entities: int, tokens: int) -> None:
    from bench.core.conll import Format, read_tagged

    names = {"token_column": "token", "tag_column": "tag"}
    write(place, source=text)
    items = read_tagged(place.root / "source", Format(**{names.get(k, k): v for k, v in options.items()}))
    write(place, target="".join(" ".join(item.words) + "\n" for item in items))
    write(place, links="".join(" ".join(f"{i}-{i}" for i in range(len(item.words))) + "\n" for item in items))
    given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    files = ("--source", "source", "--target", "target", "--links", "links", "--out", "o", "--evaluate", "source")
    found = place.xner("project", *files, *given, "--json")
    assert found.code == 0, found.err
    assert total(found) == (entities,) * 3
    translated = place.xner("project", *files, *given)
    assert f"{entities} entities: {entities} projected" in translated.out


def test_what_is_skipped_is_counted_and_named(place: Place) -> None:
    found = score(place, HIPE, HIPE, "--tag-column", "1").err
    assert "note: gold: 1 header row skipped, the first at line 1" in found
    assert "note: pred: 1 comment line inside a sentence skipped, the first at line 5" in found
    found = score(place, CONLLU, CONLLU, "--token-column", "1").err
    assert "gold: 1 range (such as 2-3) skipped, the first at line 4" in found
    assert "gold: 1 empty node (such as 4.1) skipped, the first at line 7" in found
    twice = CONLLU + "\n" + CONLLU
    found = score(place, twice, twice, "--token-column", "1").err
    assert "gold: 2 ranges (such as 2-3) skipped" in found and "gold: 2 empty nodes (such as 4.1) skipped" in found


def test_two_files_of_different_layout(place: Place) -> None:
    found = "Schleswig O\nHolstein B-ORG\n# O\n"
    ran = score(place, GERMEVAL, found, "--token-column", "1,0", "--tag-column", "2,1", "--json")
    assert total(ran) == (1, 1, 1)
    refused(score(place, GERMEVAL, found, "--token-column", "1,0,0"), "3 values for 2 files")
    refused(score(place, GERMEVAL, found, "--tag-column", "two"), "--tag-column 'two': expected a number")
    refused(score(place, GERMEVAL, found, "--scheme", "IOBES"), "no scheme 'IOBES'; did you mean 'BIOES'?")
    refused(score(place, GERMEVAL, found, "--label-map", "PER"), "--label-map PER: expected OLD=NEW")


def test_malformed_rows_are_no_comments(place: Place) -> None:
    refused(score(place, "a O\n# B_PER\n", "a O\n# O\n"), "gold:2: tag 'B_PER'")
    refused(score(place, "a\tO\n#\tB_PER\n", "a O\n# O\n"), "gold:2: tag 'B_PER'")
    text = "1 O\n\n2 B-PER\n3 O\n2-3 O\n4.1 O\n"  # numbers that are words
    assert json.loads(score(place, text, text, "--json").out)["tokens"] == 5


# --- B5 and B6: what a run and `data check` say -----------------------------------------------------------------------


def prefixed(sentences: list[Sentence]) -> list[Sentence]:
    return [Sentence(s.id, s.language, tuple(f"en:{word}" for word in s.words), s.spans) for s in sentences]


def joined(sentences: list[Sentence]) -> list[Sentence]:
    """One sentence of all."""
    spans, words = [], tuple[str, ...]()
    for s in sentences:
        spans += [span._replace(start=span.start + len(words), end=span.end + len(words)) for span in s.spans or ()]
        words += s.words
    return [Sentence("whole", "en", words, tuple(spans))]


def bare(sentences: list[Sentence]) -> list[Sentence]:
    return [Sentence(s.id, s.language, s.words, ()) for s in sentences]


def doubled(sentences: list[Sentence]) -> list[Sentence]:
    return [Sentence(f"{s.id}-{n}", s.language, s.words, s.spans) for s in sentences for n in range(2)]


@pytest.mark.parametrize(
    ("split", "change", "said"),
    [
        ("en_train", prefixed, "en train: every word begins with 'en:'"),
        ("de_test", prefixed, "de test: every word begins with 'en:'"),
        ("en_train", lambda s: joined(s * 2), "words: are empty lines between sentences missing?"),
        ("en_dev", lambda s: joined(s * 2), "words: are empty lines between sentences missing?"),
        ("en_train", doubled, "32 of 64 sentences repeat another"),
        ("en_dev", bare, "en dev: none of 32 labelled sentences has an entity"),
    ],
)
def test_text_read_as_something_else_is_named(
    tmp_path: Path, tiny_folder: Path, split: str, change: Any, said: str
) -> None:
    place = Place(tmp_path, tiny_folder)
    language, name = split.split("_")
    corpus = small_corpus(tmp_path / "c", **{split: change(demo_sentences(language, name, 32))})
    checked = place.xner("data", "check", "conll", "--set", f"path={tmp_path / 'c'}")
    assert checked.code == 0 and said in checked.out
    planned = place.xner("plan", place.matrix(matrix_text(tiny_folder, corpus=corpus)))
    assert planned.code == 0 and "warning: corpus 'conll', " in planned.err and said in planned.err


def test_dev_sentences_that_were_trained_on_are_named(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    train = demo_sentences("en", "train", 32)
    corpus = small_corpus(tmp_path / "c", en_train=train, en_dev=[*train[:3], *demo_sentences("en", "dev", 32)[3:]])
    planned = place.xner("plan", place.matrix(matrix_text(tiny_folder, corpus=corpus)))
    assert (
        "warning: corpus 'conll', en: 3 of 32 dev sentences are also in train, so that dev F1 is too good"
        in planned.err
    )


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_nothing_can_be_learnt_of_text_without_entities(tmp_path: Path, tiny_folder: Path, verb: str) -> None:
    place = Place(tmp_path, tiny_folder)
    corpus = small_corpus(tmp_path / "c", en_train=bare(demo_sentences("en", "train", 32)))
    ran = place.xner(verb, place.matrix(matrix_text(tiny_folder, corpus=corpus)), "--out", place.out)
    refused(ran, "corpus 'conll', en train: none of 24 sentences has an entity: nothing can be learnt")


def test_fewer_sentences_than_asked_for(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    corpus = small_corpus(tmp_path / "c")
    text = matrix_text(tiny_folder, ("zero_shot",), corpus=corpus).replace(
        "seeds = [1]", 'seeds = [1]\n"data.n_source" = [16, 1000]'
    )
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    assert "warning: data.n_source is 1000, but corpus 'conll' has 32 training sentences in 'en'" in ran.err
    assert "n_source is 16" not in ran.err
    assert sorted(record["cell"]["n_source"] for record in records(place.out)) == [16, 32]
    written = [path.read_text(encoding="utf-8") for path in (place.out / "tables").glob("main*.md")]
    assert [sum(f"source sentences {n}" in text for text in written) for n in (16, 32, 1000)] == [1, 1, 0]


@pytest.mark.parametrize("count", [12, 20])
def test_missing_translations_are_named_by_the_run(tmp_path: Path, tiny_folder: Path, count: int) -> None:
    place = Place(tmp_path, tiny_folder)
    corpus = small_corpus(tmp_path / "c")
    train = demo_sentences("en", "train", 32)[:count]
    write(place, **{"c__translations__de.tsv": "id\ttext\n" + "".join(f"{s.id}\t{s.text}\n" for s in train)})
    labels = f'translator = "files"\naligner = "softmax"\naligner_encoder = "{tiny_folder}"'
    text = matrix_text(tiny_folder, ("en_trans",), corpus=corpus, labels=labels).replace(
        "n_source = 24", "n_source = 32"
    )
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    assert f"warning: {32 - count} of 32 source sentences have no translation into 'de' (1 cells)" in ran.err


# --- B8: ids ----------------------------------------------------------------------------------------------------------


def conll_corpus(place: Place, **params: Any) -> Any:
    from bench.plan import registry

    return registry.make("corpus", "conll", {"path": str(place.root / "c")} | params)


def test_ids_of_files_of_a_pattern_are_unique(place: Place) -> None:
    for part in ("a", "b"):
        write(place, **{f"c__en__{part}__train.conll": rows("x B-PER || y O")})
    corpus = conll_corpus(place, pattern="{language}/*/{split}.conll")
    ids = [s.id for s in corpus.read("en", "train")]
    assert ids == ["train-1", "train-2", "en/b/train/train-1", "en/b/train/train-2"]
    assert ids == [s.id for s in corpus.read("en", "train")]


def test_ids_that_restart_with_each_document(place: Place) -> None:
    one = "# sent_id = 1\nx\tB-PER\n\n# sent_id = 2\ny\tO\n\n"
    write(place, **{"c__en__train.conll": f"# newdoc id = d1\n{one}# newdoc id = d2\n{one}"})
    assert [s.id for s in conll_corpus(place).read("en", "train")] == ["1", "2", "d2/1", "d2/2"]
    write(place, **{"c__en__train.conll": f"-DOCSTART- O\n\n{one}-DOCSTART- O\n\n{one}"})
    assert [s.id for s in conll_corpus(place).read("en", "train")] == ["1", "2", "doc2/1", "doc2/2"]


def test_a_true_double_names_both_places(place: Place) -> None:
    one = "# sent_id = 1\nx\tB-PER\n\n"
    for text in (one * 2, f"# newdoc id = d\n{one}{one}"):
        write(place, **{"c__en__train.conll": text})
        ran = place.xner("data", "check", "conll", "--set", f"path={place.root / 'c'}")
        assert ran.code == 1 and "two sentences have the id '1'" in ran.out
        assert ran.out.count("train.conll:") == 2


# --- C9: translations that are not there ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["Bob ging\n\nRom\n", "\nParis\n\n"])
def test_an_empty_line_is_no_translation(place: Place, tiny_folder: Path, target: str) -> None:
    source = rows("Bob B-PER | went O || Paris B-LOC || Rome B-LOC")
    lines = target.split("\n")[:3]
    write(place, source=source, text="Bob went\nParis\nRome\n", target=target)
    aligned = place.xner(
        "align", "text", "target", "--aligner", "simalign", "--encoder", tiny_folder, "--set", "layer=2", "--out", "l"
    )
    assert aligned.code == 0 and f"{lines.count('')} of 3 lines have no translation" in aligned.err
    links = (place.root / "l").read_text(encoding="utf-8").split("\n")[:3]
    assert [bool(line) for line in links] == [bool(line) for line in lines]
    gold = "\n\n".join("\n".join(f"{word} B-LOC" for word in line.split(" ")) for line in lines if line)
    write(place, gold=gold + "\n")
    for how in (("--links", "l"), ("--aligner", "simalign", "--encoder", str(tiny_folder), "--set", "layer=2")):
        files = ("--source", "source", "--target", "target", *how, "--out", "o", "--evaluate", "gold")
        found = json.loads(place.xner("project", *files, "--json").out)
        assert found["entities"] == 3 and found["untranslated"] == found["pairs_untranslated"] == lines.count("")
        assert found["entities"] == sum(
            found[name] for name in ("projected", "unaligned", "conflicting", "filtered", "untranslated")
        )
        assert found["written"] == found["scores"]["sentences"] == 3 - lines.count("")
        ran = place.xner("project", *files)
        assert f"{lines.count('')} without a translation" in ran.out and "untranslated" in ran.out


def test_no_translation_at_all(place: Place) -> None:
    write(place, source=rows("Bob B-PER || Rome B-LOC"), target="\n\n", links="\n\n")
    files = ("--source", "source", "--target", "target", "--links", "links", "--out", "o")
    refused(place.xner("project", *files), "target: no line has a translation")
    write(place, links="0-0\n\n")
    refused(place.xner("project", *files), "links:1: link 0-0: the target sentence has no word 0, none at all")


# --- C10: links counted from 1, possible links ------------------------------------------------------------------------


SOURCE10 = rows("The O | Bob B-PER | left O | . O || A O | Paris B-LOC | day O | . O")
TARGET10 = "Der Bob ging .\nEin Paris Tag .\n"


def project(place: Place, links: str, *more: str) -> Ran:
    write(place, source=SOURCE10, target=TARGET10, links=links)
    files = ("--source", "source", "--target", "target", "--links", "links", "--out", "o")
    return place.xner("project", *files, *more)


@pytest.mark.parametrize("links", ["1-1 2-2 3-3\n2-2 3-3\n", "1-1 2-2\n1-1 2-2 3-3\n"])
def test_links_counted_from_one(place: Place, links: str) -> None:
    ran = project(place, links)
    assert ran.code == 0 and "warning: links: none of 5 links touches the first word" in ran.err
    assert "--from 1" in ran.err
    fixed = project(place, links, "--from", "1", "--json")
    assert fixed.err == "" and (place.root / "o").exists()
    refused(project(place, "4-4\n2-2\n"), "no word 4, only 0 to 3; counted from 1? --from 1")
    refused(project(place, "0-0\n2-2\n", "--from", "1"), "no word 0, only 1 to 4; counted from 0? --from 0")


@pytest.mark.parametrize("links", ["0-0 1-1 2-2\n1-1\n", "1-1 3-3\n1-1 3-3\n"])
def test_links_counted_from_zero_are_no_cause_of_a_warning(place: Place, links: str) -> None:
    assert project(place, links).err == "", "the second: names and full stops are linked to themselves"


@pytest.mark.parametrize("sign", ["p", "?"])
def test_possible_links_are_a_choice(place: Place, sign: str) -> None:
    links = f"0-0 1{sign}1\n0-0 1-1\n"
    refused(project(place, links), "links:1: a possible link: --possible link counts it as a link, drop leaves it out")
    assert "2 projected" in project(place, links, "--possible", "link").out
    assert "1 projected, 1 unaligned" in project(place, links, "--possible", "drop").out


def test_gold_links_counted_from_one(place: Place, tiny_folder: Path) -> None:
    write(place, source="The Bob left .\nA Paris day .\n", target=TARGET10, gold="1-1 2-2 3-3\n1-1 2p2\n")
    ran = place.xner(
        *("align", "source", "target", "--aligner", "simalign", "--encoder", tiny_folder, "--set", "layer=2"),
        *("--evaluate", "gold"),
    )
    assert ran.code == 0 and "warning: gold: none of 5 links" in ran.err


# --- D: messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "other", "said"),
    [
        ("José", unicodedata.normalize("NFD", "José"), ("U+00E9", "U+0065 U+0301", "--normalise NFC")),
        ("10\u00a0000", "10 000", ("U+00A0", "U+0020", "space")),
        ("Rom", "Rom\u200b", ("U+200B", "without width")),
        ("Rom", "Rоm", ("U+006F", "U+043E", "CYRILLIC")),
        ("Ｒom", "Rom", ("U+FF32", "U+0052", "--normalise NFKC")),
    ],
)
def test_words_that_look_the_same(place: Place, word: str, other: str, said: tuple[str, ...]) -> None:
    gold, found = f"{word}\tB-LOC\n", f"{other}\tB-LOC\n"
    refused(score(place, gold, found), *said)
    write(place, source=gold, target=f"{other}\n", links="0-0\n")
    if " " not in other:
        files = ("--source", "source", "--target", "target", "--links", "links", "--out", "o", "--evaluate", "gold")
        refused(place.xner("project", *files), *said)
    form = next((text.split()[1] for text in said if text.startswith("--normalise")), "")
    if form:
        assert total(score(place, gold, found, "--normalise", form, "--json")) == (1, 1, 1)
        assert place.xner("project", *files, "--normalise", form).code == 0


def test_words_that_look_different_need_no_code_points(place: Place) -> None:
    assert "U+" not in score(place, "hier O\n", "här O\n").err


@pytest.mark.parametrize("tag", ["S-PER", "E-PER", "U-PER", "L-PER", "M-PER"])
def test_tags_of_bioes_name_the_scheme(place: Place, tag: str) -> None:
    text = rows(f"x B-PER | a {tag}")
    refused(score(place, rows("x B-PER | a O"), text), f"pred:2: tag '{tag}'", "--scheme BIOES")
    write(place, target="x a\n", links="0-0\n", source=text)
    files = ("--source", "source", "--target", "target", "--links", "links", "--out", "o")
    refused(place.xner("project", *files), f"source:2: tag '{tag}'", "--scheme BIOES")
    assert "did you mean" not in score(place, text, text).err


@pytest.mark.parametrize("content", [b'{"key": "k", "mat', b"", b"\xff\xfe"])
def test_a_damaged_record_is_named(tmp_path: Path, tiny_folder: Path, content: bytes) -> None:
    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder))
    planned = json.loads(place.xner("plan", matrix, "--out", place.out, "--json").out)
    (place.out / "records").mkdir(parents=True)
    key = planned["cells"][0]["key"]
    (place.out / "records" / f"{key}.json").write_bytes(content)
    from bench.store.record import add_cells

    add_cells(place.out, planned["cells"], "small")
    ran = place.xner("status", place.out)
    assert f"records/{key}.json: damaged, so its cell counts as missing" in ran.out and "1 missing" in ran.out
    assert json.loads(place.xner("status", place.out, "--json").out)["damaged"]
    assert f"{key}.json is damaged" in place.xner("plan", matrix, "--out", place.out).out


def test_corpus_check_counts_the_lines_that_are_no_words(place: Place) -> None:
    write(place, c__en__train=HIPE)
    settings = ("path=c", "pattern={language}/{split}", "tag_column=1", 'types=["loc"]')
    ran = place.xner("data", "check", "conll", *(part for one in settings for part in ("--set", one)))
    assert ran.code == 0 and "train: 1 header row skipped, the first at line 1" in ran.out


@pytest.mark.parametrize("words", [300, 700])
def test_one_giant_sentence_is_named_by_score(place: Place, words: int) -> None:
    text = "".join(f"w{n} {'B-PER' if n % 9 == 0 else 'O'}\n" for n in range(words))
    assert f"note: gold:1: a sentence of {words} words" in score(place, text, text).err


def test_unlabelled_text_needs_no_tags(place: Place) -> None:
    write(place, c__de__unlabelled="1\tVa\tir\tVERB\n2\tlejos\tlejos\tADV\n\n")
    corpus = conll_corpus(place, pattern="{language}/{split}", token_column=1)
    assert [s.words for s in corpus.read("de", "unlabelled")] == [("Va", "lejos")]


def test_numbers_that_start_again_start_a_sentence(place: Place) -> None:
    for text, options in (
        (GERMEVAL.replace("\n\n", "\n") * 2, ("--token-column", "1", "--tag-column", "2")),
        ("0\tx\tO\n1\tAnn\tB-PER\n0\tBob\tI-PER\n1\tb\tO\n", ("--token-column", "1", "--scheme", "IOB1")),
    ):
        found = score(place, text, text, *options, "--json")
        assert json.loads(found.out)["sentences"] == 2 and total(found) == (2, 2, 2)


@pytest.mark.parametrize(("type_", "said"), [("PER\u0301", "'PER\u0301'"), ("LOK", "did you mean 'LOC'?")])
def test_types_that_the_gold_lacks_are_named(place: Place, type_: str, said: str) -> None:
    ran = score(place, "a B-LOC\nb B-PEŔ\n", f"a O\nb B-{type_}\n")
    assert ran.code == 0 and f"note: the gold has no type '{type_}'" in ran.err and said in ran.err
    assert ("U+0052 U+0301" in ran.err) == (type_ != "LOK")


# --- what `data check` finds in a folder of one's own --------------------------------------------------------------

ENTITY = "Anna B-PER | sings O"
MINE = {"c__en__train.conll": rows(ENTITY), "c__de__test.conll": rows(ENTITY)}


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({}, 0, ["en: no test, so it cannot be a target"]),
        ({"c__de__tset.conll": ""}, 0, ["de/tset.conll: not a file of this corpus, so never read"]),
        ({"c__.git__config": ""}, 0, []),
        ({f"c__notes{n}.md": "" for n in range(10)}, 0, ["notes7.md: not a file", "… and 2 more"]),
        ({"c__de__unlabelled.txt": "Anna singt\n"}, 0, ["de: 1 unlabelled sentences"]),
        ({"c__de__unlabelled.txt": "a\x00b\n"}, 1, ["unlabelled.txt:1: "]),
        ({"c__translations__de.tsv": "id\ttext\ntrain-1\tAnna singt\n"}, 0, ["de.tsv: 1 of 1 en training sentences"]),
        ({"c__translations__dd.tsv": "id\ttext\ntrain-1\tAnna singt\n"}, 0, ["dd.tsv: no other file is of"]),
        ({"c__translations__de.tsv": "id\ttext\nx\tAnna singt\n"}, 1, ["no id is", "'x' here, 'train-1' there"]),
    ],
)
def test_data_check_names_what_a_run_would_not_read(
    place: Place, more: dict[str, str], code: int, said: list[str]
) -> None:
    write(place, **MINE, **more)
    ran = place.xner("data", "check", "conll", "--set", "path=c")
    assert ran.code == code, ran.out
    for part in said:
        assert part in ran.out
    assert ran.out.count("never read") == sum("tset" in name for name in more) + 8 * any(
        "notes" in name for name in more
    )


def test_data_check_of_no_folder_and_of_an_empty_one(place: Place) -> None:
    (place.root / "empty").mkdir()
    assert "conll: not checked: name the folder" in place.xner("data", "check", "conll").out
    ran = place.xner("data", "check", "conll", "--set", "path=empty")
    assert ran.code == 1 and "empty: no file matches the pattern {language}/{split}.conll" in ran.out
    refused(place.xner("data", "check", "conll", "--set", "pth=c"), "unknown key 'pth'; did you mean 'path'?")
