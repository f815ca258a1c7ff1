"""`mini`: a small multilingual encoder, distilled from an English one over parallel text; shipped with the package."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.api.recipes import EncoderRecipe, Progress
from bench.core.files import canonical_json, write_bytes, write_json
from data_recipes.encoders.mini.recipe import Diet, Extra, Recipe
from data_recipes.encoders.mini.text import dictionary_entries, training_text

WEIGHTS = Path(__file__).parent / "weights"
KEPT = "work"  # what an interrupted run goes on from


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


class Mini(EncoderRecipe):
    """A BERT of 4 layers × 384 for the languages of `text.LANGUAGES` and English."""

    name = "mini"
    Params: ClassVar[type] = MiniParams
    align_layer = 4
    shipped = WEIGHTS

    def texts(self) -> Iterable[str]:
        return training_text().sentences()

    def make(self, folder: Path, progress: Progress) -> None:
        """Distil it anew; goes on where it was stopped if `folder` is the same.

        Deterministic under a seed on one machine under the same number of threads.

        Raises:
            Unavailable: a text, eflomal or the teacher is not here.
        """
        import torch
        from transformers.utils import logging

        from data_recipes.encoders.mini import start, train
        from data_recipes.encoders.mini.guard import check
        from data_recipes.encoders.mini.teacher import Teacher
        from data_recipes.encoders.mini.teacher import folder as teacher_folder
        from data_recipes.encoders.mini.vocabulary import splitter, words_of

        logging.disable_progress_bar()
        _say(f"none of its sentences is among the {check(self.texts())} tested ones that are here")
        params: MiniParams = self.params
        teacher = Teacher.load(teacher_folder())
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


_READ = ("entries", "english", "switched", "masked", "resplit")
_SHARED = ("tokens", "word", "sentence", "entry", "capital", "lr", "embedding_lr", "seed")


def _prepared(work: Path, params: MiniParams, teacher: Any) -> tuple[Any, Any]:
    """Tokenizer and arrays, kept in `work` for a second run."""
    from transformers import PreTrainedTokenizerFast

    from data_recipes.encoders.mini.prepare import Prepared, prepare
    from data_recipes.encoders.mini.vocabulary import Mix

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


def _say(what: str) -> None:
    print(f"mini: {what}", file=sys.stderr, flush=True)


def _write(folder: Path, encoder: Any, tokenizer: Any, log: list[dict[str, float]]) -> None:
    """The transformers folder, in half precision, and the losses beside it."""
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.1
    encoder.cpu().half().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    write_json(folder / "losses.json", log)
