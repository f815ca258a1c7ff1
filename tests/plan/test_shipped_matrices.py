"""The shipped matrices: well-formed, complete in what must be compared, with the languages that they promise."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from bench.plan import registry
from bench.plan.contrasts import declared
from bench.plan.matrix import Cell, cells
from bench.plan.sections import MatrixSpec
from bench.plan.spec import load_matrix, shipped

EXTRINSIC = {
    "wikiann-e5": "wikiann",
    "uner-pud": "uner_pud",
    "uner-dictionary": "uner_pud",
    "wikiann-1k": "wikiann",
    "masakhaner": "masakhaner",
}
INTRINSIC = {"pud-projection": "uner_pud", "europarl-projection": "europarl_ner"}
PAN_X = 40  # XTREME's, English among them


def load(name: str, *overrides: str) -> MatrixSpec:
    """A matrix; skipped while a plug-in that it names is not installed."""
    text = (files("bench.plan") / "matrices" / f"{name}.toml").read_text(encoding="utf-8")
    for kind, plugin in (("aligner", "statistical"), ("translator", "dictionary"), ("translator", "nllb")):
        if f'"{plugin}"' in text and plugin not in registry.names(kind):
            pytest.skip(f"there is no {kind} {plugin} yet")
    return load_matrix(name, overrides)


def test_they_are_shipped() -> None:
    assert {*EXTRINSIC, *INTRINSIC, "uner-mt"} <= set(shipped())


@pytest.mark.parametrize("name", EXTRINSIC)
def test_each_method_stands_with_and_without_distillation(name: str) -> None:
    spec = load(name)
    made = cells(spec)
    assert spec.data.corpus == EXTRINSIC[name] and len(spec.axes.seeds) == 5
    settings = {(cell.method, cell.params.get("english"), cell.params.get("distil")) for cell in made}
    for method, english in (
        ("zero_shot", None),
        ("en_trans", None),
        ("label_projection", False),
        ("label_projection", True),
        ("concner", None),
    ):
        assert {(method, english, False), (method, english, True)} <= settings, method
    assert ("target_supervised", None, False) in settings
    assert {cell.data.n_source for cell in made} == {1000}
    assert {cell.target for cell in made} <= set(registry.make("corpus", spec.data.corpus).languages())


def test_machine_translation_is_crossed_as_its_comment_says() -> None:
    made = cells(load("uner-mt"))
    better = {("pt", "files"), ("pt", "bergamot"), ("es", "files"), ("es", "pivot")}
    every = better | {("es", "apertium")}
    seeds = {(cell.label, cell.target, *cell.axes.values()): set[int]() for cell in made}
    for cell in made:
        seeds[cell.label, cell.target, *cell.axes.values()].add(cell.seed)
    assert set(map(frozenset, seeds.values())) == {frozenset({1, 2, 3})} and len(made) == 3 * len(seeds)
    for label, systems in (("en_trans", better), ("concner", better), ("label_projection+en", every)):
        plain = [cell for cell in made if cell.label == label and cell.labels.aligner == "simalign"]
        assert {(cell.target, cell.labels.translator) for cell in plain} == systems
    tested = [cell for cell in made if cell.label == "translate_test"]
    assert {(cell.target, cell.labels.translator) for cell in tested} == every - {("pt", "files")}
    special = {
        (cell.label, cell.labels.translator, cell.labels.aligner, cell.labels.transfer)
        for cell in made
        if (cell.labels.aligner, cell.labels.transfer) != ("simalign", "align")
    }
    assert special == {
        ("label_projection+en", "apertium", "statistical", "align"),
        ("label_projection+en", "apertium", "translator", "align"),
        ("label_projection+en", "bergamot", "simalign", "marker"),
        ("label_projection+en", "bergamot", "simalign", "placeholder"),
    }


@pytest.mark.parametrize("name", INTRINSIC)
def test_intrinsic_matrices_cross_aligners_and_matchers(name: str) -> None:
    made = cells(load(name))
    assert {cell.method for cell in made} == {"gold_projection"} and {cell.seed for cell in made} == {1}
    crossed = {(cell.labels.aligner, cell.labels.matcher) for cell in made}
    assert {aligner for aligner, _ in crossed} == {"simalign", "softmax", "statistical"}
    assert len(crossed) == 3 * 6 and len(made) == len(crossed) * len({cell.target for cell in made})
    assert made[0].corpus_params.get("intrinsic", True) is True


def test_the_comment_of_wikiann_names_all_of_pan_x() -> None:
    text = (files("bench.plan") / "matrices" / "wikiann-1k.toml").read_text(encoding="utf-8")
    comment = "".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    found = re.search(r"'axes\.targets=(\[.*?\])'", comment)
    assert found
    spec = load("wikiann-1k", f"axes.targets={found[1]}")
    assert len({"en", *spec.axes.targets}) == PAN_X
    assert set(load("wikiann-1k").axes.targets) == {"de", "bg", "hu", "es", "nl", "fr", "ru", "ar", "zh"}


REPO = Path(__file__).resolve().parents[2]
FIVE = {
    "ConCNER - naive pool": ("concner", "en_trans"),
    "ConCNER - label projection with English": ("concner", "label_projection+en"),
    "ConCNER - naive pool, both distilled": ("concner+kd", "en_trans+kd"),
    "ConCNER - label projection with English, both distilled": ("concner+kd", "label_projection+en+kd"),
    "label projection - zero-shot": ("label_projection", "zero_shot"),
}


@pytest.mark.parametrize("name", ["uner-reference", "uner-n-source"])
def test_the_reference_declares_what_its_protocol_says(name: str) -> None:
    spec = load(name)
    found = declared(spec, cells(spec))
    assert {c.name: tuple(row.partition(" (")[0] for row in (c.a, c.b)) for c in found} == FIVE
    assert [c.primary for c in found] == [True, True, False, False, False]
    protocol = (REPO / "results/reference/uner-reference/protocol.md").read_text(encoding="utf-8")
    for contrast in found:
        a, b = FIVE[contrast.name]
        assert f"| {contrast.name} | {a} | {b} | {'**primary**' if contrast.primary else ''}" in protocol
    assert spec.train.rules == ("last",) and "Rule: **last**" in protocol
    if spec.search.trials:
        assert f"{spec.search.trials} trials for **every** row" in protocol
        assert f"on seed {' and '.join(map(str, spec.search.seeds))}" in protocol


def by_row(found: list[Cell], encoder: str) -> dict[tuple[str, str], set[tuple[str, int]]]:
    return {
        (label, translator): {
            (c.target, c.seed)
            for c in found
            if (c.label, c.labels.translator, c.encoder) == (label, translator, encoder)
        }
        for label, translator in {(c.label, c.labels.translator) for c in found}
    }


def test_the_reference_has_every_method_and_five_seeds_of_what_is_declared() -> None:
    spec = load("uner-reference")
    found = cells(spec)
    own = {name for name in registry.names("method") if registry.module_of("method", name).startswith("methods.")}
    elsewhere = {"gold_projection", "annotation_projection"}  # intrinsic; in low-resource
    assert {cell.method for cell in found} == own - elsewhere
    for encoder in ("e5-small", "mini"):
        rows = by_row(found, encoder)
        whole = {(target, seed) for target in spec.axes.targets for seed in (1, 2, 3, 4, 5)}
        for a, b in FIVE.values():
            assert rows[a, "files"] == rows[b, "files"] == whole, (a, b)
        for label in ("en_trans", "label_projection+en", "concner", "translate_test"):
            assert {target for target, _ in rows[label, "bergamot"]} == {"pt"}
            assert {target for target, _ in rows[label, "pivot"]} == {"es"}
        assert {seed for _, seed in rows["unitrans", "files"]} == {1, 2, 3}
    searched = cells(load("uner-reference", "search.run=true"))
    assert {(c.target, c.labels.translator) for c in searched} == {("pt", "files")}
    counts = Counter((c.encoder, c.label) for c in searched)
    assert set(counts.values()) == {8}
    assert len(counts) == 2 * (len(spec.axes.methods) - len(spec.search.same_as)), (
        "each row is searched, or takes another's"
    )


def test_low_resource_has_parallel_text_beside_the_dictionary() -> None:
    spec = load("low-resource")
    found = cells(spec)
    assert {cell.target for cell in found} == {"da", "hu", "sk", "sr"} and len(spec.axes.seeds) == 5
    pairs = {c.name: (c.a, c.b) for c in declared(spec, found)}
    assert pairs["annotation projection - zero-shot"] == ("annotation_projection (statistical)", "zero_shot")
    assert ("concner-parallel (statistical)", "annotation_projection+pairs (statistical)") in pairs.values()
    chosen = f"include={REPO}/results/reference/uner-reference/chosen.toml"
    trained = {cell.label: (cell.recipe, cell.train) for cell in cells(load("low-resource", chosen))}
    assert trained["concner"] != trained["zero_shot"], "the settings chosen for it on translations"
    for label in ("annotation_projection", "annotation_projection+pairs", "concner-parallel"):
        assert trained[label] == trained["zero_shot"], "the teacher's settings: the rows differ in data or loss alone"
    aligners = {(cell.label, cell.labels.aligner) for cell in found if "labels.aligner" in cell.axes}
    assert ("concner", "gold") in aligners and ("concner", "statistical") not in aligners
    masakhaner = [line[2:].strip() for line in spec.where.text.splitlines() if line.startswith("#   --set")]
    overrides = [part.strip(" '") for line in masakhaner for part in line.split("--set ") if part]
    african = cells(load("low-resource", *overrides))
    assert {cell.data.corpus for cell in african} == {"masakhaner"} and len({cell.target for cell in african}) == 12


def test_the_demo_of_methods_holds_them_all() -> None:
    """A new folder under methods/ must be put in, or named here with the reason."""
    elsewhere = {name for name in registry.names("method") if registry.load("method", name).intrinsic}
    own = {name for name in registry.names("method") if registry.module_of("method", name).startswith("methods.")}
    made = cells(load("demo-methods"))
    assert {cell.method for cell in made} == own - elsewhere
    assert {cell.data.corpus for cell in made} == {"demo"} and len({cell.seed for cell in made}) == 3
