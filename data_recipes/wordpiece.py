"""A WordPiece vocabulary as a fast BERT tokenizer: special tokens, template and decoder of our own encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def fast_tokenizer(backend: Any, vocabulary: Mapping[str, int], longest_word: int, length: int) -> Any:
    """`backend` (its normalizer and pre-tokenizer) with this vocabulary, as transformers loads and saves it.

    A word of more than `longest_word` letters is unknown; `length` is the longest input in pieces.
    """
    from tokenizers import decoders, models, processors
    from transformers import PreTrainedTokenizerFast

    backend.model = models.WordPiece(vocab=dict(vocabulary), unk_token="[UNK]", max_input_chars_per_word=longest_word)
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
        model_max_length=length,
    )
