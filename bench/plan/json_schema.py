"""The JSON Schema of a matrix file, from the dataclasses and plug-ins that read it: for completion in editors."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.api.distilled import params_type
from bench.plan import registry
from bench.plan.registry import BrokenPlugin
from bench.plan.resolve import PLUGINS, SECTIONS
from bench.plan.schema import to_plain
from bench.plan.sections import AxesSpec, EncoderSpec, SearchSpec, TablesSpec
from bench.store.record import Contrast

Schema = dict[str, Any]
_SCALARS: Mapping[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_NAMED = {"corpus": "corpus", "translator": "translator", "aligner": "aligner", "matcher": "matcher"}  # key → kind


def matrix_schema() -> Schema:
    """The schema (draft 2020-12) with the plug-ins that are found here; those that cannot be loaded are left out."""
    text, tables = {"type": "string"}, {"type": "array", "items": {"type": "object"}}
    labels = {"anyOf": [{"enum": list(registry.names("method"))}, text]}  # or of a variant
    axes = table_of(AxesSpec, without=("extra",))
    axes["properties"]["methods"] = {"type": "array", "items": labels}
    sections = {name: table_of(kind) for name, kind in SECTIONS.items()}
    for section, own in sections.items():
        for key, schema in own["properties"].items():
            axes["properties"][f"{section}.{key}"] = {"type": "array", "items": schema}
    axes["patternProperties"] = {rf"^({'|'.join(PLUGINS)})\.": {"type": "array"}}
    contrast = table_of(Contrast) | {"required": ["a", "b", "name"]}
    variant: Schema = {"type": "object", "required": ["name", "use"]}
    variant["properties"] = {"name": text, "use": {"enum": list(registry.names("method"))}}
    properties = {"name": text, "source": text, "include": text, "axes": axes, **sections}
    properties |= {"search": table_of(SearchSpec), "chosen": {"type": "object"}, "exclude": tables}
    properties |= {"tables": table_of(TablesSpec)}
    properties |= {"variant": {"type": "array", "items": variant}, "contrast": {"type": "array", "items": contrast}}
    properties |= {kind: _plugins(kind) for kind in PLUGINS[:-1]}
    properties["encoder"] = {"type": "object", "additionalProperties": table_of(EncoderSpec)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Matrix of xner-bench",
        "type": "object",
        "properties": properties,
        "required": ["name", "axes"],
        "additionalProperties": False,
    }


def table_of(kind: Any, without: tuple[str, ...] = ()) -> Schema:
    """The schema of a table that becomes an instance of a dataclass; beside a key's default what its comment says.

    Nothing is required: an axis may give what a table does not.
    """
    hints, comments, properties = get_type_hints(kind), comments_of(kind), dict[str, Schema]()
    for field in fields(kind):
        if field.init and field.name not in without:
            schema = _of(hints[field.name]) | _default(field)
            if field.name in _NAMED and hints[field.name] is str:
                schema["enum"] = list(registry.names(_NAMED[field.name]))
            properties[field.name] = schema | ({"description": text} if (text := comments.get(field.name)) else {})
    return {"type": "object", "properties": properties, "additionalProperties": False}


def comments_of(kind: type) -> dict[str, str]:
    """What stands beside each field in the source of a dataclass and its bases; {} of one that has no source."""
    comments: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        with suppress(OSError, TypeError):
            lines = inspect.getsource(base).splitlines() if "__dataclass_fields__" in vars(base) else ["class _: ..."]
            (cls,) = ast.parse("\n".join(lines)).body
            for node in cls.body if isinstance(cls, ast.ClassDef) else ():
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset or 0 :].decode()
                    comments[node.target.id] = rest.partition("#")[2].strip() or comments.get(node.target.id, "")
    return comments


def _plugins(kind: str) -> Schema:
    properties = {}
    for name in registry.names(kind):
        with suppress(BrokenPlugin):
            plugin = registry.load(kind, name)
            properties[name] = table_of(params_type(plugin) if kind == "method" else plugin.Params)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _of(hint: Any) -> Schema:
    """The schema of a type that `bench.plan.schema.build` reads."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    origin = get_origin(hint)
    if origin is Literal:
        return {"enum": parts}
    if origin in (Union, types.UnionType):
        return _of(parts[0]) if len(parts) == 1 else {"anyOf": [_of(part) for part in parts]}
    if origin is tuple:
        items = {"items": _of(parts[0])} if parts[-1] is Ellipsis else {"prefixItems": [_of(part) for part in parts]}
        return {"type": "array", **items}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(parts[1])}
    if is_dataclass(hint):
        return table_of(hint)
    if isinstance(hint, type) and issubclass(hint, str):
        return {"type": "string"}
    return {"type": _SCALARS[hint]} if hint in _SCALARS else {}


def _default(field: Field[Any]) -> Schema:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return {} if value is MISSING or value is None else {"default": to_plain(value)}
