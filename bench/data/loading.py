"""Loading an encoder of transformers: float32 weights, a fast tokenizer, the longest input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from bench.core.errors import BadInput
from bench.data.encoders import WITH_DECODER, refuse_unfit


@dataclass(frozen=True)
class Loaded:
    """An encoder as loaded: float32 weights, its tokenizer, the longest input that it takes."""

    model: Any
    tokenizer: Any
    longest: int


def load_encoder(where: str, layers: int | None = None) -> Loaded:
    """Load a folder's weights as float32, however they are stored; safetensors only, and none of its code is run.

    `layers`: how many of the lowest to keep. Of an encoder-decoder that transformers can split (T5) only the encoder
    is read.

    Raises:
        BadInput: there is no such folder, it has no safetensors, no fast tokenizer, or fewer layers.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    options: dict[str, Any] = {"trust_remote_code": False}
    try:
        tokenizer = fast_tokenizer(f"encoder '{where}'", where)
        config = AutoConfig.from_pretrained(where, **options)
        refuse_unfit(f"encoder '{where}'", config.to_dict(), layers)
        kind = AutoModelForTextEncoding if config.model_type in WITH_DECODER else AutoModel
        cut = {} if layers is None else {"num_hidden_layers": layers}
        with torch.random.fork_rng(devices=[]):  # a pooler that is not stored is drawn, but not from our streams
            torch.manual_seed(0)
            model, report = kind.from_pretrained(
                where, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options, **cut
            )
    except BadInput:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"encoder '{where}' cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)  # the pooler is never read
    if missing:
        raise BadInput(f"encoder '{where}' lacks weights that would be drawn at random, such as {missing[0]}")
    return Loaded(model, tokenizer, longest_of(model, tokenizer))


def fast_tokenizer(label: str, folder: str | Path) -> Any:
    """The tokenizer of a folder, which tells each sub-word's word; `label` begins its messages.

    Raises:
        BadInput: it is not a fast one, its files are missing, or it needs a package that is not installed.
    """
    from tokenizers import normalizers
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"use_fast": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        if not tokenizer.is_fast:
            raise BadInput(f"{label} has no fast tokenizer, which word-level labels need")
        if not tokenizer.init_kwargs.get("add_prefix_space", True) or tokenizer.backend_tokenizer.pre_tokenizer is None:
            tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True, **options)
        if not _marks_words(tokenizer):
            backend = tokenizer.backend_tokenizer
            own = [] if backend.normalizer is None else [backend.normalizer]
            backend.normalizer = normalizers.Sequence([normalizers.Prepend(" "), *own])
            if not _marks_words(tokenizer):
                raise BadInput(f"{label}: its tokenizer reads a word given by itself otherwise than in running text")
    except BadInput:
        raise
    except (OSError, ValueError, ImportError) as error:
        raise BadInput(f"{label}: its tokenizer cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # without files transformers makes an empty one
        raise BadInput(f"{label} has no tokenizer files")
    return tokenizer


def _marks_words(tokenizer: Any) -> bool:
    """Whether words given one by one have the pieces that they have in running text, with any mark of where they begin.

    Byte-level BPE as ModernBERT stores it, and SentencePiece as Gemma does, mark none of them.
    """
    apart = tokenizer(["a", "a"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    return bool(apart == tokenizer("a a", add_special_tokens=False)["input_ids"])


def longest_of(model: Any, tokenizer: Any) -> int:
    """The longest input, in sub-words; RoBERTa-like encoders count positions from the padding id on."""
    positions = getattr(model.config, "max_position_embeddings", None) or 10**6
    tables = [m for name, m in model.named_modules() if name.endswith("position_embeddings")]
    padding = next((table.padding_idx for table in tables if isinstance(table, nn.Embedding)), None)
    return int(min(positions - (0 if padding is None else padding + 1), tokenizer.model_max_length))


# families whose layers need only states and mask, with embeddings alone before the first and nothing after the last
PLAIN = ("bert", "camembert", "electra", "ernie", "roberta", "xlm-roberta")


def stored_matrix(where: str, name: str, weight: torch.Tensor) -> torch.Tensor:
    """A loaded matrix as mapped into memory from its safetensors file, whose pages all processes share.

    `weight` itself if no file holds these numbers under that name, with or without a prefix.
    """
    for file in sorted(Path(where).glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for key in opened.keys():  # noqa: SIM118 - it is no dictionary
                if f".{key}".endswith(f".{name}"):
                    stored: torch.Tensor = opened.get_tensor(key)
                    if stored.shape == weight.shape and torch.equal(stored.float(), weight):
                        return stored
    return weight


def layer_stack(encoder: Any) -> nn.ModuleList | None:
    """The Transformer layers of an encoder, the lowest first; None if they are not a single stack."""
    layers = int(encoder.config.num_hidden_layers)
    named = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.ModuleList) and len(m) == layers}
    outermost = [m for n, m in named.items() if not any(n.startswith(f"{other}.") for other in named)]
    return outermost[0] if len(outermost) == 1 else None
