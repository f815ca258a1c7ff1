"""Content keys that remember their components, the differences of two keys, and named seed streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.files import canonical_json, sha256_of, write_bytes
from bench.plan.schema import to_plain
from bench.plan.stages import VERSIONS

if TYPE_CHECKING:
    import numpy as np

NAME = "key.json"  # among the sidecars of a record
ABSENT = "(absent)"
_LAST = frozenset({"versions", "stages", "version", "code"})  # listed last among differences


class Key(str):
    """A key, equal to its text, that remembers its stage and components; keys among the components do, too."""

    stage: str
    components: dict[str, Any]

    @classmethod
    def of(cls, text: str, stage: str, components: dict[str, Any]) -> Key:
        key = cls(text)
        key.stage, key.components = stage, components
        return key


def key_of(stage: str, **components: Any) -> Key:
    """The key of what a stage makes from its components: 32 hex digits, the same for the same content.

    The stage's declared version is added. Components are resolved parameters, parents' keys, hashes of data and
    weights, seeds, versions. No paths, host or device: another machine must get the same key.

    Raises:
        TypeError: a component has no plain form (a Path, a set, a tensor, a dict with other keys than strings).
        ValueError: a number is not finite.
    """
    components |= {"version": VERSIONS[stage]} if stage in VERSIONS else {}
    for name, value in components.items():
        try:
            components[name] = to_plain(value)
        except TypeError as error:
            raise TypeError(f"{name} cannot be part of a key: {error}") from error
    return Key.of(sha256_of(canonical_json({"stage": stage, "components": components}))[:32], stage, components)


@lru_cache(maxsize=8)
def _version(name: str) -> str:
    try:
        return ".".join(version(name).split("+")[0].split(".")[:2])
    except PackageNotFoundError:
        return "absent"


def versions(*names: str) -> dict[str, str]:
    """major.minor of libraries, by default those that affect a training; "absent" if not installed."""
    return {name: _version(name) for name in names or ("torch", "transformers", "tokenizers")}


def seed_stream(seed: int, *names: str) -> int:
    """A seed of 63 bits for one named use (subset, order, init, dropout, …): streams never depend on each other."""
    return int(sha256_of(canonical_json([seed, *names]))[:16], 16) >> 1


def rng(seed: int, *names: str) -> np.random.Generator:
    """The generator of a named seed stream."""
    import numpy as np  # here, so that plans without a search do not pay for it

    return np.random.default_rng(seed_stream(seed, *names))


def keys_below(value: Any) -> Iterator[Key]:
    """Every key among the components of a key, however deep: those of all its ancestors."""
    inner = value.components if isinstance(value, Key) else value
    items = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
    for item in items:
        if isinstance(item, Key):
            yield item
        yield from keys_below(item)


# --- a key's components, stored beside its record ---------------------------------------------------------------------


def write_key(out: Path, key: str) -> None:
    """Publish a key's components, if it remembers them, among its record's sidecars."""
    if isinstance(key, Key):
        write_bytes(out / "sidecars" / key / NAME, (canonical_json(_unfolded(key)) + "\n").encode())


def _unfolded(value: Any) -> Any:
    """A component with an object of `key`, `stage` and `components` for every key."""
    if isinstance(value, Key):
        return {"key": str(value), "stage": value.stage, "components": _unfolded(value.components)}
    if isinstance(value, dict):
        return {name: _unfolded(item) for name, item in value.items()}
    return [_unfolded(item) for item in value] if isinstance(value, list) else value


def _folded(value: dict[str, Any]) -> Any:
    is_key = value.keys() == {"key", "stage", "components"}
    return Key.of(value["key"], value["stage"], value["components"]) if is_key else value


@dataclass(frozen=True)
class KeyChange:
    """One component in which two keys differ, by its dotted place, with its old and its new value."""

    what: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.what}: {self.old} → {self.new}"


def key_changes(out: Path, old: str, new: str) -> tuple[KeyChange, ...]:
    """The differences of a stored key and a present one: settings first, then data, versions and code.

    () where the components of either are not known: they were not stored, or cannot be read.
    """

    def rank(change: KeyChange) -> tuple[bool, bool, str]:
        hashes = all(re.fullmatch("[0-9a-f]{8}", value) or value == ABSENT for value in (change.old, change.new))
        return not _LAST.isdisjoint(change.what.split(".")), hashes, change.what

    try:
        text = (out / "sidecars" / old / NAME).read_text(encoding="utf-8")
        stored = json.loads(text, object_hook=_folded)
    except (OSError, ValueError):
        return ()
    known = isinstance(stored, Key) and stored == old and isinstance(new, Key)
    return tuple(sorted(_changes(stored, new, ""), key=rank)) if known else ()


def _changes(old: Any, new: Any, place: str) -> Iterator[KeyChange]:
    if old == new:
        return
    if isinstance(old, Key) and isinstance(new, Key) and old.stage == new.stage:
        old, new = old.components, new.components
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(name, ABSENT), new.get(name, ABSENT), f"{place}.{name}" if place else name)
    else:
        yield KeyChange(place, _shown(old), _shown(new))


def _shown(value: Any) -> str:
    """A value for people: hashes are cut to 8 digits."""
    if isinstance(value, Key):
        return f"{value.stage} {value[:8]}"
    if isinstance(value, str):
        return value[:8] if re.fullmatch("[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}", value) else value
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
