"""Steps of `mini`'s training: batches of about one length, English with foreign words in it, masked pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from data_recipes.encoders.tiny.encoder import SPECIAL
from tests.studies.mini.prepare import ENGLISH, ENTRY, FOREIGN, Ints, Prepared
from tests.studies.mini.recipe import Diet
from tests.studies.mini.vocabulary import LENGTH

PAD, UNK, CLS, SEP, MASK = (SPECIAL.index(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))


@dataclass(frozen=True, slots=True)
class Batch:
    """N examples of at most L pieces, W words in all and R rows."""

    ids: torch.Tensor  # (N, L)
    mask: torch.Tensor  # (N, L)
    word: torch.Tensor  # (N, L) number of the word among W, -1: no word
    rows: torch.Tensor  # (R,) rows of the teacher's vectors
    row_at: torch.Tensor  # (W,) where each word's rows start
    linked: torch.Tensor  # (W,) whether it has any
    surface: torch.Tensor  # (W,) the English word it stands for, of several the first
    capital: torch.Tensor  # (W,)
    example: torch.Tensor  # (W,) the example it is of

    @property
    def tokens(self) -> int:
        """Pieces that are no padding."""
        return int(self.mask.sum())


class Kitchen:
    """Draws batches; the same for a seed and a step, wherever training was interrupted."""

    def __init__(self, data: Prepared, diet: Diet, seed: int, vocabulary: Mapping[str, int]) -> None:
        self.data, self.diet, self.seed, self.vocabulary = data, diet, seed, vocabulary
        self.pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        self.lengths = np.minimum(np.add.reduceat(np.diff(data.piece_at)[data.words], data.word_at[:-1]), LENGTH - 2)
        self.entry_ids = np.flatnonzero((data.kind == ENTRY) & (self.lengths <= diet.longest_entry))
        self.english_ids = np.flatnonzero(data.kind == ENGLISH)
        foreign = np.flatnonzero(data.kind == FOREIGN)
        self.foreign_ids = foreign
        order = np.argsort(data.line[foreign], kind="stable")
        lines = data.line[foreign][order]
        self.of_line = np.split(foreign[order], np.searchsorted(lines, np.arange(1, len(self.english_ids))))
        self.first_row = data.rows[data.row_at[data.word_at[self.english_ids]]]

    def epoch(self, number: int) -> list[Ints]:
        """The sentences of every step of an epoch."""
        rng = np.random.default_rng([self.seed, 1, number])
        whole, part = divmod(self.diet.english, 1)
        english = [self.english_ids] * int(whole)
        english.append(self.english_ids[rng.random(len(self.english_ids)) < part])
        chosen = np.concatenate([self.foreign_ids, *english])
        noisy = self.lengths[chosen] * rng.uniform(0.9, 1.1, len(chosen))  # other neighbours in every epoch
        batches: list[Ints] = []
        begin, ordered = 0, chosen[np.argsort(noisy)]
        longest = 0
        for i, example in enumerate(ordered):
            longest = max(longest, int(self.lengths[example]) + 2)
            if longest * (i - begin + 1) > self.diet.tokens and i > begin:
                batches.append(ordered[begin:i])
                begin, longest = i, int(self.lengths[example]) + 2
        batches.append(ordered[begin:])
        return [batches[i] for i in rng.permutation(len(batches))]

    def steps(self, start: int, total: int) -> Iterator[tuple[Batch, Batch]]:
        """Sentences and dictionary entries of the steps from `start` up to `total`."""
        step = epoch = 0
        while step < total:
            for chosen in self.epoch(epoch):
                if step >= start:
                    rng = np.random.default_rng([self.seed, 2, step])
                    entries = rng.choice(self.entry_ids, min(self.diet.entries, len(self.entry_ids)), replace=False)
                    yield self.batch(chosen, rng), self.batch(entries, rng)
                step += 1
                if step >= total:
                    return
            epoch += 1

    def batch(self, chosen: Ints, rng: np.random.Generator) -> Batch:
        """These examples as tensors; what does not fit into an input is left out."""
        read = [self._read(int(i), rng) for i in chosen]
        examples = [([self._pieces(w, rng) for w in words], bags) for words, bags in read]
        longest = max(sum(map(len, words)) for words, _ in examples) + 2
        shape = (len(examples), min(longest, LENGTH))
        ids, word = np.full(shape, PAD), np.full(shape, -1)
        rows: list[int] = []
        row_at: list[int] = []
        owner: list[int] = []
        first: list[int] = []
        for n, (words, bags) in enumerate(examples):
            ids[n, 0], at = CLS, 1
            for pieces, bag in zip(words, bags, strict=True):
                if at + len(pieces) > shape[1] - 1:
                    break
                ids[n, at : at + len(pieces)] = pieces
                word[n, at : at + len(pieces)] = len(row_at)
                at += len(pieces)
                row_at.append(len(rows))
                owner.append(n)
                first.append(int(bag[0]) if len(bag) else -1)
                rows.extend(bag.tolist())
            ids[n, at] = SEP
        ids[(rng.random(shape) < self.diet.masked) & (word >= 0)] = MASK
        begins = np.array(first)
        linked = begins >= 0
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy((ids != PAD).astype(np.int64)),
            torch.from_numpy(word),
            torch.tensor(rows),
            torch.tensor(row_at),
            torch.from_numpy(linked),
            torch.from_numpy(np.where(linked, self.data.surface[begins], -1)),
            torch.from_numpy(np.where(linked, self.data.capital[begins], 0)),
            torch.tensor(owner),
        )

    def _pieces(self, word: int, rng: np.random.Generator) -> Sequence[int]:
        """The tokenizer's pieces of a word; now and then others (MaxMatch-Dropout, Hiraoka 2022), so that rare words,
        which are cut, are not the only ones that are read in pieces."""
        ids: list[int] = self.data.pieces[self.data.piece_at[word] : self.data.piece_at[word + 1]].tolist()
        if not self.diet.resplit or rng.random() >= self.diet.resplit or UNK in ids:
            return ids
        letters = "".join(self.pieces[i].removeprefix("##") for i in ids)
        return resplit(letters, self.vocabulary, self.diet.refused, rng) or ids

    def _read(self, i: int, rng: np.random.Generator) -> tuple[list[int], list[Ints]]:
        """Words and their rows; now and then with words of a translation in place of the English ones."""
        words, bags = self.data.example(i).tolist(), self.data.bags(i)
        if self.data.kind[i] != ENGLISH or rng.random() >= self.diet.switched:
            return words, bags
        line = int(self.data.line[i])
        if not len(self.of_line[line]):
            return words, bags
        other = int(rng.choice(self.of_line[line]))
        for word, bag in zip(self.data.example(other).tolist(), self.data.bags(other), strict=True):
            if len(bag) == 1 and rng.random() < self.diet.exchanged:
                words[int(bag[0] - self.first_row[line])] = word
        return words, bags


def resplit(word: str, vocabulary: Mapping[str, int], refused: float, rng: np.random.Generator) -> list[int]:
    """Pieces of a word by longest match, each match of two letters or more refused with a probability; [] if stuck."""
    found: list[int] = []
    at = 0
    while at < len(word):
        for end in range(len(word), at, -1):
            piece = vocabulary.get(("##" if at else "") + word[at:end])
            if piece is not None and (end == at + 1 or rng.random() >= refused):
                break
        else:
            return []
        found.append(piece)
        at = end
    return found
