"""What an element of an array is to do, as a file: a job carries a function and the file's key, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BadInput
from bench.core.files import write_json
from bench.plan.identity import Planned, describe
from bench.plan.keys import key_of
from bench.plan.matrix import Cell
from bench.plan.schema import build, to_plain
from bench.plan.where import Where
from bench.run.journal import FOLDER, attempts_of

_TASKS = "tasks"


@dataclass(frozen=True)
class Options:
    """How the cells are run: machine facts, in no key."""

    device: str = "auto"
    keep_models: bool = False


@dataclass(frozen=True)
class Task:
    """A unit of cells, or a shared artefact with one cell that needs it; its cells are resolved at submission."""

    key: str  # of the file; a shared artefact's own
    kind: Literal["shared", "units"]
    cells: tuple[Planned, ...]
    attempts: Mapping[str, int]  # by the key of each cell how often it was recorded before
    described: Mapping[str, Mapping[str, Any]]  # by the key of each cell its name in a record
    options: Options


def unit_task(out: Path, unit: Sequence[Planned], options: Options) -> Task:
    """A unit of work, as it stands in the folder now."""
    attempts = {one.key: attempts_of(out, one.key) for one in unit}
    key = str(key_of("task", cells=sorted(attempts.items())))  # a plain string is all that a job carries
    return Task(key, "units", tuple(unit), attempts, {one.key: describe(one.cell) for one in unit}, options)


def shared_task(key: str, planned: Planned, options: Options) -> Task:
    """A shared artefact."""
    return Task(str(key), "shared", (planned,), {}, {planned.key: describe(planned.cell)}, options)


def write_task(out: Path, task: Task) -> None:
    """Publish the task."""
    cells = [
        {"key": one.key, "cell": to_plain(one.cell), "describe": task.described[one.key]}
        | ({"attempts": task.attempts[one.key]} if one.key in task.attempts else {})
        for one in task.cells
    ]
    write_json(_path(out, task.key), {"kind": task.kind, "cells": cells, "options": to_plain(task.options)})


def read_task(out: Path, key: str) -> Task:
    """The task of a key.

    Raises:
        BadInput: the file is missing, or not what `write_task` of this version writes.
    """
    path = _path(out, key)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        cells = value["cells"]
        planned = tuple(Planned(build(Cell, one["cell"], Where(str(path))), one["key"]) for one in cells)
        attempts = {one["key"]: one["attempts"] for one in cells if "attempts" in one}
        described = {one["key"]: one["describe"] for one in cells}
        options = build(Options, value["options"], Where(str(path)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: not a task: {error}") from error
    return Task(key, value["kind"], planned, attempts, described, options)


def unit_tasks(out: Path) -> Iterator[Task]:
    """The units that were submitted from this folder."""
    for path in sorted((out / FOLDER / _TASKS).glob("[!.]*.json")):
        task = read_task(out, path.stem)
        if task.kind == "units":
            yield task


def _path(out: Path, key: str) -> Path:
    return out / FOLDER / _TASKS / f"{key}.json"
