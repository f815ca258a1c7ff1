"""`xner run` from end to end: what it leaves and trains, what a second run does, and that a seed says everything."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from tests.support.e2e_tools import (
    ALL,
    Place,
    Ran,
    by_name,
    matrix_text,
    name_of,
    read_sidecar,
    records,
    sidecars,
    snapshot,
)

RULES = ("source-dev", "last", "target-dev")
TARGETS, SEEDS = ("de", "zh"), (1, 2)


@dataclass(frozen=True)
class Finished:
    """A matrix that was run once for this module, and how often it trained."""

    place: Place
    matrix: Path
    ran: Ran
    trainings: int


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Finished:
    from bench.train import fit

    place = Place(tmp_path_factory.mktemp("e2e"), tiny_folder)
    text = matrix_text(tiny_folder, ALL, TARGETS, SEEDS, train=f"rules = {json.dumps(RULES)}")
    matrix = place.matrix(text)
    with mock.patch("bench.train.training.fit", wraps=fit.fit) as spy:
        ran = place.xner("run", matrix, "--out", place.out, figures=True)
    return Finished(place, matrix, ran, spy.call_count)


@pytest.fixture
def copied(done: Finished, tmp_path: Path) -> Place:
    """The finished results again, for a test that adds to them."""
    shutil.copytree(done.place.root, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path, done.place.encoder)


def test_it_ends_well_with_tables_and_figures(done: Finished) -> None:
    assert done.ran.code == 0, done.ran.err
    assert "Traceback" not in done.ran.err
    assert "zero_shot" in done.ran.out
    for ending in ("md", "csv", "tex"):
        tables = {path.stem: path for path in (done.place.out / "tables").glob(f"*.{ending}")}
        assert {"main", "types", "rules", "gap", "cost"} <= tables.keys(), ending
        assert all(path.stat().st_size > 50 for path in tables.values())
    figures = list((done.place.out / "figures").iterdir())
    assert {path.suffix for path in figures} == {".png", ".svg", ".pdf"}
    assert all(path.stat().st_size > 1000 for path in figures)


def test_every_cell_has_a_small_sorted_record(done: Finished) -> None:
    found = by_name(done.place.out)
    assert set(found) == {(label, target, seed) for label in ALL for target in TARGETS for seed in SEEDS}
    for path in (done.place.out / "records").iterdir():
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        assert path.stat().st_size <= 10_000
        assert text.rstrip("\n") == json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)
        assert (value["status"], value["attempts"], value["key"]) == ("ok", 1, path.stem)
        assert tuple(value["rules"]) == RULES
        assert set(value["scores"]) == set(RULES)
        assert str(done.place.root) not in text, "a record holds no path of this machine"


def test_tables_name_methods_targets_and_oracles(done: Finished) -> None:
    main = (done.place.out / "tables" / "main.md").read_text(encoding="utf-8")
    for name in (*ALL, *TARGETS, "synthetic"):
        assert name in main
    marked = [line for line in main.splitlines() if "†" in line and line.startswith("|")]
    assert {line.split("|")[1].split()[0] for line in marked} == {"gold_translation", "target_supervised"}


def test_budgets_are_equal(done: Finished) -> None:
    for (label, _, _), record in by_name(done.place.out).items():
        cost, rounds = record["cost"], 2 if label.endswith("+kd") else 1
        assert (cost["steps"], cost["evals"], cost["batch"]) == (4 * rounds, 2 * rounds, 8), label
        assert cost["sentences"] == 4 * rounds * 8, label
        assert cost["forward_passes"] == 4 * rounds, label
        assert cost["tokens"] > 0 and cost["seconds"] > 0 and cost["flops"] > 0


def test_each_training_is_done_once(done: Finished) -> None:
    found = by_name(done.place.out)
    fits = {name: {k: v for k, v in r["parents"].items() if k.startswith("fit:")} for name, r in found.items()}
    assert len({key for parents in fits.values() for key in parents.values()}) == done.trainings
    shared = {seed: {fits["zero_shot", target, seed]["fit:main"] for target in TARGETS} for seed in SEEDS}
    assert [len(keys) for keys in shared.values()] == [1, 1], "one zero-shot training serves all targets"
    assert shared[1] != shared[2]
    for target in TARGETS:
        for seed in SEEDS:
            student = fits["zero_shot+kd", target, seed]
            assert student["fit:main"] in shared[seed], "the teacher is zero_shot's own training"
            assert student["fit:distil"] not in shared[seed]
    assert len({fits["zero_shot+kd", t, s]["fit:distil"] for t in TARGETS for s in SEEDS}) == 4


def test_resources_and_factors_tell_methods_apart(done: Finished) -> None:
    found = {label: record for (label, target, seed), record in by_name(done.place.out).items() if target == "de"}
    used = {label: record["resources"] for label, record in found.items()}
    for label in ("zero_shot", "zero_shot+kd", "en_trans", "gold_translation"):
        assert used[label]["labelled"] == 24, label
    assert {label: r["translated"] for label, r in used.items() if r["translated"]} == {
        "en_trans": 24,
        "gold_translation": 24,
    }
    assert {label for label, r in used.items() if r["target_gold"]} == {"gold_translation", "target_supervised"}
    assert {label: r["unlabelled"] for label, r in used.items() if r["unlabelled"]} == {"zero_shot+kd": 24}
    assert used["en_trans"]["translation"] == "machine"
    assert found["zero_shot+kd"]["factors"]["teacher"] == "own model"
    counts = found["en_trans"]["projection"]
    outcomes = ("projected", "unaligned", "conflicting", "filtered")
    assert counts["entities"] == sum(counts[name] for name in outcomes) > 0
    assert (counts["pairs"], counts["pairs_filtered"], counts["filtered"]) == (24, 0, 0), "plain: every sentence kept"


def test_every_token_is_scored(done: Finished) -> None:
    for record in records(done.place.out):
        tagged = read_sidecar(done.place, record, "gold")
        assert record["tokens_scored"] == record["tokens_gold"] == sum(len(s.words) for s in tagged) > 0
        assert record["sentences"] == len(tagged) == 16


def test_sidecars_give_the_records_scores(done: Finished) -> None:
    entities = 0
    for record in records(done.place.out):
        gold = read_sidecar(done.place, record, "gold")
        with np.load(done.place.out / "sidecars" / record["key"] / "counts.npz", allow_pickle=False) as arrays:
            counts = {name: arrays[name] for name in arrays.files}
        for rule in RULES:
            found = read_sidecar(done.place, record, f"predictions-{rule}")  # refuses ill-formed IOB2
            assert [s.words for s in found] == [s.words for s in gold]
            entities += sum(len(s.spans) for s in found)
            said = done.place.xner("score", "gold.conll", f"predictions-{rule}.conll", "--json")
            assert said.code == 0 and not said.err
            score = record["scores"][rule]
            for name in ("f1", "precision", "recall"):
                assert said.json()[name] == pytest.approx(score[name], abs=1e-6)
            sums = {
                t: dict(zip(("tp", "fp", "fn"), map(int, row), strict=True))
                for t, row in zip(counts["types"], counts[rule].sum(0), strict=True)
            }
            assert sums == score["types"]
    assert entities > 100, "an untrained tagger finds something; else these checks would check nothing"


def test_curves_hold_every_step_and_evaluation(done: Finished) -> None:
    for record in records(done.place.out):
        curves = json.loads((done.place.out / "sidecars" / record["key"] / "curves.json").read_text(encoding="utf-8"))
        (losses,) = curves["loss"].values()
        assert len(losses) == len(curves["step"]) == 4
        assert curves["eval_step"] == [2, 4]
        assert len(curves["source-dev"]) == len(curves[f"target-dev:{record['cell']['target']}"]) == 2


def test_no_weights_are_left(done: Finished) -> None:
    assert not list(done.place.out.rglob("*.safetensors"))
    assert not (done.place.out / "taggers").exists()


# --- again ------------------------------------------------------------------------------------------------------------


def test_second_run_trains_nothing(done: Finished) -> None:
    before = snapshot(done.place.out)
    with mock.patch("bench.run.local.run", side_effect=AssertionError("nothing is to be run")):
        again = done.place.xner("run", done.matrix, "--out", done.place.out, figures=True)
    assert again.code == 0
    assert again.out == done.ran.out
    assert "20 done, 0 to run" in again.err
    after = snapshot(done.place.out)
    assert {name: value for name, value in after.items() if name != "matrix.json"} == {
        name: value for name, value in before.items() if name != "matrix.json"
    }


def test_a_new_target_runs_only_its_own_cells(copied: Place) -> None:
    before = snapshot(copied.out / "records") | snapshot(copied.out / "sidecars")
    matrix = copied.matrix(copied.root.joinpath("small.toml").read_text().replace('["de", "zh"]', '["de", "zh", "hu"]'))
    only = ("--only", "method=zero_shot,en_trans", "--only", "seed=2")
    ran = copied.xner("run", matrix, "--out", copied.out, *only)
    assert ran.code == 0, ran.err
    assert "6 cells, 4 done, 2 to run" in ran.err
    after = snapshot(copied.out / "records") | snapshot(copied.out / "sidecars")
    assert {name: after[name] for name in before} == before
    added = {name_of(json.loads(after[name][1])) for name in after.keys() - before.keys() if name.count("/") == 0}
    assert added == {("zero_shot", "hu", 2), ("en_trans", "hu", 2)}
    plan = copied.xner("plan", matrix, "--out", copied.out, "--json").json()
    states = [cell["state"] for cell in plan["cells"]]
    assert (states.count("ok"), states.count("missing")) == (22, 8)
    assert "hu" in (copied.out / "tables" / "main.md").read_text(encoding="utf-8")


def states_of(done: Finished, *arguments: str) -> set[str]:
    ran = done.place.xner("plan", done.matrix, "--out", done.place.out, "--json", *arguments)
    assert ran.code == 0, ran.err
    return {cell["state"] for cell in ran.json()["cells"]}


@pytest.mark.parametrize(
    "change",
    (
        "axes.seeds=[3]",
        "train.steps=5",
        "data.n_source=23",
        "data.n_dev=19",
        "corpus.demo.n_test=17",
        "train.threads=2",
    ),
)
def test_what_a_number_depends_on_is_in_its_key(done: Finished, change: str) -> None:
    assert states_of(done, "--set", change) == {"missing" if change == "axes.seeds=[3]" else "stale"}


@pytest.mark.parametrize("change", ("name=other", 'axes.targets=["zh"]', "axes.seeds=[2, 1]"))
def test_what_no_number_depends_on_is_not(done: Finished, change: str) -> None:
    assert states_of(done, "--set", change) == {"ok"}


def test_a_parameter_of_one_method_changes_only_its_cells(done: Finished) -> None:
    ran = done.place.xner("plan", done.matrix, "--out", done.place.out, "--json", "--set", "labels.matcher=min-max")
    assert {cell["state"] for cell in ran.json()["cells"]} == {"ok"}
    ran = done.place.xner("plan", done.matrix, "--out", done.place.out, "--json", "--set", "translator.frames.seed=1")
    stale = {cell["label"]: cell["differs"] for cell in ran.json()["cells"] if cell["state"] == "stale"}
    assert stale == {"en_trans": ["labels.links.translations.params.seed: 0 → 1"]}


def test_a_folder_moved_elsewhere_is_still_finished(copied: Place, tmp_path: Path) -> None:
    encoder = shutil.copytree(copied.encoder, tmp_path / "elsewhere" / copied.encoder.name)
    text = copied.root.joinpath("small.toml").read_text().replace(str(copied.encoder), str(encoder))
    ran = copied.xner("run", copied.matrix(text), "--out", copied.out)
    assert "20 done, 0 to run" in ran.err, "the key is of the encoder's files, never of its path"


def test_other_settings_into_the_same_folder_replace_the_cells_in_the_tables(copied: Place) -> None:
    only = ("--only", "method=zero_shot", "--only", "target=de")
    ran = copied.xner("run", copied.root / "small.toml", "--out", copied.out, "--set", "train.steps=5", *only)
    assert ran.code == 0, ran.err
    assert "2 cells, 0 done, 2 to run" in ran.err
    assert len(records(copied.out)) == 22
    counts = copied.xner("status", copied.out, "--json").json()
    assert counts["total"]["ok"] == 20
    assert counts["unplanned"] == 2


def test_a_damaged_record_is_run_again(copied: Place) -> None:
    path = next((copied.out / "records").iterdir())
    whole = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")
    ran = copied.xner("run", copied.root / "small.toml", "--out", copied.out)
    assert ran.code == 0, ran.err
    assert "19 done, 1 to run" in ran.err
    assert json.loads(path.read_text(encoding="utf-8"))["scores"] == whole["scores"]


# --- a seed says everything -------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_whatever_runs_beside_it(done: Finished, tmp_path: Path) -> None:
    """Another results folder, an empty cache, and only some of the cells."""
    place = Place(tmp_path, done.place.encoder)
    only = ("--only", "method=zero_shot+kd,en_trans", "--only", "target=zh", "--only", "seed=2")
    ran = place.xner("run", done.matrix, "--out", place.out, *only)
    assert ran.code == 0, ran.err
    here, there = by_name(place.out), by_name(done.place.out)
    assert set(here) == {("zero_shot+kd", "zh", 2), ("en_trans", "zh", 2)}
    for name, record in here.items():
        assert record["key"] == there[name]["key"]
        assert record["scores"] == there[name]["scores"]
        assert record["parents"] == there[name]["parents"]
    before = sidecars(done.place.out)
    for name, content in sidecars(place.out).items():
        if not name.endswith("curves.json"):  # it holds the dev curves of the other targets too
            assert content == before[name], name


def test_seeds_differ(done: Finished) -> None:
    found, files = by_name(done.place.out), sidecars(done.place.out)
    for label in ("zero_shot", "en_trans"):
        one, two = (found[label, "de", seed]["key"] for seed in SEEDS)
        assert files[f"{one}/predictions-last.conll.gz"] != files[f"{two}/predictions-last.conll.gz"]


# --- other matrices ---------------------------------------------------------------------------------------------------


def test_half_precision_is_what_ran(done: Finished, tmp_path: Path) -> None:
    """On a CPU by autocast; and OUT defaults to results/NAME."""
    place = Place(tmp_path, done.place.encoder)
    only = ("--only", "method=zero_shot", "--only", "target=de", "--only", "seed=1")
    ran = place.xner("run", done.matrix, "--set", "train.precision=bf16", *only)
    assert ran.code == 0, ran.err
    (record,) = records(place.root / "results" / "small")
    assert record["ran"]["precision"] == "bf16"
    assert record["ran"]["encoder_text"] == "unknown", "a folder's pre-training text is unknown to the leakage guard"
    assert record["key"] != by_name(done.place.out)["zero_shot", "de", 1]["key"]
    assert place.xner("status", "small", "--json").json()["total"]["ok"] == 1


def test_axes_of_any_key(done: Finished, tmp_path: Path) -> None:
    place = Place(tmp_path, done.place.encoder)
    text = matrix_text(place.encoder, ("zero_shot", "zero_shot+kd"))
    text = text.replace(
        "seeds = [1]", 'seeds = [1]\n"data.n_source" = [8, 16]\n"method.zero_shot.distil_loss" = ["mse", "kl"]'
    )
    text += '[[exclude]]\nmethod = "zero_shot+kd"\n"data.n_source" = 16\n'
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    found = records(place.out)
    named = {(r["cell"]["label"], json.dumps(r["cell"]["axes"], sort_keys=True)) for r in found}
    assert len(named) == len(found) == 2 * 2 + 1 * 2, "an axis of distillation concerns every cell of the method"
    assert {r["resources"]["labelled"] for r in found} == {8, 16}
    assert {r["status"] for r in found} == {"ok"}
    trainings = {r["parents"]["fit:main"] for r in found}
    assert len(trainings) == 2, "two sizes: what distillation does changes no first round"
    main = sorted((place.out / "tables").glob("main*.md"))
    assert len(main) == 2, "a table for each size; what a method's parameter is set to makes rows"
    again = place.xner("run", place.root / "small.toml", "--out", place.out)
    assert "0 to run" in again.err


@pytest.mark.parametrize("rule", ["last", "target-dev"])
def test_a_teacher_is_trained_once_for_all_targets_and_axes(tmp_path: Path, tiny_folder: Path, rule: str) -> None:
    """It stays until its last student, though no row of its own is there, and watches the dev sets of all targets."""
    from bench.train import fit

    place = Place(tmp_path, tiny_folder)
    text = matrix_text(tiny_folder, ("zero_shot+kd",), TARGETS, train=f'rules = ["{rule}"]')
    text = text.replace("seeds = [1]", 'seeds = [1]\n"method.zero_shot.distil_loss" = ["mse", "kl"]')
    with mock.patch("bench.train.training.fit", wraps=fit.fit) as spy:
        ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    assert spy.call_count == 1 + len(records(place.out)) == 5
    assert not list(place.out.rglob("*.safetensors"))


# --- models -----------------------------------------------------------------------------------------------------------


def test_kept_taggers_load_in_transformers(done: Finished, tmp_path: Path) -> None:
    from transformers import pipeline

    place = Place(tmp_path, done.place.encoder)
    only = ("--only", "method=zero_shot", "--only", "target=de", "--only", "seed=1")
    ran = place.xner("run", done.matrix, "--out", place.out, "--keep-models", *only)
    assert ran.code == 0, ran.err
    (record,) = records(place.out)
    assert record["scores"] == by_name(done.place.out)["zero_shot", "de", 1]["scores"]
    tag = pipeline("token-classification", model=str(place.out / "taggers" / record["key"]), device="cpu")
    found = tag("Anna besucht Paris .")
    known = {f"{prefix}-{kind}" for prefix in "BI" for kind in record["corpus"]["types"]}
    assert {item["entity"] for item in found} <= known | {"O"}
    assert tag.model.config.label2id["O"] == 0
    assert list(place.out.glob("models/fit/*/*.safetensors")), "the weights stay"
