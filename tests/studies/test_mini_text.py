"""What the encoder `mini` reads: words, vocabulary, links to the teacher's vectors, and no test sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.source_files import here
from bench.core.errors import BadInput, Unavailable
from data_recipes.encoders.mini.text import LANGUAGES, Line, Text, training_text
from tests.studies.make_mini import dictionary_entries
from tests.studies.mini import guard, links, prepare, vocabulary
from tests.studies.mini.prepare import ENGLISH, ENTRY, FOREIGN, Prepared
from tests.studies.mini.vocabulary import Mix, splitter, train_tokenizer, words_of
from tests.support.mini_tools import ENTRIES, TEXT, small

MIX = Mix(size=700, teacher=10.0, rare=0.0)


def test_cyrillic_words_meet_their_latin_relatives() -> None:
    split = splitter()
    assert words_of(split, "Владимир Путин, Београд") == ("Vladimir", "Putin", ",", "Beograd")
    assert words_of(split, "在北京 San") == ("在", "北", "京", "San")


@given(st.text(alphabet=sorted(vocabulary.romanisation()), min_size=1))
def test_romanised_words_hold_no_cyrillic(text: str) -> None:
    assert not any("\u0400" <= letter <= "\u04ff" for word in words_of(splitter(), text) for letter in word)


@given(st.randoms())
def test_the_vocabulary_does_not_hang_on_the_order_of_the_words(random: Any) -> None:
    counts = {"alpha": 5.0, "alphabet": 4.0, "beta": 4.0, "betas": 3.0, "北": 3.0, "gamma": 2.0}
    shuffled = list(counts.items())
    random.shuffle(shuffled)
    mix = Mix(size=60)
    assert train_tokenizer(mix, dict(shuffled)).get_vocab() == train_tokenizer(mix, counts).get_vocab()


def test_rare_letters_of_other_scripts_are_unknown_and_latin_ones_never() -> None:
    tokenizer = train_tokenizer(Mix(size=60, rare=3.0), {"aß": 1.0, "北": 3.0, "京": 1.0})
    assert tokenizer.tokenize("北 京 ß") == ["北", "[UNK]", "ß"]


def test_every_linked_word_meets_the_vector_of_its_english_word(small_data: tuple[Any, Prepared, Any]) -> None:
    _, data, teacher = small_data
    split = splitter()
    english = [words_of(split, line) for line in TEXT.english]
    raw = np.concatenate(teacher.word_vectors(english, 2))
    word = next(i for i in range(len(data.kind)) if data.kind[i] == FOREIGN)
    bags = data.bags(word)
    assert [bag.tolist() for bag in bags] == [[0], [1], [2], [3]]  # "Anna lebt in Rom" for "Anna lives in Rom"
    made, goal = data.vectors[:4].astype(np.float64), raw[:4]
    spread = raw.std(axis=0)
    assert np.abs((made[1] - made[0]) * _deviation(data, teacher) - (goal[1] - goal[0])).max() < 0.02 * spread.max()


def _deviation(data: Prepared, teacher: Any) -> np.ndarray[Any, Any]:
    """The deviation by which the vectors were divided: of all English words and dictionary heads."""
    split = splitter()
    words = [words_of(split, line) for line in TEXT.english]
    heads = sorted({words_of(split, head) for _, _, head in ENTRIES})
    found = [*teacher.word_vectors(words, 2), *(v.mean(axis=0, keepdims=True) for v in teacher.word_vectors(heads, 2))]
    return np.asarray(np.concatenate(found).std(axis=0))


def test_entries_meet_their_head_and_unlinked_words_nothing(small_data: tuple[Any, Prepared, Any]) -> None:
    _, data, _ = small_data
    kinds = data.kind.tolist()
    assert kinds.count(ENGLISH) == len(TEXT.english) and kinds.count(ENTRY) == len(ENTRIES)
    last = len(kinds) - 1
    rows = {int(row) for bag in data.bags(last) for row in bag}
    assert len(rows) == 1 and min(rows) >= sum(len(line.split()) for line in TEXT.english)
    unlinked = [i for i in range(len(kinds)) if kinds[i] == FOREIGN and any(len(bag) == 0 for bag in data.bags(i))]
    assert unlinked  # "ja" of the third line stands for nothing


def test_arrays_survive_the_disk(small_data: tuple[Any, Prepared, Any], tmp_path: Path) -> None:
    _, data, _ = small_data
    data.save(tmp_path / "a.safetensors")
    again = Prepared.load(tmp_path / "a.safetensors")
    for name in ("pieces", "word_at", "rows", "vectors", "start"):
        assert np.array_equal(getattr(again, name), getattr(data, name))


def test_a_piece_starts_where_its_english_word_is(small_data: tuple[Any, Prepared, Any]) -> None:
    tokenizer, data, teacher = small_data
    table = teacher.embeddings(["lives", "house"])
    start = data.start[tokenizer.get_vocab()["lebt"]]
    cosine = {word: float(start @ v / np.linalg.norm(start) / np.linalg.norm(v)) for word, v in table.items()}
    assert cosine["lives"] > 0.99 > cosine["house"]


def test_a_test_sentence_in_the_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "tests", lambda: iter(["Anna LEBT in Rom .", "Other"]))
    assert guard.check(["Anna lebt in Paris."]) == 2
    with pytest.raises(BadInput, match="1 test sentences, such as 'Anna lebt in Rom'"):
        guard.check(["Anna lebt in Rom", "Bob"])


@pytest.fixture
def published() -> None:
    """Skips where the published texts are not."""
    try:
        here("ntrex/newstest2019-src.eng.txt")
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.data
def test_the_real_text_holds_no_test_sentence_and_no_held_out_line(published: None) -> None:
    text = training_text()
    assert {line.language for line in text.foreign} == set(LANGUAGES)
    assert guard.check(text.sentences()) > 30_000


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Prepared, Any]:
    return small(tmp_path_factory.mktemp("teacher"), MIX)


def test_links_of_a_language_are_asked_for_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fake(language: str, pairs: Sequence[Any], dictionary: bool) -> list[tuple[tuple[int, int], ...]]:
        asked.append(language)
        return [((0, 0), (1, 1))] * len(pairs)

    monkeypatch.setattr(links, "_of_language", fake)
    pairs = {"de": [(("One", "house"), ("Ein", "Haus"))], "fi": [(("One", "house"), ("Yksi", "talo"))]}
    said: list[str] = []
    first = links.links_of(pairs, set(), tmp_path, said.append)
    assert links.links_of(pairs, set(), tmp_path, said.append) == first == {k: [((0, 0), (1, 1))] for k in pairs}
    assert asked == ["de", "fi"] and said == [f"linking words, {language}: 1 pairs" for language in asked]
    links.links_of(pairs | {"fi": [(("A", "house"), ("Talo", "tuo"))]}, {"de"}, tmp_path, said.append)
    assert asked == ["de", "fi", "de", "fi"]  # a dictionary more, and other words


def test_lines_of_a_language_are_linked_together() -> None:
    text = Text(("One house",), (Line("de", "Ein Haus", 0), Line("fi", "Yksi talo", 0), Line("de", "Das Haus", 0)))
    seen: dict[str, int] = {}

    def linked(pairs: dict[str, list[Any]]) -> dict[str, list[tuple[tuple[int, int], ...]]]:
        seen.update({language: len(found) for language, found in pairs.items()})
        return {language: [((0, i),) for i in range(len(found))] for language, found in pairs.items()}

    found = prepare._links(text, [("One", "house")], [("Ein", "Haus"), ("Yksi", "talo"), ("Das", "Haus")], linked)
    assert seen == {"de": 2, "fi": 1} and found == [((0, 0),), ((0, 0),), ((0, 1),)]


@pytest.mark.data
def test_dictionaries_are_read_where_there_are_any(published: None) -> None:
    languages = {language for language, _, _ in dictionary_entries()}
    assert {"de", "zh", "fi", "sr"} <= languages and not languages & {"sw", "yo"}
