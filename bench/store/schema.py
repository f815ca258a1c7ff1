"""The JSON Schema of a record, made from its dataclasses; `record.schema.json` beside this file is it, published.

`python -m bench.store.schema` writes it anew.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.core.files import write_json
from bench.store.record import SCHEMA, Record

PUBLISHED = Path(__file__).with_name("record.schema.json")
_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def record_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what `from_json` reads; fields with a default may be absent in older records."""
    made = _of(Record)
    made["properties"]["schema"] = {"const": SCHEMA}
    made["required"].append("schema")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "xner-bench record", **made}


def _of(kind: Any) -> dict[str, Any]:
    if kind is Any:
        return {}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        properties = {one.name: _of(hints[one.name]) for one in fields(kind)}
        needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
        return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(one) for one in inner]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(inner[1])}
    if origin is tuple:
        return {"type": "array", "items": _of(inner[0])}
    raise TypeError(f"a record holds {kind!r}, of which the schema says nothing")


if __name__ == "__main__":
    write_json(PUBLISHED, record_schema())
