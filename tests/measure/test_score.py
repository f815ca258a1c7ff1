"""Scores against seqeval and an independent port of conlleval.pl, and `xner score`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, sequence_labeling, v1
from seqeval.scheme import IOB2

from bench.cli import score as cli
from bench.core.errors import BadInput
from bench.core.sentences import Mode, Span, spans_of, tags_of
from bench.measure import score
from tests.support.tag_scores import TagScore, score_tags

TAGS = ["O", *(f"{prefix}-{type_}" for type_ in ("LOC", "ORG", "PER") for prefix in "BI")]
Taggings = tuple[list[list[str]], list[list[str]]]


@cache
def taggings(sentences: int, seed: int = 7) -> Taggings:
    """Random taggings of 1 to 12 tokens, mostly ill-formed; a prediction keeps 70 % of the gold tags."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 13, sentences)
    gold = rng.choice(len(TAGS), lengths.sum(), p=[0.28, *[0.12] * 6])
    noise = rng.integers(0, len(TAGS), len(gold))
    predicted = np.where(rng.random(len(gold)) < 0.7, gold, noise)
    ends = np.cumsum(lengths)

    def cut(codes: np.ndarray) -> list[list[str]]:
        tags = [TAGS[code] for code in codes]
        return [tags[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    return cut(gold), cut(predicted)


@cache
def scored(mode: Mode) -> TagScore:
    """The scores of 100,000 taggings."""
    return score_tags(*taggings(100_000), mode)


# --- references ------------------------------------------------------------------------------------------------------


def _ends(before: str, tag: str, type_before: str, type_: str) -> bool:
    """endOfChunk of conlleval.pl 2004-01-26, for the tags B, I and O."""
    return (before, tag) in {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O")} or (before != "O" and type_before != type_)


def _starts(before: str, tag: str, type_before: str, type_: str) -> bool:
    """startOfChunk of conlleval.pl 2004-01-26, for the tags B, I and O."""
    return (before, tag) in {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I")} or (tag != "O" and type_before != type_)


def conlleval(gold: list[list[str]], predicted: list[list[str]]) -> tuple[Counter, Counter, Counter]:
    """Correct, gold and found chunks by type: the script's one pass with its running `$inCorrect`, written anew."""
    correct_chunk, found_correct, found_guessed = Counter(), Counter(), Counter()
    in_correct = False
    last_correct, last_correct_type, last_guessed, last_guessed_type = "O", "", "O", ""
    rows = [row for sides in zip(gold, predicted, strict=True) for row in [*zip(*sides, strict=True), ("O", "O")]]
    for correct_tag, guessed_tag in rows:
        correct, _, correct_type = correct_tag.partition("-")
        guessed, _, guessed_type = guessed_tag.partition("-")
        of_correct = (last_correct, correct, last_correct_type, correct_type)
        of_guessed = (last_guessed, guessed, last_guessed_type, guessed_type)
        if in_correct:
            if _ends(*of_correct) and _ends(*of_guessed) and last_guessed_type == last_correct_type:
                in_correct = False
                correct_chunk[last_correct_type] += 1
            elif _ends(*of_correct) != _ends(*of_guessed) or guessed_type != correct_type:
                in_correct = False
        if _starts(*of_correct) and _starts(*of_guessed) and guessed_type == correct_type:
            in_correct = True
        found_correct[correct_type] += _starts(*of_correct)
        found_guessed[guessed_type] += _starts(*of_guessed)
        last_correct, last_correct_type, last_guessed, last_guessed_type = correct, correct_type, guessed, guessed_type
    if in_correct:
        correct_chunk[last_correct_type] += 1
    return correct_chunk, found_correct, found_guessed


def assert_conlleval(gold: list[list[str]], predicted: list[list[str]], ours: TagScore) -> None:
    types, counts = ours
    tp, fp, fn = (Counter(dict(zip(types, column, strict=True))) for column in counts.sum(axis=0).T.tolist())
    correct, in_gold, found = (+part for part in conlleval(gold, predicted))
    assert (+tp, +(tp + fn), +(tp + fp)) == (correct, in_gold, found)


def assert_seqeval(
    gold: list[list[str]], predicted: list[list[str]], mode: Mode, ours: TagScore, micro: bool = True
) -> None:
    """Per type and micro; seqeval gives ratios and the number of gold entities."""
    types, counts = ours
    if mode == "strict":
        seqeval = partial(v1.precision_recall_fscore_support, gold, predicted, scheme=IOB2, zero_division=0)
    else:
        seqeval = partial(sequence_labeling.precision_recall_fscore_support, gold, predicted, zero_division=0)
    by_type = seqeval(average=None)
    figures = [(*score.ratios(tp, fp, fn), tp + fn) for tp, fp, fn in counts.sum(axis=0).tolist()]
    assert len(by_type[0]) == len(types)
    np.testing.assert_allclose(
        np.reshape(figures, (-1, 4)), np.reshape(np.transpose(by_type), (-1, 4)), rtol=0, atol=1e-12
    )
    if micro:  # seqeval parses everything again
        total = score.summary(counts, types)
        np.testing.assert_allclose(
            [total.precision, total.recall, total.f1], seqeval(average="micro")[:3], rtol=0, atol=1e-12
        )


# --- taggings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "seqeval-default"])
def test_equals_seqeval_on_100000_taggings(mode: Mode) -> None:
    (gold, predicted), (types, counts) = taggings(100_000), scored(mode)
    for start in range(0, 100_000, 25_000):
        part = slice(start, start + 25_000)
        assert_seqeval(gold[part], predicted[part], mode, TagScore(types, counts[part]), micro=start == 0)


@pytest.mark.parametrize("mode", ["strict", "seqeval-default"])
def test_equals_seqeval_on_single_sentences(mode: Mode) -> None:
    for gold, predicted in zip(*taggings(1_000, seed=8), strict=True):
        assert_seqeval([gold], [predicted], mode, score_tags([gold], [predicted], mode))


def test_the_public_call_is_what_we_equal() -> None:
    gold, predicted = taggings(500, seed=10)
    public: dict[Mode, float] = {
        "strict": f1_score(gold, predicted, mode="strict", scheme=IOB2),
        "seqeval-default": f1_score(gold, predicted),
    }
    for mode, f1 in public.items():
        ours = score_tags(gold, predicted, mode)
        assert score.f1(ours.counts) == pytest.approx(f1, abs=1e-12)
        assert_seqeval(gold, predicted, mode, ours)
    assert abs(public["strict"] - public["seqeval-default"]) > 0.01


def test_equals_conlleval_on_100000_taggings() -> None:
    (gold, predicted), (types, counts) = taggings(100_000), scored("conlleval")
    for start in range(0, 100_000, 200):
        part = slice(start, start + 200)
        assert_conlleval(gold[part], predicted[part], TagScore(types, counts[part]))


def test_equals_conlleval_on_single_sentences() -> None:
    for gold, predicted in zip(*taggings(2_000, seed=9), strict=True):
        assert_conlleval([gold], [predicted], score_tags([gold], [predicted], "conlleval"))


def test_default_and_conlleval_agree_on_every_sentence() -> None:
    default, perl = scored("seqeval-default"), scored("conlleval")
    assert default.types == perl.types
    assert np.array_equal(default.counts, perl.counts)


def test_every_short_tagging() -> None:
    """All pairs of taggings of three tokens over O and two types: no luck needed."""
    tags = TAGS[:5]
    three = [[a, b, c] for a in tags for b in tags for c in tags]
    gold, predicted = ([g for g in three for _ in three], [p for _ in three for p in three])
    types, counts = score_tags(gold, predicted, "conlleval")
    for index in range(0, len(gold), 7):
        correct, in_gold, found = conlleval([gold[index]], [predicted[index]])
        for column, type_ in enumerate(types):
            tp = correct[type_]
            assert counts[index, column].tolist() == [tp, found[type_] - tp, in_gold[type_] - tp]


def test_tags_decode_as_the_benchmark_decodes() -> None:
    """`spans_of` and the lenient modes read ill-formed tags alike."""
    gold, predicted = taggings(3_000)
    types, counts = score_tags(gold, predicted, "conlleval")
    assert np.array_equal(counts, score.count([*map(spans_of, gold)], [*map(spans_of, predicted)], types))


def test_known_difference_of_modes() -> None:
    """ANCHORS.md: gold B I against I I is perfect by default and 2/3 under strict where another entity is right."""
    gold, predicted = [["B-PER", "I-PER", "O", "B-LOC"]], [["I-PER", "I-PER", "O", "B-LOC"]]
    assert score.f1(score_tags(gold, predicted, "seqeval-default").counts) == 1
    assert score.f1(score_tags(gold, predicted, "strict").counts) == pytest.approx(2 / 3)


def test_nothing_to_score_is_zero() -> None:
    types, counts = score_tags([["O"], []], [["O"], []], "strict")
    assert types == ()
    assert counts.shape == (2, 0, 3)
    assert score.f1(counts) == 0
    assert score_tags([], [], "strict").counts.shape == (0, 0, 3)


def test_types_may_hold_dashes_and_only_ill_formed_types_vanish_under_strict() -> None:
    assert score_tags([["B-a-b"]], [["B-a-b"]], "strict").types == ("a-b",)
    assert score_tags([["O"]], [["I-X"]], "strict").types == ()
    assert score_tags([["O"]], [["I-X"]], "conlleval").types == ("X",)


@pytest.mark.parametrize("tag", ["E-PER", "B", "B-", "PER", "", "o"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="not O, B-X or I-X"):
        score_tags([["O"]], [[tag]], "strict")


def test_numbers_of_sentences_are_checked() -> None:
    with pytest.raises(ValueError, match="1 gold sentences but 2"):
        score.count([()], [(), ()], [])


# --- spans -----------------------------------------------------------------------------------------------------------


def test_count() -> None:
    gold = [(Span(0, 1, "PER"), Span(2, 4, "LOC")), (), (Span(0, 2, "LOC"),)]
    predicted = [(Span(0, 1, "PER"), Span(2, 3, "LOC")), (Span(0, 1, "PER"),), ()]
    counts = score.count(gold, predicted, ("PER", "LOC"))
    assert counts.dtype == np.int32
    assert counts.tolist() == [[[1, 0, 0], [0, 1, 1]], [[0, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]]]
    total = score.summary(counts, ("PER", "LOC"))
    assert (total.precision, total.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (total.types["LOC"].tp, total.types["LOC"].fp, total.types["LOC"].fn) == (0, 1, 2)
    assert score.f1(counts) == total.f1


def test_unknown_types_are_refused() -> None:
    for gold, predicted in (([()], [(Span(0, 1, "X"),)]), ([(Span(0, 1, "X"),)], [()])):
        with pytest.raises(ValueError, match="type 'X'; the types are PER, LOC"):
            score.count(gold, predicted, ("PER", "LOC"))
    with pytest.raises(ValueError, match="1 gold sentences but 0"):
        score.count([()], [], ("PER",))
    with pytest.raises(ValueError, match="shape"):
        score.summary(np.zeros((2, 1, 3), np.int32), ("PER", "LOC"))


@given(st.lists(st.lists(st.sampled_from(TAGS), max_size=8).map(spans_of), min_size=1, max_size=6))
@settings(max_examples=50)
def test_gold_scores_one_against_itself(spans: list[tuple[Span, ...]]) -> None:
    counts = score.count(spans, spans, ("LOC", "ORG", "PER"))
    assert score.f1(counts) == (1 if any(spans) else 0)
    tags = [tags_of(of_sentence, 8) for of_sentence in spans]
    assert score.f1(score_tags(tags, tags, "strict").counts) == score.f1(counts)


def test_recall_by_seen() -> None:
    words = [("Ada", "met", "New", "York"), ("Ada",)]
    gold = [(Span(0, 1, "PER"), Span(2, 4, "LOC")), (Span(0, 1, "LOC"),)]
    seen = score.surfaces([("Ada", "left")], [(Span(0, 1, "PER"),)])
    assert seen == {("Ada", "PER")}
    result = score.recall_by_seen(gold, [(Span(0, 1, "PER"),), (Span(0, 1, "LOC"),)], words, seen)
    assert (result.seen, result.unseen) == (1.0, 0.5)
    assert result.counts.tolist() == [[1, 1], [1, 2]]
    assert score.recall_by_seen(gold, [(), ()], words, set()).seen is None


# --- xner score ------------------------------------------------------------------------------------------------------


def xner(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    cli.add(parser.add_subparsers(required=True))
    args = parser.parse_args(["score", *map(str, arguments)])
    return int(args.run(args))


def conll(path: Path, *sentences: str) -> Path:
    """A file of sentences written as `word tag, word tag`."""
    path.write_text("\n\n".join(s.replace(", ", "\n") for s in sentences) + "\n", encoding="utf-8")
    return path


def test_cli_json_and_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = conll(tmp_path / "gold.conll", "Ada B-PER, Lovelace I-PER, in O, Rom B-LOC", "so O")
    predicted = conll(tmp_path / "pred.conll", "Ada I-PER, Lovelace I-PER, in O, Rom B-LOC", "so O")
    assert xner(gold, predicted, "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["f1"] == pytest.approx(2 / 3)
    assert (result["mode"], result["sentences"], result["tokens"]) == ("strict", 2, 5)
    assert result["types"]["PER"] == {"precision": 0, "recall": 0, "f1": 0, "tp": 0, "fp": 0, "fn": 1}
    assert err.startswith("note: ") and "66.67 here and 100.00" in err
    assert xner(gold, predicted, "--json", "--mode", "conlleval") == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["f1"], err) == (1.0, "")


def test_cli_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = conll(tmp_path / "gold.conll", "Ada B-PER, in O, Rom B-LOC")
    predicted = conll(tmp_path / "pred.conll", "Ada B-PER, in O, Rom B-PER")
    assert xner(gold, predicted) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "1 sentences, 3 tokens, mode strict, percent"
    assert [line.split()[0] for line in lines[1:]] == ["precision", "LOC", "PER", "all"]
    assert lines[3].split() == ["PER", "50.00", "100.00", "66.67", "1", "2", "1"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert err == ""


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["Ada B-PER, im O", "so O"], r"gold.conll:2 has 'in' where \S*pred.conll:2 has 'im'"),
        (["Ada B-PER", "so O"], r"sentence 1 has 2 words at \S*gold.conll:1 but 1 at \S*pred.conll:1"),
        (["Ada B-PER, in O"], r"2 sentences but \S*pred.conll has 1; .* starts at \S*gold.conll:4"),
        (
            ["Ada B-PER, in O", "so S-PER"],
            r"pred.conll:4: tag 'S-PER' is not O, B-X or I-X \(IOB2\); a tag of BIOES .* --scheme BIOES",
        ),
    ],
)
def test_cli_bad_input(tmp_path: Path, sentences: list[str], message: str) -> None:
    gold = conll(tmp_path / "gold.conll", "Ada B-PER, in O", "so O")
    predicted = conll(tmp_path / "pred.conll", *sentences)
    with pytest.raises(BadInput, match=message):
        xner(gold, predicted)
