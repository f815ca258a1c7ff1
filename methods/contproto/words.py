"""What spans read off words, and words off spans: sub-words, capitals, and the tags' probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.api.method import Inputs
from bench.core.sentences import Sentence, Span


def covering_width(sentences: Iterable[Sentence], coverage: float) -> int:
    """The least number of words that at least a share `coverage` of the entities do not exceed; 1 without entities."""
    widths = sorted(span.end - span.start for sentence in sentences for span in sentence.spans or ())
    return widths[max(1, math.ceil(coverage * len(widths) - 1e-9)) - 1] if widths else 1


def wider(sentences: Iterable[Sentence], width: int) -> int:
    """How many entities have more than `width` words."""
    return sum(span.end - span.start > width for sentence in sentences for span in sentence.spans or ())


def most_probable(found: Iterable[tuple[float, Span]]) -> tuple[Span, ...]:
    """Of (probability, span), those that overlap no more probable one; ties: the earlier, then the shorter."""
    taken: set[int] = set()
    kept = []
    for _, span in sorted(found, key=lambda one: (-one[0], one[1])):
        words = range(span.start, span.end)
        if taken.isdisjoint(words):
            taken.update(words)
            kept.append(span)
    return tuple(sorted(kept))


def capital_kind(word: str) -> int:
    """0 anything else, 1 all lower case, 2 one capital first, 3 all capitals, 4 digits."""
    if word.isdigit():
        return 4
    if word.islower():
        return 1
    if word.istitle():  # a single capital is one, too
        return 2
    return 3 if word.isupper() else 0


def capital_kinds(sentences: Sequence[Sentence], words: int, kinds: int) -> npt.NDArray[np.int64]:
    """(S, N, kinds): 1 at each word's kind, nothing beyond a sentence's end."""
    found = np.zeros((len(sentences), words, kinds), np.int64)
    for row, sentence in enumerate(sentences):
        for at, word in enumerate(sentence.words):
            found[row, at, capital_kind(word)] = 1
    return found


def pieces_of_words(inputs: Inputs) -> Tensor:
    """Sub-words of each word (S, N), 0 beyond a sentence's end; a word cut off by its window counts what is read."""
    first = inputs.words[inputs.word_mask]  # grows from word to word: windows lie in the order of the sentences
    is_first = torch.zeros(inputs.real.numel(), dtype=torch.int64, device=first.device)
    is_first[first] = 1
    of_word = (is_first.cumsum(0) - 1)[inputs.real.flatten()]
    counts = torch.zeros_like(inputs.words)
    counts[inputs.word_mask] = torch.bincount(of_word, minlength=len(first))
    return counts


def word_logits(odds: Tensor, far: float) -> Tensor:
    """Logits (S, N, C) of the words' tags from log odds (S, N, W, T) of spans to be of a type rather than O.

    A word's probability of B-X is that of the case that exactly one span over it is an entity, of type X and begins
    here, given that at most one is: O weighs 1, B-X the sum of the odds of spans that begin here, I-X of those that
    began before. `far` are the log odds of what is no span.
    """
    count, words, width, _ = odds.shape
    begins = odds.logsumexp(2)
    reaching = odds.flip(2).logcumsumexp(2).flip(2)  # of at least so many words
    before = [pad(reaching[:, : words - d, d], (0, 0, d, 0), value=far) for d in range(1, min(width, words))]
    inside = torch.stack(before).logsumexp(0) if before else torch.full_like(begins, far)
    entity = torch.stack([begins, inside], -1).flatten(2)  # B and I of the first type, of the second, …
    return torch.cat([entity.new_zeros(count, words, 1), entity], -1)
