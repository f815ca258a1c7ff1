"""Plug-ins, discovered: folders, modules and entry points; names are read without importing anything."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.api.distilled import method_with, params_type
from bench.api.method import Method
from bench.api.recipes import NoParams
from bench.core.errors import BadInput, nearest
from bench.plan.schema import Place, build


class BrokenPlugin(BadInput):
    """A plug-in that exists but is faulty. The cells of such a method fail; the others run."""


SEARCHED_LABELS = ("labels.matcher", "labels.filters")  # of [labels], all that a method's search_space may hold


@dataclass(frozen=True)
class Kind:
    """A kind of plug-in: a class or functions, in a module `x.py` or a folder `x/` with a file of the kind's name."""

    name: str
    package: str  # its folders and modules are the plug-ins
    group: str  # of entry points
    base: str = ""  # dotted name of the base class, imported only when a plug-in is loaded
    functions: tuple[tuple[str, ...], ...] = ()  # without a base class: the names that a module must have

    @property
    def dashed(self) -> bool:
        """Whether `min-max` in a matrix stands for min_max.py, `e5-small` for e5_small."""
        return not self.base or self.name == "encoder"


KINDS = (
    Kind("method", "methods", "xner.methods", "bench.api.method.Method"),
    Kind("corpus", "data_recipes.corpora", "xner.corpora", "bench.api.recipes.Corpus"),
    Kind("translator", "data_recipes.translators", "xner.translators", "bench.api.recipes.Translator"),
    Kind("aligner", "data_recipes.aligners", "xner.aligners", "bench.api.recipes.Aligner"),
    Kind("encoder", "data_recipes.encoders", "xner.encoders", "bench.api.recipes.EncoderRecipe"),
    Kind("matcher", "data_recipes.projection.matchers", "xner.matchers", functions=(("match",), ("assign",))),
    Kind("filter", "data_recipes.projection.filters", "xner.filters", functions=(("keep",),)),
    Kind(
        "transfer",
        "data_recipes.projection.transfers",
        "xner.transfers",
        functions=(("COUNTS", "IN_CONTEXT_FIRST", "mark", "losses", "read"),),
    ),
)


@dataclass(frozen=True)
class Registry:
    """The plug-ins of some kinds; the harness uses `REGISTRY`, tests make their own."""

    kinds: tuple[Kind, ...] = KINDS

    def names(self, kind: str) -> tuple[str, ...]:
        """Sorted names of the plug-ins of a kind (method, corpus, …); nothing is imported."""
        of = self._kind(kind)
        paths = [path for folder in _folders(of) for path in Path(folder).glob("*.py")]
        paths += [path.parent for folder in _folders(of) for path in Path(folder).glob(f"*/{of.name}.py")]
        stems = {path.stem for path in paths if not path.name.startswith(("_", "."))}
        own = {stem.replace("_", "-") if of.dashed else stem for stem in stems}
        return tuple(sorted({*own, *(point.name for point in _entry_points(of.group))}))

    def module_of(self, kind: str, name: str, place: Place | None = None) -> str:
        """Dotted name of the module that holds a plug-in; nothing is imported.

        Raises:
            BadInput: there is no such plug-in, or it is defined more than once.
        """
        of = self._kind(kind)
        own, points = _own_modules(of, name), [point for point in _entry_points(of.group) if point.name == name]
        if not own and not points:
            raise _error(place, f"unknown {kind} '{name}'{nearest(name, self.names(kind))}")
        if len(points) + len(own) > 1:
            where = [*own, *(f"the entry point {point.value}" for point in points)]
            raise _error(place, f"the {kind} '{name}' is defined more than once: {', '.join(where)}")
        return own[0] if own else points[0].module

    def load(self, kind: str, name: str, place: Place | None = None) -> Any:
        """The class of a plug-in; for a kind without a base class the module with its functions.

        Raises:
            BadInput: no such plug-in.
            BrokenPlugin: its module cannot be imported, or does not hold exactly one concrete subclass of the kind's
                base class, whose `name` is the plug-in's and whose `Params` is a frozen dataclass; or lacks the kind's
                functions.
        """
        module_name, of = self.module_of(kind, name, place), self._kind(kind)
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            where = _line_of(error, _file_of(module_name))
            raise _broken(place, f"{kind} '{name}' ({where}) fails: {in_one_line(error)}") from error
        points = (p.attr for p in _entry_points(of.group) if p.name == name and p.module == module_name)
        attribute = next(points, "")
        if of.base:
            return _checked_class(module, of, name, attribute, place)
        plugin = getattr(module, attribute, None) if attribute else module
        if not any(all(hasattr(plugin, each) for each in names) for names in of.functions):
            wanted = " or ".join(", ".join(names) for names in of.functions)
            raise _broken(place, f"{module.__file__}: a {kind} needs {wanted}")
        return plugin

    def params(self, kind: str, name: str, raw: Mapping[str, Any], place: Place | None = None) -> Any:
        """The `Params` of a plug-in from a table.

        Raises:
            BadInput: as `load`; or a key or value of the table is not one of `Params`.
            BrokenPlugin: as `load`; or its own defaults are refused.
        """
        return _params(self.load(kind, name, place), raw, place or Place(f"{kind} '{name}'"))

    def make(
        self, kind: str, name: str, raw: Mapping[str, Any] | None = None, place: Place | None = None, **more: Any
    ) -> Any:
        """A plug-in with parameters from a table of plain values, as in a matrix or a cell.

        `more`: further arguments of its constructor (a translator's device, an aligner's embedder).

        Raises:
            BadInput: as `params`.
        """
        cls = self.load(kind, name, place)
        params = _params(cls, raw or {}, place or Place(f"{kind} '{name}'"))
        if issubclass(cls, Method):
            return method_with(cls, params)
        return cls(**more) if cls.Params is NoParams else cls(params, **more)

    def _kind(self, name: str) -> Kind:
        return next(kind for kind in self.kinds if kind.name == name)


