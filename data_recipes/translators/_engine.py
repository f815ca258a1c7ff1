"""What runs a translation model: a transformers model behind its tokenizer, in batches of one length class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bench.core.errors import BadInput
from data_recipes.translators._models import ModelSource
from data_recipes.translators._texts import Draft

if TYPE_CHECKING:
    from pathlib import Path

ROOM = {"cpu": 2048, "cuda": 16384}  # padded source sub-words a batch, beams counted; never part of a key


class Settings(Protocol):
    """What an engine reads of a translator's parameters (see `_seq2seq.Seq2SeqParams`)."""

    @property
    def beams(self) -> int: ...
    @property
    def max_length(self) -> int: ...
    @property
    def precision(self) -> str: ...
    @property
    def quantisation(self) -> str: ...


class Request(NamedTuple):
    """How a model is told the languages: text before the sentence, or the first token that it must write."""

    prefix: str = ""
    forced: int | None = None


class Engine:
    """A loaded model and its tokenizer; `_load` and `_generated` are what another runtime does otherwise."""

    what: str = ""  # what provenance says of the runtime
    bytes: int = 0  # of its weights

    def __init__(self, found: ModelSource, params: Settings, device: str = "auto") -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()  # its advice is for other uses
        logging.disable_progress_bar()
        folder = found.ensure()
        usable = torch.cuda.is_available() and device != "cpu"
        self.device, self.params = torch.device("cuda" if usable else "cpu"), params
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            self._load(found, folder)
        except BadInput:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"translation model '{found.label}' cannot be loaded: {error}".splitlines()[0]) from error
        self.positions = int(getattr(config, "max_position_embeddings", 0) or params.max_length)
        self.longest = min(params.max_length, self.positions, int(self.tokenizer.model_max_length))

    def _load(self, found: ModelSource, folder: Path) -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM

        dtype = torch.float32 if self.params.precision == "fp32" else torch.bfloat16
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
        self.model: Any = model.to(self.device, dtype).eval()
        self.bytes = sum(p.numel() * p.element_size() for p in model.parameters())

    def translate(self, texts: Sequence[str], request: Request) -> list[Draft]:
        """Each text's translation, in their order; texts of more than `longest` sub-words have none."""
        if not texts:
            return []
        asked = [request.prefix + text for text in texts]
        ids: list[list[int]] = self.tokenizer(asked, truncation=False, verbose=False)["input_ids"]
        drafts = [Draft("", "too_long" if len(row) > self.longest else "failed") for row in ids]
        short = [i for i, row in enumerate(ids) if len(row) <= self.longest and texts[i].strip()]
        for batch in batches([(len(ids[i]), i) for i in short], ROOM[self.device.type] // self.params.beams):
            written = self._write([ids[i] for i in batch], request)
            for i, row in zip(batch, written, strict=True):
                drafts[i] = self._draft(row, limit_of(len(ids[i]), self.positions))
        return drafts

    def _draft(self, written: list[int], limit: int) -> Draft:
        text: str = self.tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if len(written) >= limit:
            return Draft("", "degenerate")
        return Draft(text.strip(), "translated" if text.strip() else "failed")

    def _write(self, ids: list[list[int]], request: Request) -> list[list[int]]:
        """What the model writes for sources of one length class, without the start and what follows the end."""
        import torch

        try:
            with torch.inference_mode():
                return self._generated(ids, request)
        except torch.OutOfMemoryError:
            if len(ids) == 1:
                raise
        torch.cuda.empty_cache()
        half = len(ids) // 2
        return self._write(ids[:half], request) + self._write(ids[half:], request)

    def _generated(self, ids: list[list[int]], request: Request) -> list[list[int]]:
        padded = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.device)
        forced = {} if request.forced is None else {"forced_bos_token_id": request.forced}
        rows = self.model.generate(
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            num_beams=self.params.beams,
            do_sample=False,
            max_length=None,
            max_new_tokens=limit_of(len(ids[0]), self.positions),
            forced_eos_token_id=None,  # OPUS-MT's settings would hide that there was no end
            **forced,
        )
        end = self.tokenizer.eos_token_id
        written: list[list[int]] = rows[:, 1:].tolist()
        return [row[: row.index(end)] if end in row else row for row in written]


def limit_of(length: int, positions: int) -> int:
    """Sub-words that may be written for a source of so many: about three times as many (ours).

    The same for all of a length class (8, 16, 32, …), so that no sentence's translation depends on its batch.
    """
    return min(3 * max(8, 1 << (length - 1).bit_length()) + 10, positions - 1)


def batches(lengths: Sequence[tuple[int, int]], room: int) -> Iterator[list[int]]:
    """Indices of (length, index) in batches of one length class that, padded, fill the room; long ones first."""
    batch: list[int] = []
    longest = 0
    for length, index in sorted(lengths, reverse=True):
        other = limit_of(length, 1 << 30) != limit_of(longest, 1 << 30) if batch else False
        if batch and (other or (len(batch) + 1) * longest > room):
            yield batch
            batch = []
        longest = max(longest, length) if batch else length
        batch.append(index)
    if batch:
        yield batch
