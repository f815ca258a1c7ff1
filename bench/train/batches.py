"""From examples to batches: endless streams in length buckets, tensors on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from bench.api.method import Example, Group, Inputs, Ints
from bench.core.memo import Memo
from bench.core.sentences import tags_of
from bench.core.subwords import Pieces, Specials, layout, pieces_of

POOL = 32  # batches sorted by length together: enough to need little padding, few enough to stay random


class Collator:
    """Turns examples into Inputs, for one tokenizer and tag set.

    Each sentence is tokenised once; its sub-words are kept in `memo`, under the encoder's `key`.
    """

    def __init__(
        self,
        tokenizer: Any,
        tags: Sequence[str],
        max_length: int,
        device: torch.device,
        memo: Memo | None = None,
        key: str = "",
    ) -> None:
        self.tokenizer, self.max_length, self.device = tokenizer, max_length, device
        self.memo, self.key = Memo() if memo is None else memo, key
        self.specials = Specials.of(tokenizer)
        self.tag_ids = {tag: i for i, tag in enumerate(tags)}

    def pieces(self, examples: Sequence[Example]) -> list[Pieces]:
        """Sub-words of each example's sentence, in order."""
        sentences = {example.sentence.words: example.sentence for example in examples}
        known = {words: self.memo.get(("sub-words", self.key, words)) for words in sentences}
        new = [words for words, pieces in known.items() if pieces is None]
        for words, pieces in zip(new, pieces_of(self.tokenizer, [sentences[w] for w in new]), strict=True):
            known[words] = pieces
            # arrays, words, and what holds them
            size = 8 * (len(pieces.ids) + len(pieces.starts)) + 64 * len(words) + 512
            self.memo.put(("sub-words", self.key, words), pieces, size)
        return [known[example.sentence.words] for example in examples]

    def ids(self, pieces: Iterable[Pieces]) -> Ints:
        """The distinct sub-words (n,) in batches of these sentences, special ones and padding included."""
        specials = np.asarray([*self.specials.prefix, *self.specials.suffix, self.specials.pad], np.int64)
        return np.unique(np.concatenate([specials, *(sentence.ids for sentence in pieces)]))

    def __call__(self, examples: Sequence[Example], pieces: Sequence[Pieces], groups: Sequence[int]) -> Inputs:
        """Inputs of the sentences; `groups` holds the number of each one's group."""
        plan = layout(pieces, self.specials, self.max_length)
        labels = np.full(plan.words.shape, -100, np.int64)
        soft = np.zeros((*plan.words.shape, len(self.tag_ids)), np.float32)
        soft_mask = np.zeros(plan.words.shape, bool)
        for row, example in enumerate(examples):
            sentence = example.sentence
            if sentence.spans is not None:
                tags = tags_of(sentence.spans, len(sentence.words))
                labels[row, : len(tags)] = [self.tag_ids[tag] for tag in tags]
            if example.hard is not None:
                labels[row, : len(example.hard)] = example.hard
            if example.soft is not None:
                soft[row, : len(example.soft)] = example.soft
                soft_mask[row, : len(example.soft)] = True
        has_soft = bool(soft_mask.any())
        planned = ("ids", "mask", "real", "sentence", "words", "word_mask")
        return Inputs(
            **{name: self._tensor(getattr(plan, name)) for name in planned},
            labels=self._tensor(labels),
            soft=self._tensor(soft) if has_soft else None,
            soft_mask=self._tensor(soft_mask) if has_soft else None,
            weights=self._tensor(np.asarray([example.weight for example in examples], np.float32)),
            groups=self._tensor(np.asarray(groups, np.int64)),
            sentences=tuple(example.sentence for example in examples),
            tokens=plan.tokens,
        )

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)


