"""`xner import`: other people's predictions as records, scored as `xner score` does, on the same test or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import main
from bench.core.sentences import MODES, Sentence
from bench.report.contrasts import compare
from bench.report.frame import groups, read
from bench.report.tables.quantities import cost_table
from bench.store.record import Cost, Records, add_cells, matrix_cells
from bench.store.sidecars import GOLD, predictions_name, read_sidecar
from tests.support.e2e_tools import snapshot
from tests.support.scored_for_tests import found_in, gold_of, make_scored
from tests.support.tag_scores import encode

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def xner(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line: exit code, output, errors."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def write(path: Path, sentences: Sequence[Sentence], scheme: Any = "IOB2") -> Path:
    """Plain CoNLL, without ids."""
    blocks = []
    for sentence in sentences:
        tags = encode(sentence.spans or (), len(sentence.words), scheme)
        blocks.append("".join(f"{word} {tag}\n" for word, tag in zip(sentence.words, tags, strict=True)))
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Gold and predictions of German."""
    gold = gold_of("de")
    return write(tmp_path / "gold.conll", gold), write(tmp_path / "pred.conll", found_in(gold, 0.7, "theirs"))


SAID = ("--method", "theirs", "--target", "de", "--seed", 1)


def only(out: Path, label: str = "theirs") -> Any:
    (record,) = [one for one in Records(out).all() if one.cell["label"] == label]
    return record


def test_a_new_folder(tmp_path: Path, files: tuple[Path, Path], xner: Run) -> None:
    out = tmp_path / "out"
    code, printed, err = xner("import", out, *files, *SAID)
    assert (code, err) == (0, "")
    record = only(out)
    _, scored, _ = xner("score", *files, "--json")
    expected = json.loads(scored)
    (score,) = record.scores.values()
    assert score.f1 == pytest.approx(expected["f1"], abs=1e-6) and f"F1 {100 * score.f1:.2f}" in printed
    assert (record.sentences, record.tokens_gold) == (expected["sentences"], expected["tokens"])
    assert {t: vars(c) for t, c in score.types.items()} == {
        t: {k: c[k] for k in ("tp", "fp", "fn")} for t, c in expected["types"].items()
    }
    assert record.cell["imported"] and record.ran["imported"] and record.factors["imported"] == "yes"
    assert set(record.factors.values()) == {"unknown", "yes"} and record.cost == Cost()
    assert [cell["key"] for cell in matrix_cells(out)] == [record.key]
    assert read_sidecar(Records(out).sidecar(record.key, predictions_name(record.rules[0]))).ids[0] == "de-1"
    assert xner("verify", out)[0] == 0
    code, printed, _ = xner("status", out)
    assert "theirs" in printed and "1 ok, 0 failed, 0 skipped, 0 missing" in printed
    code, printed, _ = xner("tables", out, "--format", "md")
    assert code == 0 and "theirs: imported predictions, not trained here; encoder not stated" in printed


@pytest.mark.parametrize("mode", MODES)
def test_modes_read_ill_formed_tags_as_score_does(tmp_path: Path, xner: Run, mode: str) -> None:
    gold, pred = tmp_path / "g.conll", tmp_path / "p.conll"
    gold.write_text("a B-X\nb I-X\nc O\nd B-Y\n\ne B-X\nf O\n")
    pred.write_text("a I-X\nb I-X\nc O\nd B-Y\n\ne B-X\nf I-Y\n")
    out = tmp_path / mode
    code, _, err = xner("import", out, gold, pred, *SAID, "--mode", mode)
    assert code == 0 and ("ill-formed" in err) == (mode == "strict")
    expected = json.loads(xner("score", gold, pred, "--mode", mode, "--json")[1])["f1"]
    assert only(out).scores["imported"].f1 == pytest.approx(expected, abs=1e-6)
    assert xner("verify", out)[0] == 0


@pytest.mark.parametrize("scheme", ("IOB1", "BIOES"))
def test_other_schemes_give_the_same_record_but_for_the_scheme(tmp_path: Path, xner: Run, scheme: str) -> None:
    gold = gold_of("de")
    sides = [(name, sentences) for name, sentences in (("gold", gold), ("pred", found_in(gold, 0.7, "theirs")))]
    counts = []
    for one in ("IOB2", scheme):
        paths = [write(tmp_path / f"{name}-{one}", sentences, one) for name, sentences in sides]
        assert xner("import", tmp_path / one, *paths, *SAID, "--scheme", one)[0] == 0
        counts.append(only(tmp_path / one).scores)
    assert counts[0] == counts[1]
    code, _, err = xner("import", tmp_path / "wrong", *paths, *SAID)
    assert code == 2 and "gold-" in err and ("ill-formed in IOB2" in err or "is not O, B-X or I-X (IOB2)" in err)
    assert not (tmp_path / "wrong" / "records").exists()


