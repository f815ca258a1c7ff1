"""Distilling word vectors into `mini`: one visible loop, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, embedding_bag, normalize

from bench.core.files import canonical_json, published
from data_recipes.encoders.mini.batches import Batch, Kitchen
from data_recipes.encoders.mini.prepare import Prepared
from data_recipes.encoders.mini.recipe import Diet, Recipe

CHECKPOINT, PLATEAU = "checkpoint.safetensors", "plateau.safetensors"
EVERY = 180.0  # seconds between checkpoints


class Student(nn.Module):
    """The encoder, and the one head that training needs."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.capital = nn.Linear(encoder.config.hidden_size, 1)

    def words(self, batch: Batch) -> torch.Tensor:
        """Vectors (W, hidden): half a word's first piece, which taggers read, half the mean of its pieces."""
        hidden: torch.Tensor = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        inside = batch.word >= 0
        states, word = hidden[inside].float(), batch.word[inside]
        size = len(batch.row_at)
        count = torch.bincount(word, minlength=size).clamp(min=1).unsqueeze(1)
        mean = torch.zeros(size, states.shape[1], device=states.device).index_add(0, word, states) / count
        begins = torch.cat([word.new_ones(1, dtype=torch.bool), word[1:] != word[:-1]])
        return (mean + states[begins]) / 2


def losses(
    student: Student, sentences: Batch, entries: Batch, vectors: torch.Tensor, recipe: Recipe
) -> dict[str, torch.Tensor]:
    """The terms, unweighted. `vectors` (rows, hidden) are the teacher's."""
    raw = student.words(sentences)  # long vectors: a linear head on unit vectors would hardly move
    made, goal = normalize(raw, dim=-1), _goals(sentences, vectors, raw)
    alone = student.words(entries)
    alone, heads = normalize(alone, dim=-1), _goals(entries, vectors, alone)
    linked = sentences.linked.nonzero()[:, 0]
    drawn = linked[torch.randperm(len(linked), device=linked.device)[: recipe.words]]
    return {
        "cosine": _far(made[linked], goal[linked]),
        "entry": _far(alone[entries.linked], heads[entries.linked]),
        "word": _contrast(made[drawn], goal[drawn], sentences.surface[drawn], recipe.temperature),
        "sentence": _contrast(*_means(made, goal, sentences), None, recipe.temperature),
        "capital": binary_cross_entropy_with_logits(
            student.capital(raw[linked])[:, 0], sentences.capital[linked].float()
        ),
    }


