"""WikiAnn on the Hugging Face hub: parquet files by language, in a snapshot at one revision."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import BadInput
from data_recipes import hub_files
from data_recipes.corpora.wikiann.rows import TAGS, Row

REPOSITORY = "unimelb-nlp/wikiann"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}


def snapshot(language: str, revision: str, *, local: bool = False) -> Path:
    """The snapshot's folder, with the parquet files of one language; its name is the commit that was used.

    `local` (and HF_HUB_OFFLINE) looks only at what is already in the hub's cache.

    Raises:
        BadInput: not in the cache and cannot be downloaded: what to do.
    """
    otherwise = (
        f"run 'xner data fetch wikiann --languages {language}' with a network, or put the text files at"
        f" $XNER_DATA/wikiann/{language}/{{train,dev,test}}"
    )
    return hub_files.snapshot(REPOSITORY, revision, f"{language}/*.parquet", local=local, otherwise=otherwise)


def files_of(folder: Path, language: str, split: str) -> list[Path]:
    """The parquet files of a split, in order."""
    return sorted((folder / language).glob(f"{SPLITS[split]}-*.parquet"))


def read_parquet(path: Path) -> list[Row]:
    """The rows of one file.

    Raises:
        BadInput: the file is damaged, lacks a column, its ClassLabel names are others, or a tag is out of range.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=["tokens", "ner_tags"])
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are these
        raise BadInput(f"{path}: not the parquet of WikiAnn: {str(error).splitlines()[0]}") from error
    if len(table.column_names) < 2:
        raise BadInput(
            f"{path}: columns tokens and ner_tags are needed, found {', '.join(table.column_names) or 'none'}"
        )
    names = hub_files.label_names(path, table.schema.metadata or {})
    if names is not None and tuple(names) != TAGS:  # the order that the numbers are read in
        raise BadInput(f"{path}: ner_tags stands for {names}; expected {list(TAGS)}")
    rows = zip(table.column("tokens").to_pylist(), table.column("ner_tags").to_pylist(), strict=True)
    return [
        Row(tuple(tokens or ()), tuple(_tag(path, number, tag) for tag in tags or ()), f"{path}: row {number}")
        for number, (tokens, tags) in enumerate(rows, 1)
    ]


def _tag(path: Path, row: int, number: int) -> str:
    if not (isinstance(number, int) and 0 <= number < len(TAGS)):
        raise BadInput(f"{path}: row {row}: ner_tags holds {number!r}; expected 0 to {len(TAGS) - 1}")
    return TAGS[number]
