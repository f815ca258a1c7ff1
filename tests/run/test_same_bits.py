"""A cell's numbers depend on its key alone, whatever its process did before."""

from __future__ import annotations

import os
from contextlib import chdir, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from bench.core.memo import process_memo
from bench.data.identity import keyed
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.plan.units import Planned
from bench.run.cell import run_unit
from bench.run.shared import RunSettings
from bench.store.record import Record
from tests.support.e2e_tools import Place, finished, matrix_text, records

MATRICES = {"plain": (("zero_shot", "zero_shot+kd"), ""), "frozen": (("zero_shot", "en_trans"), "freeze = 1")}
OF_A_RUN = ("attempts", "commit", "cost", "ran", "matrix")  # what two runs of one cell may differ in


def planned_cells(place: Place) -> dict[tuple[str, str], Planned]:
    """Each cell of both matrices by matrix and method."""
    found = {}
    for name, (methods, recipe) in MATRICES.items():
        text = matrix_text(place.encoder, methods, recipe=recipe).replace('"small"', f'"{name}"', 1)
        for planned in keyed(cells(load_matrix(str(place.matrix(text, name)), ()))):
            found[name, planned.cell.label] = planned
    return found


def numbers(record: dict[str, Any], out: Path) -> dict[str, Any]:
    """What of a record, and of the files beside it, must be the same."""
    beside = out / "sidecars" / record["key"]
    files = {path.name: path.read_bytes() for path in beside.iterdir() if path.name != "key.json"}
    assert {"counts.npz", "curves.json", "gold.conll.gz"} < files.keys() and len(files) > 4
    cost = {name: value for name, value in record["cost"].items() if name not in ("seconds", "inference")}
    return {name: value for name, value in record.items() if name not in OF_A_RUN} | {"cost": cost} | files


def test_a_cell_has_the_same_bits_first_last_and_after_others(tmp_path: Path, tiny_folder: Path) -> None:
    place, draw = Place(tmp_path, tiny_folder), np.random.default_rng(0)
    threads = torch.get_num_threads()

    def run(planned: Planned) -> dict[str, Any]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        (record,) = run_unit([planned], RunSettings(out))
        assert isinstance(record, Record) and record.status == "ok", record.error
        (stored,) = records(out)
        return numbers(stored, out)

    def disturb(planned: Planned) -> None:
        """What a process may do between cells: draw numbers, use other threads, fail half-way, forget."""
        torch.manual_seed(int(draw.integers(2**31)))
        torch.rand(int(draw.integers(1, 100)))
        torch.set_num_threads(int(draw.integers(1, 3)))
        if draw.random() < 0.3:
            with (
                mock.patch("bench.train.fit.evaluate", side_effect=KeyboardInterrupt),
                pytest.raises(KeyboardInterrupt),
            ):
                run(planned)
        if draw.random() < 0.3:
            process_memo().clear()

    try:
        with mock.patch.dict(os.environ, place.environment()), chdir(tmp_path), redirect_stderr(StringIO()):
            planned = planned_cells(place)
            first = {name: run(planned[name]) for name in map(tuple, draw.permutation(list(planned)).tolist())}
            for name in map(tuple, draw.permutation([*planned, *planned]).tolist()):
                disturb(planned[name])
                assert run(planned[name]) == first[name], name
            matrix, label = list(planned)[int(draw.integers(len(planned)))]
    finally:
        torch.set_num_threads(threads)
        process_memo().clear()
    arguments = ("run", f"{matrix}.toml", "--out", "alone", "--only", f"method={label}", "--jobs", "1")
    alone = finished(place.spawn(*arguments))
    assert alone.code == 0, alone.err
    (record,) = records(tmp_path / "alone")
    assert numbers(record, tmp_path / "alone") == first[matrix, label]
