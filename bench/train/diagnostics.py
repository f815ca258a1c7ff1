"""Diagnostics that a method asks for: the encoder's space before and after training, the F1 of pseudo-labels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.api.method import Labels, Method, pairs
from bench.core.sentences import Pair, tags_of
from bench.measure.score import count, f1
from bench.train.batches import Collator
from bench.train.encoder import cover
from bench.train.predict import autocast

PAIRS = 100  # training pairs that are measured
POINTS = 40  # words of a class and language that a plot shows
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Space:
    """Unit vectors of sentences and words of translation pairs.

    Shapes, P pairs, M words: `source`, `target` (P, H); `words` (M, H); `classes` (M,) entity types, "O" outside;
    `languages` (M,).
    """

    source: Array
    target: Array
    words: Array
    classes: npt.NDArray[np.str_]
    languages: npt.NDArray[np.str_]

    def measures(self) -> dict[str, float]:
        """Retrieval accuracy both ways, and mean cosines of words by label.

        `retrieval_forward`: share of source sentences whose translation is the nearest target sentence;
        `same_label`: mean cosine of two entity words of one type; `other_label`: of an entity word and a word of
        another type or outside. Absent if there is no such pair of words.
        """
        close = self.source @ self.target.T
        nearest = {"retrieval_forward": close.argmax(1), "retrieval_backward": close.argmax(0)}
        values = {name: float((rows == np.arange(len(close))).mean()) for name, rows in nearest.items()}
        kinds = sorted(set(self.classes.tolist()))
        sums = {kind: self.words[self.classes == kind].astype(np.float64).sum(0) for kind in kinds}
        sizes = {kind: int((self.classes == kind).sum()) for kind in kinds}
        entity = [kind for kind in kinds if kind != "O"]
        same = [(float(sums[k] @ sums[k]) - sizes[k], sizes[k] * (sizes[k] - 1)) for k in entity]
        other = [(float(sums[k] @ sums[o]), sizes[k] * sizes[o]) for k in entity for o in kinds if o == "O" or o > k]
        for name, parts in (("same_label", same), ("other_label", other)):
            if total := sum(count for _, count in parts):
                values[name] = sum(value for value, _ in parts) / total
        return {name: round(value, 4) for name, value in values.items()}

    def plane(self, chosen: Sequence[int]) -> tuple[Array, float]:
        """First two principal components of the chosen words (n, 2), and the share of variance that they hold."""
        centred = self.words[list(chosen)].astype(np.float64)
        centred -= centred.mean(0)
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        points = left[:, :2] * values[:2]
        points *= np.where(points[np.abs(points).argmax(0), [0, 1]] < 0, -1, 1)  # a component's sign means nothing
        return points.astype(np.float32), float((values[:2] ** 2).sum() / max((values**2).sum(), 1e-12))


def space_of(tagger: Any, collator: Collator, translated: Sequence[Pair], precision: str) -> Space:
    """The tagger's last-layer space over labelled pairs."""
    examples = [example for pair in pairs(translated) for example in pair]
    pieces = collator.pieces(examples)
    cover(tagger, collator.ids(pieces))
    order = sorted(range(len(examples)), key=lambda i: len(pieces[i].ids))
    vectors: list[Any] = [None] * len(examples)
    words: list[Any] = [None] * len(examples)
    was_training = tagger.training
    tagger.eval()
    with torch.inference_mode():
        for at in range(0, len(order), 32):
            rows = order[at : at + 32]
            with autocast(collator.device, precision):
                batch = tagger.read(collator([examples[i] for i in rows], [pieces[i] for i in rows], rows))
            for place, i in enumerate(rows):
                vectors[i] = batch.vectors[place].float().cpu().numpy()
                words[i] = batch.states[place, : len(examples[i].sentence.words)].float().cpu().numpy()
    tagger.train(was_training)
    unit = _unit(np.stack(vectors))
    sentences = [example.sentence for example in examples]
    classes = [tag.partition("-")[2] or "O" for s in sentences for tag in tags_of(s.spans or (), len(s.words))]
    languages = np.asarray([s.language for s in sentences for _ in s.words])
    return Space(unit[::2], unit[1::2], _unit(np.concatenate(words)), np.asarray(classes), languages)


def compared(before: Space, after: Space, rng: np.random.Generator) -> tuple[dict[str, float], bytes]:
    """The measures by `before_…` and `after_…`, and the sidecar space.npz of a plot.

    The sidecar: `before`, `after` (n, 2) principal components of the same words, `explained` (2,), `label`, `language`.
    """
    measures = {f"before_{name}": value for name, value in before.measures().items()}
    measures |= {f"after_{name}": value for name, value in after.measures().items()}
    chosen: list[int] = []
    for kind in sorted(set(before.classes.tolist())):
        for language in sorted(set(before.languages.tolist())):
            rows = np.flatnonzero((before.classes == kind) & (before.languages == language))
            chosen += sorted(rng.permutation(rows)[:POINTS].tolist())
    (first, share), (second, share_after) = before.plane(chosen), after.plane(chosen)
    buffer, explained = io.BytesIO(), np.asarray([share, share_after], np.float32)
    label, language = before.classes[chosen], before.languages[chosen]
    np.savez_compressed(buffer, before=first, after=second, explained=explained, label=label, language=language)
    return measures, buffer.getvalue()


def pseudo_f1(method: Method, tagger: Any, gold: Callable[[], Labels], types: Sequence[str]) -> dict[str, list[float]]:
    """`pseudo_f1`: strict F1 of each of the trained tagger's pseudo-labels, against gold that no method may reach.

    Only sentences with known gold count; {} if there are none, or if the method has no pseudo-labels.
    """
    read = method.diagnostics().pseudo_labels
    kept = read(tagger) if read is not None else ()
    known = gold() if kept else {}
    scores: list[float] = []
    for labels in kept:
        words = [w for w in labels if w in known]
        if words:
            scores.append(round(f1(count([known[w] for w in words], [labels[w] for w in words], types)), 6))
    return {"pseudo_f1": scores} if scores else {}


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit
