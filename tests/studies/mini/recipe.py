"""The values of `mini`'s recipe: what a step reads, the loss, the schedule; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diet:
    """What a step reads; every value is ours."""

    tokens: int = 3000  # padded pieces of sentences a step
    entries: int = 128  # dictionary entries a step
    longest_entry: int = 8  # pieces; the few longer ones would pad all others
    english: float = 1.0  # how often an English sentence is read, a translation being read once
    switched: float = 0.5  # share of English sentences in which words are exchanged for linked ones
    exchanged: float = 0.5  # share of the words of such a sentence that can be
    masked: float = 0.05  # share of the pieces
    resplit: float = 0.1  # share of the words that are cut into other pieces than the tokenizer's
    refused: float = 0.5  # share of the pieces that such a cut passes over for shorter ones


@dataclass(frozen=True)
class Extra:
    """What training reads beside the text as it stands, all of it ours."""

    exchanged: int = 4  # versions of an English line with other words in it; each of its translations goes with one
    own_words: bool = True  # English words as dictionary entries of themselves


@dataclass(frozen=True)
class Recipe:
    """The loss and the schedule, all ours; none of the parts was weighed alone yet."""

    tokens: int = 3_000_000  # padded, read in training
    word: float = 0.3  # weight of the words' InfoNCE
    sentence: float = 0.1  # of the sentences'
    entry: float = 0.5  # of the dictionary entries
    capital: float = 0.2  # of guessing whether the English word is capitalised
    temperature: float = 0.1
    words: int = 768  # drawn for the InfoNCE, whose matrix is their square
    lr: float = 4e-4
    embedding_lr: float = 1.5e-3
    warmup: int = 60  # steps; then a constant rate
    decay: float = 0.8  # share of the steps at the end in which it falls to 0: a longer run goes on from before it
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 4
