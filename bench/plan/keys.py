"""Content keys and named seed streams (DESIGN.md §3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from bench.core.files import canonical_json, sha256_of

if TYPE_CHECKING:
    import numpy as np


class Key(str):
    """A key, equal to its text, that remembers what it is of; keys among the components remember theirs.

    `stage` "code" is a fingerprint: its component `modules` names what it covers.
    """

    __slots__ = ("components", "stage")

    stage: str
    components: Mapping[str, Any]

    @classmethod
    def of(cls, text: str, stage: str, components: Mapping[str, Any]) -> Key:
        """The key `text` of these components."""
        key = cls(text)
        key.stage, key.components = stage, components
        return key


def key_of(stage: str, **components: Any) -> Key:
    """The key of what a stage makes from its components: 32 hex digits, the same for the same content.

    Components are JSON values: resolved parameters, parents' keys, hashes of data and weights, seeds, versions, the
    code fingerprint. No paths, no host, no device: another machine must find the same key.

    Raises:
        TypeError: a component is not a plain JSON value (a Path, a set, a tensor, a dict with other keys than strings).
        ValueError: a number is not finite.
    """
    for name, value in components.items():
        _refuse_others(value, name)
    return Key.of(sha256_of(canonical_json({"stage": stage, "components": components}))[:32], stage, components)


def versions(*names: str) -> dict[str, str]:
    """major.minor of libraries, by default those that decide what a training gives; "absent" if not installed."""
    return {name: _version(name) for name in names or ("torch", "transformers", "tokenizers")}


def seed_stream(seed: int, *names: str) -> int:
    """A seed of 63 bits for one named use (subset, order, init, dropout, …): streams never depend on each other."""
    return int(sha256_of(canonical_json([seed, *names]))[:16], 16) >> 1


def rng(seed: int, *names: str) -> np.random.Generator:
    """The generator of a named seed stream."""
    import numpy as np  # here, so that plans without a search do not pay for it

    return np.random.default_rng(seed_stream(seed, *names))


@lru_cache(maxsize=8)
def _version(name: str) -> str:
    try:
        return ".".join(version(name).split("+")[0].split(".")[:2])
    except PackageNotFoundError:
        return "absent"


def _refuse_others(value: Any, place: str) -> None:
    # json.dumps would write the keys 1 and "1" of a dict alike
    if value is None or isinstance(value, bool | int | float | str):
        return
    if isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _refuse_others(item, f"{place}[{position}]")
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, item in value.items():
            _refuse_others(item, f"{place}.{key}")
    else:
        raise TypeError(f"{place}: {type(value).__name__} cannot be part of a key: {value!r}")
