"""Prediction in batches of similar length; and checks of what a method's hooks return, and where they raise."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench.api.method import Example, Floats, Losses, Method, Predictions, Step, Tagger, Term
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, Span
from bench.plan.units import workers_of
from bench.train.batches import Collator
from bench.train.encoder import cover

T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """The room of a prediction batch, which is never part of a key; on a GPU the optimiser's state needs room, too."""

    most: int  # sub-words, padding included
    waste: float  # share of them that may be padding
    least: int = 128  # real sub-words up to which a batch grows regardless of padding

    def batches(self, lengths: Sequence[int]) -> Iterator[slice]:
        """Cut ascending lengths, in sub-words, into batches; a sentence longer than the room is a batch of its own."""
        start = real = 0
        for i, length in enumerate(lengths):
            padded = (i + 1 - start) * length
            wasteful = real >= self.least and padded - real - length > self.waste * padded
            if i > start and (padded > self.most or wasteful):
                yield slice(start, i)
                start, real = i, 0
            real += length
        if lengths:
            yield slice(start, len(lengths))


# a CPU is as fast a sub-word with 64 as with 2,048, so that padding costs most; on a GPU only the size was chosen
ROOM = {"cpu": Room(2048, 0.02), "cuda": Room(4096, 1.0)}


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bf16 autocast or nothing. Raises BadInput if the device lacks bf16."""
    if precision == "fp32":
        return nullcontext()
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise BadInput('precision bf16: this device has no bf16; use precision = "fp32"')
    return torch.autocast(device.type, torch.bfloat16)


@dataclass
class Meter:
    """Real sub-words that predictions read."""

    tokens: int = 0


@torch.no_grad()
def predict(
    tagger: Any, collator: Collator, sentences: Sequence[Sentence], precision: str = "fp32", meter: Meter | None = None
) -> Predictions:
    """Spans and probabilities of every word of every sentence, in order.

    Raises:
        ValueError: the tagger left a word without a prediction, or gave an ill-formed span.
    """
    was_training = tagger.training
    tagger.eval()
    examples = [Example(bare(sentence)) for sentence in sentences]
    pieces = collator.pieces(examples)
    cover(tagger, collator.ids(pieces))
    order = sorted(range(len(sentences)), key=lambda i: len(pieces[i].ids))
    spans: list[tuple[Span, ...]] = [()] * len(sentences)
    probabilities: list[Floats | None] = [None] * len(sentences)
    room = ROOM.get(collator.device.type, ROOM["cpu"])
    for batch in room.batches([len(pieces[i].ids) + 2 for i in order]):
        rows = order[batch]
        inputs = collator([examples[i] for i in rows], [pieces[i] for i in rows], rows)
        with autocast(collator.device, precision):
            predicted = tagger.decode(tagger.read(inputs))
        for i, s, p in zip(rows, predicted.spans, predicted.probabilities, strict=True):
            spans[i], probabilities[i] = s, p
        if meter is not None:
            meter.tokens += inputs.tokens
    tagger.train(was_training)
    return checked(Predictions(tuple(spans), tuple(p for p in probabilities if p is not None)), sentences)


def bare(sentence: Sentence) -> Sentence:
    """The sentence without its labels, which no method or tagger may see before it is scored."""
    return replace(sentence, spans=None)


def checked(predictions: Predictions, sentences: Sequence[Sentence]) -> Predictions:
    """The predictions, if they cover every sentence and word with well-formed spans; else ValueError or TypeError."""
    if not isinstance(predictions, Predictions):
        raise TypeError(f"the prediction is a {type(predictions).__name__}, not Predictions")
    if len(predictions.spans) != len(sentences) or len(predictions.probabilities) != len(sentences):
        raise ValueError(f"{len(predictions.spans)} predictions for {len(sentences)} sentences")
    for sentence, spans, probabilities in zip(sentences, predictions.spans, predictions.probabilities, strict=True):
        length = len(sentence.words)
        if len(probabilities) != length:
            raise ValueError(f"sentence {sentence.id}: {len(probabilities)} words scored of {length}")
        last = 0
        for span in sorted(spans):
            if not last <= span.start < span.end <= length:
                raise ValueError(f"sentence {sentence.id}: ill-formed span {tuple(span)} in {length} words")
            last = span.end
    return predictions


# --- checks of a method's hooks ---------------------------------------------------------------------------------------


def given(value: Any, kind: type[T], method: Method, hook: str) -> T:
    """The value that a hook of a method returned. Raises TypeError if it is of another kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{_place(method, hook)} returned {type(value).__name__}, not a {kind.__name__}")
    return value


def terms_of(method: Method, tagger: Tagger, step: Step) -> Losses:
    """The loss terms of a step. Raises TypeError unless each is a Term of a scalar tensor on the tagger's device."""
    terms = method.loss(tagger, step)
    if not isinstance(terms, tuple | list) or not terms or not all(isinstance(term, Term) for term in terms):
        raise TypeError(f"{_place(method, 'loss')} returned {type(terms).__name__}, not a tuple of Term")
    device = next(iter(tagger.parameters())).device  # type: ignore[call-overload]
    for term in terms:
        value: Any = term.value
        what = f"a {type(value).__name__}"
        if isinstance(value, torch.Tensor):
            what = f"of shape {tuple(value.shape)}" if value.ndim else f"on {value.device}"
            if not value.ndim and value.device == device:
                continue
        raise TypeError(f"{_place(method, 'loss')}: term '{term.name}' is {what}, not a scalar tensor on {device}")
    return tuple(terms)


def _place(method: Method, hook: str) -> str:
    """The hook and where it is defined, such as "Mine.loss (mine/method.py:12)"."""
    code, name = getattr(getattr(type(method), hook), "__code__", None), f"{type(method).__name__}.{hook}"
    path = Path(code.co_filename) if code else Path()
    return f"{name} ({path.parent.name}/{path.name}:{code.co_firstlineno})" if code else name


def raised_in(error: BaseException, method: Method | None) -> str:
    """The last line of the method's own code in an error's traceback, such as " (mine/method.py:12, in loss)"."""
    modules = {type(worker).__module__ for worker in workers_of(method)} if method else set()
    packages = {module.rpartition(".")[0] or module for module in modules} - {"bench.api"}
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if any(module == package or module.startswith(f"{package}.") for package in packages):
            path = Path(frame.f_code.co_filename)
            place = f" ({path.parent.name}/{path.name}:{line}, in {frame.f_code.co_name})"
    return place
