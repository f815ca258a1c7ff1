"""Weights are kept only while an unfinished cell may need them: a student its teacher, a round the one before."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plan.identity import Planned
from bench.plan.units import unit_name
from bench.store.artefacts import claim_file, held_claims
from bench.store.planned import matrix_cells, training_base
from bench.store.record import Record, Records

KEPT = ".kept"  # in OUT/models: a run was asked to keep its weights
User = tuple[str, str]  # a cell as far as weights are concerned: the base of its training, its target


class Weights:
    """The weights of a results folder, and which cells have used them.

    `todo`: by name the units that we know to be still to run, with their cells; they count as unfinished, too.
    """

    def __init__(self, out: Path, todo: Mapping[str, set[User]] | None = None) -> None:
        self.out, self.models = out, out / "models"
        self._todo = dict(todo or {})
        self._users: dict[str, set[User]] = {}  # by the key of each training

    def note(self, records: Iterable[Record]) -> None:
        """Which trainings these cells have used."""
        for record in records:
            for name, key in record.parents.items():
                if name.startswith("fit:"):
                    self._users.setdefault(key, set()).update(users_of([record.cell]))

    def done(self, unit: Sequence[Planned], records: Iterable[Record]) -> None:
        """Note a finished unit, and free what is not needed of what finished units have used."""
        self._todo.pop(unit_name(unit[0]), None)
        self.note(records)
        self._free(only=self._users)

    def leave(self) -> None:
        """Free also what killed runs, and those that ended while others were at work, have left behind.

        Never in a folder in which a run was asked to keep its weights.
        """
        if not (self.models / KEPT).exists():
            self.note(Records(self.out).all())
            self._free()

    def unneeded(self, unfinished: set[User]) -> tuple[list[Path], list[Path]]:
        """Folders of weights that none of these cells may need, and those that one may.

        A cell may need those of its encoder, seed, trial and axes which served its target or several targets. Weights
        that no record names are of a training whose cells are not finished.
        """
        bases = {base for base, _ in unfinished}
        sorted_out: tuple[list[Path], list[Path]] = ([], [])
        for folder in sorted(self.models.glob("[!.]*/[!.]*")):
            users = self._users.get(folder.name, unfinished)
            several = len({target for _, target in users}) > 1
            needed = {base for base, _ in users} & bases if several else users & unfinished
            sorted_out[bool(needed)].append(folder)
        return sorted_out

    def _free(self, only: Mapping[str, object] | None = None) -> None:
        """Nothing while a process runs a unit that we do not know: it may read weights, and frees them when it ends."""
        if held_claims(self.out, {claim_file(self.out, name) for name in self._todo}):
            return
        recorded = {path.stem for path in (self.out / "records").glob("[!.]*.json")}
        unfinished = users_of(cell for cell in matrix_cells(self.out) if cell["key"] not in recorded)
        for folder in self.unneeded(unfinished.union(*self._todo.values()))[0]:
            if only is None or folder.name in only:
                shutil.rmtree(folder, ignore_errors=True)


def keep_weights(out: Path) -> None:
    """Have no later run free weights that it finds in the folder."""
    (out / "models").mkdir(parents=True, exist_ok=True)
    (out / "models" / KEPT).touch()


def users_of(cells: Iterable[Mapping[str, Any]]) -> set[User]:
    """Cells, as records and matrix.json name them, as far as weights are concerned."""
    return {(training_base(cell), str(cell["target"])) for cell in cells}
