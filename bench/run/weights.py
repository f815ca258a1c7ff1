"""Weights are kept only while an unfinished cell may need them: a student its teacher, a round the one before."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plan.identity import Planned
from bench.plan.units import unit_name
from bench.store.locks import claim_file, held_claims
from bench.store.planned import matrix_cells, training_base
from bench.store.record import Record, Records

KEPT = ".kept"  # in OUT/models: a run was asked to keep its weights
User = tuple[str, str]  # a cell as far as weights are concerned: the base of its training, its target


class Weights:
    """The weights of a results folder, and which cells have used them.

    `todo`: by the name of each unit that we know to be still to run its cells, beside those that have no record.
    """

    def __init__(self, out: Path, todo: Mapping[str, set[User]] | None = None) -> None:
        self.out, self.models = out, out / "models"
        self._open = dict(todo or {})
        self._users: dict[str, set[User]] = {}  # by the key of each training

    def note(self, records: Iterable[Record]) -> None:
        """Which trainings these cells have used."""
        for record in records:
            for name, key in record.parents.items():
                if name.startswith("fit:"):
                    self._users.setdefault(key, set()).add(_user(record.cell))

    def done(self, unit: Sequence[Planned], records: Iterable[Record]) -> None:
        """Note a finished unit, and free what its trainings left and no unfinished cell needs."""
        self._open.pop(unit_name(unit[0]), None)
        self.note(records)
        if not self._in_use():
            self._remove(folder for folder in self.unneeded(self._unfinished())[0] if folder.name in self._users)

    def leave(self) -> None:
        """Free also what killed runs, and those that ended while others were at work, have left behind.

        Whoever ends last does it for all; never in a folder in which a run was asked to keep its weights.
        """
        if not self._in_use() and not (self.models / KEPT).exists():
            self.note(Records(self.out).all())
            self._remove(self.unneeded(self._unfinished())[0])

    def unneeded(self, unfinished: set[User]) -> tuple[list[Path], list[Path]]:
        """Folders of weights that none of these cells may need, and those that one may.

        A cell may need those of its encoder, seed, trial and axes which served its target or several targets. Weights
        that no record names are of a training whose cells are not finished.
        """
        bases = {base for base, _ in unfinished}
        sorted_out: tuple[list[Path], list[Path]] = ([], [])
        for folder in sorted(self.models.glob("[!.]*/[!.]*")):
            users = self._users.get(folder.name)
            if users is None:
                needed = bool(unfinished)
            elif len({target for _, target in users}) > 1:
                needed = not bases.isdisjoint(base for base, _ in users)
            else:
                needed = not unfinished.isdisjoint(users)
            sorted_out[needed].append(folder)
        return sorted_out

    def _in_use(self) -> bool:
        """Whether a process is at a unit that we do not know: it may read weights, and looks itself when it ends."""
        return bool(held_claims(self.out, {claim_file(self.out, name) for name in self._open}))

    def _unfinished(self) -> set[User]:
        finished = {path.stem for path in (self.out / "records").glob("[!.]*.json")}
        missing = {_user(cell) for cell in matrix_cells(self.out) if str(cell["key"]) not in finished}
        return missing.union(*self._open.values())

    def _remove(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def keep_weights(out: Path) -> None:
    """Have no later run free weights that it finds in the folder."""
    (out / "models").mkdir(parents=True, exist_ok=True)
    (out / "models" / KEPT).touch()


def users_of(cells: Iterable[Mapping[str, Any]]) -> set[User]:
    """Cells, as records and matrix.json name them, as far as weights are concerned."""
    return set(map(_user, cells))


def _user(cell: Mapping[str, Any]) -> User:
    return training_base(cell), str(cell["target"])
