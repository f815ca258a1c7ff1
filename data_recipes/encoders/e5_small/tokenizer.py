"""XLM-R's tokenizer from its pieces, scores and map of characters: the ids of the published tokenizer.json."""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping
from typing import Any

from data_recipes.encoders.e5_small.packed import Vocabulary

SPACE = "▁"
MASK = "<mask>"
_TWINS = {"\u0300": "\u0340", "\u0301": "\u0341", "\u0313": "\u0343"}  # combining marks that Unicode has twice


def fast_tokenizer(vocabulary: Vocabulary, length: int) -> Any:
    """A fast tokenizer as transformers loads and saves it; `length` is the longest input in pieces."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = vocabulary.pieces
    scored = list(zip(pieces, vocabulary.scores, strict=True))
    backend = Tokenizer(models.Unigram(scored, unk_id=vocabulary.unknown, byte_fallback=False))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap(normalisation(vocabulary.written))), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always")
    backend.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    bos, eos = pieces[vocabulary.bos], pieces[vocabulary.eos]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, vocabulary.bos), (eos, vocabulary.eos)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        cls_token=bos,
        sep_token=eos,
        pad_token=pieces[vocabulary.pad],
        unk_token=pieces[vocabulary.unknown],
        mask_token=MASK if MASK in pieces else None,
        model_max_length=length,
        model_input_names=["input_ids", "attention_mask"],
    )


def normalisation(written: Mapping[str, str]) -> dict[str, str]:
    """SentencePiece's nmt_nfkc: the map of single characters, and letters composed with a combining mark.

    SentencePiece's own table also has longer sequences. They are never read: `tokenizers` takes the shortest entry that
    a cluster of at most 5 bytes begins with, and goes through a longer cluster character by character.
    """
    normal = dict(written)
    for number in (*range(0x80, 0xD800), *range(0xE000, 0x110000)):
        letter = chr(number)
        apart = unicodedata.normalize("NFD", letter)
        if len(apart) == 2 and letter not in written and unicodedata.normalize("NFC", apart) == letter:
            normal[apart] = letter
            if apart[1] in _TWINS:
                normal[apart[0] + _TWINS[apart[1]]] = letter
    return normal


def charsmap(entries: Mapping[str, str]) -> bytes:
    """The entries as SentencePiece stores them: a double-array trie over UTF-8 (Darts), then what each is written as.

    A node of the trie is a place; its children lie at that place's base, exclusive-or their byte, its value at the
    base itself. No two nodes have the same base, so that a child's byte identifies its parent.
    """
    trie: dict[int, Any] = {}
    texts, offsets = bytearray(), {}
    for key, text in sorted(entries.items()):
        if text not in offsets:
            offsets[text] = len(texts)
            texts += text.encode() + b"\0"
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[0] = offsets[text]
    units, bases = {0: 0}, set[int]()
    waiting, lowest = [(0, trie)], 1
    while waiting:
        place, node = waiting.pop()
        while lowest in units:
            lowest += 1
        first = min(node, default=0)
        base, step = lowest ^ first, lowest
        while base in bases or any(base ^ byte in units for byte in node):
            step += 1
            base = step ^ first
        bases.add(base)
        units[place] |= (place ^ base) << 10 | (0 in node) << 8
        for byte, child in node.items():
            units[base ^ byte] = byte if byte else child | 1 << 31
            if byte:
                waiting.append((base ^ byte, child))
    size = (max(units) | 255) + 1  # whole blocks of 256, in which every byte after a base has a place
    trie_bytes = struct.pack(f"<{size}I", *(units.get(place, 0) for place in range(size)))
    return struct.pack("<I", len(trie_bytes)) + trie_bytes + bytes(texts)
