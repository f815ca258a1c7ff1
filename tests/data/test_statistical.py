"""The statistical aligner: eflomal run the same way twice, extra text, priors, and what it says when it cannot."""

from __future__ import annotations

import random
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.recipes import Consumed
from bench.api.source_files import data_dir
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Link, Pair, Sentence
from bench.plan.registry import REGISTRY
from data_recipes import parallel_text
from data_recipes.aligners import _eflomal, statistical
from data_recipes.aligners._eflomal import Run
from data_recipes.aligners.statistical import (
    StatisticalAligner,
    StatisticalParams,
    Symmetrisation,
    Vocabulary,
    priors,
)
from data_recipes.parallel_text import splitter

WORDS = (
    "the dog sees a red house and two men walk home in green rain",
    "der hund sieht ein rotes haus und zwei männer gehen heim in grünem regen",
)


def pair(number: int, source: Sequence[str], target: Sequence[str], languages: tuple[str, str] = ("en", "de")) -> Pair:
    sides = [Sentence(f"{number}-{code}", code, tuple(w)) for code, w in zip(languages, (source, target), strict=True)]
    return Pair(*sides)


def word_by_word(count: int, seed: int = 0) -> list[Pair]:
    """Pairs that are translated word by word: the gold links are i–i."""
    draw = random.Random(seed)
    lexicon = list(zip(*(text.split() for text in WORDS), strict=True))
    picked = [draw.sample(lexicon, draw.randint(3, 8)) for _ in range(count)]
    return [pair(i, *zip(*words, strict=True)) for i, words in enumerate(picked)]


def eflomal() -> None:
    pytest.importorskip("eflomal")


# --- eflomal itself ---------------------------------------------------------------------------------------------------


def test_it_learns_a_word_by_word_language_and_gives_the_same_links_again() -> None:
    eflomal()
    pairs = word_by_word(150)
    aligner = StatisticalAligner(StatisticalParams(prefix=0, iterations=0.2))
    links = aligner.align(pairs)
    gold = [{(i, i) for i in range(len(p.source.words))} for p in pairs]
    right = sum(len(set(found) & known) for found, known in zip(links, gold, strict=True))
    assert right / sum(map(len, gold)) > 0.9
    assert right / sum(map(len, links)) > 0.9
    assert all(list(found) == sorted(set(found)) for found in links)
    assert aligner.align(pairs) == links


