"""The encoder `mini` again, from its recipe; needs the extra `mini` (the teacher, and eflomal)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

from bench.api.recipes import Progress
from bench.core.errors import BadInput, Unavailable
from bench.core.files import canonical_json, write_bytes, write_json
from bench.plan.schema import Place, build
from bench.plan.spec import add_settings, parsed
from data_recipes.encoders.mini.text import LANGUAGES, training_text
from data_recipes.parallel_text import word_pairs
from tests.studies.mini import guard, start, train
from tests.studies.mini import teacher as teachers
from tests.studies.mini.prepare import Prepared, prepare
from tests.studies.mini.recipe import Diet, Extra, Recipe
from tests.studies.mini.teacher import Teacher
from tests.studies.mini.vocabulary import Mix, splitter, words_of

KEPT = "work"  # what an interrupted run resumes from


@dataclass(frozen=True)
class MiniParams:
    """What of the recipe can be set; `recipe.py` says what each value is."""

    layers: int = 4  # of the teacher's, and the layer whose vectors are the goal
    pieces: int = 13000
    tokens: int = Recipe.tokens
    embeddings: Literal["linked", "random"] = "linked"
    english: float = Diet.english
    entries: int = Diet.entries
    switched: float = Diet.switched
    masked: float = Diet.masked
    resplit: float = Diet.resplit
    exchanged: int = Extra.exchanged
    own_words: bool = Extra.own_words
    word: float = Recipe.word
    sentence: float = Recipe.sentence
    entry: float = Recipe.entry
    capital: float = Recipe.capital
    lr: float = Recipe.lr
    embedding_lr: float = Recipe.embedding_lr
    seed: int = Recipe.seed
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= 6:
            raise ValueError("layers must be from 1 to 6: the teacher has 6")
        if self.tokens < 10_000:
            raise ValueError("tokens must be at least 10000")
        if self.exchanged < 0 or self.entries < 1:
            raise ValueError("exchanged must be at least 0, entries at least 1")
        if not all(0 <= share <= 1 for share in (self.switched, self.masked, self.resplit)):
            raise ValueError("switched, masked and resplit are shares, from 0 to 1")
        if self.pieces < 6000:
            raise ValueError("pieces must be at least 6000: letters and Chinese characters alone are that many")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train `mini` anew and write a transformers folder, which a matrix takes as an encoder.

    Deterministic under a seed on one machine and number of threads; the same command resumes what was interrupted.

    Raises:
        BadInput: no such parameter, the folder holds a finished encoder, or a text, eflomal or the teacher is not here.
    """
    parser = argparse.ArgumentParser(prog="make_mini", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="another number rounds otherwise (2)")
    add_settings(parser, "recipe")
    args = parser.parse_args(arguments)
    if args.threads < 1:
        raise BadInput(f"--threads {args.threads}: at least 1")
    if (args.out / "config.json").exists():
        raise BadInput(f"{args.out} holds a finished encoder; give another folder to --out")
    params = build(MiniParams, parsed(args.settings), Place("--set"))
    torch.set_num_threads(args.threads)
    make(params, args.out, _in_lines)
    print(f'mini is in {args.out}; a matrix takes it as encoders = ["{args.out}"]')
    return 0


def make(params: MiniParams, folder: Path, progress: Progress) -> None:
    """Prepare, train, write; Unavailable where something that it reads is not here."""
    logging.disable_progress_bar()
    _say(f"none of its sentences is among the {guard.check(training_text().sentences())} tested ones that are here")
    teacher = Teacher.load(teachers.folder())
    work = folder / KEPT
    tokenizer, data = _prepared(work, params, teacher)
    split = splitter()
    english = [words_of(split, line) for line in training_text().english]
    torch.manual_seed(params.seed)
    encoder = start.student(data, teacher, params.layers, english, params.embeddings)
    diet = Diet(**{name: getattr(params, name) for name in _READ})
    recipe = Recipe(**{name: getattr(params, name) for name in _SHARED})
    log = train.train(encoder.to(params.device), tokenizer.get_vocab(), data, diet, recipe, work, progress)
    _write(folder, encoder, tokenizer, log)
    train.forget(work)


def _in_lines(done: int, total: int, what: str) -> None:
    """A line every twentieth of the way."""
    if done * 20 // total > (done - 1) * 20 // total:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


_READ = ("entries", "english", "switched", "masked", "resplit")
_SHARED = ("tokens", "word", "sentence", "entry", "capital", "lr", "embedding_lr", "seed")


def _prepared(work: Path, params: MiniParams, teacher: Any) -> tuple[Any, Any]:
    """Tokenizer and arrays, kept in `work` for a second run."""
    extra = Extra(params.exchanged, params.own_words)
    said = canonical_json({"layers": params.layers, "pieces": params.pieces, **asdict(extra)})
    mark, arrays = work / "prepared.json", work / "prepared.safetensors"
    if mark.is_file() and mark.read_text(encoding="utf-8") == said:
        return PreTrainedTokenizerFast.from_pretrained(work), Prepared.load(arrays)
    work.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    tokenizer, data = prepare(
        training_text(), list(dictionary_entries()), teacher, params.layers, Mix(size=params.pieces), extra, work, _say
    )
    tokenizer.save_pretrained(work)
    data.save(arrays)
    write_bytes(mark, said.encode())
    return tokenizer, data


def dictionary_entries() -> Iterator[tuple[str, str, str]]:
    """(language, word, English word): the best translation of every headword; some languages have no dictionary."""
    for language in LANGUAGES:
        try:
            entries = word_pairs("en", language)
        except Unavailable as missing:
            if "there is no dictionary" not in str(missing):
                raise
            continue
        yield from ((language, word, head) for head, word in entries)


def _say(what: str) -> None:
    print(f"mini: {what}", file=sys.stderr, flush=True)


def _write(folder: Path, encoder: Any, tokenizer: Any, log: list[dict[str, float]]) -> None:
    """The transformers folder, in half precision, and the losses beside it."""
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.1
    encoder.cpu().half().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    write_json(folder / "losses.json", log)
