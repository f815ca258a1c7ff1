"""WikiAnn's original text: `xx:token TAB tag`, an empty line between sentences, files train, dev, test a language."""

from __future__ import annotations

from pathlib import Path

from bench.core.conll import read_tagged
from bench.core.errors import BadInput
from data_recipes.corpora.wikiann.rows import Row


def read_text(path: Path, language: str) -> list[Row]:
    """The rows of one file, the language's prefix taken off each token.

    Raises:
        BadInput: as `bench.core.conll.read_tagged`, or a token has no prefix.
    """
    rows = []
    for item in read_tagged(path, controls=True):
        tokens = []
        for token, line in zip(item.words, item.lines, strict=True):
            prefix, colon, rest = token.partition(":")
            if not colon or not prefix:
                raise BadInput(f"{path}:{line}: expected '{language}:token', found {token!r}")
            tokens.append(rest)
        rows.append(Row(tuple(tokens), item.tags, f"{path}:{item.lines[0]}"))
    return rows