def test_seeds_differ_and_a_build_that_cannot_be_seeded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eflomal()
    draw = random.Random(1)
    sides = [[[draw.randrange(40) for _ in range(12)] for _ in range(40)] for _ in range(2)]
    runs = [_eflomal.align(sides[0], sides[1], {}, Run(seed=seed, iterations=0.01)) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    other = tmp_path / "eflomal"
    other.write_bytes(b"no system seed in here")
    monkeypatch.setattr(_eflomal, "program", lambda: other)
    with pytest.raises(Unavailable, match="this build of eflomal cannot be seeded; set the aligner's seed to -1"):
        _eflomal.align(sides[0], sides[1], {}, Run())


TEXTS = st.lists(
    st.tuples(*[st.lists(st.sampled_from(("a", "b", "Zürich", "1 000", "7", ",")), max_size=6)] * 2), max_size=6
)


@settings(max_examples=15)
@given(TEXTS, st.sampled_from(get_args(Symmetrisation)))
def test_any_words_give_links_inside_the_sentences(texts: list[tuple[list[str], list[str]]], how: Any) -> None:
    eflomal()
    pairs = [pair(i, source, target) for i, (source, target) in enumerate(texts)]
    links = StatisticalAligner(StatisticalParams(symmetrisation=how, iterations=0.001)).align(pairs)
    assert len(links) == len(pairs)
    for one, found in zip(pairs, links, strict=True):
        assert all(0 <= s < len(one.source.words) and 0 <= t < len(one.target.words) for s, t in found)


def test_sentences_that_eflomal_cannot_take_have_no_links_and_the_others_have_theirs() -> None:
    eflomal()
    pairs = word_by_word(60)
    pairs[3] = pair(3, (), ("hund",))
    pairs[4] = pair(4, ("dog",) * 1024, ("hund",) * 1024)
    links = StatisticalAligner(StatisticalParams(iterations=0.05)).align(pairs)
    assert links[3] == links[4] == ()
    assert all(found for i, found in enumerate(links) if i not in (3, 4))


def test_languages_are_learned_apart_and_come_back_in_order() -> None:
    eflomal()
    german = word_by_word(60)
    other = [pair(i, p.target.words, p.source.words, ("de", "en")) for i, p in enumerate(word_by_word(60, 1))]
    aligner = StatisticalAligner(StatisticalParams(iterations=0.05))
    mixed = aligner.align([p for both in zip(german, other, strict=True) for p in both])
    assert mixed[::2] == aligner.align(german)
    assert mixed[1::2] == aligner.align(other)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eflomal()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    StatisticalAligner(StatisticalParams(iterations=0.01)).align(word_by_word(20))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_program_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "eflomal"
    broken.write_text("#!/bin/sh\necho 'no\n memory' >&2\nexit 3\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(_eflomal, "program", lambda: broken)
    with pytest.raises(BadInput, match=r"eflomal failed \(3\): no memory$"):
        StatisticalAligner(StatisticalParams(seed=-1)).align(word_by_word(2))
    broken.chmod(0o600)
    with pytest.raises(BadInput, match="eflomal cannot be run: Permission denied"):
        StatisticalAligner(StatisticalParams(seed=-1)).align(word_by_word(2))


def test_without_eflomal_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"pip install 'xner-bench\[align\]'"):
        StatisticalAligner().align(word_by_word(2))


# --- words and what is known of them ----------------------------------------------------------------------------------


def test_forms_are_stems_and_numbers_stay_whole() -> None:
    assert Vocabulary(prefix=4).form("Häuser") == "häus"
    assert Vocabulary(prefix=4).form("1990er") == "1990er"
    assert Vocabulary(lowercase=False).form("Häuser") == "Häuser"


def test_priors_of_words_of_one_form_and_of_dictionary_entries_add_up() -> None:
    source, target = Vocabulary(), Vocabulary()
    source.encode(["Paris", "dog", "is"])
    target.encode(["hund", "ist", "PARIS"])
    entries = [("dog", "Hund"), ("Dog", "hund"), ("paris", "Paris"), ("cat", "Katze")]
    assert priors(source, target, 1.0, 0.5, entries) == {(0, 2): 1.5, (1, 0): 0.5}
    assert priors(source, target, 1.0, 0.0, entries) == {(0, 2): 1.0}
    assert priors(source, target, 0.0, 0.0, entries) == {}


def captured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What eflomal would have been given; it links nothing."""
    calls: list[Any] = []

    def align(source: Any, target: Any, known: Any, run: Run) -> list[tuple[list[Link], list[Link]]]:
        calls.append((source, target, known, run))
        return [([], []) for _ in source]

    monkeypatch.setattr(statistical, "align", align)
    return calls


def test_same_words_and_the_dictionary_reach_eflomal(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = captured(monkeypatch)
    monkeypatch.setattr(parallel_text, "word_pairs", lambda source, target: [("dog", "hund")])
    pairs = [pair(0, ("Rome", "dog"), ("hund", "Rome"))]
    StatisticalAligner(StatisticalParams(extra=("wiktionary",), same=2.0, dictionary=0.25)).align(pairs)
    StatisticalAligner(StatisticalParams()).align(pairs)
    assert [call[2] for call in calls] == [{(0, 1): 2.0, (1, 0): 0.25}, {(0, 1): 1.0}]


def test_names_that_are_seen_once_are_found_by_their_form() -> None:
    eflomal()
    draw = random.Random(5)
    pairs, gold = [], []
    for number, one in enumerate(word_by_word(80)):
        tail = str(number).translate(str.maketrans("0123456789", "aeiouxyzwj"))
        names = [letter + tail for letter in draw.sample("BDFGK", 2)]
        order = list(range(len(one.target.words) + 2))
        draw.shuffle(order)
        words = (*one.target.words, *names)
        pairs.append(pair(number, (*one.source.words, *names), [words[i] for i in order]))
        gold.append({(i, order.index(i)) for i in range(len(words) - 2, len(words))})

    def found(same: float) -> float:
        links = StatisticalAligner(StatisticalParams(prefix=0, same=same, iterations=0.1)).align(pairs)
        return sum(len(set(one) & known) for one, known in zip(links, gold, strict=True)) / 160

    assert found(1.0) > 0.9
    assert found(0.0) < 0.8


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prefix", -1),
        ("same", -0.1),
        ("dictionary", -1.0),
        ("seed", -2),
        ("samplers", 0),
        ("iterations", 0.0),
        ("null_prior", 1.0),
    ],
)
def test_parameters_are_checked(key: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"{key}: must be"):
        REGISTRY.params("aligner", "statistical", {key: value})


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BadInput, match="ntrex"):
        REGISTRY.params("aligner", "statistical", {"extra": ["ntrexx"]})
    with pytest.raises(BadInput, match="grow-diag-final-and"):
        REGISTRY.params("aligner", "statistical", {"symmetrisation": "grow-diag-final"})


# --- extra text -------------------------------------------------------------------------------------------------------


def test_extra_text_is_split_like_the_pairs_and_gives_no_links_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    (tmp_path / "ntrex").mkdir()
    (tmp_path / "ntrex" / "newstest2019-src.eng.txt").write_text("The dog.\n\nA cat\n")
    (tmp_path / "ntrex" / "newstest2019-ref.por.txt").write_text("O rabo do cão.\nnada\nUm gato\n")
    (tmp_path / "ntrex" / "newstest2019-ref.por-BR.txt").write_text("O cão.\nnada\n\n")
    calls = captured(monkeypatch)
    aligner = StatisticalAligner(StatisticalParams(extra=("ntrex",), prefix=0, same=0.0))
    assert aligner.align([pair(0, ("dog",), ("cão",), ("en", "pt"))]) == [()]
    source, target, *_ = calls[0]
    assert [len(line) for line in source] == [1, 3, 3, 2], "the pair, por-BR (one line has no translation), por"
    assert [len(line) for line in target] == [1, 3, 6, 2], "do is de o, for the pairs have no contraction"
    aligner.align([pair(0, ("dog",), ("do", "cão"), ("en", "pt"))])
    assert [len(line) for line in calls[1][1]] == [2, 3, 5, 2]
    assert aligner.consumed("en", "pt") == Consumed(parallel=3)
    assert StatisticalAligner(StatisticalParams(extra=("wiktionary",))).consumed("en", "pt") == Consumed(
        dictionary=True
    )


def test_chinese_is_cut_into_the_words_of_the_pairs() -> None:
    assert splitter("zh", {"北京", "大学", "的"})("北京大学的AI，人") == [
        "北京",
        "大学",
        "的",
        "AI",
        "，",
        "人",
    ]


def test_text_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    for text, file in (
        ("ntrex", "newstest2019-src.eng.txt"),
        ("flores", "flores-dev.en"),
        ("wiktionary", "en-de-enwik"),
    ):
        aligner = StatisticalAligner(StatisticalParams(extra=(text,)))  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match=f"{file}.*xner data fetch"):
            aligner.align(word_by_word(1))


@pytest.mark.parametrize("text", ["ntrex", "flores"])
@pytest.mark.parametrize("language", ["tlh", "bbj"])
def test_a_language_that_a_text_has_not_is_named(text: Any, language: str) -> None:
    aligner = StatisticalAligner(StatisticalParams(extra=(text,)))
    with pytest.raises(Unavailable, match=f"has no '{language}'"):
        aligner.align([pair(0, ("dog",), ("Qa'",), ("en", language))])


def test_sides_of_different_length_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    (tmp_path / "ntrex").mkdir()
    (tmp_path / "ntrex" / "newstest2019-src.eng.txt").write_text("a\nb\n")
    (tmp_path / "ntrex" / "newstest2019-ref.deu.txt").write_text("a\n")
    with pytest.raises(BadInput, match=r"ntrex: 2 lines in .*src.eng.txt, but 1 in .*ref.deu.txt"):
        parallel_text.lines_of("ntrex", "en", "de")


@pytest.mark.slow
@pytest.mark.data
def test_the_published_texts_have_the_sizes_of_their_papers() -> None:
    if not (data_dir() / "ntrex").is_dir():
        pytest.skip("$XNER_DATA has no ntrex")
    assert len(parallel_text.lines_of("ntrex", "en", "de")) == 1997
    assert len(parallel_text.lines_of("ntrex", "en", "pt")) == 2 * 1997
    assert len(parallel_text.lines_of("flores", "de", "zh")) == 2009
    assert ("dog", "Hund") in parallel_text.word_pairs("en", "de")


# --- what the key of its links says ---------------------------------------------------------------------------------


def test_other_extra_text_or_eflomal_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    assert "texts" not in StatisticalAligner(StatisticalParams(extra=("ntrex",))).identity("en", "de"), "none is here"
    for name, text in (("src.eng", "a dog\n"), ("ref.deu", "ein Hund\n")):
        path = tmp_path / "ntrex" / f"newstest2019-{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    bare, with_text = (StatisticalAligner(StatisticalParams(extra=extra)) for extra in ((), ("ntrex",)))
    first = with_text.identity("en", "de")
    assert first == with_text.identity("en", "de") != bare.identity("en", "de")
    path.write_text("ein Hündchen\n", encoding="utf-8")
    second = with_text.identity("en", "de")
    assert second != first and bare.identity("en", "de") == StatisticalAligner().identity("en", "de")
    monkeypatch.setattr(statistical, "version", lambda: "0.0.1")
    assert with_text.identity("en", "de") != second
    assert str(tmp_path) not in repr(second)
