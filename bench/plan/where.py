"""Where a value of the configuration stands (file, line, dotted key), so that a message can say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from bench.core.errors import BadInput

Path = tuple[str | int, ...]  # keys of tables, indices of arrays (from 0)

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_DOTTED})\s*=(.*)$")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def _joined(path: Path) -> str:
    # "labels.aligner" as one quoted key and as two bare ones are found alike
    return ".".join(str(key) for key in path)


@lru_cache(maxsize=8)
def _lines_of(text: str) -> Mapping[str, int]:
    """The line of each table and key of a TOML text: a small scanner, enough for what people write in a matrix."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table: Path = ()
    depth = 0  # of brackets still open: the inside of an array of several lines holds no keys
    for number, line in enumerate(text.splitlines(), 1):
        rest = line
        if depth == 0 and (header := _HEADER.match(line)):
            table = tuple(key.strip("\"'") for key in re.findall(_KEY, header[2]))
            if header[1] == "[[":
                index = counts.get(_joined(table), 0)
                counts[_joined(table)] = index + 1
                table = (*table, index)
            found.setdefault(_joined(table), number)
            continue
        if depth == 0 and (assignment := _ASSIGNMENT.match(line)):
            keys = [key.strip("\"'") for key in re.findall(_KEY, assignment[1])]
            found.setdefault(_joined((*table, *keys)), number)
            rest = assignment[2]
        bare = _STRING.sub("", rest).partition("#")[0]
        depth = max(0, depth + sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}"))
    return found


@dataclass(frozen=True)
class Where:
    """A place in the configuration.

    `moves` says that a value at one path was written at another (an axis, a variant), `given` which came from --set.
    """

    file: str
    text: str = ""
    path: Path = ()
    moves: tuple[tuple[Path, Path], ...] = ()
    given: tuple[Path, ...] = ()

    def at(self, *keys: str | int) -> Where:
        """The place of a value inside this one."""
        return replace(self, path=(*self.path, *keys))

    def moved(self, path: Path, to: Path) -> Where:
        """The same place, knowing that what is read at `path` (from the root) was written at `to`."""
        return replace(self, moves=(*self.moves, (path, to)))

    def error(self, message: str) -> BadInput:
        """The exception to raise: place, dotted key and message in one line."""
        path = self.path
        for start, to in reversed(self.moves):
            if path[: len(start)] == start:
                path = (*to, *path[len(start) :])
                break
        parts = [self._place(path), self._dotted(path), message]
        return BadInput(": ".join(part for part in parts if part))

    def _place(self, path: Path) -> str:
        if any(path[: len(given)] == given for given in self.given):
            return "--set"
        lines = _lines_of(self.text)
        for length in range(len(path), 0, -1):
            if line := lines.get(_joined(path[:length])):
                return f"{self.file}:{line}"
        return self.file

    @staticmethod
    def _dotted(path: Path) -> str:
        text = ""
        for position, key in enumerate(path):
            if isinstance(key, int):
                text += f"[{key + 1}]"
            else:
                # a dotted axis, the last key, reads best bare; an encoder's id inside a path does not
                bare = _BARE.fullmatch(key) or (position == 1 and path[0] == "axes")
                text += ("." if text else "") + (key if bare else f'"{key}"')
        return text
