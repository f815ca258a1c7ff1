"""Arrays of an npz sidecar: as numpy reads them, and damage named."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.store.sidecars import Damaged, read_arrays


def test_arrays_are_those_that_numpy_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    rows = np.arange(24, dtype=np.int32).reshape(4, 2, 3)
    np.savez_compressed(path, types=np.array(["LOC", "PER"]), rows=rows, turned=np.asfortranarray(rows[0]), one=3.5)
    found = read_arrays(path, without="types")
    with np.load(path) as theirs:
        assert sorted(found) == ["one", "rows", "turned"]
        for name, array in found.items():
            np.testing.assert_array_equal(array, theirs[name], strict=True)
    found["rows"] += 1  # whoever reads them may change them


@pytest.mark.parametrize(
    "header", ["{'descr': (", "{'descr': 1 1}", "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"]
)
def test_a_header_that_is_none_is_damage(tmp_path: Path, header: str) -> None:
    text = header.encode().ljust(117) + b"\n"
    member = io.BytesIO(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("rows.npy", member.getvalue())
    with pytest.raises(Damaged):
        read_arrays(tmp_path / "a.npz")