def test_the_same_again_changes_nothing(tmp_path: Path, files: tuple[Path, Path], xner: Run) -> None:
    out = tmp_path / "out"
    xner("import", out, *files, *SAID)
    before = {name: content for name, (_, content) in snapshot(out).items()}
    renamed = [path.rename(path.with_name(f"other-{path.name}")) for path in files]
    code, printed, _ = xner("import", out, *renamed, *SAID)
    assert code == 0 and "was there already" in printed
    assert {name: content for name, (_, content) in snapshot(out).items()} == before


def test_other_predictions_need_replace(tmp_path: Path, files: tuple[Path, Path], xner: Run) -> None:
    out = tmp_path / "out"
    xner("import", out, *files, *SAID)
    old = only(out)
    better = write(tmp_path / "better.conll", found_in(gold_of("de"), 0.95, "better"))
    code, _, err = xner("import", out, files[0], better, *SAID)
    assert code == 2 and "--replace" in err and old.key in err
    assert only(out) == old
    code, _, _ = xner("import", out, files[0], better, *SAID, "--replace")
    new = only(out)
    assert code == 0 and new.key != old.key and new.scores["imported"].f1 > old.scores["imported"].f1
    assert not (out / "sidecars" / old.key).exists()
    assert [cell["key"] for cell in matrix_cells(out)] == [new.key]
    assert xner("import", out, files[0], better, "--method", "theirs", "--target", "de", "--seed", 2)[0] == 0
    assert len(Records(out).all()) == 2 and xner("verify", out)[0] == 0


@pytest.mark.slow
def test_beside_records_that_were_trained_here(tmp_path: Path, xner: Run) -> None:
    """The same table, the same test: compared like any two methods, and marked."""
    out, gold = tmp_path / "out", gold_of("fi")
    make_scored(out)
    path = write(tmp_path / "gold.conll", gold)
    for seed in (1, 2, 3):
        pred = write(tmp_path / "pred.conll", found_in(gold, 0.75, "theirs", seed))
        code, printed, err = xner("import", out, path, pred, "--method", "theirs", "--target", "fi", "--seed", seed)
        assert code == 0, err
        assert "corpus toy, encoder org/enc, rule source-dev" in printed
    record = only_seed(out, 1)
    assert record.corpus["test"] == next(r for r in Records(out).all() if r.cell["target"] == "fi").corpus["test"]
    assert read_sidecar(Records(out).sidecar(record.key, GOLD)).groups[0] == "toy/0"
    (group,) = groups(read([out]))
    costs = cost_table(group)
    assert costs is not None
    row = next(row for row in costs.rows() if row["method"].text == "theirs")
    for column in ("seconds", "steps", "batch", "labelled", "translated", "translation", "dictionary"):
        assert row[column].text == "n/a" and row[column].value is None, column
    (found,) = compare(out, "theirs", "concner")
    assert found.languages == ("fi",) and found.lines[-1].p is not None and found.imported == ("theirs",)
    assert xner("tables", out)[0] == 0
    assert "1000.0" not in (out / "tables" / "records.csv").read_text()
    assert xner("verify", out)[0] == 0
    assert json.loads((out / "matrix.json").read_text())["name"] == "toy"
    assert xner("plots", out, "--format", "svg")[0] == 0


def only_seed(out: Path, seed: int) -> Any:
    return next(r for r in Records(out).all() if r.cell["label"] == "theirs" and r.cell["seed"] == seed)


def test_oracles_say_so(tmp_path: Path, files: tuple[Path, Path], xner: Run) -> None:
    xner("import", tmp_path / "out", *files, *SAID, "--oracle")
    assert "theirs †" in xner("tables", tmp_path / "out", "--format", "md")[1]


