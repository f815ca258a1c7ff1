"""MasakhaNER 2 on the Hugging Face hub: the parquet that the hub itself converted from its loading script."""

from __future__ import annotations

from pathlib import Path

from bench.api.hub import HubName, commit_of, fetch
from bench.core.errors import BadInput
from data_recipes.corpora.wikiann.hub import SPLITS, parquet_columns

REPOSITORY = "masakhane/masakhaner2"

Row = tuple[tuple[str, ...], tuple[str, ...]]  # words, tags


def hub_name(revision: str, *languages: str) -> HubName:
    """The parquet files of these languages, in either layout."""
    return HubName("dataset", REPOSITORY, revision, tuple(f"{language}/*.parquet" for language in languages))


def read_split(language: str, split: str, revision: str) -> list[Row]:
    """The rows of a split, tags by the names that the file itself gives them; fetched where they are not cached.

    Raises:
        BadInput: the hub does not give the files or has none of this split; a damaged one, one without the columns or
            the names, or a tag that has no name.
    """
    name = hub_name(revision, language)
    folder = fetch(name, commit_of(name)) / language
    layouts = (f"{SPLITS[split]}/*.parquet", f"masakhaner2-{SPLITS[split]}*.parquet")  # the second is the older one
    paths = sorted(path for layout in layouts for path in folder.glob(layout))
    if not paths:
        raise BadInput(f"corpus masakhaner: {folder.parent} has no {language}/{SPLITS[split]}/*.parquet")
    return [row for path in paths for row in _rows(path)]


def _rows(path: Path) -> list[Row]:
    tokens, tags, names = parquet_columns(path, "MasakhaNER")
    if names is None:  # there is no guessing
        raise BadInput(f"{path}: it does not say what the numbers in ner_tags stand for (no huggingface metadata)")
    rows = []
    for number, (words, numbers) in enumerate(zip(tokens, tags, strict=True), 1):
        bad = [tag for tag in numbers or () if not (isinstance(tag, int) and 0 <= tag < len(names))]
        if bad or len(words or ()) != len(numbers or ()):
            what = f"ner_tags holds {bad[0]!r}" if bad else f"{len(words or ())} tokens, {len(numbers or ())} tags"
            raise BadInput(f"{path}: row {number}: {what}")
        rows.append((tuple(words or ()), tuple(names[tag] for tag in numbers or ())))
    return rows
