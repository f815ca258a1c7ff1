"""A tiny multilingual BERT, pre-trained in about a minute on the demo corpus's parallel text.

Masked language modelling on single sentences and translation language modelling on pairs (Conneau and Lample 2019,
section 3.3). It exists so that the demo and the tests need no download; it is evidence of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.api.recipes import EncoderRecipe, Progress
from bench.core.sentences import Sentence
from data_recipes.corpora.demo.corpus import DemoParams, parallel_text

VOCABULARY = 4000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HAN = "\u4e00"  # from this letter on every letter is a word of its own
PAIRS = 16000  # English sentences with a translation each
NAME_WEIGHT = 20
STEPS = 700
BATCH = 32  # lines a step: single sentences and pairs, half and half
MASKED = 0.2  # share of the pieces to predict
LENGTH = 128
SEED = 20261122
THREADS = 2  # another number of threads rounds differently


class Tiny(EncoderRecipe):
    """2 layers × 96: any AutoModel call loads it."""

    name = "tiny"
    version = 1

    def texts(self) -> Iterable[str]:
        return (side.text for pair in parallel_text(DemoParams(), PAIRS) for side in pair)

    def make(self, folder: Path, progress: Progress) -> None:
        """Train vocabulary and weights; write config, tokenizer and safetensors.

        Deterministic on one machine under the same number of threads.
        """
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()
        pairs = parallel_text(DemoParams(), PAIRS)
        tokenizer = train_tokenizer(_vocabulary_text())
        tokenizer.save_pretrained(folder)
        before = torch.get_num_threads()
        torch.set_num_threads(THREADS)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(SEED)
                model = _pretrain(pairs, tokenizer, progress)
        finally:
            torch.set_num_threads(before)
        model.bert.save_pretrained(folder, safe_serialization=True)


def _vocabulary_text() -> Iterable[str]:
    """The parallel text with its entities left out, and each English and Bulgarian name a few times.

    Names are as frequent as verbs in this corpus. Counted a few times each, what many names share (University, Bank)
    becomes a piece and the rest of a name is spelled, seen or unseen: no single embedding must give a name away.
    """
    names: set[str] = set()
    for pair in parallel_text(DemoParams(), PAIRS, labelled=True):
        for side in pair:
            spans = side.spans or ()
            inside = {i for span in spans for i in range(span.start, span.end)}
            yield " ".join(word for i, word in enumerate(side.words) if i not in inside)
            if side.language in ("en", "bg"):  # the others inflect them
                names |= {" ".join(side.words[span.start : span.end]) for span in spans}
    for name in sorted(names):
        yield from [name] * NAME_WEIGHT


def train_tokenizer(texts: Iterable[str], size: int = VOCABULARY) -> Any:
    """A cased WordPiece tokenizer of these texts, as a fast BERT tokenizer; the same vocabulary every time.

    The trainer numbers ##x in an order that differs from process to process, and breaks ties by number. Every letter is
    therefore given beforehand, as if it were special.
    """
    from tokenizers import trainers

    letters = {chr(c) for c in (*range(33, 127), *range(0xC0, 0x180), *range(0x410, 0x450))}
    letters |= {letter for pair in parallel_text(DemoParams(), PAIRS) for side in pair for letter in side.text}
    texts = list(texts)
    known = sorted(letters.union(*texts) - {" "})
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *known, *(f"##{letter}" for letter in known if letter < HAN)],
        initial_alphabet=known,
        show_progress=False,
        min_frequency=2,
    )
    backend = _bare()
    backend.train_from_iterator(texts, trainer)
    return fast_tokenizer(_bare(), backend.get_vocab(), longest_word=100, length=LENGTH)


def fast_tokenizer(backend: Any, vocabulary: Mapping[str, int], longest_word: int, length: int) -> Any:
    """A WordPiece vocabulary as a fast BERT tokenizer, as transformers loads and saves it.

    `backend` gives its normalizer and pre-tokenizer. A word of more than `longest_word` letters is unknown; `length` is
    the longest input in pieces.
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


def _bare() -> Any:
    """A tokenizer that splits as BERT's does and keeps case and accents."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def _pretrain(pairs: list[tuple[Sentence, Sentence]], tokenizer: Any, progress: Progress) -> Any:
    """The training loop: draw lines, mask, predict."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = "eager"  # faster than SDPA at this size on a CPU
    model = BertForMaskedLM(config)
    model.train()
    lines = _lines(pairs, tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min((s + 1) / 40, (STEPS - s) / STEPS))
    generator = torch.Generator().manual_seed(SEED)
    lines.sort(key=lambda line: len(line[0]))  # a batch holds lines of about one length, so little is padded
    starts = range(0, len(lines) - BATCH, BATCH)
    order: list[int] = []
    for step in range(STEPS):
        order = order or torch.randperm(len(starts), generator=generator).tolist()
        start = starts[order.pop()]
        ids, kinds, mask, chosen = _masked(lines[start : start + BATCH], tokenizer, generator)
        hidden = model.bert(input_ids=ids[0], token_type_ids=kinds, attention_mask=mask).last_hidden_state
        loss = torch.nn.functional.cross_entropy(model.cls(hidden[chosen]), ids[1][chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress(step + 1, STEPS, "pre-training the encoder 'tiny'")
    return model


def _lines(pairs: list[tuple[Sentence, Sentence]], tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """Ids and segment ids of every pair, and of every side alone."""
    options = {"truncation": True, "max_length": LENGTH, "return_token_type_ids": True}
    paired = tokenizer([a.text for a, _ in pairs], [b.text for _, b in pairs], **options)
    alone = tokenizer([side.text for pair in pairs[::2] for side in pair], **options)
    return [row for each in (paired, alone) for row in zip(each["input_ids"], each["token_type_ids"], strict=True)]


def _masked(batch: list[tuple[list[int], list[int]]], tokenizer: Any, generator: Any) -> Any:
    """(masked ids, true ids), segment ids, attention mask, and where to predict; BERT's 80/10/10 replacement."""
    import torch

    length = max(len(ids) for ids, _ in batch)
    true = torch.full((len(batch), length), tokenizer.pad_token_id)
    kinds = torch.zeros_like(true)
    for row, (pieces, segments) in enumerate(batch):
        true[row, : len(pieces)] = torch.tensor(pieces)
        kinds[row, : len(pieces)] = torch.tensor(segments)
    mask = (true != tokenizer.pad_token_id).long()
    special = torch.isin(true, torch.tensor(tokenizer.all_special_ids))
    draw = torch.rand(true.shape, generator=generator)
    chosen = (draw < MASKED) & ~special
    chosen[0, 1] = True  # at least one, so that the loss exists
    how = torch.rand(true.shape, generator=generator)
    noise = torch.randint(len(SPECIAL), len(tokenizer), true.shape, generator=generator)
    seen = torch.where(chosen & (how < 0.8), tokenizer.mask_token_id, true)
    return (torch.where(chosen & (how >= 0.9), noise, seen), true), kinds, mask, chosen
