"""CoNLL-U, as far as translations need it: surface words, and the comments that join them with other files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.core.conll import has_control, read_lines
from bench.core.errors import BadInput

_ID = re.compile(r"(\d+)(?:-(\d+)|\.\d+)?")


@dataclass(frozen=True, slots=True)
class Block:
    """A sentence: its comments by key (white space collapsed), its surface words, and its first line in the file."""

    comments: dict[str, str]
    words: tuple[str, ...]
    line: int


def read_conllu(path: Path) -> list[Block]:
    """The sentences of a file. A range `5-6 della` gives its surface word, its parts are dropped; so are nodes `8.1`.

    A form with a space in it (`25 000`) becomes several words, as other tokenisers have it.

    Raises:
        BadInput: file:line of a row that is no row of CoNLL-U, or of parts that do not follow their range.
    """
    blocks: list[Block] = []
    rows: list[tuple[int, str]] = []
    for number, line in enumerate([*read_lines(path), ""], 1):
        if line.strip():
            rows.append((number, line))
        elif rows:
            blocks.append(_block(path, rows))
            rows = []
    if not blocks:
        raise BadInput(f"{path}:1: no sentence in this file")
    return blocks


def _block(path: Path, rows: list[tuple[int, str]]) -> Block:
    comments: dict[str, str] = {}
    words: list[str] = []
    covered = 0  # the last part of the range before
    expected = 1  # the next id
    for number, line in rows:
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            comments.setdefault(key.strip(), " ".join(value.split()))
            continue
        fields = line.split("\t")
        found = _ID.fullmatch(fields[0])
        if found is None or len(fields) < 2 or not fields[1].strip() or has_control(fields[1]):
            raise BadInput(f"{path}:{number}: no row of CoNLL-U (an id TAB a form …): {line[:60]!r}")
        first, last = int(found[1]), int(found[2] or 0)
        if "." in fields[0]:
            continue  # an empty node: no word of the sentence
        if first != expected or (last and last < first):
            raise BadInput(f"{path}:{number}: id {fields[0]}, expected {expected}: a row is missing or out of place")
        if last:
            covered = last
        else:
            expected += 1
        if last or first > covered:
            words.extend(fields[1].split())
    if not words or covered >= expected:
        raise BadInput(f"{path}:{rows[-1][0]}: the sentence ends {'before its range' if words else 'without a word'}")
    return Block(comments, tuple(words), rows[0][0])
