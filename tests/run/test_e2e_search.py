"""`xner search`: trials as ordinary cells that resume; what was chosen is included, recorded and printed."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from bench.report.frame import groups, read
from bench.report.tables.search import chosen_toml, searched, settings_table
from bench.store.record import Records
from tests.support.e2e_tools import Place, matrix_text, records
from tests.support.records_for_tests import Plan, put

SEARCH = """
[search]
trials = 2
seeds = [101, 102]
target = "de"
lr = [0.1, 3]
steps = [2]
"""


def test_rows_that_lack_trials_are_named() -> None:
    text = chosen_toml([], {("tiny", "en_trans"), ("tiny", "concner")})
    assert tomllib.loads(text) == {} and "# concner, tiny: not all trials have run yet" in text


def test_trials_on_another_targets_translations_choose_nothing(tmp_path: Path) -> None:
    best = {"de": 1, "hu": 2}
    for target, trial in ((target, trial) for target in best for trial in range(3)):
        plan = Plan({"en_trans": 0.5}, cell={"trial": trial, "settings": {"trial": trial}})
        record = put(tmp_path, plan, "en_trans", target, seed=101)
        dev_f1 = 0.9 if trial == best[target] else 0.5
        scores = {rule: replace(score, dev_f1=dev_f1) for rule, score in record.scores.items()}
        Records(tmp_path).put(replace(record, scores=scores))
    chosen = {target: tomllib.loads(searched(tmp_path, target)[1])["chosen"]["org/enc"] for target in best}
    assert {target: settings["en_trans"]["trial"] for target, settings in chosen.items()} == best


def test_search_then_run_with_what_was_chosen(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    matrix = place.matrix(matrix_text(tiny_folder, ("zero_shot", "concner"), ("de",), (1,), more=SEARCH))
    part = place.xner("search", matrix, "--only", "method=zero_shot")
    assert part.code == 0, part.err
    out = tmp_path / "results" / "small-search"
    (begun,) = tomllib.loads((out / "chosen.toml").read_text())["chosen"].values()
    assert begun.keys() == {"zero_shot"}, "rows whose trials are all done"
    ran = place.xner("search", matrix)
    assert ran.code == 0 and "8 cells, 4 done, 4 to run" in ran.err, ran.err
    found = records(out)
    assert {(r["cell"]["label"], r["cell"]["seed"], r["cell"]["trial"]) for r in found} == {
        (label, seed, trial) for label in ("zero_shot", "concner") for seed in (101, 102) for trial in (0, 1)
    }
    assert {r["cell"]["target"] for r in found} == {"de"} and {r["status"] for r in found} == {"ok"}
    assert "Settings that a search drew or chose" in ran.out and "chosen.toml" in ran.out
    chosen = tomllib.loads((out / "chosen.toml").read_text())["chosen"][tiny_folder.name]
    for label, settings in chosen.items():
        dev = {
            trial: sum(
                r["scores"][r["rules"][0]]["dev_f1"]
                for r in found
                if (r["cell"]["label"], r["cell"]["trial"]) == (label, trial)
            )
            / 2
            for trial in (0, 1)
        }
        assert settings["trial"] == max(dev, key=dev.__getitem__) and abs(settings["dev_f1"] - max(dev.values())) < 1e-3
        assert ("steps" in settings) == (settings["trial"] == 1), "trial 0 is the recipe as given"
    drawn = [r["cell"]["settings"] for r in found if r["cell"]["trial"] == 1]
    assert all(settings["steps"] == 8 for settings in drawn) and {len(s) for s in drawn} >= {3}
    why = place.xner("why", "small-search", "concner", "trial=1", "seed=101")
    assert why.code == 0 and "hit" in why.out, "the folder knows that it was a search"

    use = ("--set", f"include={out / 'chosen.toml'}")
    ran = place.xner("run", matrix, *use)
    assert ran.code == 0 and "2 cells" in ran.err, ran.err
    used = {r["cell"]["label"]: r for r in records(tmp_path / "results" / "small")}
    assert {label: r["cell"]["settings"] for label, r in used.items()} == chosen
    assert all(r["cost"]["steps"] == chosen[label].get("steps", 4) for label, r in used.items())
    (group,) = groups(read([tmp_path / "results" / "small"]))
    table = settings_table(group)
    assert table is not None
    shown = {line["method"].text: line for line in table.rows()}
    assert {label: int(line["trial"].text) for label, line in shown.items()} == {
        label: settings["trial"] for label, settings in chosen.items()
    }
    again = place.xner("run", matrix, *use, "--mode", "read-only")
    assert again.code == 0 and "2 done" in again.err
