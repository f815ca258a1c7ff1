"""The translator `frames`: parses a sentence of the demo corpus to its frame and renders it in another language."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.api.projection import CLOSE, OPEN
from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.sentences import Link, Sentence
from data_recipes.corpora.demo.corpus import candidates
from data_recipes.corpora.demo.grammar import Content, Placeholder, Rendered, links, parse, render
from data_recipes.corpora.demo.tables import LANGUAGES, Name

PROVENANCE = "frames (stands in for an MT system; synthetic)"


@dataclass(frozen=True)
class FramesParams:
    """`error_rate`: share of sentences with one translation error, drawn with `seed`."""

    error_rate: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise BadInput(f"translator frames: error_rate is {self.error_rate}, must be between 0 and 1")


class LinkedWords(NamedTuple):
    """The words of a translation, and their links with the source."""

    words: tuple[str, ...]
    links: tuple[Link, ...]


class FramesTranslator(Translator):
    """Exact on sentences of the demo corpus, with known links; a sentence that fits no frame is None, and counted.

    Square brackets around entities and placeholders (`PER0`) in place of names are kept; no other word is translated.
    """

    name = "frames"
    version = 1
    Params = FramesParams

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations with the ids and groups of the sentences, without tags; the counts add up to the sentences."""
        targets: list[Sentence | None] = []
        all_links: list[tuple[Link, ...] | None] = []
        counts = {"parsed": 0, "failed": 0, "errors": 0}
        for sentence in sentences:
            for language in (sentence.language, target):
                if language not in LANGUAGES:
                    raise Unavailable(f"translator frames: no language {language!r}{nearest(language, LANGUAGES)}")
            if sentence.language == target:
                raise Unavailable(f"translator frames: source and target language are both {target!r}")
            content = parse(sentence.words, sentence.language, sentence.spans)
            source = content and render(content, sentence.language)
            if content is None or source is None or len(source.words) != len(sentence.words):
                counts["failed"] += 1
                targets.append(None)
                all_links.append(None)
                continue
            counts["parsed"] += 1
            rng = random.Random(f"frames/{self.params.seed}/{sentence.id}/{sentence.language}/{target}")
            wrong = rng.random() < self.params.error_rate
            counts["errors"] += wrong
            draft = _wrong(rng, content, source, target) if wrong else _right(content, source, target)
            targets.append(Sentence(sentence.id, target, draft.words, None, sentence.group))
            all_links.append(draft.links)
        return Translated(tuple(targets), tuple(all_links), PROVENANCE, counts)


def _right(content: Content, source: Rendered, target: str) -> LinkedWords:
    side = render(content, target)
    return LinkedWords(side.words, links(source, side))


def _wrong(rng: random.Random, content: Content, source: Rendered, target: str) -> LinkedWords:
    """The translation with one error of a kind that this sentence can have."""
    words, linked = _right(content, source, target)
    marks = [i for i, word in enumerate(words) if word in (OPEN, CLOSE)]
    marks += [words.index(name.text) for name in content.names.values() if isinstance(name, Placeholder)]
    named = sorted(number for number, name in content.names.items() if isinstance(name, Name))
    plain = [i for i in range(len(words)) if i not in marks]
    swaps = [i for i in plain if i + 1 in plain and words[i] != words[i + 1]]
    kinds = {"drop": plain, "swap": swaps, "name": named, "mark": marks}
    kind = rng.choice([kind for kind, places in kinds.items() if places])
    place = rng.choice(kinds[kind])
    if kind in ("drop", "mark"):  # without one word
        shorter = words[:place] + words[place + 1 :]
        return LinkedWords(shorter, tuple((i, j - (j > place)) for i, j in linked if j != place))
    if kind == "swap":  # a word and the next one change places
        order = {place: place + 1, place + 1: place}
        swapped = tuple(words[order.get(i, i)] for i in range(len(words)))
        return LinkedWords(swapped, tuple(sorted((i, order.get(j, j)) for i, j in linked)))
    # another name of the same type and split: an error never shows a test name to a training text
    old = content.names[place]
    assert isinstance(old, Name)
    others = [name for name in candidates(old.split, old.type, True, False) if name not in content.names.values()]
    return _right(content._replace(names={**content.names, place: rng.choice(others)}), source, target)
