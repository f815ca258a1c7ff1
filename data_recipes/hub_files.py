"""Data sets on the Hugging Face hub: a snapshot at one revision, and what a parquet file says that its labels mean."""

from __future__ import annotations

import json
from pathlib import Path

from bench.core.errors import BadInput


def snapshot(repository: str, revision: str, pattern: str, *, local: bool, otherwise: str) -> Path:
    """The folder with the files that match `pattern`; its name is the commit.

    `local` (and HF_HUB_OFFLINE) looks only at what is already in the hub's cache.

    Raises:
        BadInput: not in the cache and cannot be downloaded; `otherwise` says what to do.
    """
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=[pattern], local_files_only=local
        )
    except (OSError, ValueError) as error:  # the hub's own errors are OSErrors or ValueErrors
        raise BadInput(
            f"{repository}: {pattern} at revision '{revision}' is not in the hub's cache and cannot be downloaded"
            f" ({type(error).__name__}); {otherwise}"
        ) from error
    return Path(folder)


def label_names(path: Path, metadata: dict[bytes, bytes]) -> list[str] | None:
    """What the numbers of the column ner_tags stand for, None where the file does not say.

    Raises:
        BadInput: the file's huggingface metadata cannot be read.
    """
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        tags = features.get("ner_tags", {})
        names = (tags.get("feature") or tags.get("sequence", {}).get("class_label") or {}).get("names")
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{path}: its huggingface metadata cannot be read: {error}") from error
    if isinstance(names, dict):  # {"0": "O", …}
        names = [names[key] for key in sorted(names, key=int)]
    return [str(name) for name in names] if names else None
