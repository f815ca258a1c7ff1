"""Translation models: found in a folder or on the hub, and run by transformers in batches of one length class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.api import hub
from bench.core.errors import BadInput, Unavailable, require
from bench.core.files import sha256_of, sha256_of_unchanged
from data_recipes.translators._texts import Draft

ROOM = {"cpu": 2048, "cuda": 16384}  # padded source sub-words a batch, beams counted; never part of a key
SETTINGS = ("*.json", "*.txt", "*.model", "*.spm")
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class ModelSource:
    """A model that can be loaded; `version` is a commit of the hub, or a hash of a folder's files."""

    label: str  # for provenance: a hub id or a folder's name, never a path
    version: str
    folder: Path | None  # None: on the hub

    def ensure(self) -> Path:
        """The folder to load; fetches a hub model.

        Raises:
            BadInput: the hub refuses, or this commit has no safetensors.
        """
        if self.folder is not None:
            return self.folder
        folder = hub.fetch_shown(hub_name(self.label, ""), self.version)
        if not any(folder.glob(WEIGHTS)):
            raise BadInput(f"translation model '{self.label}' has no safetensors at commit {self.version}")
        return folder


def find_model(name: str, revision: str) -> ModelSource:
    """Resolve a folder or hub id; for a revision with pickled weights only, the hub's own conversion is taken.

    Raises:
        Unavailable: there is no such folder.
        BadInput: it has no safetensors, or the hub does not resolve it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        files = sorted({path for pattern in (*SETTINGS, WEIGHTS) for path in folder.glob(pattern)})
        if not (folder / "config.json").is_file() or not any(path.suffix == ".safetensors" for path in files):
            raise BadInput(f"'{folder}' has no config.json with {WEIGHTS}: not a transformers folder that we load")
        listed = "\n".join(f"{path.name} {sha256_of_unchanged(path)}" for path in files)
        return ModelSource(folder.resolve().name, f"sha256:{sha256_of(listed)}", folder)
    if not is_hub_id(name):
        raise Unavailable(f"translation model '{name}' is neither a folder here nor a hub id (OWNER/NAME)")
    return ModelSource(name, hub.commit_of(hub_name(name, revision)), None)


def is_hub_id(name: str) -> bool:
    """Whether a model's name can only be one of the hub."""
    return not name.startswith((".", "/", "~")) and hub.ID.fullmatch(name) is not None and not Path(name).is_dir()


def hub_name(name: str, revision: str) -> hub.HubName:
    """The files that are read of a model on the hub."""
    return hub.HubName("model", name, revision, (*SETTINGS, WEIGHTS), safetensors=True)


@dataclass(frozen=True)
class Seq2SeqParams:
    """How a model translates; all defaults except the model are ours."""

    model: str = ""  # a hub id or a folder; {source} and {target} stand for the languages
    revision: str = ""  # of a hub model; "": main, or the hub's own safetensors conversion of it
    beams: int = 4  # 1: greedy
    max_length: int = 256  # sub-words; a longer sentence is not translated, and counted
    precision: Literal["fp32", "bf16"] = "fp32"  # of transformers
    engine: Literal["transformers", "ctranslate2"] = "transformers"  # what runs the model; ctranslate2: the extra ct2
    quantisation: Literal["float32", "int8", "bfloat16"] = "float32"  # of the weights that ctranslate2 converts
    serbian: Literal["latin", "cyrillic"] = "latin"  # script of Serbian; latin, as Universal NER has it

    def __post_init__(self) -> None:
        require(self.beams >= 1, "beams must be at least 1")
        require(self.max_length >= 8, "max_length must be at least 8")
        require(bool(self.model), "model must name a hub id or a folder")
        if self.engine == "transformers" and self.quantisation != "float32":
            raise ValueError(f"quantisation {self.quantisation} needs engine ctranslate2 (transformers has precision)")
        if self.engine == "ctranslate2" and self.precision != "fp32":
            raise ValueError(f"precision {self.precision} needs engine transformers (ctranslate2 has quantisation)")


class Request(NamedTuple):
    """How a model is told the target language: text before the sentence, or the first token that it must write."""

    prefix: str = ""
    forced: int | None = None


class Engine:
    """A loaded model and its tokenizer; another runtime overrides `_load` and `_generated`."""

    runtime: str = ""  # for provenance
    bytes: int = 0  # of its weights

    def __init__(self, source: ModelSource, params: Seq2SeqParams, device: str = "auto") -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()  # its advice is for other uses
        logging.disable_progress_bar()
        folder = source.ensure()
        usable = torch.cuda.is_available() and device != "cpu"
        self.device, self.params = torch.device("cuda" if usable else "cpu"), params
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            self._load(source, folder)
        except BadInput:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"translation model '{source.label}' cannot be loaded: {error}".splitlines()[0]) from error
        self.positions = int(getattr(config, "max_position_embeddings", 0) or params.max_length)
        self.longest = min(params.max_length, self.positions, int(self.tokenizer.model_max_length))

    def _load(self, source: ModelSource, folder: Path) -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM

        dtype = torch.float32 if self.params.precision == "fp32" else torch.bfloat16
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        computed = ("embed_positions", "final_logits_bias")  # of sines, and zeros
        missing = sorted(name for name in report["missing_keys"] if not any(part in name for part in computed))
        if missing:
            raise BadInput(
                f"translation model '{source.label}' lacks weights that would be random, such as {missing[0]}"
            )
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
                text = self.tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()
                endless = len(row) >= limit_of(len(ids[i]), self.positions)
                drafts[i] = Draft("", "degenerate") if endless else Draft(text, "translated" if text else "failed")
        return drafts

    def _write(self, ids: list[list[int]], request: Request) -> list[list[int]]:
        """The model's output for sources of one length class, from after the start token up to the end token."""
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
            forced_eos_token_id=None,  # OPUS-MT's settings would hide that the model did not stop
            **forced,
        )
        end = self.tokenizer.eos_token_id
        written: list[list[int]] = rows[:, 1:].tolist()
        return [row[: row.index(end)] if end in row else row for row in written]


def limit_of(length: int, positions: int) -> int:
    """Sub-words that may be written for a source of `length`: about three times as many (ours).

    The same for all of a length class (8, 16, 32, …), so that no sentence's translation depends on its batch.
    """
    return min(3 * max(8, 1 << (length - 1).bit_length()) + 10, positions - 1)


def batches(lengths: Sequence[tuple[int, int]], room: int) -> Iterator[list[int]]:
    """Indices of (length, index) in batches of one length class that, padded, fill the room; long ones first."""
    for _, members in groupby(sorted(lengths, reverse=True), key=lambda item: limit_of(item[0], 1 << 30)):
        waiting = list(members)
        while waiting:
            longest = max(1, waiting[0][0])
            size = max(1, room // longest)
            yield [index for _, index in waiting[:size]]
            waiting = waiting[size:]
