"""ContProto's losses over spans; prototypes, margins, and the soft labels that they refine (section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api.method import Step
from bench.core.sentences import Span
from methods.contproto.spans import most_probable

Words = tuple[str, ...]
PROGRESS = ("epoch", "phi", "_first", "_last")


def span_loss(scores: Tensor, targets: Tensor, weights: Tensor, outside: float) -> Tensor:
    """Weighted mean of `−Σ_k target_k · log softmax(scores)_k` over M spans; scores and targets (M, K), weights (M,).

    A span whose most probable target is O weighs `outside`, any other 1, each times its weight.
    """
    losses = -(targets * torch.log_softmax(scores, -1)).sum(-1)
    weights = weights * torch.where(targets.argmax(-1) == 0, outside, 1.0)
    return (losses * weights).sum() / weights.sum().clamp_min(1e-9)


def some_outside(classes: Tensor, most: int) -> Tensor:
    """Indices of all entity spans and of at most `most` O spans, drawn anew; all of them where `most` is 0."""
    outside = (classes == 0).nonzero()[:, 0]
    if not most or len(outside) <= most:
        return torch.arange(len(classes), device=classes.device)
    drawn = outside[torch.randperm(len(outside), device=classes.device)[:most]]
    return torch.cat([(classes != 0).nonzero()[:, 0], drawn])


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
    """A student's memory between steps; the tensors are buffers, the soft labels are kept by words."""

    vectors: Tensor
    margins: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(
        self,
        types: Sequence[str],
        width: int,
        soft: Mapping[Words, Tensor],
        *,
        size: int,
        momentum: float,
        phi: tuple[float, float],
    ) -> None:
        """`width`, of the widest span; `size`, of q; `phi` of the first and the last epoch."""
        super().__init__()
        classes = 1 + len(types)
        self.register_buffer("vectors", torch.zeros(classes, size))
        self.register_buffer("margins", torch.ones(classes))  # no mean yet: nothing is similar enough
        self.register_buffer("sums", torch.zeros(classes))
        self.register_buffer("counts", torch.zeros(classes))
        self.soft = {words: labels.clone() for words, labels in soft.items()}
        self.types, self.width, self.momentum, self.phis = types, width, momentum, phi
        self.labels = [self.entities()]  # the teacher's, then as they were when each epoch began
        self.epoch = 0  # labels are refined from the first on
        self.phi = phi[0]
        self._first = 0.0  # share of the budget before that epoch
        self._last = -1  # step

    def entities(self) -> dict[Words, tuple[Span, ...]]:
        """The entities of each sentence by the present soft labels."""
        labels = {}
        for words, soft in self.soft.items():
            high, best = soft.cpu().max(-1)
            ends = [min(len(words), start + self.width) + 1 for start in range(len(words))]
            spans = [Span(start, end, "") for start, last in enumerate(ends) for end in range(start + 1, last)]
            labels[words] = most_probable(
                (float(high[i]), spans[i]._replace(type=self.types[int(best[i]) - 1]))
                for i in best.nonzero()[:, 0].tolist()
            )
        return labels

    def begin(self, share: float) -> None:
        """Begin an epoch after `share` of the budget: margins of the last epoch, and a new φ."""
        self.labels.append(self.entities())
        self.margins = torch.where(self.counts > 0, self.sums / self.counts.clamp_min(1), self.margins)
        self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)
        if not self.epoch:
            self._first = share
        self.epoch += 1
        start, end = self.phis
        self.phi = start + (end - start) * (share - self._first) / max(1 - self._first, 1e-9)

    def carried(self) -> dict[str, Any]:
        """The state outside of buffers: soft labels (all spans, K), sentence by sentence, and the epoch's progress."""
        state = {name: getattr(self, name) for name in PROGRESS}
        labels = [list(of_epoch.values()) for of_epoch in self.labels]
        return state | {"labels": labels, "soft": torch.cat([soft.cpu() for soft in self.soft.values()])}

    def carry_on(self, carried: Mapping[str, Any]) -> None:
        """Restore that state; the teacher's soft labels must be the same as before."""
        for name in PROGRESS:
            setattr(self, name, carried[name])
        blocks = carried["soft"].split([len(soft) for soft in self.soft.values()])
        self.soft = dict(zip(self.soft, (block.clone() for block in blocks), strict=True))
        self.labels = [
            {words: tuple(Span(*span) for span in spans) for words, spans in zip(self.soft, of_epoch, strict=True)}
            for of_epoch in carried["labels"]
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
        if step.number <= self._last:  # a step repeated for lack of memory has moved all this already
            return soft
        self._last = step.number
        if not self.epoch and 2 * step.number >= step.total:
            self.begin(step.number / step.total)  # a budget of fewer than two passes refines in its second half
        current = soft.argmax(-1)
        with torch.autocast(target.device.type, enabled=False):  # which would multiply in bf16
            self.vectors = moved(self.vectors, source[0].float(), source[1], self.momentum)
            self.vectors = moved(self.vectors, target.float(), current, self.momentum)
            similarity = target.float() @ self.vectors.T
        member = F.one_hot(current, len(self.vectors)).to(similarity.dtype)
        self.sums, self.counts = self.sums + (similarity * member).sum(0), self.counts + member.sum(0)
        if self.epoch:
            seen = self.vectors.any(-1)
            soft = refined(soft, similarity.masked_fill(~seen, float("-inf")), self.margins, self.phi)
            for sentence, block in zip(sentences, soft.split([len(b) for b in blocks]), strict=True):
                self.soft[sentence.words] = block.clone()
        return soft
