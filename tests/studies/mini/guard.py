"""No sentence on which anything is tested may be among those that `mini` is trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from bench.api.source_files import held_out
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Sentence, letters_of
from data_recipes.corpora.europarl_ner.corpus import read_side
from data_recipes.corpora.uner_pud.gold import GOLD
from data_recipes.corpora.uner_pud.pud import TRANSLATIONS, english, translations
from data_recipes.encoders.mini.text import LANGUAGES


def check(sentences: Iterable[str]) -> int:
    """Compare the training text with every test, PUD and FLORES test that is here; how many sentences those are.

    Raises:
        BadInput: sentences are the same but for case, white space and punctuation: how many, and the first.
    """
    tested = {letters_of(text) for text in tests()}
    if shared := sorted({text for text in sentences if letters_of(text) in tested}):
        raise BadInput(f"mini would be trained on {len(shared)} test sentences, such as '{shared[0][:80]}'")
    return len(tested)


def tests() -> Iterator[str]:
    """NER tests and PUD in every language, both sides of FLORES test; what is not here cannot be compared."""
    readers: list[Callable[[], Iterable[Sentence]]] = [
        english,
        lambda: read_side("en"),
        *(partial(GOLD[language].read, language, "test") for language in sorted(GOLD)),
        *(partial(_translated, language) for language in TRANSLATIONS),
    ]
    for reader in readers:
        try:
            yield from (sentence.text for sentence in reader())
        except Unavailable:
            continue
    for language in LANGUAGES:
        try:
            held = held_out(language, "test")
        except Unavailable:
            continue
        if held.text == "FLORES":
            yield from held.english
        yield from held.other


def _translated(language: str) -> Iterable[Sentence]:
    return translations(language).values()
