"""The sidecars of a record: gold and predictions as CoNLL, counts as npz; written and read."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

from bench.core.sentences import Sentence, Span, digest, spans_of

if TYPE_CHECKING:
    import numpy as np

ID, GROUP = "# sent_id = ", "# group = "
GOLD = "gold.conll.gz"


class Damaged(ValueError):
    """A sidecar is missing or was changed; the message says how, without the path."""


BROKEN = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile),
    *(SyntaxError, TokenError),  # numpy's, of a header that is no Python
)


def read_arrays(file: Path | IO[bytes], without: str = "") -> dict[str, np.ndarray]:
    """The arrays of an npz sidecar by name, except for `without`.

    Raises:
        Damaged: it is missing, truncated, changed (RuntimeError is zipfile's where a flag was), or pickled.
    """
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name != without}
    except BROKEN as error:
        raise Damaged(damage(error)) from error


def damage(error: Exception) -> str:
    """What is wrong with a file, from the error of reading it."""
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, OSError):  # gzip.BadGzipFile is one
        return f"cannot be read: {error.strerror or error}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return f"truncated or damaged: {error}"


def npz_of(arrays: Mapping[str, Any]) -> bytes:
    """The arrays as the bytes of an npz sidecar."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@dataclass(frozen=True)
class Sidecar:
    """Sentences of a CoNLL sidecar: their text, ids, groups ("" where there is none), words and IOB2 tags."""

    blocks: list[str]
    ids: list[str]
    groups: list[str]
    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.words))

    @cached_property
    def spans(self) -> list[tuple[Span, ...]]:
        """The entities of each sentence."""
        return [spans_of(tags) for tags in self.tags]


def compressed(text: str) -> bytes:
    """The text gzipped; the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


def predictions_name(rule: str) -> str:
    """The sidecar that holds the predictions of a selection rule."""
    return f"predictions-{rule}.conll.gz"


def read_sidecar(path: Path) -> Sidecar:
    """A CoNLL sidecar.

    Raises:
        Damaged: it is missing, truncated, no gzip, not UTF-8, or not `word TAB tag` under `# sent_id = …`.
    """
    return parsed(unpacked(path))


def unpacked(path: Path) -> str:
    """The text of a gzipped sidecar; Damaged as `read_sidecar`."""
    try:
        return gzip.decompress(path.read_bytes()).decode()
    except BROKEN as error:
        raise Damaged(damage(error)) from error


def parsed(text: str) -> Sidecar:
    """The sentences of a text exactly as `bench.core.conll.conll_text` writes it; Damaged as `read_sidecar`."""
    number = 1
    blocks = text.split("\n\n")
    sidecar = Sidecar(blocks, [], [], [], [])
    if blocks.pop() or not blocks:
        raise Damaged("the last sentence is cut off" if text else "empty")
    for block in blocks:
        lines = block.split("\n")
        if not lines[0].startswith(ID):
            raise Damaged(f"line {number}: expected '{ID}…', found {lines[0][:60]!r}")
        grouped = len(lines) > 1 and lines[1].startswith(GROUP) and "\t" not in lines[1]
        rows = [line.split("\t") for line in lines[1 + grouped :]]
        if set(map(len, rows)) != {2} or not all(map(all, rows)):
            bad = next((i for i, row in enumerate(rows) if len(row) != 2 or not all(row)), 0)
            raise Damaged(f"line {number + 1 + grouped + bad}: expected a word, a tab and a tag")
        words, tags = zip(*rows, strict=True)
        sidecar.ids.append(lines[0][len(ID) :])
        sidecar.groups.append(lines[1][len(GROUP) :] if grouped else "")
        sidecar.words.append(words)
        sidecar.tags.append(tags)
        number += len(lines) + 1
    return sidecar


def digest_of(gold: Sidecar, language: str) -> str:
    """The digest of the sentences, which the corpus facts of a record hold as `test`."""
    return digest(sentences_of(gold, language))


def sentences_of(gold: Sidecar, language: str) -> list[Sentence]:
    """The sidecar as labelled sentences."""
    parts = zip(gold.ids, gold.words, gold.spans, gold.groups, strict=True)
    return [Sentence(id_, language, words, spans, group) for id_, words, spans, group in parts]
