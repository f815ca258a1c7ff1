"""Where a translation model comes from: a local folder or the hub at a commit; safetensors only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.api import hub
from bench.core.errors import BadInput, Unavailable
from bench.core.files import sha256_of, sha256_of_file

SETTINGS = ("*.json", "*.txt", "*.model", "*.spm")
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class ModelSource:
    """A model that can be loaded. `version` is a commit of the hub, or a hash of the files of a folder."""

    label: str  # what provenance says: a hub id or a folder's name, never a path
    version: str
    folder: Path | None  # None: on the hub

    def ensure(self) -> Path:
        """The folder to load; fetches a hub model.

        Raises:
            BadInput: the hub does not give it, or this commit has no safetensors.
        """
        if self.folder is not None:
            return self.folder
        folder = hub.fetch_shown(hub_name(self.label, ""), self.version)
        if not any(folder.glob(WEIGHTS)):
            raise BadInput(f"translation model '{self.label}' has no safetensors at commit {self.version}")
        return folder


def find_model(name: str, revision: str) -> ModelSource:
    """Resolve a folder or hub id; a revision with pickled weights only stands for the hub's conversion of it.

    Raises:
        Unavailable: there is no such folder.
        BadInput: it has no safetensors, or the hub does not resolve it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelSource(folder.resolve().name, _hash_of(folder), folder)
    if not is_hub_id(name):
        raise Unavailable(f"translation model '{name}' is no folder here and no hub id (OWNER/NAME)")
    return ModelSource(name, hub.commit_of(hub_name(name, revision)), None)


def is_hub_id(name: str) -> bool:
    """Whether a model's name can only be the hub's."""
    return not name.startswith((".", "/", "~")) and hub.ID.fullmatch(name) is not None and not Path(name).is_dir()


def hub_name(name: str, revision: str) -> hub.HubName:
    """What is read of a model on the hub."""
    return hub.HubName("model", name, revision, (*SETTINGS, WEIGHTS), safetensors=True)


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
