"""WikiAnn on the Hugging Face hub: parquet files by language; and what a parquet file of tokens and tags holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.api.hub import HubName, commit_of, fetch
from bench.core.errors import BadInput
from data_recipes.corpora.wikiann.rows import TAGS, Row

REPOSITORY = "unimelb-nlp/wikiann"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}


def hub_name(revision: str, *languages: str) -> HubName:
    """The parquet files of these languages."""
    return HubName("dataset", REPOSITORY, revision, tuple(f"{language}/*.parquet" for language in languages))


def files_of(language: str, split: str, revision: str) -> list[Path]:
    """The parquet files of a split, in order, fetched where they are not cached.

    Raises:
        BadInput: the hub does not give them, or has none of this split.
    """
    name = hub_name(revision, language)
    commit = commit_of(name)
    files = sorted((fetch(name, commit) / language).glob(f"{SPLITS[split]}-*.parquet"))
    if not files:
        raise BadInput(f"corpus wikiann: {REPOSITORY} has no {language} {split} at commit {commit}")
    return files


def read_parquet(path: Path) -> list[Row]:
    """The rows of one file.

    Raises:
        BadInput: as `parquet_columns`; or its ClassLabel names are others, or a tag is out of range.
    """
    tokens, numbers, names = parquet_columns(path, "WikiAnn")
    if names is not None and tuple(names) != TAGS:  # the order that the numbers are read in
        raise BadInput(f"{path}: ner_tags stands for {names}; expected {list(TAGS)}")
    return [
        Row(tuple(words or ()), tuple(_tag(path, number, tag) for tag in tags or ()), f"{path}: row {number}")
        for number, (words, tags) in enumerate(zip(tokens, numbers, strict=True), 1)
    ]


def _tag(path: Path, row: int, number: int) -> str:
    if not (isinstance(number, int) and 0 <= number < len(TAGS)):
        raise BadInput(f"{path}: row {row}: ner_tags holds {number!r}; expected 0 to {len(TAGS) - 1}")
    return TAGS[number]


def parquet_columns(path: Path, corpus: str) -> tuple[list[Any], list[Any], list[str] | None]:
    """The columns tokens and ner_tags, and what the numbers stand for, None where the file does not say.

    Raises:
        BadInput: the file is damaged or lacks a column, or its huggingface metadata cannot be read.
    """
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=["tokens", "ner_tags"])
        tokens, numbers = (table.column(name).to_pylist() for name in ("tokens", "ner_tags"))
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are these
        raise BadInput(f"{path}: not the parquet of {corpus}: {str(error).splitlines()[0]}") from error
    try:
        metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
        tags = json.loads(metadata).get("info", {}).get("features", {}).get("ner_tags", {})
        names = (tags.get("feature") or tags.get("sequence", {}).get("class_label") or {}).get("names")
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{path}: its huggingface metadata cannot be read: {error}") from error
    if isinstance(names, dict):  # {"0": "O", …}
        names = [names[key] for key in sorted(names, key=int)]
    return tokens, numbers, [str(name) for name in names] if names else None
