"""Trials of a hyperparameter search, and the choice by row and encoder: the best mean F1 on source dev."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report.frame import UNPLACED, Group, Row, Stored, groups, read_all
from bench.report.tables.model import Entry, Table, TableDraft
from bench.store.record import matrix_cells

RECIPE = ("lr", "head_lr", "dropout", "steps")
Trials = Mapping[int, Mapping[int, Stored]]  # by trial, by seed


def trials_of(group: Group, row: Row) -> Trials:
    """The records of a row by trial and seed."""
    trials: dict[int, dict[int, Stored]] = {}
    for run in group.stored:
        if run.row == row:
            trials.setdefault(run.trial, {})[run.seed] = run
    return dict(sorted(trials.items()))


def dev_f1(group: Group, seeds: Mapping[int, Stored]) -> float | None:
    """Mean F1 on source dev (0 to 1) of the main rule's checkpoint; None if a seed has none."""
    scores = [run.score("last" if group.main_rule == "target-dev" else group.main_rule) for run in seeds.values()]
    values = [score.dev_f1 for score in scores if score is not None and score.dev_f1 is not None]
    return sum(values) / len(values) if values and len(values) == len(seeds) else None


def best_trial(group: Group, row: Row) -> int | None:
    """The trial with the highest mean, the first if several tie; None if no trial has an F1 for every seed."""
    trials = trials_of(group, row)
    most = max(map(len, trials.values()), default=0)
    means = {trial: dev_f1(group, seeds) for trial, seeds in trials.items() if len(seeds) == most}
    known = {trial: mean for trial, mean in means.items() if mean is not None}
    return max(known, key=known.__getitem__, default=None)


def settings_table(group: Group, name: str = "settings") -> Table | None:
    """Settings of each row and trial that a search drew or chose, with F1 on source dev; None without a search."""
    if not any(run.record.cell.get("settings") for run in group.stored):
        return None
    draft = TableDraft(group, heads=("method", "trial"))
    for row in group.rows:
        trials = trials_of(group, row)
        best = best_trial(group, row) if len(trials) > 1 else None
        for trial, seeds in trials.items():
            known: dict[str, Any] = next(iter(seeds.values())).record.cell.get("settings") or {}
            mean = dev_f1(group, seeds) if known.get("dev_f1") is None else known["dev_f1"]
            line = draft.add(row, {"trial": str(known.get("trial", trial))})
            line |= {key: Entry(text=f"{known[key]:g}" if key in known else "as given") for key in RECIPE}
            own = {**known.get("params", {}), **known.get("labels", {})}
            line["own"] = Entry(text=", ".join(f"{key}={_toml(value)}" for key, value in own.items()) or "as given")
            line["dev F1"] = TableDraft.gap() if mean is None else Entry(100 * mean, bold=trial == best)
    notes = [
        "Chosen by a random search with the same number of trials for every method, the first the recipe as given.",
        "dev F1: on source dev, percent, mean over the seeds of the search; bold: the highest of a method's trials.",
    ]
    return draft.table(name, "Settings that a search drew or chose", [*RECIPE, "own", "dev F1"], notes, of="quantity")


def searched(out: Path, target: str) -> tuple[list[Table], str]:
    """The tables of the trials on one target's translations, and `chosen_toml` for a matrix to include.

    Raises:
        BadInput: as `read_all`.
    """
    stored = [run for run in read_all([out]) if run.target == target]  # an earlier search may have had another
    stored = [run for run in stored if run.place != UNPLACED] or stored  # without records of older code or settings
    known, all_groups = {run.record.key for run in stored}, groups(stored)
    tables = [table for group in all_groups if (table := settings_table(group)) is not None]
    asked = [cell for cell in matrix_cells(out) if cell["target"] == target]
    missing = {(cell["encoder"], cell["label"]) for cell in asked if str(cell["key"]) not in known}
    return tables, chosen_toml(all_groups, missing)


def chosen_toml(all_groups: Sequence[Group], missing: Collection[tuple[str, str]] = ()) -> str:
    """[chosen.ENCODER.ROW] for each row whose trials all ran; for others, and where all failed, a comment.

    `missing`: encoder and label of the rows that lack trials.
    """
    lines = ["# Written by `xner search`: by encoder and row the trial with the best mean F1 on source dev."]
    for group in all_groups:
        for row in group.rows:
            trials, best = trials_of(group, row), best_trial(group, row)
            cell = next(iter(next(iter(trials.values())).values())).record.cell
            if (cell["encoder"], cell["label"]) in missing:
                continue
            if best is None:
                lines += ["", f"# {cell['label']}: no trial has an F1 on source dev for every seed: as the matrix says"]
                continue
            seeds = trials[best]
            known = next(iter(seeds.values())).record.cell.get("settings") or {}
            lines += ["", f"[chosen.{json.dumps(cell['encoder'])}.{json.dumps(cell['label'])}]", f"trial = {best}"]
            lines.append(f"dev_f1 = {dev_f1(group, seeds):.4f}  # of {len(trials)} trials, seeds {sorted(seeds)}")
            lines += [f"{key} = {_toml(value)}" for key, value in known.items() if key not in ("trial", "dev_f1")]
    for encoder, label in sorted(missing):
        lines += ["", f"# {label}, {encoder}: not all trials have run yet, so nothing is chosen"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
