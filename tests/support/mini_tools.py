"""A teacher of two random layers and a few linked sentences, for tests of the recipe of `mini`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_recipes.encoders.mini import prepare
from data_recipes.encoders.mini.prepare import Prepared
from data_recipes.encoders.mini.recipe import Extra
from data_recipes.encoders.mini.teacher import Teacher
from data_recipes.encoders.mini.text import Line, Text
from data_recipes.encoders.mini.vocabulary import LENGTH, Mix

TEXT = Text(
    ("Anna lives in Rom", "The house is old", "Bob sees the old house", "Rom is old"),
    (
        Line("de", "Anna lebt in Rom", 0),
        Line("de", "Das Haus ist alt", 1),
        Line("de", "Bob sieht ja das alte Haus", 2),
        Line("de", "Rom ist alt", 3),
        Line("zh", "安娜住在罗马", 0),
    ),
)
ENTRIES = [("de", "Haus", "house"), ("de", "alt", "old"), ("de", "Hauptstadt", "capital city")]
LINKS = {
    "de": [
        ((0, 0), (1, 1), (2, 2), (3, 3)),
        ((0, 0), (1, 1), (2, 2), (3, 3)),
        ((0, 0), (1, 1), (2, 3), (3, 4), (4, 5)),
        ((0, 0), (1, 1), (2, 2)),
    ],
    "zh": [((0, 0), (0, 1), (1, 2), (2, 3), (3, 4), (3, 5))],
}


def write_teacher(folder: Path) -> None:
    """A random BERT of 2 layers × 32 that knows the words of the English lines in small letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = sorted({word.lower() for line in TEXT.english for word in line.split()} | {"capital", "city"})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LENGTH,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)


def fake_links(pairs: Any, **_: Any) -> dict[str, Any]:
    """In place of eflomal, which is an extra."""
    return {language: LINKS[language] for language in pairs}


NOTHING = Extra(exchanged=0, own_words=False)


def small(folder: Path, mix: Mix, extra: Extra = NOTHING) -> tuple[Any, Prepared, Teacher]:
    """Tokenizer, arrays and teacher of the few sentences."""
    write_teacher(folder)
    teacher = Teacher.load(folder)
    kept = prepare.links_of
    prepare.links_of = fake_links
    try:
        tokenizer, data = prepare.prepare(TEXT, ENTRIES, teacher, 2, mix, extra, folder, lambda what: None)
    finally:
        prepare.links_of = kept
    return tokenizer, data, teacher
