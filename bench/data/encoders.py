"""Where an encoder comes from: our own recipe, a local folder, or the hub at a pinned revision; and its content key."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.api.recipes import EncoderRecipe, Progress
from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.files import sha256_of_unchanged
from bench.core.sentences import letters_of
from bench.plan import registry
from bench.plan.fingerprint import code_running
from bench.plan.keys import key_of, versions
from bench.plan.spec import EncoderSpec
from bench.store.artefacts import Artefact, Artefacts

WEIGHTS = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class EncoderSource:
    """An encoder as a matrix names it. `where` is a folder or hub id; "" for a recipe that is still to be made."""

    label: str  # what tables print: never a path
    key: str
    where: str = ""
    revision: str | None = None
    recipe: EncoderRecipe | None = None

    def ensure(self, cache: Artefacts, progress: Progress) -> tuple[str, Artefact | None]:
        """Folder or hub id to load, and the artefact it is (a recipe's); makes it if need be."""
        recipe = self.recipe
        if recipe is None or self.where:
            return self.where, None

        def build(folder: Path) -> dict[str, str]:
            print(f"making the encoder '{self.label}', once; it is kept in the cache", file=sys.stderr, flush=True)
            recipe.make(folder, progress)
            return {"encoder": self.label}

        artefact = cache.get_or_make("encoder", self.key, build)
        return str(artefact.folder), artefact

    def align_layer(self, spec: EncoderSpec) -> int | None:
        """The layer that aligns best: as the matrix's recipe says, else as the encoder's own does; None: no advice."""
        own = self.recipe.align_layer if self.recipe is not None else None
        return own if spec.align_layer is None else spec.align_layer

    def texts(self) -> Mapping[str, str]:
        """What we know that it was pre-trained on, by normalised text, for the leakage guard: our recipes only."""
        return _texts(type(self.recipe)) if self.recipe is not None else {}


@lru_cache(maxsize=8)
def _texts(recipe: type[EncoderRecipe]) -> Mapping[str, str]:
    """Once a process: every cell of an encoder compares the same text with its test.

    Where the text of a shipped encoder is not here there is nothing to compare: neither are the tests that its recipe
    checked it against.
    """
    try:
        return {letters_of(text): text for text in recipe().texts()}
    except Unavailable:
        if recipe.shipped is None:
            raise
        return {}


def find_encoder(name: str, spec: EncoderSpec) -> EncoderSource:
    """Resolve an encoder's name.

    Raises:
        BadInput: it is no recipe, no transformers folder and no hub id; or a hub id whose commit is not known offline;
            or more layers of it are to be frozen than its config.json leaves (of a hub id its loading tells).
    """
    if name in registry.names("encoder"):
        recipe = registry.make("encoder", name)
        if recipe.shipped is not None and recipe.shipped.is_dir():
            _check_frozen(name, recipe.shipped, spec)
            return EncoderSource(
                name, key_of("encoder", files=_hashes(recipe.shipped)), str(recipe.shipped), None, recipe
            )
        key = key_of("encoder", code=code_running(type(recipe).__module__), name=name, versions=versions())
        return EncoderSource(name, key, recipe=recipe)
    folder = Path(name).expanduser()
    if folder.is_dir():
        hashes = _hashes(folder)
        _check_frozen(name, folder, spec)
        return EncoderSource(folder.resolve().name, key_of("encoder", files=hashes), where=str(folder))
    if name.startswith((".", "/", "~")) or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise BadInput(
            f"encoder '{name}' is no folder, no recipe and no hub id{nearest(name, registry.names('encoder'))}"
        )
    commit = spec.revision if re.fullmatch(r"[0-9a-f]{40}", spec.revision) else _commit(name, spec.revision or "main")
    return EncoderSource(name, key_of("encoder", hub=name, commit=commit), where=name, revision=commit)


def _check_frozen(name: str, folder: Path, spec: EncoderSpec) -> None:
    """Refuse before anything is trained to freeze every layer; a config that says no number is left to the loading."""
    if not spec.freeze:
        return
    try:
        layers = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("num_hidden_layers")
    except (ValueError, AttributeError) as error:
        raise BadInput(f"encoder folder '{folder}': config.json is not a JSON object: {error}") from error
    if isinstance(layers, int) and spec.freeze >= layers:
        raise BadInput(
            f"encoder '{name}': freeze = {spec.freeze}, but it has {layers} layers, the last of which must learn"
        )


def _hashes(folder: Path) -> dict[str, str]:
    """Hashes of the files that a transformers folder is loaded from."""
    files = sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)})
    if not (folder / "config.json").exists() or not any(path.suffix == ".safetensors" for path in files):
        raise BadInput(
            f"encoder folder '{folder}' has no config.json with *.safetensors: not a transformers folder we load"
        )
    return {path.name: sha256_of_unchanged(path) for path in files}


@lru_cache(maxsize=64)
def _commit(name: str, revision: str) -> str:
    """The commit that a branch or tag of the hub stands for, from the local cache or the hub itself."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=["config.json"], local_files_only=offline)
    except RepositoryNotFoundError as error:
        raise BadInput(f"encoder '{name}': the hub has no such model") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise BadInput(
            f"encoder '{name}' at revision '{revision}' is not in the local hub cache and the hub cannot be reached;"
            f' give a local folder, or [encoder."{name}"] revision = "<commit>" once it is cached'
        ) from error
    commit = Path(folder).name
    print(f"encoder {name}: revision {revision} is commit {commit}; pin it to make the run repeatable", file=sys.stderr)
    return commit
