"""Versions of the core's stages: nobody forgets to raise one, and what changes nothing need raise none."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.plan.fingerprint import stage_fingerprints
from bench.plan.stages import MODULES, VERSIONS, stages_of
from tests.relock import LOCK, PLUGINS, forgotten, forgotten_plugins, plugin_lock, refused
from tests.support.e2e_tools import REPO


@pytest.fixture(scope="module")
def lock() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(LOCK.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code."""
    for package in ("bench", "methods", "data_recipes"):
        shutil.copytree(REPO / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(tree: Path, file: str, old: str, new: str) -> None:
    path = tree / file
    text = path.read_text(encoding="utf-8")
    assert re.search(old, text), f"{file} has no {old}"
    path.write_text(re.sub(old, new, text, count=1), encoding="utf-8")


def test_the_lock_knows_the_code(lock: Mapping[str, Any]) -> None:
    """Where this fails: raise the version of a stage whose output changes, then `python -m tests.relock`."""
    assert forgotten(lock, VERSIONS, REPO) == {}


def test_the_lock_knows_the_plugins() -> None:
    """Where this fails: raise `version` of a plug-in whose results change; then `python -m tests.relock`."""
    assert forgotten_plugins(json.loads(PLUGINS.read_text(encoding="utf-8")), plugin_lock()) == []


def test_a_changed_plugin_without_a_new_version_is_found(tree: Path) -> None:
    """Here: the weight of ConCNER's second loss. A comment is no change."""
    code = (
        "import json, sys, tests.relock; from tests.relock import *\n"
        "tests.relock.golden_outputs = lambda folder: {stage: '' for stage in VERSIONS}\n"
        "old = json.loads(PLUGINS.read_text('utf-8'))\n"
        "print(forgotten_plugins(old, plugin_lock()), end='|', file=sys.stderr)\n"
        "sys.exit(main())"
    )
    shutil.copytree(REPO / "tests", tree / "tests", ignore=shutil.ignore_patterns("__pycache__"))

    def relock(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *options]
        return subprocess.run(command, cwd=tree, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})

    edit(tree, "methods/concner/method.py", r"import annotations\n", "import annotations\n# a comment\n")
    assert relock().stderr.startswith("[]|")
    edit(tree, "methods/concner/method.py", r"beta: float = [0-9.]+", "beta: float = 0.7")
    changed = relock()
    assert changed.returncode == 1 and changed.stderr.startswith("['method concner']|"), changed.stderr
    assert "changed without a new version: method concner" in changed.stderr
    assert relock("--same", "concnre").returncode == 2
    edit(tree, "methods/concner/method.py", r"version = \d+", "version = 99")
    assert "plug-ins renewed: method concner" in relock().stdout


def test_every_module_that_is_named_is_there() -> None:
    for module in MODULES:
        path = REPO / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{module} of bench/plan/stages.py"
    assert set(VERSIONS) == {stage for stages in MODULES.values() for stage in stages}
    assert stages_of("bench.train.new_module") == ("fit",) and stages_of("bench.report.tables") == ()


def test_a_changed_loss_without_a_new_version_is_found(lock: Mapping[str, Any], tree: Path) -> None:
    before = stage_fingerprints(tree)
    edit(tree, "bench/api/objectives.py", r"\n    return (.+)\n", r"\n    return 0.5 * (\1)\n")
    changed = {stage for stage, fingerprint in stage_fingerprints(tree).items() if fingerprint != before[stage]}
    assert changed == {"fit", "predict"}
    locked = {stage: {**lock[stage], "fingerprint": before[stage]} for stage in VERSIONS}
    assert forgotten(locked, VERSIONS, tree).keys() == {"fit", "predict"}


def test_what_does_not_run_changes_no_stage(tree: Path) -> None:
    before = stage_fingerprints(tree)
    edit(tree, "bench/train/fit.py", r'^"""', '"""Changed. ')
    edit(tree, "bench/train/fit.py", r"\n\n\n", "\n\n\n# a comment\n")
    (tree / "bench/train/history.py").rename(tree / "bench/train/histories.py")
    for path in (tree / "bench").rglob("*.py"):
        path.write_text(path.read_text("utf-8").replace("bench.train.history ", "bench.train.histories "), "utf-8")
    assert stage_fingerprints(tree) == before, "neither a comment nor a module that moved with its imports"


def test_no_change_of_the_core_changes_a_key(tree: Path) -> None:
    """A comment, a name and a module's place; and neither does what a version was forgotten for."""
    code = (
        "import json\n"
        "from bench.data.identity import keyed\n"
        "from bench.plan.matrix import cells, only\n"
        "from bench.plan.spec import load_matrix\n"
        "spec = load_matrix('demo', ['data.corpus=demo', 'axes.seeds=[1]', 'axes.targets=[\"de\"]'])\n"
        "print(json.dumps([planned.key for planned in keyed(cells(spec))]))"
    )

    def keys() -> list[str]:
        environment = {**os.environ, "PYTHONPATH": str(tree), "XNER_CACHE": str(tree / "cache"), "HF_HUB_OFFLINE": "1"}
        ran = subprocess.run([sys.executable, "-c", code], cwd=tree, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        found: list[str] = json.loads(ran.stdout)
        return found

    edit(tree, "methods/zero_shot/method.py", r"    version = 1\n", "")  # as most methods of others
    before = keys()
    edit(tree, "bench/data/cell_data.py", r"\n\n\n", "\n\n\n# a comment\n")
    edit(tree, "bench/data/cell_data.py", r"for i in order\]", "for position in order]")
    edit(tree, "bench/data/cell_data.py", r"sentences\[i\]", "sentences[position]")
    (tree / "bench/data/labels.py").rename(tree / "bench/data/carried.py")
    for file in (tree / "bench").rglob("*.py"):
        file.write_text(file.read_text("utf-8").replace("bench.data.labels", "bench.data.carried"), "utf-8")
    assert keys() == before
    edit(tree, "methods/zero_shot/method.py", r"\nclass ", "\nVALUE = 1\n\n\nclass ")
    changed = [old != new for old, new in zip(before, keys(), strict=True)]
    assert any(changed) and not all(changed), "of the one method, and of those that train it"


OLD = {
    "fit": {"version": 1, "fingerprint": "a", "golden": "x"},
    "score": {"version": 1, "fingerprint": "a", "golden": "x"},
}


@pytest.mark.parametrize(
    ("new", "stages"),
    [
        ({"version": 1, "fingerprint": "b", "golden": "x"}, []),
        ({"version": 1, "fingerprint": "b", "golden": "y"}, ["fit"]),
        ({"version": 2, "fingerprint": "b", "golden": "y"}, []),
        ({"version": 1, "fingerprint": "a", "golden": "y"}, []),
    ],
    ids=["same output", "other output", "raised", "other machine"],
)
def test_the_lock_is_renewed_only_where_nothing_is_hidden(new: dict[str, Any], stages: list[str]) -> None:
    assert refused(OLD, {**OLD, "fit": new}) == stages
    assert refused(OLD, {**OLD, "fit": new, "score": {"version": 1, "fingerprint": "a", "golden": "y"}}) == (
        ["fit"] if new["fingerprint"] == "b" and new["version"] == 1 else []
    ), "what fit gave may show in the scores only"
