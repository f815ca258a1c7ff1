"""What a paper calls the plug-ins of its cells, and what it cites for them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.api.method import LINKED, Need
from bench.plan.matrix import needs_of_method
from bench.plan.registry import REGISTRY, BrokenPlugin, Registry

Cells = Iterable[Mapping[str, Any]]  # as records hold them
Raw = Mapping[str, Any]  # the tables of a matrix
TOOLS = ("translator", "aligner", "matcher", "transfer")  # of [labels]
BIBLIOGRAPHY = "references.bib"


def display_names(cells: Cells, raw: Raw, registry: Registry = REGISTRY) -> dict[str, str]:
    """By method or variant what tables print, where that is not its name: the variant's `display`, else the method's.

    A variant without one is called like its method if its name begins with the method's (`concner+kd`). A method
    that is not here keeps its name.
    """
    variants = {table["name"]: table["display"] for table in raw.get("variant", []) if table.get("display")}
    names = {}
    for label, method in dict.fromkeys((str(cell["label"]), str(cell["method"])) for cell in cells):
        known = method in registry.names("method")
        display = (registry.load("method", method).display if known else "") or method
        names[label] = variants.get(label) or (
            display + label.removeprefix(method) if label.startswith(method) else label
        )
    return {label: name for label, name in names.items() if name != label}


def bibtex(cells: Cells, raw: Raw, registry: Registry = REGISTRY) -> str:
    """The entries of what the cells' methods, corpora, encoders and tools of [labels] cite, by key.

    Plug-ins that are not here, and encoders of the hub, cite nothing.

    Raises:
        BrokenPlugin: no references.bib beside or above a plug-in has what it cites.
    """
    entries: dict[str, str] = {}
    for kind, name in sorted(set(_plugins(cells, raw, registry))):
        if name not in registry.names(kind):
            continue
        plugin = registry.load(kind, name)
        for key in getattr(plugin, "CITES" if isinstance(plugin, ModuleType) else "cites", ()):
            module = plugin.__name__ if isinstance(plugin, ModuleType) else plugin.__module__
            entries[key] = _entry(key, Path(str(sys.modules[module].__file__)), f"{kind} '{name}'")
    return "\n".join(entries[key] for key in sorted(entries))


def _plugins(cells: Cells, raw: Raw, registry: Registry) -> Iterator[tuple[str, str]]:
    labels = raw.get("labels", {})
    for cell in cells:
        yield from ((kind, str(cell[kind])) for kind in ("method", "corpus", "encoder"))
        if cell["method"] not in registry.names("method"):
            continue
        needs = needs_of_method(registry.make("method", str(cell["method"])), registry)
        if not needs & (LINKED | {Need.TEST_TRANSLATION, Need.PARALLEL_TEXT, Need.SECOND_TRANSLATION}):
            continue
        chosen = {**labels, **{k.removeprefix("labels."): v for k, v in (cell.get("axes") or {}).items()}}
        yield from ((kind, str(chosen[kind])) for kind in TOOLS if kind in chosen)
        yield from (("filter", str(name)) for name in chosen.get("filters", ()))
        yield "encoder", str(chosen.get("aligner_encoder", ""))


def _entry(key: str, file: Path, whose: str) -> str:
    for folder in file.parents[:3]:
        path = folder / BIBLIOGRAPHY
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if entry := re.search(rf"^@\w+\{{{re.escape(key)},.*?^\}}\n", text, re.MULTILINE | re.DOTALL):
            return entry[0]
    raise BrokenPlugin(f"{whose} cites '{key}', which no {BIBLIOGRAPHY} beside or above {file.name} has")