REGISTRY = Registry()
names = REGISTRY.names
load = REGISTRY.load
make = REGISTRY.make
module_of = REGISTRY.module_of


def _params(cls: Any, raw: Mapping[str, Any], place: Place) -> Any:
    own = cls.Params
    try:
        return build(params_type(cls) if issubclass(cls, Method) else own, raw, place)
    except BadInput as error:
        if raw or any(field.default is MISSING and field.default_factory is MISSING for field in fields(own)):
            raise
        raise BrokenPlugin(f"{inspect.getfile(own)}: a default is wrong: {error.__cause__ or error}") from error


def _own_modules(kind: Kind, name: str) -> list[str]:
    """The modules of a name, without listing the folders: every cell asks for its plug-ins several times."""
    if not name or name.startswith(("_", ".", "-")) or Path(name).name != name or "\0" in name:
        return []
    if kind.dashed and "_" in name:
        return []
    stem = name.replace("-", "_") if kind.dashed else name
    files = {f"{stem}/{kind.name}.py": f"{kind.package}.{stem}.{kind.name}", f"{stem}.py": f"{kind.package}.{stem}"}
    try:
        return [module for file, module in files.items() if any(Path(f, file).exists() for f in _folders(kind))]
    except OSError:  # longer than a file's name may be
        return []


def _folders(kind: Kind) -> list[str]:
    try:
        spec = importlib.util.find_spec(kind.package)
    except ModuleNotFoundError:  # of the parent package: there are no such folders
        return []
    return list(spec.submodule_search_locations or ()) if spec else []


def _entry_points(group: str) -> list[EntryPoint]:
    return [point for point in _all_entry_points(tuple(sys.path)) if point.group == group]


@lru_cache(maxsize=4)
def _all_entry_points(_path: tuple[str, ...]) -> list[EntryPoint]:
    # this scans every installed distribution: once per process, unless sys.path changes
    points = {point for distribution in distributions() for point in distribution.entry_points}
    return sorted((p for p in points if p.group.startswith("xner.")), key=lambda p: (p.group, p.name, p.value))


def _file_of(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a parent package fails
        spec = None
    return (spec.origin if spec else None) or module


def _line_of(error: BaseException, file: str) -> str:
    """The file, with the last of its lines that the error came through or, of wrong syntax, in which it is."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    if isinstance(error, SyntaxError) and error.filename == file and error.lineno:
        lines.append(error.lineno)
    return f"{file}:{lines[-1]}" if lines else file


@lru_cache(maxsize=1024)  # every cell asks for its plug-ins several times; an error is never kept
def _checked_class(module: ModuleType, kind: Kind, name: str, attribute: str, place: Place | None) -> Any:
    base_module, _, base_name = kind.base.rpartition(".")
    base = getattr(importlib.import_module(base_module), base_name)
    values = [getattr(module, attribute, None)] if attribute else vars(module).values()
    classes = [cls for cls in values if inspect.isclass(cls) and issubclass(cls, base)]
    if not attribute:
        classes = [cls for cls in classes if not inspect.isabstract(cls) and cls.__module__ == module.__name__]
        # the plug-in's own base classes need not have a name
        classes = [cls for cls in classes if isinstance(getattr(cls, "name", None), str)] or classes
    elif not classes:
        raise _broken(place, f"{module.__file__}: {attribute} is not a subclass of {kind.base}")
    if len(classes) != 1:
        listed = ", ".join(cls.__name__ for cls in classes) or "none"
        raise _broken(place, f"{module.__file__}: expected one subclass of {kind.base}, found {listed}")
    cls = classes[0]
    if getattr(cls, "name", None) != name:
        raise _broken(place, f"{module.__file__}: {cls.__name__}.name is {getattr(cls, 'name', None)!r}, not '{name}'")
    params: Any = getattr(cls, "Params", None)
    if not (is_dataclass(params) and params.__dataclass_params__.frozen):  # type: ignore[union-attr]
        raise _broken(place, f"{module.__file__}: {cls.__name__}.Params is not a frozen dataclass")
    every: Any = params_type(cls) if issubclass(cls, Method) else params
    known = {*(field.name for field in fields(every)), *SEARCHED_LABELS}
    for searched in getattr(cls, "search_space", {}):
        if searched not in known:
            unknown = f"{cls.__name__}.search_space names '{searched}', which its Params lack"
            raise _broken(place, f"{module.__file__}: {unknown}{nearest(searched, known)}")
    return cls


def in_one_line(error: BaseException) -> str:
    """Type and first line of a plug-in's error."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _broken(place: Place | None, message: str) -> BrokenPlugin:
    return BrokenPlugin(str(_error(place, message)))


def _error(place: Place | None, message: str) -> BadInput:
    return place.error(message) if place else BadInput(message)


def encoder_name(encoder: str) -> str:
    """An encoder as records and tables name it: a folder by its name, never its path."""
    folder = Path(encoder).expanduser()
    return folder.resolve().name if encoder not in names("encoder") and folder.is_dir() else encoder
