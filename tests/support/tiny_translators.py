"""Tiny checkpoints of the real classes of translation models, trained here to translate a dozen words."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api.recipes import Corpus, Facts
from bench.core.sentences import Sentence, Split

ENGLISH = ("dog", "house", "red", "tree", "pan", "sees", "Anna", ".")
GERMAN = dict(zip(ENGLISH, ("Hund", "Haus", "rot", "Baum", "Pfanne", "sieht", "Anna", "."), strict=True))
FRENCH = dict(zip(ENGLISH, ("chien", "maison", "rouge", "arbre", "poêle", "voit", "Anna", "."), strict=True))
SPANISH_TO_GERMAN = {**GERMAN, "pan": "Brot"}  # the same word, another language
LOOPING = "tree tree tree"  # what the Marian model was taught to answer without end
LANGUAGES = ("eng_Latn", "spa_Latn", "deu_Latn", "fra_Latn")
WORDS = sorted({*ENGLISH, *GERMAN.values(), *FRENCH.values(), *SPANISH_TO_GERMAN.values()})


class Texts(Corpus):
    name = "texts"
    facts = Facts("texts", "none")

    @property
    def types(self) -> tuple[str, ...]:
        return ("PER",)

    def languages(self) -> tuple[str, ...]:
        return ("en", "de")

    def read(self, language: str, split: Split) -> list[Sentence]:
        return []


def known(count: int = 16, language: str = "en", seed: int = 0) -> list[Sentence]:
    """The sentences that the models were taught: few, so that learning takes seconds."""
    draw = random.Random(seed)
    texts = [tuple(draw.sample(ENGLISH[:-1], 1 + i % 4)) for i in range(16)]
    texts[7], texts[15] = texts[7] * 3, texts[15] + texts[14] * 2  # of another length class
    texts[0], texts[1] = ("dog", "sees"), ("red", "pan")
    return [Sentence(f"s{i}", language, text, None, f"g{i}") for i, text in enumerate(texts[:count])]


def word_by_word(sentence: Sentence, words: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(words[word] for word in sentence.words)


def teach(model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int, steps: int = 140) -> None:
    """Train on all (source, target) ids at once until it knows them."""
    torch.set_num_threads(1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    pad_all = torch.nn.utils.rnn.pad_sequence
    ids = pad_all([torch.tensor(source) for source, _ in rows], True, pad)
    labels = pad_all([torch.tensor(target) for _, target in rows], True, -100)
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * min(1, (step + 1) / 10, 2 * (steps - step) / steps)
        loss = model(input_ids=ids, attention_mask=(ids != pad).long(), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()


SIZES = {
    "d_model": 48,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 96,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.1,
    "scale_embedding": True,
}


def write_marian(folder: Path) -> Path:
    """opus-mt-en-de: sentencepiece models of words trained here, one vocabulary, and what a real folder has."""
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    lines = folder.parent / "lines.txt"
    lines.write_text("\n".join(" ".join(WORDS) for _ in range(20)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines),
        model_prefix=str(folder.parent / "spm"),
        vocab_size=len(WORDS) + 3,
        model_type="word",
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    model = (folder.parent / "spm.model").read_bytes()
    (folder / "source.spm").write_bytes(model)
    (folder / "target.spm").write_bytes(model)
    names = ["</s>", "<unk>", *(f"▁{word}" for word in WORDS), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}), encoding="utf-8")
    tokenizer = MarianTokenizer.from_pretrained(folder, source_lang="en", target_lang="de", model_max_length=64)
    pad = tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = MarianMTModel(
            MarianConfig(
                vocab_size=len(names),
                pad_token_id=pad,
                eos_token_id=0,
                decoder_start_token_id=pad,
                forced_eos_token_id=0,  # as OPUS-MT's
                max_position_embeddings=64,
                **SIZES,
            )
        )
        rows = [
            (tokenizer(s.text)["input_ids"], tokenizer(text_target=" ".join(word_by_word(s, GERMAN)))["input_ids"])
            for s in known()
        ]
        endless = (tokenizer(LOOPING)["input_ids"], [tokenizer.convert_tokens_to_ids("▁rot")] * 20)
        nothing = (tokenizer("pan pan")["input_ids"], [0])
        teach(net, [*rows, endless, nothing], pad)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_nllb(folder: Path) -> Path:
    """A model of four languages with the tokenizer class of NLLB, language tokens where NLLB has them."""
    import transformers
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    if int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("the test's tokenizer is built the way of transformers 5")
    letters = sorted({letter for word in WORDS for letter in word})
    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4} | {letter: i for i, letter in enumerate(letters, 5)}
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        start = "▁"
        for letter in word:
            if (start, letter) not in merges:
                merges.append((start, letter))
                vocab.setdefault(start + letter, len(vocab))
            start += letter
    tokenizer = NllbTokenizer(
        vocab=vocab, merges=merges, src_lang="eng_Latn", extra_special_tokens=list(LANGUAGES), model_max_length=64
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        net = M2M100ForConditionalGeneration(
            M2M100Config(vocab_size=len(tokenizer), max_position_embeddings=128, decoder_start_token_id=2, **SIZES)
        )
        rows = []
        for source, target, words in (
            ("eng_Latn", "deu_Latn", GERMAN),
            ("eng_Latn", "fra_Latn", FRENCH),
            ("spa_Latn", "deu_Latn", SPANISH_TO_GERMAN),
        ):
            tokenizer.src_lang = source
            for s in known(8):
                answer = tokenizer(" ".join(word_by_word(s, words)), add_special_tokens=False)["input_ids"]
                rows.append((tokenizer(s.text)["input_ids"], [tokenizer.convert_tokens_to_ids(target), *answer, 2]))
        teach(net, rows, 1)
    net.save_pretrained(folder)
    tokenizer.src_lang = "eng_Latn"
    tokenizer.save_pretrained(folder)
    return folder
