"""Plug-ins, discovered: folders and entry points; names are read without importing anything."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.api.recipes import NoParams
from bench.core.errors import BadInput, nearest
from bench.plan.schema import build
from bench.plan.where import Where


class BrokenPlugin(BadInput):
    """A plug-in that is there and cannot be used: its own fault. The cells of such a method fail; the others run."""


@dataclass(frozen=True)
class Kind:
    """One kind of plug-in and where it is looked for."""

    name: str
    package: str  # whose folders (or modules) are the plug-ins
    module: str  # the module inside a plug-in's folder; "" where the plug-in is a module itself
    base: str  # dotted name of the base class, imported only when a plug-in is loaded
    group: str  # of entry points


KINDS = (
    Kind("method", "methods", "method", "bench.api.method.Method", "xner.methods"),
    Kind("corpus", "data_recipes.corpora", "corpus", "bench.api.recipes.Corpus", "xner.corpora"),
    Kind("translator", "data_recipes.translators", "", "bench.api.recipes.Translator", "xner.translators"),
    Kind("aligner", "data_recipes.aligners", "", "bench.api.recipes.Aligner", "xner.aligners"),
    Kind("encoder", "data_recipes.encoders", "encoder", "bench.api.recipes.EncoderRecipe", "xner.encoders"),
)


@dataclass(frozen=True)
class Registry:
    """The plug-ins of some kinds; `REGISTRY` is the one that everything uses, tests make their own."""

    kinds: tuple[Kind, ...] = KINDS

    def names(self, kind: str) -> tuple[str, ...]:
        """Sorted names of the plug-ins of a kind (method, corpus, …); nothing is imported."""
        found = self._kind(kind)
        return tuple(sorted({*_folder_names(found), *(point.name for point in _entry_points(found.group))}))

    def module_of(self, kind: str, name: str, where: Where | None = None) -> str:
        """Dotted name of the module that holds a plug-in, for its fingerprint; nothing is imported.

        Raises:
            BadInput: there is no such plug-in, or a folder and an entry point share its name.
        """
        found = self._kind(kind)
        points = [point for point in _entry_points(found.group) if point.name == name]
        own = _has_folder(found, name)
        if not own and not points:
            raise _error(where, f"unknown {kind} '{name}'{nearest(name, self.names(kind))}")
        if len(points) + own > 1:
            others = ", ".join(point.value for point in points)
            raise _error(where, f"the {kind} '{name}' is defined more than once: also by the entry point {others}")
        if own:
            return ".".join(part for part in (found.package, name, found.module) if part)
        return points[0].module

    def load(self, kind: str, name: str, where: Where | None = None) -> type[Any]:
        """The class of a plug-in.

        Raises:
            BadInput: no such plug-in.
            BrokenPlugin: its module cannot be imported, or does not hold exactly one concrete subclass of the kind's
                base class, whose `name` is the plug-in's and whose `Params` is a frozen dataclass.
        """
        module_name = self.module_of(kind, name, where)
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            raise _broken(where, f"{kind} '{name}' ({_file_of(module_name)}) fails: {in_one_line(error)}") from error
        found = self._kind(kind)
        attribute = next((p.attr for p in _entry_points(found.group) if p.name == name and p.module == module_name), "")
        return _checked_class(module, found, name, attribute, where)

    def params(self, kind: str, name: str, raw: Mapping[str, Any], where: Where | None = None) -> Any:
        """The `Params` of a plug-in from a table.

        Raises:
            BadInput: as `load`; or a key or value of the table is not one of `Params`.
        """
        return _params(self.load(kind, name, where), kind, name, raw, where)

    def make(self, kind: str, name: str, raw: Mapping[str, Any] | None = None, where: Where | None = None) -> Any:
        """A plug-in with parameters from a table (plain values, as a cell holds them, will do).

        Raises:
            BadInput: as `params`.
        """
        cls = self.load(kind, name, where)
        params = _params(cls, kind, name, raw or {}, where)
        return cls() if cls.Params is NoParams else cls(params)

    def _kind(self, name: str) -> Kind:
        return next(kind for kind in self.kinds if kind.name == name)


REGISTRY = Registry()
names = REGISTRY.names
load = REGISTRY.load
make = REGISTRY.make
module_of = REGISTRY.module_of


def _params(cls: type[Any], kind: str, name: str, raw: Mapping[str, Any], where: Where | None) -> Any:
    return build(cls.Params, raw, where or Where(f"{kind} '{name}'"))


def _folder_names(kind: Kind) -> set[str]:
    pattern = f"*/{kind.module}.py" if kind.module else "*.py"
    paths = [path for folder in _folders(kind) for path in Path(folder).glob(pattern)]
    found = {path.parent.name if kind.module else path.stem for path in paths}
    return {name for name in found if not name.startswith(("_", "."))}


def _has_folder(kind: Kind, name: str) -> bool:
    """Whether `name` is one of `_folder_names`, by one look: cells ask for their plug-ins again and again."""
    if not name or name.startswith(("_", ".")) or Path(name).name != name or "\0" in name:
        return False
    file = f"{name}/{kind.module}.py" if kind.module else f"{name}.py"
    try:
        return any(Path(folder, file).exists() for folder in _folders(kind))
    except OSError:  # longer than a file's name may be
        return False


def _folders(kind: Kind) -> list[str]:
    try:
        spec = importlib.util.find_spec(kind.package)
    except ModuleNotFoundError:  # of the parent package: there are no such folders
        return []
    return list(spec.submodule_search_locations or ()) if spec else []


def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    every = _all_entry_points(tuple(sys.path))
    return tuple(point for point in every if point.group == group)


@lru_cache(maxsize=4)
def _all_entry_points(_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    # reading them scans every distribution that is installed: once a process, unless sys.path changes
    found = {point for distribution in distributions() for point in distribution.entry_points}
    return tuple(sorted((p for p in found if p.group.startswith("xner.")), key=lambda p: (p.group, p.name, p.value)))


def _file_of(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a parent package is what fails
        spec = None
    return (spec.origin if spec else None) or module


@lru_cache(maxsize=1024)  # every cell asks for its plug-ins several times; an error is never kept
def _checked_class(module: ModuleType, kind: Kind, name: str, attribute: str, where: Where | None) -> type[Any]:
    cls = _class_in(module, kind, attribute, where)
    if getattr(cls, "name", None) != name:
        raise _broken(where, f"{module.__file__}: {cls.__name__}.name is {getattr(cls, 'name', None)!r}, not '{name}'")
    params: Any = getattr(cls, "Params", None)
    if not (is_dataclass(params) and params.__dataclass_params__.frozen):  # type: ignore[union-attr]
        raise _broken(where, f"{module.__file__}: {cls.__name__}.Params is not a frozen dataclass")
    return cls


def _class_in(module: ModuleType, kind: Kind, attribute: str, where: Where | None) -> type[Any]:
    base_module, _, base_name = kind.base.rpartition(".")
    base = getattr(importlib.import_module(base_module), base_name)
    if attribute:
        cls = getattr(module, attribute, None)
        if not (inspect.isclass(cls) and issubclass(cls, base)):
            raise _broken(where, f"{module.__file__}: {attribute} is not a subclass of {kind.base}")
        return cls
    classes = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, base)
        and not inspect.isabstract(cls)
        and cls.__module__ == module.__name__
    ]
    # a base class of the plug-in's own need not have a name
    classes = [cls for cls in classes if isinstance(getattr(cls, "name", None), str)] or classes
    if len(classes) != 1:
        listed = ", ".join(cls.__name__ for cls in classes) or "none"
        raise _broken(where, f"{module.__file__}: expected one subclass of {kind.base}, found {listed}")
    return classes[0]


def in_one_line(error: BaseException) -> str:
    """Type and first line of what a plug-in raised."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _broken(where: Where | None, message: str) -> BrokenPlugin:
    return BrokenPlugin(str(_error(where, message)))


def _error(where: Where | None, message: str) -> BadInput:
    return where.error(message) if where else BadInput(message)
