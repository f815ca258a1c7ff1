"""Words of translations rewritten as their language's test has them: characters, contractions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.core.sentences import Sentence, Span

# German prepositions and articles that Universal Dependencies take apart. Only forms that are nearly always
# contracted: of these word pairs NTREX's German writes 93 % in one word (where no comma stands before), but `in das` in
# half of the cases only.
_CONTRACTED = {
    ("an", "dem"): "am",
    ("bei", "dem"): "beim",
    ("in", "dem"): "im",
    ("von", "dem"): "vom",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
}


def simplifier() -> Callable[[Sentence], Sentence]:
    """Traditional characters as simplified ones, word by word, so that words and spans stay (OpenCC's t2s)."""
    from opencc import OpenCC

    converter = OpenCC("t2s")  # reads its dictionaries: once for all sentences
    return lambda sentence: replace(sentence, words=tuple(converter.convert(word) for word in sentence.words))


def contracted(sentence: Sentence) -> Sentence:
    """German `an dem` as `am` and the like, spans moved with the words.

    Not after a comma, where it is mostly a relative clause (", in dem"), and not across the edge of an entity.
    """
    edges = {edge for span in sentence.spans or () for edge in (span.start, span.end)}
    words: list[str] = []
    place: list[int] = []  # new position of each word
    for number, word in enumerate(sentence.words):
        before = sentence.words[number - 1] if number else ""
        joined = _CONTRACTED.get((before.lower(), word), "")
        comma = number > 1 and sentence.words[number - 2] == ","
        if joined and not comma and number not in edges:
            words[-1] = joined.capitalize() if before[0].isupper() else joined
        else:
            words.append(word)
        place.append(len(words) - 1)
    if sentence.spans is None:
        return replace(sentence, words=tuple(words))
    spans = tuple(Span(place[start], place[end - 1] + 1, type_) for start, end, type_ in sentence.spans)
    return replace(sentence, words=tuple(words), spans=spans)
