"""MasakhaNER 2 on the Hugging Face hub: the parquet that the hub itself converted from its loading script."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import BadInput
from data_recipes import hub_files

REPOSITORY = "masakhane/masakhaner2"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}

Row = tuple[tuple[str, ...], tuple[str, ...]]  # words, tags


def snapshot(language: str, revision: str, *, local: bool = False) -> Path:
    """The snapshot's folder with the parquet files of one language; its name is the commit.

    `local` (and HF_HUB_OFFLINE) looks only at what is already in the hub's cache.

    Raises:
        BadInput: not in the cache and cannot be downloaded: what to do.
    """
    otherwise = (
        f"run 'xner data fetch masakhaner2/{language}' with a network, or put the text files at"
        f" $XNER_DATA/masakhaner2/{language}/{{train,dev,test}}.txt"
    )
    return hub_files.snapshot(REPOSITORY, revision, f"{language}/*/*.parquet", local=local, otherwise=otherwise)


def read_split(folder: Path, language: str, split: str) -> list[Row]:
    """The rows of a split, tags by the names that the file itself gives them.

    Raises:
        BadInput: no file, a damaged one, one without the columns or the names, or a tag that has no name.
    """
    paths = sorted((folder / language / SPLITS[split]).glob("*.parquet"))
    if not paths:
        raise BadInput(f"corpus masakhaner: {folder} has no {language}/{SPLITS[split]}/*.parquet")
    return [row for path in paths for row in _rows(path)]


def _rows(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=["tokens", "ner_tags"])
        tokens, tags = (table.column(name).to_pylist() for name in ("tokens", "ner_tags"))
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are these
        raise BadInput(f"{path}: not the parquet of MasakhaNER: {str(error).splitlines()[0]}") from error
    names = hub_files.label_names(path, table.schema.metadata or {})
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
