"""Transfer `marker` when a translator writes its own kind of brackets: read where they pair, else lost and counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.api.projection import KINDS, Marked, bracketed, has_bracket, unbracketed
from bench.api.recipes import Translated, Translator
from bench.core.sentences import Sentence, Span
from bench.core.tokenise import detokenise, tokenise
from bench.data.translated import MarkedTranslations
from bench.data.translating import NoCorpus
from bench.plan import registry

BERLIN = Sentence(
    "s", "en", ("Anna", "Lee", "lives", "in", "Berlin", "."), (Span(0, 2, "PER"), Span(4, 5, "LOC")), "group-s"
)
SAID = {"Anna Lee": "安娜李", "Berlin": "柏林", "[ Anna Lee ] lives in [ Berlin ] .": "[安娜李]住在[柏林]。"}


class Chinese(Translator):
    """Knows three sentences; `kind` is what it writes in place of [ and ]."""

    name = "chinese"

    def __init__(self, kind: tuple[str, str]) -> None:
        super().__init__()
        self.kind = kind

    def translate(self, sentences: list[Sentence], target: str, corpus: object) -> Translated:  # type: ignore[override]
        texts = [SAID[s.text].replace("[", self.kind[0]).replace("]", self.kind[1]) for s in sentences]
        found = [
            replace(s, words=tokenise(text, "zh", "ud"), language="zh", spans=None)
            for s, text in zip(sentences, texts, strict=True)
        ]
        return Translated(tuple(found), (None,) * len(found), "chinese")


def marked(kind: tuple[str, str]) -> tuple[Marked | None, dict[str, int]]:
    job = MarkedTranslations(registry.load("transfer", "marker"), Chinese(kind), "zh", NoCorpus())
    (found,) = job.of([BERLIN])
    return found, {name: count for name, count in job.counts.items() if count}


@pytest.mark.parametrize("kind", [*KINDS.items()])
def test_each_kind_of_square_bracket_is_read(kind: tuple[str, str]) -> None:
    found, counts = marked(kind)
    assert found is not None, kind
    assert found.words == tuple("安娜李住在柏林。"), "no bracket stays in the text"
    assert found.projection(BERLIN.spans or ()).spans == (Span(0, 3, "PER"), Span(5, 7, "LOC"))
    assert counts == {"marked": 1, "marked_read": 1, "names_alone": 2}


@pytest.mark.parametrize(
    "kind", [("「", "」"), ("“", "”"), ("《", "》"), ("（", "）"), ("", ""), ("【", "]"), ("[", "】"), ("】", "【")]
)
def test_other_signs_and_mixed_pairs_are_lost_and_counted(kind: tuple[str, str]) -> None:
    """Quotes and the like are a translation's own punctuation: what was marked by them cannot be known."""
    found, counts = marked(kind)
    assert found is None
    assert counts == {"marked": 1, "marks_unreadable": 1, "brackets_wrong": 1}


def test_a_sentence_that_has_such_brackets_cannot_be_marked() -> None:
    for opening, closing in KINDS.items():
        own = replace(BERLIN, words=("Anna", "Lee", "lives", opening, "Berlin", closing))
        assert has_bracket(own.words) and registry.load("transfer", "marker").mark(own) is None
    assert not has_bracket(("「", "Berlin", "」", "(", "“", "《"))


def test_kinds_do_not_nest_and_are_never_glued() -> None:
    assert unbracketed(("a", "[", "b", "【", "c", "】", "]")) is None
    assert unbracketed(("【北京】",)) is None, "a bracket glued to a word is damaged, not text"
    assert unbracketed(("【", "a", "】", "b", "［", "c", "］")) == (("a", "b", "c"), [(0, 1), (2, 3)])
    assert unbracketed(("",)) == (("",), []), "an empty word is no bracket"


def test_what_we_write_is_what_we_read() -> None:
    inside = bracketed(BERLIN, {0, 1})
    assert unbracketed(inside.words) == (BERLIN.words, [(0, 2), (4, 5)])
    assert tokenise(detokenise(inside.words, "en"), "en", "ud") == inside.words