class Stream:
    """One stream of a training set: endless batches of about `batch` sentences, whole groups, bucketed by length.

    Each pass is a fresh permutation.
    """

    def __init__(self, groups: Sequence[Group], batch: int, collator: Collator, rng: np.random.Generator) -> None:
        largest = max(len(group) for group in groups)
        if largest > batch:
            raise ValueError(f"a group of {largest} sentences does not fit a batch of {batch}")
        self.groups, self.batch, self.collator, self.rng = groups, batch, collator, rng
        examples = [example for group in groups for example in group]
        pieces = iter(collator.pieces(examples))
        self.pieces = [[next(pieces) for _ in group] for group in groups]
        self.lengths = np.asarray([max(len(p.ids) for p in group) for group in self.pieces])
        self.queue: list[list[int]] = []
        self.waiting: list[int] = []  # group indices drawn, in the order of the permutations
        sizes = {len(group) for group in groups}
        self.exact = len(sizes) == 1 and batch % largest == 0  # every batch is full, so pools leave nothing over
        self.drawn = 0  # groups

    def ids(self) -> Ints:
        """The distinct sub-words of its batches."""
        return self.collator.ids(pieces for group in self.pieces for pieces in group)

    def _fill(self) -> None:
        """Draw a pool of batches, sort it by length, cut it, shuffle; all have `batch` sentences or slightly fewer.

        A pool holds no group twice (unless a pass is smaller than a batch): sorted by length, the copies of a sentence
        from several passes would fill a batch. Groups that fill no batch wait for the next pool.
        """
        late: set[int] = set()
        while sum(len(self.groups[i]) for i in self.waiting) < self.batch:
            late = set(self.waiting)  # the next pass ends with the groups of this one that still wait
            self.waiting += sorted(self.rng.permutation(len(self.groups)).tolist(), key=late.__contains__)
        small = sum(map(len, self.groups)) < self.batch
        ends = np.cumsum([len(self.groups[i]) for i in self.waiting[: None if small else len(self.groups)]])
        whole = min(POOL, int(ends[-1]) // self.batch)
        size = int(np.searchsorted(ends, whole * self.batch, side="right"))
        # late groups go first if a cut leaves some over, or the longest would never be drawn; ties stay in random order
        first = set() if self.exact else late
        pool = sorted(self.waiting[:size], key=lambda i: (i not in first, int(self.lengths[i])))
        cut: list[list[int]] = [[]]
        room = self.batch
        for i in pool:
            if len(self.groups[i]) > room:
                cut.append([])
                room = self.batch
            cut[-1].append(i)
            room -= len(self.groups[i])
        self.waiting = [i for left_over in cut[whole:] for i in left_over] + self.waiting[size:]
        self.queue = [cut[i] for i in self.rng.permutation(whole)]

    def next(self) -> list[int]:
        """The groups of the next batch."""
        if not self.queue:
            self._fill()
        chosen = self.queue.pop()
        self.drawn += len(chosen)
        return chosen

    def take(self) -> Inputs:
        """The next batch."""
        chosen = self.next()
        examples = [example for i in chosen for example in self.groups[i]]
        pieces = [p for i in chosen for p in self.pieces[i]]
        return self.collator(examples, pieces, [i for i in chosen for _ in self.groups[i]])


def split_inputs(inputs: Inputs, parts: int, collator: Collator) -> list[Inputs]:
    """The batch cut into `parts` of whole groups, as even as groups allow, for `memory.Backoff`."""
    groups = inputs.groups.tolist()
    order = sorted(set(groups), key=groups.index)
    shares = [order[i::parts] for i in range(min(parts, len(order)))]
    out = []
    for share in shares:
        rows = [row for row, group in enumerate(groups) if group in set(share)]
        examples = []
        for row in rows:
            sentence, soft, length = inputs.sentences[row], None, len(inputs.sentences[row].words)
            if inputs.soft is not None and inputs.soft_mask is not None and inputs.soft_mask[row].any():
                soft = inputs.soft[row, :length].cpu().numpy()
            hard = inputs.labels[row, :length].cpu().numpy()
            examples.append(Example(sentence, soft, float(inputs.weights[row]), hard))
        out.append(collator(examples, collator.pieces(examples), [groups[row] for row in rows]))
    return out


def prefetched(streams: dict[str, Stream], steps: int, first: int = 0) -> Iterator[dict[str, Inputs]]:
    """Draws `first` to `steps` of one batch a stream; each is prepared while the device works on the one before."""
    for stream in streams.values():
        for _ in range(first):
            stream.next()
    with ThreadPoolExecutor(max_workers=1) as pool:

        def draw() -> dict[str, Inputs]:
            return {name: stream.take() for name, stream in streams.items()}

        coming = pool.submit(draw)
        for step in range(first, steps):
            current = coming.result()
            if step + 1 < steps:
                coming = pool.submit(draw)
            yield current
