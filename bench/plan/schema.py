"""Strict, typed construction of frozen dataclasses from TOML values; errors name file, line and dotted key."""

from __future__ import annotations

import math
import re
import types
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bench.core.errors import BadInput, nearest
from bench.store.record import INCLUDED

Path = tuple[str | int, ...]  # keys of tables, indices of arrays (from 0)

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_DOTTED})\s*=(.*)$")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@lru_cache(maxsize=8)
def _lines_of(text: str) -> Mapping[str, int]:
    """The line of each table and key of a TOML text, by dotted key: a small scanner, enough for matrix files.

    "labels.aligner" as one quoted key and as two bare keys are the same.
    """
    lines: dict[str, int] = {}
    counts: Counter[str] = Counter()
    table = ""
    depth = 0  # of brackets still open: the inside of an array of several lines holds no keys
    for number, line in enumerate(text.splitlines(), 1):
        code = line
        if depth == 0 and (header := _HEADER.match(line)):
            name = table = ".".join(key.strip("\"'") for key in re.findall(_KEY, header[2]))
            if header[1] == "[[":
                table = f"{name}.{counts[name]}"
                counts[name] += 1
            lines.setdefault(table, number)
            continue
        if depth == 0 and (assignment := _ASSIGNMENT.match(line)):
            keys = [key.strip("\"'") for key in re.findall(_KEY, assignment[1])]
            lines.setdefault(".".join([table, *keys] if table else keys), number)
            code = assignment[2]
        bare = _STRING.sub("", code).partition("#")[0]
        depth = max(0, depth + sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}"))
    return lines


@dataclass(frozen=True)
class Place:
    """A place in the configuration.

    `moves` maps paths of values to the paths where they were written (an axis, a variant); `given` came from --set.
    """

    file: str
    text: str = ""
    path: Path = ()
    moves: tuple[tuple[Path, Path], ...] = ()
    given: tuple[Path, ...] = ()

    def at(self, *keys: str | int) -> Place:
        """The place of a value inside this one."""
        return replace(self, path=(*self.path, *keys))

    def moved(self, path: Path, to: Path) -> Place:
        """The same place, where the value at `path` (from the root) was written at `to`."""
        return replace(self, moves=(*self.moves, (path, to)))

    def error(self, message: str) -> BadInput:
        """The exception to raise: place, dotted key and message in one line."""
        path = self.path
        for start, to in reversed(self.moves):
            if path[: len(start)] == start:
                path = (*to, *path[len(start) :])
                break
        dotted = ""
        for position, key in enumerate(path):
            # a dotted axis, the last key, reads best bare; an encoder's id inside a path does not
            bare = isinstance(key, str) and (_BARE.fullmatch(key) or (position == 1 and path[0] == "axes"))
            text = f"[{key + 1}]" if isinstance(key, int) else key if bare else f'"{key}"'
            dotted += ("." if dotted and isinstance(key, str) else "") + text
        return BadInput(": ".join(part for part in (self._place(path), dotted, message) if part))

    def _place(self, path: Path) -> str:
        if any(path[: len(given)] == given for given in self.given):
            return "--set"
        lines = _lines_of(self.text)
        for length in range(len(path), 0, -1):
            if line := lines.get(".".join(map(str, path[:length]))):
                own, mark, included = self.text.rpartition(INCLUDED)
                before = own.count("\n") + 2  # lines above the included file's first
                name = included.partition("\n")[0]
                return f"{name}:{line - before}" if mark and line > before else f"{self.file}:{line}"
        return self.file


T = TypeVar("T")
_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def build(cls: type[T], raw: Mapping[str, Any], where: Place) -> T:
    """An instance of the dataclass `cls` from a table.

    Fields may be bool, int, float (a whole number will do), str, Literal, tuple, dict[str, X], X | None or another
    dataclass. A `__post_init__` that raises ValueError("field must …") is reported at that field.

    Raises:
        BadInput: unknown or missing key, wrong type or value; with file, line, dotted key and the nearest right name.
    """
    if not isinstance(raw, Mapping):
        raise where.error(f"expected a table, not {_shown(raw)}")
    kind: Any = cls  # a class is hashable, whatever mypy says of type[T]
    names = field_names(kind)
    for key in raw:
        if key not in names:
            raise where.at(str(key)).error(f"unknown key '{key}'{nearest(str(key), names)}")
    hints, required = _hints(kind)
    values = {key: convert(hints[key], value, where.at(key)) for key, value in raw.items()}
    for name in required:
        if name not in values:
            raise where.error(f"the key '{name}' is missing")
    try:
        return cls(**values)
    except ValueError as error:  # of a validator, placed at the field that it begins with
        first = re.match(r"\w+", str(error))
        if first and first[0] in names:
            raise where.at(first[0]).error(str(error)[first.end() :].lstrip()) from error
        raise where.error(str(error)) from error


def convert(hint: Any, value: Any, where: Place) -> Any:
    """One value converted to the type `hint`.

    Raises:
        BadInput: the value has another type.
        TypeError: `build` does not know the type `hint`.
    """
    origin = get_origin(hint)
    if hint is Any:
        return value
    if hint in _SCALARS:
        return _scalar(hint, value, where)
    if isinstance(hint, type) and issubclass(hint, str):  # DataFile
        return hint(_scalar(str, value, where))
    if origin is Literal:
        choices = get_args(hint)
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return value
        raise where.error(f"{_shown(value)} is not one of the values{nearest(str(value), map(str, choices))}")
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise where.error(f"expected a list, not {_shown(value)}")
        hints = get_args(hint)
        if len(hints) == 2 and hints[1] is Ellipsis:
            hints = (hints[0],) * len(value)
        if len(hints) != len(value):
            raise where.error(f"expected {len(hints)} values, not {len(value)}")
        return tuple(convert(h, item, where.at(i)) for i, (h, item) in enumerate(zip(hints, value, strict=True)))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise where.error(f"expected a table, not {_shown(value)}")
        return {str(key): convert(get_args(hint)[1], item, where.at(str(key))) for key, item in value.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return build(hint, value, where)
    raise TypeError(f"{where.path}: a parameter cannot have the type {hint}")


def to_plain(value: Any) -> Any:
    """The value as JSON values: dataclasses become dicts, tuples lists. TypeError: a value is none of these."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in field_names(type(value))}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no plain form: {value!r}")


@lru_cache(maxsize=256)
def field_names(cls: Any) -> tuple[str, ...]:
    """The keys that `build` accepts for a dataclass."""
    return tuple(f.name for f in fields(cls) if f.init)


@lru_cache(maxsize=256)
def _hints(cls: Any) -> tuple[dict[str, Any], list[str]]:
    """The types of the fields, and those that have no default."""
    needed = [f.name for f in fields(cls) if f.init and f.default is MISSING and f.default_factory is MISSING]
    return get_type_hints(cls), needed


def _scalar(hint: type, value: Any, where: Place) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise where.error(f"expected {_SCALARS[hint]}, not {_shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise where.error(f"expected a finite number, not {value}")
    return value


def _one_of(hints: tuple[Any, ...], value: Any, where: Place) -> Any:
    if value is None and type(None) in hints:
        return None
    problem = where.error(f"{_shown(value)} has none of the types {hints}")
    for hint in (hint for hint in hints if hint is not type(None)):
        try:
            return convert(hint, value, where)
        except BadInput as error:
            problem = error
    raise problem


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return f"'{value}'" if isinstance(value, str) else str(value)
