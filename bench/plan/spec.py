"""Reading a matrix file: strict TOML, --set overrides, and every check that does not need the product of the axes.

Also `--set KEY=VALUE` of the verbs that use a single plug-in.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any

from bench.core.errors import BadInput, nearest
from bench.plan.contrasts import check_contrasts
from bench.plan.registry import REGISTRY, BrokenPlugin, Registry, encoder_name
from bench.plan.resolve import AXES, PLUGINS, SECTIONS, Resolver, axis_path
from bench.plan.schema import Path, Place, build, convert
from bench.plan.search import check_same_as, searching
from bench.plan.sections import (
    AxesSpec,
    DataSpec,
    LabelsSpec,
    MatrixSpec,
    SearchSpec,
    Settings,
    TablesSpec,
    TrainSpec,
    VariantSpec,
)
from bench.store.record import INCLUDED, Contrast, flat

_OWN = ("name", "source", "include", "axes", "search", "chosen", "variant", "exclude", "contrast", "tables")
_TOP = (*_OWN, *SECTIONS, *PLUGINS)
_CELL_KEYS = {"method": "methods", "target": "targets", "encoder": "encoders", "seed": "seeds"}  # of [[exclude]]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class _Head:
    name: str
    source: str = "en"
    include: str = ""


def shipped() -> tuple[str, ...]:
    """Names of the matrices that come with the package."""
    folder = files("bench.plan") / "matrices"
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml")))


def load_matrix(name_or_path: str, overrides: Sequence[str] = (), registry: Registry = REGISTRY) -> MatrixSpec:
    """The matrix of a file or a shipped name, with `--set key=value` overrides applied and everything checked.

    `include = "FILE"`, or --set include=FILE, adds the tables that `xner search` wrote to those of the file;
    --set include="" adds none.

    Raises:
        BadInput: no such matrix or file; not TOML; an unknown key, plug-in or language; a wrong type or value. The
            message holds file, line, dotted key and the nearest right name.
    """
    settings = (text.partition("=") for text in overrides)
    includes = [value.strip() for key, _, value in settings if key.strip() == "include"]
    return parsed_matrix(*_read(name_or_path, str(toml_value(includes[-1])) if includes else None), overrides, registry)


def parsed_toml(file: str, text: str) -> dict[str, Any]:
    """The tables of a TOML text; BadInput with file and line where it is none."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # no TOML; a number of thousands of digits; nested too deeply
        line = re.search(r"line (\d+)", str(error))
        raise BadInput(f"{file}{':' + line[1] if line else ''}: not TOML: {error}") from error


def parsed_matrix(file: str, text: str, overrides: Sequence[str] = (), registry: Registry = REGISTRY) -> MatrixSpec:
    """The matrix of a TOML text; `file` names it in messages. BadInput as `load_matrix`."""
    raw = parsed_toml(file, text)
    where = Place(file, text)
    for key in raw:
        if key not in _TOP:
            raise where.at(key).error(f"unknown key '{key}'{nearest(key, _TOP)}")
    for key in ("axes", "search", "chosen", "tables", *SECTIONS, *PLUGINS):
        if not isinstance(raw.setdefault(key, {}), dict):
            raise where.at(key).error("expected a table")
    raw["axes"] = flat(raw["axes"])
    before = {key: list(values) for key, values in raw["axes"].items() if isinstance(values, list)}
    before.setdefault("labels.aligner_encoder", []).append(raw["labels"].get("aligner_encoder", ""))
    where = Place(file, text, given=tuple(_set(raw, override) for override in overrides))
    spec = _structure(raw, where)
    for path in where.given:
        if (axis := ".".join(map(str, path))) in spec.axes.extra:
            raise where.at(*path).error(f"it is an axis of this matrix: set axes.{axis}")
    _check(spec, before, registry)
    return spec


