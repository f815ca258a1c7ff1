"""A span classifier as a tagger: every span of up to W words gets a class; overlaps; probabilities of words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bench.api.method import Batch, Inputs, Predictions
from bench.core.sentences import Sentence, Span

FEATURE = 50  # dimensions of each embedding beside the two word states
MOST_PIECES = 32  # spans of more sub-words share an embedding
KINDS = 5  # of capitalisation
FAR = -1e4  # log odds where there is no span


@dataclass(frozen=True, slots=True, eq=False)
class SpanBatch(Batch):
    """A batch with its M candidate spans, sentence by sentence, by first word, the shorter first.

    Shapes: `rows`, `starts`, `ends` (M,), the last exclusive; `features` (M, D); `scores` (M, K), K classes, O first.
    """

    rows: Tensor
    starts: Tensor
    ends: Tensor
    features: Tensor
    scores: Tensor


def candidates(word_mask: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sentence, first word and end (exclusive) of every span of up to `width` words; of a mask (S, N)."""
    at = torch.arange(word_mask.shape[1], device=word_mask.device)
    offsets = torch.arange(width, device=word_mask.device)
    inside = at[None, :, None] + offsets < word_mask.sum(1)[:, None, None]
    rows, starts, wider = inside.nonzero().unbind(1)
    return rows, starts, starts + wider + 1


def gold_classes(batch: SpanBatch, types: Sequence[str], width: int) -> Tensor:
    """Class of each candidate (M,), 0 where it is no entity. An entity wider than `width` has no candidate."""
    count, words = batch.inputs.word_mask.shape
    dense = np.zeros((count, words, width), np.int64)
    for row, sentence in enumerate(batch.inputs.sentences):
        for start, end, type_ in sentence.spans or ():
            if end - start <= width:
                dense[row, start, end - start - 1] = 1 + types.index(type_)
    classes = torch.from_numpy(dense).to(batch.rows.device)
    return classes[batch.rows, batch.starts, batch.ends - batch.starts - 1]


class SpanTagger(nn.Module):
    """Encoder; start and end vectors, sub-words, width and capitalisation of each span; two layers to O and the types.

    `head` > 0 adds the projection that contrast and prototypes see (H → `head`, two layers), in training only.
    """

    def __init__(self, base: Any, width: int, head: int = 0) -> None:
        super().__init__()
        self.encoder: Any = base.encoder
        self.classifier: Any = base.classifier  # never trained here, but a distilled student starts from it
        self.tags: tuple[str, ...] = base.tags
        self.types = tuple(tag[2:] for tag in self.tags if tag.startswith("B-"))
        self.width = width
        self.pooling: Literal["mean", "cls"] = "mean"
        self.pooled_layer: Literal["last", "first"] = "last"
        self.watch: Callable[[Sentence, Tensor], None] | None = None  # receives a sentence's span probabilities (m, K)
        self.prototypes: Any = None
        hidden = int(base.classifier.in_features)
        size = 2 * hidden + 3 * FEATURE
        self.dropout = nn.Dropout(base.dropout.p)
        self.by_pieces = nn.Embedding(MOST_PIECES + 1, FEATURE)
        self.by_width = nn.Embedding(width, FEATURE)
        self.by_capitals = nn.Embedding(KINDS, FEATURE)
        self.scorer = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, 1 + len(self.types)))
        self.projection = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, head)) if head else None
        for table in (self.by_pieces, self.by_width, self.by_capitals):
            nn.init.normal_(table.weight, std=0.02)
        base.classifier, base.dropout = nn.Identity(), nn.Identity()
        self._base = (base,)  # reads the words; its modules are those above, not registered twice

    def read(self, inputs: Inputs) -> SpanBatch:
        """Word states, candidate spans and their scores; `logits` (S, N, C) are the words' (see `word_logits`)."""
        words: Batch = self._base[0].read(inputs)
        rows, starts, ends = candidates(inputs.word_mask, self.width)
        features = self.dropout(self._features(inputs, words.states, rows, starts, ends))
        scores = self.scorer(features).float()
        odds = scores.new_full((*inputs.word_mask.shape, self.width, len(self.types)), FAR)
        odds = odds.index_put((rows, starts, ends - starts - 1), scores[:, 1:] - scores[:, :1])
        logits = word_logits(odds, FAR)
        return SpanBatch(inputs, words.states, words.pooled, logits, rows, starts, ends, features, scores)

    def _features(self, inputs: Inputs, states: Tensor, rows: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """(M, D) of each span: two word states and three embeddings."""
        kinds = np.zeros((*inputs.word_mask.shape, KINDS), np.int64)  # 1 at each word's kind
        for row, sentence in enumerate(inputs.sentences):
            kinds[row, range(len(sentence.words)), [capital_kind(word) for word in sentence.words]] = 1
        capitals = torch.from_numpy(kinds).to(rows.device)
        counted = torch.cat([pieces_of_words(inputs)[..., None], capitals], -1)  # (S, N, 1 + KINDS), whole numbers
        sums = torch.cat([torch.zeros_like(counted[:, :1]), counted.cumsum(1)], 1)
        of_span = sums[rows, ends] - sums[rows, starts]
        pieces, width = self.by_pieces(of_span[:, 0].clamp_max(MOST_PIECES)), self.by_width(ends - starts - 1)
        kind = of_span[:, 1:].to(self.by_capitals.weight.dtype) @ self.by_capitals.weight  # the sum over the words
        return torch.cat([states[rows, starts], states[rows, ends - 1], pieces, width, kind], -1)

    def project(self, batch: SpanBatch) -> Tensor:
        """Unit vectors q (M, head) of the candidates."""
        assert self.projection is not None
        return nn.functional.normalize(self.projection(batch.features).float(), dim=-1)

    def decode(self, batch: Batch) -> Predictions:
        """Entities by their spans' most probable classes, the more probable where two overlap; words by `logits`."""
        assert isinstance(batch, SpanBatch)
        of_words = torch.softmax(batch.logits, -1).cpu().numpy()
        of_spans = torch.softmax(batch.scores, -1).cpu()
        best = of_spans.argmax(-1).tolist()
        high, starts, ends = of_spans.amax(-1).tolist(), batch.starts.tolist(), batch.ends.tolist()
        borders = np.searchsorted(batch.rows.cpu().numpy(), np.arange(len(batch.inputs.sentences) + 1)).tolist()
        spans = []
        for sentence, low, top in zip(batch.inputs.sentences, borders, borders[1:], strict=False):
            entities = [i for i in range(low, top) if best[i]]
            spans.append(most_probable((high[i], Span(starts[i], ends[i], self.types[best[i] - 1])) for i in entities))
            if self.watch is not None:
                self.watch(sentence, of_spans[low:top].clone())
        lengths = [len(sentence.words) for sentence in batch.inputs.sentences]
        return Predictions(tuple(spans), tuple(of_words[row, :n] for row, n in enumerate(lengths)))


# --- features of spans, and tags of words from spans ------------------------------------------------------------------


def most_probable(probable: Iterable[tuple[float, Span]]) -> tuple[Span, ...]:
    """Of (probability, span), those that overlap no more probable one; ties: the earlier, then the shorter."""
    taken: set[int] = set()
    kept = []
    for _, span in sorted(probable, key=lambda item: (-item[0], item[1])):
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
