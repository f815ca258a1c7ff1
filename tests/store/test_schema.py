"""The published JSON Schema of records: what the dataclasses say, and true of what is written."""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import jsonschema
import pytest

from bench.core.files import write_json
from bench.store import record
from bench.store.record import SCHEMA, Record
from tests.support.records_for_tests import Plan, make, put_gap

PUBLISHED = Path(record.__file__).with_name("record.schema.json")
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
        properties = {f.name: _of(hints[f.name]) for f in fields(kind)}
        needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
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


def published() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return value


def test_the_published_schema_is_the_present_one() -> None:
    jsonschema.Draft202012Validator.check_schema(published())
    assert published() == record_schema(), "python -m tests.store.test_schema writes it anew"


def test_records_as_written_are_valid(tmp_path: Path) -> None:
    plan = Plan({"zero_shot": 0.5}, seeds=(1,))
    make(tmp_path, plan)
    put_gap(tmp_path, plan, "label_projection", "de", 1, "no links")
    put_gap(tmp_path, plan, "label_projection", "fi", 1, "no memory", failed=True)
    paths = sorted((tmp_path / "records").glob("*.json"))
    assert len(paths) == 4
    for path in paths:
        jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), published())


@pytest.mark.parametrize(
    "change", [{"status": "done"}, {"schema": 2}, {"more": 1}, {"attempts": "1"}, {"scores": {"last": {"f1": 1.0}}}]
)
def test_others_are_not(tmp_path: Path, change: dict[str, Any]) -> None:
    (made,) = make(tmp_path, Plan({"zero_shot": 0.5}, ("de",), seeds=(1,)))
    value = json.loads(json.dumps(asdict(made)))
    jsonschema.validate(value, published())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value | change, published())


if __name__ == "__main__":
    write_json(PUBLISHED, record_schema())