def _goals(batch: Batch, vectors: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Unit vectors (W, hidden): of each word the mean of the teacher's that it should meet."""
    return normalize(embedding_bag(batch.rows, vectors, batch.row_at, mode="mean").to(like.dtype), dim=-1)


def _far(made: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    return (1 - (made * goal).sum(-1)).mean()


def _means(made: torch.Tensor, goal: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit mean vectors of each sentence's linked words, the student's and the teacher's."""
    owner, size = batch.example[batch.linked], len(batch.ids)
    some = torch.bincount(owner, minlength=size) > 0
    sums = [made.new_zeros(size, made.shape[1]).index_add(0, owner, side[batch.linked]) for side in (made, goal)]
    return normalize(sums[0][some], dim=-1), normalize(sums[1][some], dim=-1)


def _contrast(made: torch.Tensor, goal: torch.Tensor, same: torch.Tensor | None, temperature: float) -> torch.Tensor:
    """InfoNCE of each vector against all goals; goals of the same English word are no negatives."""
    logits = made @ goal.T / temperature
    if same is not None:
        alike = (same[:, None] == same[None]) & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        logits = logits.masked_fill(alike, -math.inf)
    return cross_entropy(logits, torch.arange(len(made), device=made.device))


def train(
    encoder: Any,
    vocabulary: Mapping[str, int],
    data: Prepared,
    diet: Diet,
    recipe: Recipe,
    folder: Path,
    tick: Callable[[int, int, str], None],
) -> list[dict[str, float]]:
    """Train `encoder` in place; goes on from a checkpoint in `folder` if it is of this recipe. Returns the losses."""
    device = next(encoder.parameters()).device
    kitchen = Kitchen(data, diet, recipe.seed, vocabulary)
    total = math.ceil(recipe.tokens / diet.tokens)
    student = Student(encoder).to(device)
    vectors = torch.from_numpy(data.vectors).to(device)
    if device.type == "cpu":
        vectors = vectors.float()
    optimiser = _optimiser(student, recipe)
    rates = [group["lr"] for group in optimiser.param_groups]
    shared = {name: value for name, value in asdict(recipe).items() if name != "tokens"}
    said = canonical_json({"recipe": shared, "diet": asdict(diet)})
    plateau = total - round(recipe.decay * total)
    start, log = _resume(folder, said, (plateau, total), student, optimiser)
    saved = time.monotonic()
    student.train()
    for step, (sentences, entries) in enumerate(kitchen.steps(start, total), start):
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        share = min((step + 1) / recipe.warmup, 1.0, (total - step) / max(1, total - plateau))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * share
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            terms = losses(student, _to(sentences, device), _to(entries, device), vectors, recipe)
        loss = terms["cosine"] + sum(getattr(recipe, name) * terms[name] for name in terms if name != "cosine")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), recipe.clip)
        optimiser.step()
        if step % 20 == 0 or step + 1 == total:
            log.append({"step": step, **{name: round(float(term.detach()), 4) for name, term in terms.items()}})
        if time.monotonic() - saved > EVERY or step + 1 == plateau:
            kept = Kept(said, step + 1, total if step + 1 > plateau else 0, log)
            kept.save(folder / (CHECKPOINT if step + 1 > plateau else PLATEAU), student, optimiser)
            saved = time.monotonic()
        tick(step + 1, total, "training the encoder 'mini'")
    return log


def _optimiser(student: Student, recipe: Recipe) -> torch.optim.AdamW:
    table = student.encoder.embeddings.word_embeddings.weight
    rest = [p for p in student.parameters() if p is not table]
    groups = [
        {"params": [table], "lr": recipe.embedding_lr, "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim > 1], "lr": recipe.lr, "weight_decay": recipe.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "lr": recipe.lr, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, fused=True)


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    moved = {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in ((slot, getattr(batch, slot)) for slot in Batch.__slots__)
    }
    return Batch(**moved)


@dataclass(frozen=True)
class Kept:
    """What a checkpoint belongs to: recipe, step, number of steps (0: any, while the rate is constant), losses."""

    said: str
    step: int
    total: int
    log: list[dict[str, float]]

    def save(self, path: Path, student: Student, optimiser: torch.optim.AdamW) -> None:
        """Weights and moments in one safetensors file, this in its header, so that they cannot part."""
        from safetensors.torch import save_file

        tensors = {f"weight.{name}": value for name, value in student.state_dict().items()}
        for i, state in optimiser.state_dict()["state"].items():
            tensors |= {f"moment.{i}.{name}": value for name, value in state.items()}
        with published(path) as scratch:
            save_file(tensors, scratch, metadata={"kept": canonical_json(asdict(self))})


def _resume(
    folder: Path, said: str, ends: tuple[int, int], student: Student, optimiser: torch.optim.AdamW
) -> tuple[int, list[dict[str, float]]]:
    """The step to go on from, and the losses so far; 0 without a checkpoint of this recipe and length.

    `ends`: the steps after which the constant rate and the training end.
    """
    from safetensors import safe_open

    for path in (folder / CHECKPOINT, folder / PLATEAU):
        if not path.is_file():
            continue
        with safe_open(path, "pt") as file:
            kept = Kept(**json.loads(file.metadata()["kept"]))
            if kept.said != said or (kept.total or ends[1]) != ends[1] or kept.step > ends[bool(kept.total)]:
                continue
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        weights = {name.removeprefix("weight."): tensors[name] for name in tensors if name.startswith("weight.")}
        student.load_state_dict(weights)
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name in tensors:
            if name.startswith("moment."):
                _, number, slot = name.split(".")
                states.setdefault(int(number), {})[slot] = tensors[name]
        optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
        return kept.step, kept.log
    return 0, []


def forget(folder: Path) -> None:
    """Drop the checkpoint of a finished run; that of the constant rate stays, for a longer one."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
