"""The built wheel, installed where no clone is: what it carries, and that its verbs work there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.plan import registry
from bench.plan.spec import shipped
from tests.support.e2e_tools import REPO, Place, Ran, records

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation")
WHERE = """
import bench
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
print(bench.__file__, len(cells(load_matrix("demo"))))
"""
SMALL = ("data.n_source=40", "data.n_dev=20", "corpus.demo.n_test=20", "train.steps=2", "train.evals=1")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, from what git would put into a clone."""
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = subprocess.run(listed, cwd=REPO, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (REPO / name).is_file() and not name.startswith(("tests/", "results/", "docs/")):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, clone / name)
    subprocess.run([*PIP, "wheel", *OFFLINE, "--wheel-dir", out, clone], check=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([*PIP, "install", "--no-index", "--no-deps", "--target", folder, wheel], check=True, timeout=300)
    return folder


def xner(place: Place, site: Path, *arguments: str) -> Ran:
    """The installed package, in a working directory that is no clone."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=place.root,
        env={**os.environ, **place.environment(), "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_it_carries_what_is_read_when_it_runs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"{package}/py.typed" for package in ("bench", "methods", "data_recipes")} <= names
    assert {f"bench/plan/matrices/{name}.toml" for name in shipped()} <= names
    assert {f"methods/{name}/method.py" for name in registry.names("method")} <= names
    weights = REPO / "data_recipes/encoders/mini/weights"
    assert {path.relative_to(REPO).as_posix() for path in weights.iterdir()} <= names
    tracked = subprocess.run(
        ["git", "ls-files", "bench", "data_recipes"], cwd=REPO, check=True, capture_output=True, text=True
    ).stdout.split()
    lacking = sorted(name for name in tracked if name not in names)
    assert lacking == ["bench/plan/plugins.lock", "bench/plan/stages.lock"], "which the tests alone read"
    assert not [name for name in names if name.startswith(("tests", "docs", "results"))]


def test_its_verbs_work_outside_of_a_clone(site: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path)
    where = subprocess.run(
        [sys.executable, "-c", WHERE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    ).stdout
    assert where.startswith(str(site)), "the clone is what is tested"
    assert where.endswith(" 36\n")
    assert xner(place, site, "new", "method", "brought").code == 0
    subprocess.run([*PIP, "install", *OFFLINE, "--target", site, tmp_path / "brought"], check=True, timeout=300)
    listed = xner(place, site, "methods", "--json").json()
    assert not listed["broken"]
    assert {row["name"] for row in listed["methods"]} == {*registry.names("method"), "brought"}

    sets = [part for value in SMALL for part in ("--set", value)]
    only = ("--only", "method=zero_shot", "--only", "target=de", "--only", "seed=1")
    ran = xner(place, site, "run", "demo", *sets, *only, "--jobs", "1")
    assert ran.code == 0, ran.err
    assert [record["status"] for record in records(tmp_path / "results" / "demo")] == ["ok"]
    assert (tmp_path / "results" / "demo" / "tables" / "main.md").is_file()
    assert list((tmp_path / "results" / "demo" / "figures").glob("*.png"))
    plan = xner(place, site, "plan", "demo", *sets, *only, "--json").json()
    assert [cell["state"] for cell in plan["cells"]] == ["ok"]
