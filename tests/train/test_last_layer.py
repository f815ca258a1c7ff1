"""The last layer at the words alone: the same states, vectors, logits and gradients, and less work."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch

from bench.api.method import Example
from bench.core.sentences import Sentence
from bench.train.attention import PLAIN, for_cpu
from bench.train.batches import Collator
from bench.train.frozen import Kept, Prefix, freeze_lowest
from bench.train.last_layer import LastLayer
from bench.train.tagger import LinearTagger


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_last_layer_at_the_words_alone_gives_what_the_whole_gives(
    small_encoder: Callable[..., Any],
    new_collator: Callable[..., Collator],
    tags: Sequence[str],
    kind: str,
    pooling: Literal["mean", "cls"],
) -> None:
    """States, vectors, logits and gradients, also of windows, of a sentence without words and of frozen layers."""
    collator = new_collator(16)
    encoder = small_encoder(kind, vocab_size=len(collator.tokenizer))
    tagger, whole = LinearTagger(encoder, tags, 0.0), LinearTagger(copy.deepcopy(encoder), tags, 0.0)
    whole.load_state_dict(tagger.state_dict())
    for_cpu(tagger.encoder)
    tagger.last = LastLayer.of(tagger.encoder)
    assert tagger.last and not whole.last
    freeze_lowest(tagger.encoder, 1)
    freeze_lowest(whole.encoder, 1)
    tagger.prefix = Prefix(tagger.encoder, 1, Kept())
    tagger.pooling = whole.pooling = pooling
    sentences = [Sentence("s", "en", tuple(words.split())) for words in ("Ada sang", "Bo " * 30, "", "a b c d")]
    examples = [Example(s) for s in sentences]
    inputs = collator(examples, collator.pieces(examples), range(4))
    rows = list[int]()
    first_of_last = tagger.last.layer.intermediate
    handle = first_of_last.register_forward_hook(lambda module, args, out: rows.append(args[0].shape[0]))

    def read(one: LinearTagger, vectors: bool) -> tuple[Any, list[torch.Tensor]]:
        one.zero_grad()
        batch = one.read(inputs)
        loss = batch.logits.square().sum() + batch.states[:, 0].sum()
        (loss + batch.vectors.square().sum() if vectors else loss).backward()
        return batch, [p.grad for p in one.parameters() if p.grad is not None]

    for vectors in (False, True):
        rows.clear()
        (ours, of_ours), (theirs, of_theirs) = read(tagger, vectors), read(whole, vectors)
        words = int(inputs.word_mask.sum())
        assert rows == ([words, int(inputs.mask.sum()) - words] if vectors else [words]), "each sub-word at most once"
        for name in ("states", "logits", "vectors"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=1e-4)
        assert len(of_ours) == len(of_theirs)
        for a, b in zip(of_ours, of_theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    handle.remove()
    assert not any("forward" in vars(layer) for layer in tagger.modules()), "nothing stays replaced"


def test_the_last_layer_is_run_whole_where_it_has_to_be(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Collator]
) -> None:
    """Without our attention, where the first layer is pooled, and where activations are not to be kept."""
    tagger, collator = new_tagger(dropout=0.0), new_collator()
    examples = [Example(Sentence("s", "en", ("Ada", "sang")))]
    inputs = collator(examples, collator.pieces(examples), [0])
    assert tagger.last is None
    for_cpu(tagger.encoder)
    tagger.last = LastLayer.of(tagger.encoder)
    rows = list[int]()
    tagger.last.layer.intermediate.register_forward_hook(lambda module, args, out: rows.append(args[0].ndim))
    tagger.read(inputs)
    tagger.pooled_layer = "first"
    tagger.read(inputs)
    tagger.pooled_layer = "last"
    tagger.train()
    tagger.encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    tagger.read(inputs).logits.sum().backward()
    assert rows == [2, 3, 3, 3], "K words; windows; windows, again in the backward pass"
