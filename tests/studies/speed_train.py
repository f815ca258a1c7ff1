"""Our training and prediction against transformers' Trainer: same encoder, sentences, steps, machine, threads, run."""

from __future__ import annotations

import importlib.util
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from bench.api.method import Predictions, TrainingSet, singles
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, tag_set
from bench.core.subwords import pieces_of
from bench.data.loading import load_encoder
from bench.measure.score import count, summary
from bench.plan import registry
from bench.plan.sections import EncoderSpec, Precision, TrainSpec
from bench.train.batches import Collator
from bench.train.encoder import Encoder, use_rows
from bench.train.fit import FitPlan, fit
from bench.train.predict import predict
from bench.train.tagger import LinearTagger

OURS, PLAIN = "xner", "Trainer"
GROUPED, BF16 = "Trainer, grouped by length", "Trainer, grouped by length, bf16"
IGNORED = -100  # what cross-entropy leaves out
Items = list[dict[str, list[int]]]


@dataclass(frozen=True)
class Setting:
    """What both sides get."""

    where: str  # the encoder's folder
    train: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    types: tuple[str, ...]
    steps: int
    batch: int
    lr: float
    device: torch.device
    precision: Precision = "fp32"
    max_length: int = 128

    @property
    def tags(self) -> tuple[str, ...]:
        return tag_set(self.types)


