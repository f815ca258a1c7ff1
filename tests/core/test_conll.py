"""CoNLL files: schemes, columns, comments, complaints with file and line, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.conll import Format, conll_text, read_conll, read_tagged
from bench.core.errors import BadInput
from bench.core.sentences import IllFormedError, Sentence, Span, decode
from tests.support.tag_scores import encode

TYPES = ("PER", "LOC", "ORG")
WORDS = st.one_of(
    st.sampled_from(["#", "# x", "-", "O", "B-PER", "# a = b", "_", "a b", "\u00a0", "#x", "=", "\u200d", "\ufeff"]),
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=5),
).filter(lambda word: not word.startswith("-DOCSTART-"))


@st.composite
def labelled(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    words = tuple(draw(st.lists(WORDS, min_size=1, max_size=8)))
    spans, start = [], 0
    while start < len(words):
        length = draw(st.integers(0, 3))
        if length and start + length <= len(words):
            spans.append(Span(start, start + length, draw(st.sampled_from(TYPES))))
        start += max(length, 1)
    return words, tuple(spans)


@given(labelled(), st.sampled_from(["IOB2", "IOB1", "BIOES"]))
def test_spans_survive_every_scheme(case: tuple[tuple[str, ...], tuple[Span, ...]], scheme: str) -> None:
    words, spans = case
    assert decode(encode(spans, len(words), scheme), scheme) == spans  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(labelled(), min_size=1, max_size=4))
def test_what_is_written_is_read_back(tmp_path: Path, cases: list[tuple[tuple[str, ...], tuple[Span, ...]]]) -> None:
    sentences = [Sentence(f"s{n}", "xx", words, spans, "g" * (n % 2)) for n, (words, spans) in enumerate(cases)]
    path = tmp_path / "a.conll"
    path.write_bytes(conll_text(sentences).encode())
    assert read_conll(path, "xx", TYPES) == sentences


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "f.conll"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_tags_are_returned_as_written(tmp_path: Path) -> None:
    path = write(tmp_path, "-DOCSTART- -X- O\n\n# a comment\nAnna I-PER\r\n# O\n \t \n# O\n")
    first, second = read_tagged(path)
    assert (first.words, first.tags, first.lines) == (("Anna", "#"), ("I-PER", "O"), (4, 5))
    assert (second.words, second.tags, second.lines) == (("#",), ("O",), (7,))
    assert first.comments == ("a comment",)


def test_universal_ner_columns_and_metadata(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "# sent_id = a1\n# parallel_id = pud/1\n# text = #\n1\t#\tO\t-\t-\n2\tBonn\tB-LOC\t-\tx\n\n1\ta\tO\t-\t-\n",
    )
    first, second = read_conll(path, "de", TYPES, Format(1, 2))
    assert first == Sentence("a1", "de", ("#", "Bonn"), (Span(1, 2, "LOC"),), "pud/1")
    assert (second.id, second.group, second.spans) == ("f-2", "", ())


def test_label_map_renames_and_drops(tmp_path: Path) -> None:
    path = write(tmp_path, "a B-GPE\nb B-MISC\nc I-MISC\n")
    (sentence,) = read_conll(path, "xx", TYPES, Format(label_map={"GPE": "LOC", "MISC": "O"}))
    assert sentence.spans == (Span(0, 1, "LOC"),)
    with pytest.raises(BadInput, match="becomes 'LOK', which is not an entity type; did you mean 'LOC'"):
        read_conll(path, "xx", TYPES, Format(label_map={"GPE": "LOK"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.conll:1: no sentence"),
        ("\n \n", "no sentence"),
        ("a O\nb\n", "f.conll:2: token and tag are the same column"),
        (b"a O\n\xff O\n", r"f.conll:2: not UTF-8 \(byte 0xff\)"),
        ("a O\n\nb\0 O\n", "f.conll:3: a NUL"),
        ("a O\n\tO\n", "f.conll:2: empty token"),
        ("a\x07\tO\n", "f.conll:1: a control character"),
        ("a O\nb I-PER\n", "f.conll:2: expected B-PER where an entity starts .*found 'I-PER'"),
        ("a B_PER\n", r"f.conll:1: tag 'B_PER' is not O, B-X or I-X \(IOB2\)"),
        ("a O\n\nb B-PRE\n", "f.conll:3: unknown entity type 'PRE'; did you mean 'PER'"),
    ],
)
def test_malformed_files_are_refused_with_their_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_conll(write(tmp_path, text), "xx", TYPES)


def test_missing_column_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"f.conll:2: columns 0 \(token\) and 2 \(tag\)"):
        read_tagged(write(tmp_path, "a x O\nb O\n"), Format(tag=2))
    with pytest.raises(BadInput, match="cannot be read"):
        read_tagged(tmp_path / "none")


@pytest.mark.parametrize(
    ("tags", "scheme", "position", "message"),
    [
        (["B-PER"], "BIOES", 0, "expected I-PER or E-PER after 'B-PER', the sentence ends"),
        (["O", "E-PER"], "BIOES", 1, "expected B-PER or S-PER"),
        (["B-PER", "E-LOC"], "BIOES", 1, "found 'E-LOC'"),
        (["S-PER", "I-PER"], "BIOES", 1, "an entity starts"),
        (["B-PER", "I-LOC"], "IOB2", 1, "expected B-LOC"),
        (["S-PER"], "IOB1", 0, "not O, B-X or I-X .IOB1.; a tag of BIOES or BILOU. --scheme BIOES"),
    ],
)
def test_ill_formed_tags(tags: list[str], scheme: str, position: int, message: str) -> None:
    with pytest.raises(IllFormedError, match=message) as caught:
        decode(tags, scheme)  # type: ignore[arg-type]
    assert caught.value.position == position


def test_iob1_takes_an_inside_tag_for_a_start() -> None:
    assert decode(["I-PER", "B-PER", "I-LOC"], "IOB1") == (Span(0, 1, "PER"), Span(1, 2, "PER"), Span(2, 3, "LOC"))
    assert decode(["U-PER", "B-LOC", "L-LOC"], "BIOES") == (Span(0, 1, "PER"), Span(1, 3, "LOC"))


@pytest.mark.parametrize("tag", ["O", "_", "-"])
def test_placeholders_are_no_gold(tmp_path: Path, tag: str) -> None:
    path = write(tmp_path, f"a {tag}\nb {tag}\n")
    with pytest.raises(BadInput, match=f"f.conll:1: all 2 tags are '{tag}'"):
        read_conll(path, "xx", TYPES, require_entities=True)


def test_a_test_whose_entities_are_all_dropped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no entity of PER, LOC, ORG is left"):
        path = write(tmp_path, "a B-MISC\nb O\n")
        read_conll(path, "xx", TYPES, Format(label_map={"MISC": "O"}), require_entities=True)


def test_writing_and_what_cannot_be_written() -> None:
    assert (
        conll_text([Sentence("1", "xx", ("a", "b"), (Span(0, 2, "PER"),))]) == "# sent_id = 1\na\tB-PER\nb\tI-PER\n\n"
    )
    for bad in (Sentence("1", "xx", ("a",)), Sentence("1", "xx", (), ()), Sentence("1", "xx", ("a\tb",), ())):
        with pytest.raises(ValueError, match="sentence 1"):
            conll_text([bad])
