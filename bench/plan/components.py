"""What a key was made of: written beside the record that has it, read back, and compared with another key's."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.core.files import canonical_json, write_bytes
from bench.plan.fingerprint import CODE, parts
from bench.plan.keys import Key

NAME = "key.json"  # among the sidecars of a record
ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """One component in which two keys differ, in words, with its old and its new value."""

    what: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.what}: {self.old} → {self.new}"


def plain(key: Key) -> dict[str, Any]:
    """The key as JSON: `key`, `stage`, `components`, and so on for every key among the components."""
    return {"key": str(key), "stage": key.stage, "components": {k: _plain(v) for k, v in key.components.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Key):
        return plain(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def keys_below(value: Any) -> Iterator[Key]:
    """Every key among the components of a key, however deep: what the thing is made from."""
    if isinstance(value, Key):
        for item in value.components.values():
            if isinstance(item, Key):
                yield item
            yield from keys_below(item)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            if isinstance(item, Key):
                yield item
            yield from keys_below(item)


def write_key(out: Path, key: Key) -> None:
    """Publish a key's components among its record's sidecars; what the code was is kept once for all that ran it."""
    write_bytes(out / "sidecars" / key / NAME, (canonical_json(plain(key)) + "\n").encode())
    for below in keys_below(key):
        path = _code_file(out, below)
        if below.stage == CODE and not path.exists():
            text = canonical_json(parts(*below.components["modules"]))
            write_bytes(path, gzip.compress(text.encode(), mtime=0))


def read_key(out: Path, key: str) -> dict[str, Any] | None:
    """A key's components as `plain` has them; None where they were not stored or cannot be read."""
    try:
        value = json.loads((out / "sidecars" / key / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("key") == key and "components" in value else None


def _code_file(out: Path, fingerprint: str) -> Path:
    return out / "fingerprints" / f"{fingerprint}.json.gz"


def _stored_parts(out: Path, fingerprint: str) -> dict[str, dict[str, str]] | None:
    """The definitions that a fingerprint covered when it was stored."""
    try:
        found = json.loads(gzip.decompress(_code_file(out, fingerprint).read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    return found if isinstance(found, dict) else None


def differences(out: Path, old: Mapping[str, Any], new: Key) -> list[Difference]:
    """In what a stored key of the folder and a present one differ: settings first, then data, versions and code."""
    return list(_Compared(out).keys(old, plain(new), ""))


GROUPS = {  # how the place of a value inside begins; "name." where it is not here
    "params": "parameter ",
    "recipe": "encoder recipe: ",
    "axes": "axis ",
    "data": "",
    "source": "",
    "dev": "",
    "target-gold": "",
    "versions": "version of ",
    "files": "encoder file ",
    "encoder": "encoder: ",
    "key": "",
    "labels": "translations: ",
    "translations": "",
    "test-labels": "translations of the test: ",
    "projection": "projection: ",
    "test-projection": "projection of the test: ",
}
WORDS = {
    "types": "entity types",
    "overlap": "data.overlap",
    "test": "data: test sentences",
    "target-dev": "data: target dev sentences",
    "unlabelled": "data: unlabelled target text",
    "n_unlabelled": "data.n_unlabelled",
    "sentences": "data: sentences to translate",
    "known": "data: translations that the corpus holds",
    "hub": "name on the hub",
}
LISTS = {  # what the places of a list are
    "source": ("data: labelled source sentences", "data.n_source"),
    "dev": ("data: source dev sentences", "data.n_dev"),
    "projection": ("matcher", "filters", "code"),
    "test-projection": ("matcher", "filters", "code"),
    "transfer": ("marked translations", "fallback"),
    "target-gold": ("data: gold-labelled target sentences", "data: gold-labelled translations"),
}
FIRST = ("label", "method", "params", "types", "overlap", "train", "recipe", "seed", "trial", "axes", "data", "encoder")
LAST = ("versions", "code")


class _Compared:
    """The walk over two keys as JSON; `self.out` holds what the older one's code was."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def keys(self, old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Difference]:
        """In what two keys of one stage differ."""
        if old["key"] != new["key"] and old["stage"] == CODE:
            yield from self.code(old, new)
        elif old["key"] != new["key"]:
            yield from self.tables(old["components"], new["components"], place)

    def tables(self, old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Difference]:
        for name in sorted(old.keys() | new.keys(), key=_rank):
            one, two = old.get(name, ABSENT), new.get(name, ABSENT)
            if one != two:
                yield from self.values(one, two, place, name)

    def values(self, old: Any, new: Any, place: str, name: str) -> Iterator[Difference]:
        inside = place + GROUPS.get(name, f"{name}.")
        if _is_key(old) and _is_key(new) and old["stage"] == new["stage"]:
            yield from self.keys(old, new, inside)
        elif isinstance(old, dict) and isinstance(new, dict) and not _is_key(old) and not _is_key(new):
            yield from self.tables(old, new, inside)
        elif name in LISTS and isinstance(old, list) and isinstance(new, list):
            one, two = (dict(zip(LISTS[name], value, strict=False)) for value in (old, new))
            yield from self.tables(one, two, inside)
        else:
            yield Difference(place + WORDS.get(name, name), _shown(old), _shown(new))

    def code(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
        yield from _of_code(self.out, old["key"], new["key"], tuple(new["components"]["modules"]))


@lru_cache(maxsize=256)  # the cells of a matrix ask for the same few
def _of_code(out: Path, old: str, new: str, modules: tuple[str, ...]) -> tuple[Difference, ...]:
    before, after = _stored_parts(out, old), parts(*modules)
    if before is None:
        return (Difference("code (its parts were not stored)", _shown(old), _shown(new)),)
    differ = [
        Difference(f"code of {file}: {name}", one.get(name, ABSENT), two.get(name, ABSENT))
        for file in sorted(before.keys() | after.keys())
        for one, two in [(before.get(file, {}), after.get(file, {}))]
        for name in sorted(one.keys() | two.keys())
        if one.get(name) != two.get(name)
    ]
    return tuple(differ) or (Difference("code (order of its definitions)", _shown(old), _shown(new)),)


def _is_key(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"key", "stage", "components"}


def _rank(name: str) -> tuple[int, str]:
    """Settings, data, what is not listed, versions, code."""
    if name in FIRST:
        return (FIRST.index(name), name)
    return (len(FIRST) + (1 + LAST.index(name) if name in LAST else 0), name)


def _shown(value: Any) -> str:
    """A value as people know it: hashes cut to 8 digits."""
    if _is_key(value):
        return f"{value['stage']} {value['key'][:8]}"
    if isinstance(value, str):
        return value[:8] if re.fullmatch("[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}", value) else value
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