@dataclass
class Side:
    """One side's rounds; times are of the middle of a round: its first step warms up, its last may evaluate.

    Batches of like lengths differ much in size, and the Trainer's first holds the longest sentence: seconds are those
    of the real sub-words that the timed steps read, times a mean step's.
    """

    name: str
    seconds: list[float] = field(default_factory=list)  # a mean step, by round (of prediction: the whole)
    read: list[int] = field(default_factory=list)  # real sub-words so far, at the end of each step of this round
    real: int = 0  # sub-words, with the special ones
    padded: int = 0  # with padding
    f1: list[float] = field(default_factory=list)  # on the test, 0 to 1

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def waste(self) -> float:
        """Share of what the encoder reads that is padding."""
        return 1 - self.real / self.padded if self.padded else 0.0

    def watch(self, encoder: torch.nn.Module) -> Any:
        """Count what the encoder is given; returns the handle that stops it."""

        def seen(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
            mask = kwargs["attention_mask"]
            self.real += int(mask.sum())
            self.padded += mask.numel()

        return encoder.register_forward_pre_hook(seen, with_kwargs=True)


def train_speed(setting: Setting, peers: Sequence[str], rounds: int, tell: Callable[[str], None]) -> list[Side]:
    """Rounds of each side in turn; every round trains anew, with another seed, and is scored on the test.

    Raises:
        BadInput: the Trainer needs accelerate, which is not installed.
    """
    sides = [Side(OURS), *(Side(name) for name in peers)]
    a_step = setting.batch * tokens_of(setting, setting.train)
    for seed in range(1, rounds + 1):
        for side in sides:
            tell(f"round {seed} of {rounds}: {side.name}")
            ticks, predictions = _ours(setting, side, seed) if side.name == OURS else _theirs(setting, side, seed)
            side.seconds.append((ticks[-2] - ticks[0]) / (side.read[-2] - side.read[0]) * a_step)
            side.read.clear()
            side.f1.append(_f1(setting, predictions))
    return sides


def predict_speed(setting: Setting, rounds: int, tell: Callable[[str], None]) -> list[Side]:
    """Seconds to tag the test, by both sides; same untrained weights.

    Raises:
        BadInput: as `train_speed`.
    """
    sides = [Side(OURS), Side(PLAIN)]
    tagger, collator = _tagger(setting, 1)
    model, trainer, items = _trainer(setting, PLAIN, 1, [], sides[1])
    for number in range(rounds + 1):
        for side in sides:
            tell(f"round {number} of {rounds}: {side.name}" if number else f"warm-up: {side.name}")
            handle = side.watch(tagger.encoder.model if side.name == OURS else model.base_model)
            begun = time.perf_counter()
            if side.name == OURS:
                predict(tagger, collator, setting.test, setting.precision)
            else:
                trainer.predict(items)
            passed = time.perf_counter() - begun
            handle.remove()
            if number:
                side.seconds.append(passed)
            else:
                side.real = side.padded = 0
    return sides


def _tagger(setting: Setting, seed: int, by_row: bool = True) -> tuple[LinearTagger, Collator]:
    torch.manual_seed(seed)
    loaded = load_encoder(setting.where)
    if by_row:
        use_rows(loaded.model)
    tagger = LinearTagger(Encoder(loaded.model), setting.tags, EncoderSpec().dropout).to(setting.device)
    longest = min(setting.max_length, loaded.longest)
    return tagger, Collator(loaded.tokenizer, setting.tags, longest, setting.device)


def _ours(setting: Setting, side: Side, seed: int) -> tuple[list[float], Predictions]:
    tagger, collator = _tagger(setting, seed)
    ticks: list[float] = []
    handle = side.watch(tagger.encoder.model)

    def tick(step: int) -> None:
        ticks.append(_now(setting))
        side.read.append(side.real)

    _fit(setting, tagger, collator, seed, tick)
    handle.remove()
    return ticks, predict(tagger, collator, setting.test)


def _fit(setting: Setting, tagger: LinearTagger, collator: Collator, seed: int, tick: Callable[[int], None]) -> None:
    plan = FitPlan(
        registry.make("method", "zero_shot"),
        TrainSpec(
            steps=setting.steps,
            batch=setting.batch,
            precision=setting.precision,
            evals=1,
            threads=torch.get_num_threads(),
        ),
        EncoderSpec(lr=setting.lr, max_length=setting.max_length),
        seed,
        setting.test[:1],
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(plan, TrainingSet(labelled=singles(setting.train)), tagger, collator, Path(folder), tick)


def alone(setting: Setting, ready: Callable[[], object]) -> list[float]:
    """When each step of one training of ours ended, in seconds; `ready` is called after the first."""
    ticks: list[float] = []

    def tick(step: int) -> None:
        ticks.append(_now(setting))
        if step == 1:
            ready()

    _fit(setting, *_tagger(setting, 1), 1, tick)
    return ticks


def _theirs(setting: Setting, side: Side, seed: int) -> tuple[list[float], Predictions]:
    ticks: list[float] = []
    model, trainer, _ = _trainer(setting, side.name, seed, ticks, side)
    handle = side.watch(model.base_model)
    trainer.train()
    handle.remove()
    tagger, collator = _tagger(setting, seed, by_row=False)  # their weights, read and scored as ours are
    absent = tagger.encoder.model.load_state_dict(model.base_model.state_dict(), strict=False).missing_keys
    assert all(name.startswith("pooler.") for name in absent), absent  # which nothing here reads
    tagger.classifier.load_state_dict(model.classifier.state_dict())
    return ticks, predict(tagger, collator, setting.test)


def _trainer(setting: Setting, name: str, seed: int, ticks: list[float], side: Side) -> tuple[Any, Any, Items]:
    """The model, the Trainer as run_ner configures it (random batches, padded to the longest); the test's items."""
    import transformers
    from transformers.utils import logging

    if importlib.util.find_spec("accelerate") is None:
        raise BadInput("the Trainer needs accelerate: pip install 'xner-bench[speed]'")
    logging.set_verbosity_error()
    loaded = load_encoder(setting.where)
    tokenizer: Any = loaded.tokenizer
    torch.manual_seed(seed)
    model: Any = transformers.AutoModelForTokenClassification.from_pretrained(
        setting.where, num_labels=len(setting.tags), use_safetensors=True, dtype=torch.float32
    )

    class Clock(transformers.TrainerCallback):
        """Notes when each step ends."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ticks.append(_now(setting))
            side.read.append(side.real)

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=setting.steps,
            per_device_train_batch_size=setting.batch,
            per_device_eval_batch_size=setting.batch,
            learning_rate=setting.lr,
            warmup_steps=max(1, setting.steps // 10),
            weight_decay=EncoderSpec().weight_decay,
            train_sampling_strategy="random" if name == PLAIN else "group_by_length",
            bf16=name == BF16 or setting.precision == "bf16",
            use_cpu=setting.device.type == "cpu",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
        )
        items = [_items(tokenizer, sentences, setting) for sentences in (setting.train, setting.test)]
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=items[0],
            data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
            callbacks=[Clock()],
        )
        trainer.remove_callback(transformers.PrinterCallback)
    return model, trainer, items[1]


def _items(tokenizer: Any, sentences: Sequence[Sentence], setting: Setting) -> Items:
    """As run_ner prepares them: truncated, the label on a word's first sub-word."""
    place = {tag: number for number, tag in enumerate(setting.tags)}
    items = []
    for sentence in sentences:
        read = tokenizer(list(sentence.words), is_split_into_words=True, truncation=True, max_length=setting.max_length)
        tags = ["O"] * len(sentence.words)
        for span in sentence.spans or ():
            tags[span.start : span.end] = [f"B-{span.type}", *[f"I-{span.type}"] * (span.end - span.start - 1)]
        words = read.word_ids()
        first = [word is not None and word != before for before, word in zip([None, *words], words, strict=False)]
        labels = [place[tags[word]] if new else IGNORED for word, new in zip(words, first, strict=True)]
        items.append({"input_ids": read["input_ids"], "attention_mask": read["attention_mask"], "labels": labels})
    return items


def _now(setting: Setting) -> float:
    if setting.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _f1(setting: Setting, found: Predictions) -> float:
    gold = [sentence.spans or () for sentence in setting.test]
    return summary(count(gold, found.spans, setting.types), setting.types).f1


def tokens_of(setting: Setting, sentences: Sequence[Sentence]) -> float:
    """Mean sub-words of a sentence, with the two special ones."""
    pieces = pieces_of(load_encoder(setting.where).tokenizer, [replace(s, spans=None) for s in sentences])
    return 2 + sum(len(one.ids) for one in pieces) / len(pieces)


def peak_flops(device: torch.device, precision: Precision = "fp32", seconds: float = 1.0) -> float:
    """Floating-point operations a second of large matrix products in that precision, the best of several."""
    size = 4096 if device.type == "cuda" else 1024
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    best, begun = 0.0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        for _ in range(4):
            a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 8 * size**3 / (time.perf_counter() - start))
    return best


def flops_of(setting: Setting) -> float:
    """Operations a sub-word and step: 6 for each parameter but the embeddings' (2 forward, 4 backward).

    Those of the whole encoder, by which the share of the peak is that of useful work: padding does not count.
    """
    model = load_encoder(setting.where).model
    embeddings = sum(p.numel() for p in model.get_input_embeddings().parameters())
    counted: int = sum(p.numel() for p in model.parameters()) - embeddings
    return 6.0 * counted


def peak_memory(device: torch.device) -> float:
    """MB, of this process so far (CPU) or of the device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
