"""Encoders for `xner speed train` of a size that is wanted: what a step costs does not depend on the weights."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.core.errors import BadInput
from bench.train.tagger import load_encoder

HEAD = 64  # dimensions of an attention head, as in BERT


def sized(where: str, shape: tuple[int, int] | None, vocabulary: int | None, folder: Path) -> str:
    """Write to `folder` an encoder with the tokenizer of `where`.

    `shape` (layers, dimensions): a BERT of that size with random weights, else the encoder itself. `vocabulary`: rows
    drawn at random are added to its embeddings until there are so many, so that a small encoder costs what a
    multilingual one of its size does (XLM-R has 250,002).

    Raises:
        BadInput: it has more rows already, the dimensions are no multiple of a head's, or as in `load_encoder`.
    """
    from transformers import BertConfig, BertModel

    loaded = load_encoder(where)
    model, have = loaded.model, loaded.model.get_input_embeddings().num_embeddings
    if vocabulary is not None and vocabulary < have:
        raise BadInput(f"--vocabulary {vocabulary}: the encoder has {have} rows already")
    torch.manual_seed(0)
    if shape is not None:
        layers, hidden = shape
        if hidden % HEAD:
            raise BadInput(f"--shape {layers}x{hidden}: the dimensions must be a multiple of {HEAD}")
        model = BertModel(
            BertConfig(
                vocab_size=have,
                hidden_size=hidden,
                num_hidden_layers=layers,
                num_attention_heads=hidden // HEAD,
                intermediate_size=4 * hidden,
                pad_token_id=loaded.tokenizer.pad_token_id,
            )
        )
    if vocabulary is not None:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return str(folder)
