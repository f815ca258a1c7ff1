"""WikiAnn on the Hugging Face hub: parquet files by language, in a snapshot at one revision."""

from __future__ import annotations

import json
from pathlib import Path

from bench.corpus import BadInput
from data_recipes.corpora.wikiann.rows import TAGS, Row

REPOSITORY = "unimelb-nlp/wikiann"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}


def snapshot(language: str, revision: str, *, local: bool = False) -> Path:
    """The snapshot's folder, with the parquet files of one language; its name is the commit that was used.

    `local` (and HF_HUB_OFFLINE) looks only at what is already in the hub's cache.

    Raises:
        BadInput: not in the cache and cannot be downloaded: what to do.
    """
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            REPOSITORY,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[f"{language}/*.parquet"],
            local_files_only=local,
        )
    except (OSError, ValueError) as error:  # the hub's own errors are OSErrors or ValueErrors
        raise BadInput(
            f"corpus wikiann: {language} at revision '{revision}' is not in the hub's cache and cannot be downloaded"
            f" ({type(error).__name__}); run 'xner data fetch wikiann --languages {language}' with a network, or put"
            f" the text files at $XNER_DATA/wikiann/{language}/{{train,dev,test}}"
        ) from error
    return Path(folder)


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
    _check_names(path, table.schema.metadata or {})
    rows = zip(table.column("tokens").to_pylist(), table.column("ner_tags").to_pylist(), strict=True)
    return [
        Row(tuple(tokens or ()), tuple(_tag(path, number, tag) for tag in tags or ()), f"{path}: row {number}")
        for number, (tokens, tags) in enumerate(rows, 1)
    ]


def _tag(path: Path, row: int, number: int) -> str:
    if not (isinstance(number, int) and 0 <= number < len(TAGS)):
        raise BadInput(f"{path}: row {row}: ner_tags holds {number!r}; expected 0 to {len(TAGS) - 1}")
    return TAGS[number]


def _check_names(path: Path, metadata: dict[bytes, bytes]) -> None:
    """Compare the file's own ClassLabel names, where it has them, with the order that the numbers are read in."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        tags = features.get("ner_tags", {})
        names = (tags.get("feature") or tags.get("sequence", {}).get("class_label") or {}).get("names")
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{path}: its huggingface metadata cannot be read: {error}") from error
    if isinstance(names, dict):  # {"0": "O", …}
        names = [names[key] for key in sorted(names, key=int)]
    if names is not None and tuple(names) != TAGS:
        raise BadInput(f"{path}: ner_tags stands for {names}; expected {list(TAGS)}")