def written_tables(file: str, text: str, overrides: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The tables of a TOML text that was run, --set applied: what matrix.json keeps. BadInput as `parsed_toml`."""
    raw = parsed_toml(file, text)
    for override in overrides:
        _set(raw, override)
    return raw


def _read(name_or_path: str, include: str | None) -> tuple[str, str]:
    """The file's name for messages, and its text followed by that of `include`, or (None) of what it includes."""
    path = FilePath(name_or_path)
    own = name_or_path.endswith(".toml") or len(path.parts) > 1
    if not own and name_or_path not in shipped():
        raise BadInput(f"no matrix is named '{name_or_path}'{nearest(name_or_path, shipped())} (or give a .toml file)")
    if own and path.is_dir():
        raise BadInput(f"{name_or_path}: it is a folder, not a matrix file (.toml){nearest(path.name, shipped())}")
    if own and not path.exists():
        raise BadInput(f"{name_or_path}: there is no such file{nearest(path.stem, shipped())}")
    folder, file = path.parent if own else files("bench.plan") / "matrices", path.name if own else f"{path}.toml"
    try:
        text = (folder / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{name_or_path}: cannot be read: {error}{nearest(path.stem, shipped())}") from error
    name = parsed_toml(name_or_path, text).get("include", "") if include is None else include
    if name and isinstance(name, str):
        try:
            chosen = (FilePath(name) if include else folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f'{name_or_path}: include = "{name}": cannot be read: {error}') from error
        for key in parsed_toml(name, chosen).keys() - {"chosen"}:
            raise BadInput(f"{name}: it holds '{key}': only what `xner search` writes can be included")
        text += f"{INCLUDED}{name}\n{chosen}"
    return name_or_path if own else file, text


def toml_value(text: str) -> Any:
    """A TOML value, or else a bare string as typed in a shell: --set labels.aligner=simalign."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _set(raw: dict[str, Any], override: str) -> Path:
    """Apply one `key=value` of --set to the tables; returns the path that it set."""
    key, equals, text = override.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key:
        raise BadInput(f"--set {override}: expected key=value")
    value = toml_value(text)
    head, _, tail = key.partition(".")
    if head not in _TOP:
        raise BadInput(f"--set: unknown key '{head}'{nearest(head, _TOP)}")
    if head in ("variant", "exclude", "contrast", "chosen"):
        raise BadInput(f"--set: {head}: can only be changed in the matrix file")
    name, dot, last = tail.rpartition(".")
    path: tuple[str, ...] = (head, tail.strip("\"'")) if tail else (head,)
    if head in PLUGINS and dot:
        path = (head, name.strip("\"'"), last)
    if len(path) == 1 and isinstance(raw.get(head), dict) and not isinstance(value, dict):
        raise BadInput(f"--set {head}: it is a table; set one of its keys, as {head}.KEY=VALUE")
    table = raw
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BadInput(f"--set: {key}: {part} is not a table")
    table[path[-1]] = value
    return path


def _structure(raw: dict[str, Any], where: Place) -> MatrixSpec:
    """The typed matrix: all that can be checked without a plug-in."""
    head = build(_Head, {key: raw[key] for key in ("name", "source", "include") if key in raw}, where)
    if not _NAME.fullmatch(head.name):
        raise where.at("name").error(f"'{head.name}' must be lower-case letters, digits, '.', '_' and '-'")
    axes = _axes(raw["axes"], where.at("axes"))
    for path, language in [(("source",), head.source), *((("axes", "targets"), t) for t in axes.targets)]:
        if not _LANGUAGE.fullmatch(language):
            raise where.at(*path).error(f"'{language}' is not a language code such as de or zh-Hans")
    for kind in PLUGINS:
        for name, table in raw[kind].items():
            if not isinstance(table, dict):
                raise where.at(kind, name).error("expected a table")
    excludes = [flat(table) for table in _tables(raw, "exclude", where)]
    listed = [{k: tuple(v) if isinstance(v, list) else (v,) for k, v in exclude.items()} for exclude in excludes]
    first = {key: values[0] for key, values in axes.extra.items()}
    resolver = Resolver(raw, where)
    build(TablesSpec, raw["tables"], where.at("tables"))  # only looked at: `written_tables` reads them
    made = MatrixSpec(
        name=head.name,
        source=head.source,
        axes=axes,
        data=resolver.section(DataSpec, first),
        labels=resolver.section(LabelsSpec, first),
        train=resolver.section(TrainSpec, first),
        search=build(SearchSpec, raw["search"], where.at("search")),
        chosen=convert(dict[str, dict[str, Settings]], raw["chosen"], where.at("chosen")),
        variants=tuple(
            _variant(table, where.at("variant", i)) for i, table in enumerate(_tables(raw, "variant", where))
        ),
        excludes=tuple(listed),
        contrasts=tuple(
            build(Contrast, table, where.at("contrast", i)) for i, table in enumerate(_tables(raw, "contrast", where))
        ),
        raw=raw,
        where=where,
    )
    return searching(made)


def _tables(raw: Mapping[str, Any], key: str, where: Place) -> list[dict[str, Any]]:
    tables = raw.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise where.at(key).error(f"expected tables, each beginning with [[{key}]]")
    return tables


def _axes(raw: Mapping[str, Any], where: Place) -> AxesSpec:
    extra: dict[str, tuple[Any, ...]] = {}
    for key, values in raw.items():
        if key not in AXES:
            axis_path(key, where)  # refuses what cannot be an axis
            extra[key] = convert(tuple[Any, ...], values, where.at(key))
    axes = build(AxesSpec, {key: raw[key] for key in AXES if key in raw} | {"extra": {}}, where)
    for key, values in [*((key, getattr(axes, key)) for key in AXES), *extra.items()]:
        if not values:
            raise where.at(key).error("the axis is empty")
        for position, value in enumerate(values):
            if value in values[:position] or value == "":
                raise where.at(key, position).error(f"{value!r} is given twice" if value != "" else "is empty")
    if any(seed < 0 for seed in axes.seeds):
        raise where.at("seeds").error("a seed must not be below 0")
    return replace(axes, extra=extra)


def _variant(raw: Any, where: Place) -> VariantSpec:
    own = {key: raw[key] for key in ("name", "use", "display") if key in raw} if isinstance(raw, dict) else raw
    variant = build(VariantSpec, own, where)
    if not _LABEL.fullmatch(variant.name):
        raise where.at("name").error(f"'{variant.name}' must be letters, digits, '.', '_', '+' and '-'")
    return replace(variant, params={k: v for k, v in raw.items() if k not in ("name", "use", "display")})


def _check(spec: MatrixSpec, before: Mapping[str, list[Any]], registry: Registry) -> None:
    """Names, tables and axes against the plug-ins. `before`: the axes of the file, where --set narrowed them."""
    where, resolver = spec.where, Resolver(spec.raw, spec.where, registry)
    labels = [variant.name for variant in spec.variants]
    methods = registry.names("method")
    for position, label in enumerate(labels):
        if label in methods or label in labels[:position]:
            raise where.at("variant", position, "name").error(f"'{label}' is a method or another variant already")
        registry.module_of("method", spec.variants[position].use, where.at("variant", position, "use"))
    for position, label in enumerate(spec.axes.methods):
        if label not in labels and label not in methods:
            place = where.at("axes", "methods", position)
            raise place.error(f"unknown method '{label}'{nearest(label, [*methods, *labels])}")
    _check_encoder_names(spec)
    used = {spec.labels.aligner_encoder, *spec.axes.extra.get("labels.aligner_encoder", ())}
    known = {*spec.axes.encoders, *before.get("encoders", []), *before["labels.aligner_encoder"], *used} - {""}
    for name in spec.raw["encoder"]:
        if name not in known:
            raise where.at("encoder", name).error(f"no axis names the encoder '{name}'{nearest(name, map(str, known))}")
        resolver.recipe(name, {})
    for kind in PLUGINS[:-1]:
        for name in spec.raw[kind]:
            with _left_to_its_cells(kind):
                resolver.params(kind, name, {})
    for label in (*spec.axes.methods, *labels):
        with _left_to_its_cells("method"):
            resolver.method(spec, label, {})
    chosen = {"corpus": spec.data.corpus, "translator": spec.labels.translator, "aligner": spec.labels.aligner}
    for kind, name in chosen.items():
        key = f"data.{kind}" if kind == "corpus" else f"labels.{kind}"
        if key not in spec.axes.extra:
            resolver.params(kind, name, {})
        for value in spec.axes.extra.get(key, ()):
            resolver.params(kind, value, {key: value})
    for key, values in spec.axes.extra.items():
        for value in values:
            _check_axis(spec, resolver, key, value)
    _check_functions(spec, registry)
    _check_languages(spec, resolver)
    _check_excludes(spec, before)
    check_contrasts(spec, before)
    check_same_as(spec, before)


def _check_encoder_names(spec: MatrixSpec) -> None:
    """Records and tables know a folder by its name, so that one of two would replace the other."""
    named: dict[str, str] = {}
    for position, encoder in enumerate(spec.axes.encoders):
        other = named.setdefault(name := encoder_name(encoder), encoder)
        if other != encoder:
            place = spec.where.at("axes", "encoders", position)
            raise place.error(
                f"'{encoder}' and '{other}' are both called '{name}' in tables: rename one of the folders"
            )


def _check_functions(spec: MatrixSpec, registry: Registry) -> None:
    """The matchers, filters and transfers that [labels], or an axis in its place, names."""
    for kind, name in (("matcher", "matcher"), ("filter", "filters"), ("transfer", "transfer")):
        values = spec.axes.extra.get(f"labels.{name}")
        axis = spec.where.at("axes", f"labels.{name}")
        places = [(spec.where.at("labels", name), getattr(spec.labels, name))]
        for place, value in places if values is None else [(axis.at(i), value) for i, value in enumerate(values)]:
            for i, plugin in enumerate(value if kind == "filter" else [value]):
                known = ("align", *registry.names(kind)) if kind == "transfer" else ()
                if known and plugin not in known:
                    raise place.error(f"unknown transfer '{plugin}'{nearest(plugin, known)}")
                if (kind, plugin) != ("transfer", "align"):  # which needs no marks
                    registry.load(kind, plugin, place.at(i) if kind == "filter" else place)


def _check_axis(spec: MatrixSpec, resolver: Resolver, key: str, value: Any) -> None:
    """One value of an extra axis, on its own."""
    kind, *names = axis_path(key, spec.where.at("axes"))
    if kind in SECTIONS:
        resolver.section(SECTIONS[str(kind)], {key: value})
    elif kind == "encoder":
        known = (*spec.axes.encoders, spec.labels.aligner_encoder)
        if names[0] not in known:
            raise spec.where.at("axes", key).error(
                f"no axis names the encoder '{names[0]}'{nearest(str(names[0]), known)}"
            )
        resolver.recipe(str(names[0]), {key: value})
    else:
        with _left_to_its_cells(str(kind)):
            resolver.params(str(kind), str(names[0]), {key: value})


def _left_to_its_cells(kind: str) -> AbstractContextManager[None]:
    """A method that cannot be loaded fails its own cells; without a corpus or translator no cell could run."""
    return suppress(BrokenPlugin) if kind == "method" else nullcontext()


def _check_excludes(spec: MatrixSpec, before: Mapping[str, list[Any]]) -> None:
    for position, exclude in enumerate(spec.excludes):
        place = spec.where.at("exclude", position)
        if not exclude:
            raise place.error("an exclude without a key would remove everything")
        for key, values in exclude.items():
            axis = _CELL_KEYS.get(key, key)
            if key not in _CELL_KEYS and key not in spec.axes.extra:
                raise place.at(key).error(f"unknown axis '{key}'{nearest(key, [*_CELL_KEYS, *spec.axes.extra])}")
            own: tuple[Any, ...] = getattr(spec.axes, axis) if key in _CELL_KEYS else spec.axes.extra[key]
            for value in values:
                if value not in own and value not in before.get(axis, []):
                    raise place.at(key).error(f"{value!r} is not on the axis{nearest(str(value), map(str, own))}")


def _check_languages(spec: MatrixSpec, resolver: Resolver) -> None:
    corpora = spec.axes.extra.get("data.corpus", (spec.data.corpus,))
    languages = {language for corpus in corpora for language in resolver.languages(corpus, {})}
    targets = ((("axes", "targets", i), target) for i, target in enumerate(spec.axes.targets))
    for path, language in ((("source",), spec.source), *targets):
        if language not in languages:
            known = f"the corpus {' or '.join(corpora)} has no language '{language}'"
            if not languages:
                known += " and no other either: is its folder given, and are its files there? (xner data check)"
            raise spec.where.at(*path).error(known + nearest(language, languages))


def add_settings(parser: argparse.ArgumentParser, plugin: str) -> None:
    """Register `--set`, kept as `settings`."""
    about = f"a parameter of the {plugin}; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help=about)


def parsed(settings: Sequence[str]) -> dict[str, Any]:
    """The table of `--set key=value`; a value is TOML, or else a string as it stands.

    Raises:
        BadInput: no key, or no equals sign.
    """
    table: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise BadInput(f"--set takes KEY=VALUE, not '{setting}'")
        table[key] = toml_value(value)
    return table
