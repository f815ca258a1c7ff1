"""The published JSON Schema of records: what the dataclasses say, and true of what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.store.record import PUBLISHED, record_schema, to_json
from tests.support.records_for_tests import Plan, make, put_gap


def published() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return value


def test_the_published_schema_is_the_present_one() -> None:
    jsonschema.Draft202012Validator.check_schema(published())
    assert published() == record_schema(), "python -m bench.store.record writes it anew"


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
    (record,) = make(tmp_path, Plan({"zero_shot": 0.5}, ("de",), seeds=(1,)))
    value = json.loads(json.dumps(to_json(record)))
    jsonschema.validate(value, published())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value | change, published())
