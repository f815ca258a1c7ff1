"""The reading verbs: what they print as JSON, and what they never import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.e2e_tools import REPO, Place, matrix_text, snapshot

HEAVY = ("torch", "transformers", "tokenizers", "pandas", "matplotlib", "pyarrow", "scipy")

# Runs commands one after the other in a fresh process; prints, of each, the exit code and the heavy modules there then.
PROBE = """
import contextlib, io, json, sys
from bench.cli.main import main
seen = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            code = main(arguments)
        except SystemExit as leave:
            code = leave.code
    seen.append([code, [name for name in json.loads(sys.argv[2]) if name in sys.modules], len(out.getvalue())])
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Place:
    """A finished matrix of two cells, without figures."""
    found = Place(tmp_path_factory.mktemp("verbs"), tiny_folder)
    ran = found.xner("run", found.matrix(matrix_text(tiny_folder, ("zero_shot", "en_trans"))), "--out", found.out)
    assert ran.code == 0, ran.err
    return found


def probed(place: Place, *commands: tuple[str, ...]) -> dict[str, tuple[int, set[str], int]]:
    """By command: exit code, heavy modules imported so far in that process, characters printed."""
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands), json.dumps(HEAVY)],
        cwd=place.root,
        env={**os.environ, **place.environment(), "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    return {" ".join(c): (code, set(heavy), n) for c, (code, heavy, n) in zip(commands, found, strict=True)}


def verbs() -> list[tuple[str, ...]]:
    """Every verb, and the verbs below `data`."""
    import argparse

    from bench.cli.main import parser

    def below(one: argparse.ArgumentParser, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [path]
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, sub in action.choices.items():
                    found += below(sub, (*path, name))
        return found

    return below(parser(), ())


def test_help_imports_nothing_heavy(place: Place) -> None:
    commands = [(*verb, "--help") for verb in verbs()]
    assert {("run", "--help"), ("plan", "--help"), ("--help",), ("data", "list", "--help")} <= set(commands)
    for command, (code, heavy, printed) in probed(place, *commands).items():
        assert (code, heavy) == (0, set()), command
        assert printed > 50, command


def test_plan_status_and_lists_do_not_import_torch(place: Place) -> None:
    """Of a matrix that is finished. What is not trained yet is timed, by torch."""
    commands = (
        ("methods",),
        ("methods", "--json"),
        ("status", "out"),
        ("status", "out", "--json"),
        ("data", "list"),
        ("plan", "small.toml", "--out", "out"),
        ("plan", "small.toml", "--out", "out", "--json"),
        ("run", "small.toml", "--out", "out"),  # nothing to do
    )
    for command, (code, heavy, printed) in probed(place, *commands).items():
        assert code == 0, command
        assert not heavy & {"torch", "transformers", "pandas", "matplotlib"}, command
        assert printed > 50, command


def test_tables_and_plots_do_not_import_torch(place: Place) -> None:
    for command, (code, heavy, _) in probed(place, ("tables", "out"), ("plots", "out", "--format", "png")).items():
        assert code == 0, command
        assert not heavy & {"torch", "transformers", "tokenizers"}, command


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_plan_as_json(place: Place) -> None:
    plan = place.xner("plan", "small.toml", "--out", "out", "--json").json()
    assert plan["out"] == "out"
    assert [(cell["label"], cell["target"], cell["seed"], cell["state"]) for cell in plan["cells"]] == [
        ("zero_shot", "de", 1, "ok"),
        ("en_trans", "de", 1, "ok"),
    ]
    assert plan["units_to_run"] == 0 and plan["disk_bytes"] == 0
    plan = place.xner("plan", "small.toml", "--out", "elsewhere", "--json").json()
    weights = place.encoder.joinpath("model.safetensors").stat().st_size
    assert plan["units_to_run"] == 2
    assert weights <= plan["disk_bytes"] <= 10 * weights
    assert not place.root.joinpath("elsewhere").exists()


def test_plan_in_words(place: Place) -> None:
    ran = place.xner("plan", "small.toml", "--out", "elsewhere")
    assert "missing  2" in ran.out and "units of work to run: 2" in ran.out


def test_status_as_json(place: Place) -> None:
    status = place.xner("status", "out", "--json").json()
    assert status["total"] == {"ok": 2, "failed": 0, "skipped": 0, "missing": 0}
    assert {(cell["method"], cell["target"]) for cell in status["cells"]} == {("zero_shot", "de"), ("en_trans", "de")}


def test_status_sees_what_is_missing(place: Place) -> None:
    out = place.root / "part"
    place.xner("run", "small.toml", "--out", out, "--only", "method=zero_shot")
    next((out / "records").iterdir()).unlink()
    assert place.xner("status", out, "--json").json()["total"]["missing"] == 1


def test_methods_as_json(place: Place) -> None:
    found = place.xner("methods", "--json").json()
    methods = {method["name"]: method for method in found["methods"]}
    assert found["broken"] == []
    assert {"zero_shot", "en_trans", "gold_translation", "target_supervised"} <= methods.keys()
    assert methods["gold_translation"]["needs"] == ["TARGET_GOLD"]
    assert methods["en_trans"]["factors"]["data"] == "both"


def test_doctor_as_json(place: Place) -> None:
    ran = place.xner("doctor", "--json")
    assert ran.code == 0, ran.out
    found = ran.json()
    assert found["ok"]
    assert {"python", "torch", "transformers"} <= {item["name"] for item in found["items"]}


def test_data_as_json(place: Place) -> None:
    listed = place.xner("data", "list", "--json").json()
    corpora = {corpus["name"]: corpus for corpus in listed["corpora"]}
    assert corpora["demo"]["synthetic"] and "de" in corpora["demo"]["languages"]
    ran = place.xner("data", "check", "demo", "--set", "n_test=10", "--set", "n_train=20", "--json")
    assert ran.code == 0
    assert [(one["name"], one["errors"]) for one in ran.json()] == [("demo", [])]


def test_tables_as_json(place: Place) -> None:
    found = place.xner("tables", "out", "--json").json()
    assert found["tables"] and any(name.endswith("main.md") for name in found["files"])


def test_reading_changes_no_record(place: Place) -> None:
    before = snapshot(place.out / "records") | snapshot(place.out / "sidecars")
    first: dict[str, Any] = {}
    for _ in range(2):
        for verb in ("tables", "status"):
            assert place.xner(verb, "out").code == 0
        tables = {name: content for name, (_, content) in snapshot(place.out / "tables").items()}
        assert not first or tables == first, "same records, same bytes"
        first = tables
    assert snapshot(place.out / "records") | snapshot(place.out / "sidecars") == before


def test_several_folders_make_one_table(place: Place) -> None:
    other = place.root / "other"
    place.xner("run", "small.toml", "--out", other, "--only", "method=zero_shot", "--set", "axes.seeds=[4]")
    ran = place.xner("tables", "out", "other", "--format", "md")
    assert ran.code == 0, ran.err
    assert "out" in ran.out and "other" in ran.out