def test_types_that_the_gold_lacks_count_as_wrong(tmp_path: Path, xner: Run) -> None:
    gold, pred = tmp_path / "g.conll", tmp_path / "p.conll"
    gold.write_text("a B-X\nb O\n\nc O\n")
    pred.write_text("a B-X\nb B-MISC\n\nc O\n")
    code, _, err = xner("import", tmp_path / "out", gold, pred, *SAID)
    record = only(tmp_path / "out")
    assert code == 0 and "count as wrong: MISC" in err
    assert record.scores["imported"].precision == 0.5 and record.corpus["types"] == ["X"]
    assert xner("verify", tmp_path / "out")[0] == 0


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    (
        (("--method", "../x"), "--method '../x': must be letters, digits"),
        (("--method", "a\nb"), "--method 'a\\nb'"),
        (("--target", "German"), "--target 'German': must be a language code"),
        (("--corpus", "A B"), "--corpus 'A B'"),
        (("--rule", "../../x"), "--rule '../../x'"),
        (("--encoder", "a\x1b"), "--encoder"),
        (("--seed", "-1"), "--seed -1: must be at least 0"),
        (("--mode", "conlleval", "--scheme", "BIOES"), "conlleval.pl knows no BIOES tags"),
    ),
)
def test_bad_names(tmp_path: Path, files: tuple[Path, Path], xner: Run, more: tuple[str, ...], message: str) -> None:
    code, _, err = xner("import", tmp_path / "out", *files, *SAID, *more)
    assert code == 2 and message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("gold", "pred", "message"),
    (
        ("a B-X\nb O\n", "a B-X\nc O\n", "g.conll:2 has 'b' where "),
        ("a B-X\nb O\n", "a B-X\n", "sentence 1 has 2 words at "),
        ("a B-X\n\nb O\n", "a B-X\n", "g.conll has 2 sentences but "),
        ("a B-X\n", "a B\n", "p.conll:1: tag 'B' is not O, B-X or I-X (IOB2)"),
        ("a O\nb I-X\n", "a O\nb O\n", "g.conll:2: 1 of 1 gold entities are ill-formed in IOB2"),
        ("a O\nb O\n", "a O\nb B-X\n", "all 2 tags are 'O': placeholders"),
        ("a O\nb I-X\n", "", "p.conll:1: no sentence"),
    ),
)
def test_bad_files(tmp_path: Path, xner: Run, gold: str, pred: str, message: str) -> None:
    paths = [tmp_path / "g.conll", tmp_path / "p.conll"]
    for path, text in zip(paths, (gold, pred), strict=True):
        path.write_text(text)
    code, _, err = xner("import", tmp_path / "out", *paths, *SAID)
    assert code == 2 and message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out" / "records").exists()


def test_another_test_of_the_same_corpus_is_refused(tmp_path: Path, xner: Run) -> None:
    out, gold = tmp_path / "out", gold_of("de")
    make_scored(out)
    before = snapshot(out)
    other = [replace(gold[0], spans=gold[0].spans[1:] if gold[0].spans else ()), *gold[1:]]
    for sentences, what in (
        (other, "lacks the entity"),
        (gold[:-1], "has 39 sentences, not the 40 of"),
        ([replace(gold[0], words=("Other", *gold[0].words[1:])), *gold[1:]], ":1 has 'Other', not the"),
    ):
        path = write(tmp_path / "gold.conll", sentences)
        code, _, err = xner("import", out, path, path, *SAID)
        assert code == 2 and what in err and "give another test another --corpus" in err, err
    assert snapshot(out) == before
    path = write(tmp_path / "gold.conll", other)
    code, _, err = xner("import", out, path, path, *SAID, "--corpus", "toy-fixed")
    assert code == 0 and "note: corpus 'toy-fixed' is new beside toy, " in err


def test_names_of_our_own_methods_and_ambiguous_places_are_refused(
    tmp_path: Path, files: tuple[Path, Path], xner: Run
) -> None:
    out = tmp_path / "out"
    make_scored(out)
    code, _, err = xner("import", out, *files, "--method", "concner", "--target", "de", "--seed", 9)
    assert code == 2 and "such as 'concner-imported'" in err
    assert xner("import", out, *files, *SAID, "--encoder", "org/other")[0] == 0
    code, _, err = xner("import", out, *files, "--method", "more", "--target", "de", "--seed", 1)
    assert code == 2 and "--encoder" in err and "org/enc, org/other" in err
    assert xner("import", out, *files, *SAID, "--corpus", "second")[0] == 0
    code, _, err = xner("import", out, *files, "--method", "more", "--target", "de", "--seed", 1)
    assert code == 2 and "name one of second, toy" in err


def test_a_file_in_the_folders_place(tmp_path: Path, files: tuple[Path, Path], xner: Run) -> None:
    code, _, err = xner("import", files[0], *files, *SAID)
    assert code == 2 and "cannot be a results folder" in err


def test_imports_at_once_lose_no_cell(tmp_path: Path) -> None:
    cells = [{"key": str(n), "label": "theirs", "target": "de", "seed": n} for n in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda cell: add_cells(tmp_path, [cell]), cells))
    assert sorted(int(cell["key"]) for cell in matrix_cells(tmp_path)) == list(range(24))
    add_cells(tmp_path, [{**cells[3], "key": "new"}], "name")
    assert matrix_cells(tmp_path)[[c["key"] for c in matrix_cells(tmp_path)].index("new")]["seed"] == 3
    assert len(matrix_cells(tmp_path)) == 24, "a cell of the same name takes the old one's place"
    assert json.loads((tmp_path / "matrix.json").read_text())["name"] == "name"
