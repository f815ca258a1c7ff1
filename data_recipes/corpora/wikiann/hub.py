"""Labelled text on the Hugging Face hub: parquet files by language, their columns tokens and ner_tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.api.hub import HubName, cached, commit_of, fetch
from bench.core.errors import BadInput

_PARTS = {"train": "train", "dev": "validation", "test": "test"}


class Row(NamedTuple):
    """Tokens and tags as published, and their place for messages."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    where: str


def hub_name(repository: str, revision: str, languages: Iterable[str]) -> HubName:
    """The parquet files of these languages."""
    return HubName("dataset", repository, revision, tuple(f"{language}/*.parquet" for language in languages))


def read_split(name: HubName, language: str, split: str, tags: Sequence[str] = ()) -> list[Row]:
    """The rows of a split, from all its files in order, which are fetched where they are not cached.

    `tags` are the names of the tag numbers; where they are not given, the files must name them.

    Raises:
        BadInput: the hub refuses, or has no such split; a file is damaged, lacks a column, names the numbers otherwise
            than `tags`, or has a number without a name, or rows whose tags do not match their tokens.
    """
    commit, part = commit_of(name), _PARTS[split]
    folder = (cached(name, commit) or fetch(name, commit)) / language
    paths = sorted(path for layout in (f"{part}/*.parquet", f"*{part}*.parquet") for path in folder.glob(layout))
    if not paths:
        raise BadInput(f"{name.id} has no {language} {split} at commit {commit}")
    return [row for path in paths for row in _rows(path, name.id, list(tags))]


def _rows(path: Path, repository: str, tags: list[str]) -> list[Row]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=["tokens", "ner_tags"])
        columns = [table.column(name).to_pylist() for name in ("tokens", "ner_tags")]
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are these
        raise BadInput(f"{path}: not the parquet of {repository}: {str(error).splitlines()[0]}") from error
    try:
        metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
        feature = json.loads(metadata).get("info", {}).get("features", {}).get("ner_tags", {})
        names = (feature.get("feature") or feature.get("sequence", {}).get("class_label") or {}).get("names")
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{path}: its huggingface metadata cannot be read: {error}") from error
    if isinstance(names, dict):  # {"0": "O", …}
        names = [names[key] for key in sorted(names, key=int)]
    names = [str(name) for name in names or tags]
    if tags and names != tags:
        raise BadInput(f"{path}: ner_tags stands for {names}; expected {tags}")
    if not names:
        raise BadInput(f"{path}: it does not say what the numbers in ner_tags stand for (no huggingface metadata)")
    rows = []
    for number, (tokens, numbers) in enumerate(zip(*columns, strict=True), 1):
        where, tokens, numbers = f"{path}: row {number}", tokens or (), numbers or ()
        if bad := [tag for tag in numbers if not (isinstance(tag, int) and 0 <= tag < len(names))]:
            raise BadInput(f"{where}: ner_tags holds {bad[0]!r}; expected 0 to {len(names) - 1}")
        if len(tokens) != len(numbers):
            raise BadInput(f"{where}: {len(tokens)} tokens but {len(numbers)} tags")
        rows.append(Row(tuple(tokens), tuple(names[tag] for tag in numbers), where))
    return rows
