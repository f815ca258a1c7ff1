"""Entities of ill-formed tags, as seqeval reads them in each mode and scheme."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from bench.core.sentences import IllFormedError, Span, entities
from tests.support.tag_scores import encode

IOB = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=12)
BIOES = st.lists(st.sampled_from(["O", *(f"{p}-{t}" for p in "BIES" for t in "XY")]), max_size=12)


def strict_of(tags: list[str], scheme: type) -> list[Span]:
    return [Span(e.start, e.end, e.tag) for of_one in Entities([tags], scheme).entities for e in of_one] if tags else []


def lenient_of(tags: list[str]) -> list[Span]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [Span(start, end + 1, type_) for type_, start, end in get_entities(tags)]


@settings(max_examples=300)
@given(IOB)
def test_iob2_as_seqeval(tags: list[str]) -> None:
    assert list(entities(tags, "IOB2", "strict")) == strict_of(tags, IOB2)
    assert list(entities(tags, "IOB2", "seqeval-default")) == lenient_of(tags)
    assert entities(tags, "IOB2", "conlleval") == entities(tags, "IOB2", "seqeval-default")
    assert {entities(tags, "IOB1", mode) for mode in ("strict", "conlleval")} == {tuple(lenient_of(tags))}


@settings(max_examples=300)
@given(BIOES)
def test_bioes_as_seqeval(tags: list[str]) -> None:
    assert list(entities(tags, "BIOES", "strict")) == strict_of(tags, IOBES)
    assert list(entities(tags, "BIOES", "seqeval-default")) == lenient_of(tags)


@pytest.mark.parametrize("scheme", ("IOB2", "IOB1", "BIOES"))
def test_well_formed_tags_mean_the_same_in_every_mode(scheme: str) -> None:
    spans = (Span(0, 1, "X"), Span(1, 3, "X"), Span(4, 7, "Y"))
    tags = encode(spans, 8, scheme)  # type: ignore[arg-type]
    assert {entities(tags, scheme, mode) for mode in ("strict", "seqeval-default")} == {spans}  # type: ignore[arg-type]


def test_bilou_letters() -> None:
    assert entities(["U-X", "B-Y", "L-Y"], "BIOES", "strict") == (Span(0, 1, "X"), Span(1, 3, "Y"))


@pytest.mark.parametrize(
    ("tag", "scheme"), (("E-X", "IOB2"), ("X", "IOB2"), ("B-", "BIOES"), ("", "IOB1"), ("-X", "BIOES"))
)
def test_other_tags_are_refused(tag: str, scheme: str) -> None:
    with pytest.raises(IllFormedError, match="is not O, B-X") as caught:
        entities(["O", tag], scheme, "strict")  # type: ignore[arg-type]
    assert caught.value.position == 1
