"""The student before training: the teacher's lower layers, and embeddings from words that mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.studies.mini.prepare import Prepared
from tests.studies.mini.teacher import Teacher
from tests.studies.mini.vocabulary import LENGTH


def student(
    data: Prepared, teacher: Teacher, layers: int, english: list[tuple[str, ...]], embeddings: str = "linked"
) -> Any:
    """A BERT of the teacher's first `layers` layers whose output is standardised, as its goals are.

    The standardisation of that layer's word vectors on `english` is folded into the last LayerNorm. `embeddings`:
    `linked` (`data.start`), or `random` for the ablation.
    """
    from transformers import BertConfig, BertModel

    config = BertConfig.from_dict(teacher.model.config.to_dict())
    config.num_hidden_layers, config.vocab_size, config.max_position_embeddings = layers, len(data.start), LENGTH
    config._attn_implementation = "eager"
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    made = BertModel(config, add_pooling_layer=False)
    taken = {
        name: value
        for name, value in teacher.model.state_dict().items()
        if name in made.state_dict() and "word_embeddings" not in name and "position" not in name
    }
    made.load_state_dict(taken, strict=False)
    vectors = np.concatenate(teacher.word_vectors(english, layers))
    with torch.no_grad():
        positions = teacher.model.embeddings.position_embeddings.weight[:LENGTH]
        made.embeddings.position_embeddings.weight.copy_(positions)
        if embeddings == "linked":
            made.embeddings.word_embeddings.weight.copy_(torch.from_numpy(data.start))
        norm: Any = made.get_submodule(f"encoder.layer.{layers - 1}.output.LayerNorm")
        mean, deviation = (torch.from_numpy(x) for x in (vectors.mean(axis=0), vectors.std(axis=0)))
        norm.weight.div_(deviation)
        norm.bias.sub_(mean).div_(deviation)
    return made
