"""`xner schema`: the JSON Schema says of matrices what the reader says; `xner completion`."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bench.plan import registry
from bench.plan.json_schema import matrix_schema
from bench.plan.spec import shipped
from tests.support.e2e_tools import Place, matrix_text


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = matrix_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_matrix_is_valid(validator: Any, name: str) -> None:
    text = (files("bench.plan") / "matrices" / f"{name}.toml").read_text(encoding="utf-8")
    assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("steps = 4", "stepz = 4"),
        ("steps = 4", 'steps = "4"'),
        ('corpus = "demo"', 'corpus = "dmo"'),
        ("lr = 1e-3", "lrr = 1e-3"),
        ("seeds = [1]", 'seeds = ["1"]'),
        ('name = "small"', ""),
        ("[axes]", "[method.concner]\nalfa = 1.0\n[axes]"),
        ("[axes]", '[[variant]]\nname = "a"\nuse = "zero_shoot"\n[axes]'),
        ("[axes]", '[method.zero_shot]\ndistil = "yes"\n[axes]'),
    ],
)
def test_what_the_reader_refuses_is_invalid(
    validator: Any, tmp_path: Path, tiny_folder: Path, right: str, wrong: str
) -> None:
    text = matrix_text(tiny_folder)
    place, bad = Place(tmp_path, tiny_folder), text.replace(right, wrong, 1)
    assert bad != text and validator.is_valid(tomllib.loads(text)) and not validator.is_valid(tomllib.loads(bad))
    assert place.xner("plan", place.matrix(bad)).code == 2


def test_an_editor_finds_names_defaults_and_comments(tmp_path: Path, tiny_folder: Path) -> None:
    ran = Place(tmp_path, tiny_folder).xner("schema")
    assert ran.code == 0, ran.err
    properties = ran.json()["properties"]
    assert properties["train"]["properties"]["batch"] == {
        "type": "integer",
        "default": 32,
        "description": "labelled sentences a step",
    }
    alpha = properties["method"]["properties"]["concner"]["properties"]["alpha"]
    assert alpha["type"] == "number" and alpha["description"].startswith("weight of label contrast")
    assert "distil" in properties["method"]["properties"]["zero_shot"]["properties"]
    assert "demo" in properties["data"]["properties"]["corpus"]["enum"]
    assert properties["axes"]["properties"]["methods"]["items"]["anyOf"][0]["enum"] == list(registry.names("method"))


def test_completion_knows_every_verb(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, tiny_folder)
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "shtab", None)
        ran = place.xner("completion", "bash")
        assert ran.code == 2 and "pip install 'xner-bench[completion]'" in ran.err
    pytest.importorskip("shtab")
    ran = place.xner("completion", "bash")
    assert ran.code == 0 and all(word in ran.out for word in ("encoder-check", "--keep-models", "complete -"))
