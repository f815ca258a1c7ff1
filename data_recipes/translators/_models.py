"""Where a translation model comes from: a local folder or the hub at a commit; safetensors only."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.core.errors import BadInput, Unavailable
from bench.core.files import sha256_of, sha256_of_file

SETTINGS = ("*.json", "*.txt", "*.model", "*.spm")
WEIGHTS = "*.safetensors"
CONVERTER, CONVERSION = "SFconvertbot", "Adding `safetensors` variant"  # the hub's own bot, and how it titles its work


@dataclass(frozen=True)
class ModelSource:
    """A model that can be loaded. `version` is a commit of the hub, or a hash of the files of a folder."""

    label: str  # what provenance says: a hub id or a folder's name, never a path
    version: str
    folder: Path | None  # None: on the hub

    def ensure(self) -> Path:
        """The folder to load; fetches a hub model.

        Raises:
            BadInput: the hub cannot be reached, or this commit has no safetensors.
        """
        if self.folder is not None:
            return self.folder
        folder = _snapshot(self.label, self.version, [*SETTINGS, WEIGHTS])
        if not any(folder.glob(WEIGHTS)):
            raise BadInput(_no_safetensors(self.label, self.version))
        return folder


def find_model(name: str, revision: str) -> ModelSource:
    """Resolve a folder or hub id; without a revision main, or where that has pickled weights only its conversion.

    Raises:
        Unavailable: there is no such folder, or the hub has no such model.
        BadInput: it is neither; it has no safetensors; or the hub cannot be reached and its cache does not have it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelSource(folder.resolve().name, _hash_of(folder), folder)
    if name.startswith((".", "/", "~")) or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise Unavailable(f"translation model '{name}' is no folder here and no hub id")
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return ModelSource(name, revision, None)
    return ModelSource(name, _commit(name, revision), None)


def _hash_of(folder: Path) -> str:
    files = sorted({path for pattern in (*SETTINGS, WEIGHTS) for path in folder.glob(pattern)})
    if not (folder / "config.json").is_file() or not any(path.suffix == ".safetensors" for path in files):
        raise BadInput(f"'{folder}' has no config.json with {WEIGHTS}: not a transformers folder that we load")
    return "sha256:" + sha256_of("\n".join(f"{path.name} {_hash(path, *_state(path))}" for path in files))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=256)
def _hash(path: Path, mtime_ns: int, size: int) -> str:
    return sha256_of_file(path)


@lru_cache(maxsize=64)
def _commit(name: str, revision: str) -> str:
    """The commit that a branch, tag or pull request stands for; without one, of what has safetensors."""
    found = revision or "main"
    if not revision and not _offline() and not _has_safetensors(name, found):
        found = _conversion(name)
    commit = _snapshot(name, found, ["config.json"]).name
    print(f"model {name}: revision {found} is commit {commit}; pin it to make the run repeatable", file=sys.stderr)
    return commit


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")


def _snapshot(name: str, revision: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=list(patterns), local_files_only=_offline())
        )
    except RepositoryNotFoundError as error:
        raise Unavailable(f"translation model '{name}': the hub has no such model") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise BadInput(
            f"translation model '{name}' at revision '{revision}' is not in the local hub cache and the hub cannot be"
            " reached; give a local folder as model, or a revision that is in the cache"
        ) from error


def _has_safetensors(name: str, revision: str) -> bool:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        return any(path.endswith(".safetensors") for path in HfApi().list_repo_files(name, revision=revision))
    except RepositoryNotFoundError as error:
        raise Unavailable(f"translation model '{name}': the hub has no such model") from error
    except (HfHubHTTPError, OSError):
        return True  # not to be asked: the cache may still have it


def _conversion(name: str) -> str:
    """The pull request in which the hub's bot stored the same weights as safetensors."""
    from huggingface_hub import HfApi

    for one in HfApi().get_repo_discussions(name, author=CONVERTER, discussion_type="pull_request"):
        if one.title.startswith(CONVERSION) and one.author == CONVERTER and one.git_reference:
            return str(one.git_reference)
    raise BadInput(_no_safetensors(name, "main"))


def _no_safetensors(name: str, revision: str) -> str:
    return (
        f"translation model '{name}' has no safetensors at revision '{revision}', and pickled weights are not loaded;"
        " give a revision that has them (a pull request of the hub's conversion bot: refs/pr/<number>) or a folder"
    )
