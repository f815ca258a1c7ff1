"""Words ↔ sub-words, and windows over long sentences. NumPy only, so that plans and help never wait for torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.core.sentences import Sentence

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A sentence in sub-words, without special tokens: `ids` (pieces,), and `starts` (words,), each word's first piece
    that covers one of its characters, whose state is the word's."""

    ids: Ints
    starts: Ints


@dataclass(frozen=True, slots=True)
class Specials:
    """What a tokenizer puts around a sentence, and its padding and unknown ids."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int
    unknown: int

    @classmethod
    def of(cls, tokenizer: Any) -> Specials:
        """Read off the tokenizer itself, since templates differ by family."""
        bare = tokenizer("a", add_special_tokens=False)["input_ids"]
        full = tokenizer("a")["input_ids"]
        for at in range(len(full) - len(bare) + 1):
            if full[at : at + len(bare)] == bare:
                break
        else:
            raise ValueError("the tokenizer changes a word when it adds special tokens")
        unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        return cls(tuple(full[:at]), tuple(full[at + len(bare) :]), pad, unknown if unknown is not None else pad)


def bare_marks(tokenizer: Any) -> frozenset[int]:
    """Ids of the pieces that only mark where a word begins: a lone ▁ (SentencePiece) or Ġ (byte-level BPE).

    With XLM-R's tokenizers most Chinese words begin with such a piece, which says nothing about the word.
    """
    marks = (tokenizer.convert_tokens_to_ids(mark) for mark in "▁Ġ")
    known = {mark for mark in marks if mark is not None and mark != tokenizer.unk_token_id}
    return frozenset(mark for mark in known if not tokenizer.decode([mark]).strip())  # a letter to other tokenizers


def pieces_of(tokenizer: Any, sentences: Sequence[Sentence]) -> list[Pieces]:
    """Sub-words of each sentence; a word that the tokenizer drops (a control character) becomes the unknown piece.

    A word's first piece is the first that covers one of its characters (`bare_marks`), or its last if none does: every
    word has one, so every gold label is scored.
    """
    if not sentences:
        return []
    unknown, bare = Specials.of(tokenizer).unknown, bare_marks(tokenizer)
    words = [list(sentence.words) for sentence in sentences]
    encoded = tokenizer(words, is_split_into_words=True, add_special_tokens=False, verbose=False)
    out = []
    for index, sentence in enumerate(sentences):
        ids: list[int] = []
        starts: list[int] = []
        for piece, word in zip(encoded["input_ids"][index], encoded.word_ids(index), strict=True):
            while len(starts) < word:  # earlier words without a piece
                starts.append(len(ids))
                ids.append(unknown)
            if len(starts) == word:
                starts.append(len(ids))
            elif ids[starts[word]] in bare:
                starts[word] = len(ids)
            ids.append(piece)
        while len(starts) < len(sentence.words):
            starts.append(len(ids))
            ids.append(unknown)
        out.append(Pieces(np.asarray(ids, np.int64), np.asarray(starts, np.int64)))
    return out


@dataclass(frozen=True, slots=True)
class Window:
    """Pieces `start` to `end` of a sentence; it answers for the words `first` to `last` (exclusive)."""

    start: int
    end: int
    first: int
    last: int


def windows_of(pieces: Pieces, room: int) -> list[Window]:
    """Overlapping windows of at most `room` pieces that answer for every word exactly once.

    Neighbours share about a quarter of their room; a word in the shared part is read where it has more context. Of a
    word longer than the room only the first pieces stay, which include the labelled one.
    """
    if room < 1:
        raise ValueError(f"no room for a word: {room} pieces")
    total, n_words = len(pieces.ids), len(pieces.starts)
    if total <= room:
        return [Window(0, total, 0, n_words)]
    ends = np.append(pieces.starts[1:], total)
    reach: list[tuple[int, int]] = []  # words read by each window
    word = 0
    while True:
        start = int(pieces.starts[word])
        last = max(int(np.searchsorted(ends, start + room, side="right")), word + 1)
        if not reach or last > reach[-1][1]:  # before a word longer than the room the next start may reach no further
            reach.append((word, last))
        if last >= n_words:
            break
        word = max(int(np.searchsorted(pieces.starts, pieces.starts[last] - room // 4)), word + 1)
    borders = [0, *((reach[i + 1][0] + reach[i][1]) // 2 for i in range(len(reach) - 1)), n_words]
    return [
        Window(int(pieces.starts[a]), min(int(ends[b - 1]), int(pieces.starts[a]) + room), borders[i], borders[i + 1])
        for i, (a, b) in enumerate(reach)
    ]


@dataclass(frozen=True, slots=True)
class Layout:
    """A batch of sentences as windows.

    Shapes: `ids`, `mask` (windows, length); `sentence` (windows,) the sentence of each; `real` (windows, length) the
    pieces that count for the sentence vector; `words` (sentences, words) the flat index into (windows × length) of each
    word's first piece, 0 where `word_mask` is False.
    """

    ids: Ints
    mask: Ints
    sentence: Ints
    real: npt.NDArray[np.bool_]
    words: Ints
    word_mask: npt.NDArray[np.bool_]

    @property
    def tokens(self) -> int:
        """Real sub-words, special tokens included, padding left out."""
        return int(self.mask.sum())


def layout(batch: Sequence[Pieces], specials: Specials, max_length: int) -> Layout:
    """Lay sentences out as padded windows of at most `max_length` pieces with special tokens."""
    room = max_length - len(specials.prefix) - len(specials.suffix)
    rows = [(i, window) for i, pieces in enumerate(batch) for window in windows_of(pieces, room)]
    shift = len(specials.prefix)
    length = max(w.end - w.start for _, w in rows) + shift + len(specials.suffix)
    ids = np.full((len(rows), length), specials.pad, np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    real = np.zeros((len(rows), length), bool)
    words = np.zeros((len(batch), max(1, max(len(p.starts) for p in batch))), np.int64)
    word_mask = np.zeros(words.shape, bool)
    for row, (i, w) in enumerate(rows):
        inner = batch[i].ids[w.start : w.end]
        used = shift + len(inner) + len(specials.suffix)
        ids[row, :used] = [*specials.prefix, *inner, *specials.suffix]
        mask[row, :used] = 1
        own = batch[i].starts[w.first : w.last]
        words[i, w.first : w.last] = row * length + shift + own - w.start
        word_mask[i, w.first : w.last] = True
        stop = batch[i].starts[w.last] if w.last < len(batch[i].starts) else w.end
        begin = batch[i].starts[w.first] if w.last > w.first else w.start
        real[row, shift + begin - w.start : shift + min(int(stop), w.end) - w.start] = True
    return Layout(ids, mask, np.asarray([i for i, _ in rows], np.int64), real, words, word_mask)
