"""Class prototypes, class margins, and the soft labels of target spans that they refine (ContProto, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api.method import Step
from bench.core.sentences import Span
from methods.contproto.words import most_probable

if TYPE_CHECKING:
    from methods.contproto.method import ContprotoParams

Words = tuple[str, ...]
STANDING = ("epoch", "phi", "_first", "_last")


def moved(vectors: Tensor, q: Tensor, classes: Tensor, momentum: float) -> Tensor:
    """Prototypes (K, Q) after spans q (M, Q) of the classes (M,): span by span `p ← m·p + (1−m)·q`, then unit length.

    In one product instead of a loop. A prototype that has seen no span stays zero.
    """
    member = F.one_hot(classes, len(vectors))
    later = member.sum(0) - member.cumsum(0)  # spans of the class that come after this one
    share = (1 - momentum) * momentum ** later.to(q.dtype) * member
    kept = momentum ** member.sum(0).to(q.dtype)
    return F.normalize(vectors * kept[:, None] + share.T @ q, dim=-1)


def refined(soft: Tensor, similarity: Tensor, margins: Tensor, phi: float) -> Tensor:
    """Soft labels (M, K) after one update: `s ← norm(φ·s + (1−φ)·onehot(nearest prototype))`.

    `similarity` (M, K) to the prototypes, −inf where there is none yet. Where the nearest is an entity's, only if the
    similarity exceeds that class's margin (K,); towards O always.
    """
    highest, nearest = similarity.max(-1)
    moves = (nearest == 0) | (highest > margins[nearest])
    mixed = phi * soft + (1 - phi) * F.one_hot(nearest, soft.shape[-1])
    return torch.where(moves[:, None], mixed / mixed.sum(-1, keepdim=True), soft)


class Prototypes(nn.Module):
    """What a student remembers from step to step; the tensors are buffers, the soft labels are kept by words."""

    vectors: Tensor
    margins: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, types: Sequence[str], width: int, params: ContprotoParams, soft: Mapping[Words, Tensor]) -> None:
        super().__init__()
        classes = 1 + len(types)
        self.register_buffer("vectors", torch.zeros(classes, params.head))
        self.register_buffer("margins", torch.ones(classes))  # no mean yet: nothing is similar enough
        self.register_buffer("sums", torch.zeros(classes))
        self.register_buffer("counts", torch.zeros(classes))
        self.soft = {words: labels.clone() for words, labels in soft.items()}
        self.types, self.width, self.params = types, width, params
        self.labels = [self.entities()]  # the teacher's, then as they were when each epoch began
        self.epoch = 0  # labels are refined from the first on
        self.phi = params.phi[0]
        self._first = 0.0  # share of the budget before that epoch
        self._last = -1  # step

    def entities(self) -> dict[Words, tuple[Span, ...]]:
        """What the soft labels say now, as entities of each sentence."""
        found = {}
        for words, soft in self.soft.items():
            high, best = soft.cpu().max(-1)
            spans = [(a, b) for a in range(len(words)) for b in range(a + 1, min(len(words), a + self.width) + 1)]
            entities = [
                (float(high[i]), *spans[i], self.types[int(best[i]) - 1]) for i in best.nonzero()[:, 0].tolist()
            ]
            found[words] = most_probable((p, Span(start, end, type_)) for p, start, end, type_ in entities)
        return found

    def begin(self, share: float) -> None:
        """A new epoch, `share` of the budget being done: margins of the last one, and its φ."""
        self.labels.append(self.entities())
        self.margins = torch.where(self.counts > 0, self.sums / self.counts.clamp_min(1), self.margins)
        self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)
        if not self.epoch:
            self._first = share
        self.epoch += 1
        start, end = self.params.phi
        self.phi = start + (end - start) * (share - self._first) / max(1 - self._first, 1e-9)

    def carried(self) -> dict[str, Any]:
        """What is in no buffer: the soft labels (all spans, K), sentence by sentence, and where the epochs stand."""
        kept = {name: getattr(self, name) for name in STANDING}
        labels = [list(found.values()) for found in self.labels]
        return kept | {"labels": labels, "soft": torch.cat([soft.cpu() for soft in self.soft.values()])}

    def carry_on(self, carried: Mapping[str, Any]) -> None:
        """Put it back, the teacher's soft labels being those of before."""
        for name in STANDING:
            setattr(self, name, carried[name])
        blocks = carried["soft"].split([len(soft) for soft in self.soft.values()])
        self.soft = dict(zip(self.soft, (block.clone() for block in blocks), strict=True))
        self.labels = [
            {words: tuple(Span(*span) for span in spans) for words, spans in zip(self.soft, found, strict=True)}
            for found in carried["labels"]
        ]

    @torch.no_grad()
    def learn(self, step: Step, source: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Soft labels (M, K) of the target spans for this step, after prototypes and, from epoch 1, labels moved.

        `source`: q and gold classes of the source spans; `target`: q of the target spans, sentence by sentence.
        """
        assert step.unlabelled is not None
        sentences = step.unlabelled.inputs.sentences
        missing = next((s for s in sentences if s.words not in self.soft), None)
        if missing is not None:
            raise ValueError(f"sentence {missing.id} has no soft labels: the teacher did not see it in `prepare`")
        blocks = [self.soft[s.words].to(target.device) for s in sentences]
        soft = torch.cat(blocks)
        if step.number <= self._last:  # the same step again, for lack of memory: it has moved all this already
            return soft
        self._last = step.number
        if not self.epoch and 2 * step.number >= step.total:
            self.begin(step.number / step.total)  # a budget of hardly two passes refines in its second half
        current = soft.argmax(-1)
        self.vectors = moved(self.vectors, *source, self.params.momentum)
        self.vectors = moved(self.vectors, target, current, self.params.momentum)
        similarity = target @ self.vectors.T
        member = F.one_hot(current, len(self.vectors)).to(similarity.dtype)
        self.sums, self.counts = self.sums + (similarity * member).sum(0), self.counts + member.sum(0)
        if self.epoch:
            there = self.vectors.any(-1)
            soft = refined(soft, similarity.masked_fill(~there, float("-inf")), self.margins, self.phi)
            for sentence, block in zip(sentences, soft.split([len(b) for b in blocks]), strict=True):
                self.soft[sentence.words] = block.clone()
        return soft
