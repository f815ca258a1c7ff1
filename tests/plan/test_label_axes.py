"""The axes of [labels]: who they concern, how tables show them; and the intrinsic method, which trains nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.sentences import Span
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.report import plots
from tests.support.e2e_tools import Place, by_name, demo_sentences, matrix_text, write_corpus


def test_only_methods_that_read_translations_are_crossed_with_them(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "MAKERS", {"forest": plots.MAKERS["forest"]})  # the others have tests of their own
    place = Place(tmp_path, tiny_folder)
    labels = ("zero_shot", "en_trans", "label_projection", "zero_shot+kd")
    text = matrix_text(tiny_folder, labels).replace("[data]", '"labels.matcher" = ["min-max", "longest"]\n[data]', 1)
    found = cells(load_matrix(str(place.matrix(text))))
    count = {label: sum(cell.label == label for cell in found) for label in labels}
    assert count == {"zero_shot": 1, "en_trans": 1, "label_projection": 2, "zero_shot+kd": 1}
    ran = place.xner("run", "small.toml", "--out", place.out, figures=True)
    assert ran.code == 0, ran.err
    main = (place.out / "tables" / "main.md").read_text(encoding="utf-8")
    for row in ("zero_shot", "label_projection (longest)", "label_projection (min-max)", "en_trans"):
        assert f"| {row} |" in main.replace("**", ""), "one table holds them all"
    assert (place.out / "figures" / "forest.png").exists()


def test_which_axis_concerns_whom(tmp_path: Path, tiny_folder: Path) -> None:
    """Plain projection knows no matcher; links matter to all that read translations."""
    place = Place(tmp_path, tiny_folder)
    text = matrix_text(tiny_folder, ("zero_shot", "en_trans", "concner", "own", "label_projection"), more=OWN)
    axes = '"translator.frames.error_rate" = [0.0, 0.2]\n"labels.filters" = [[], ["comp-ins"]]\n'
    text = text.replace("[data]", f"{axes}[data]", 1)
    found = cells(load_matrix(str(place.matrix(text))))
    count = {label: sum(cell.label == label for cell in found) for label in dict.fromkeys(c.label for c in found)}
    assert count == {"zero_shot": 1, "en_trans": 2, "concner": 2, "own": 4, "label_projection": 4}


OWN = '[[variant]]\nname = "own"\nuse = "concner"\nlabels = "matrix"\n'


@pytest.fixture
def parallel(tmp_path: Path, tiny_folder: Path) -> Place:
    """English with gold, German translations that are the test, linked by nothing: the files name the tags."""
    place = Place(tmp_path, tiny_folder)
    source = demo_sentences("en", "train", 30)
    lines = [f"{s.id}\t{s.text}\t{' '.join(_tags(s.spans or (), len(s.words)))}" for s in source]
    test = list(source)
    corpus = write_corpus(tmp_path / "corpus", {"en/train": source, "en/dev": source[:5], "de/test": test})
    (tmp_path / "corpus" / "translations").mkdir()
    (tmp_path / "corpus" / "translations" / "de.tsv").write_text("id\ttext\ttags\n" + "\n".join(lines) + "\n")
    place.matrix(
        f'name = "small"\n[axes]\nmethods = ["gold_projection"]\ntargets = ["de"]\nseeds = [1]\n[data]\n{corpus}\n'
        '[labels]\naligner = "gold"\n[train]\nrules = ["last"]\n'
    )
    return place


def _tags(spans: tuple[Span, ...], length: int) -> tuple[str, ...]:
    from bench.core.sentences import tags_of

    return tags_of(spans, length)


def test_it_needs_a_parallel_test(parallel: Place) -> None:
    """CoNLL files carry no groups, and no links: a skip with the reason, not a zero."""
    ran = parallel.xner("run", "small.toml", "--out", parallel.out)
    assert ran.code == 0, ran.err
    record = by_name(parallel.out)["gold_projection", "de", 1]
    assert record["status"] == "skipped"
    assert "gold aligner" in record["reason"]
    assert record["cell"]["encoder"] == "none" and record["cell"]["intrinsic"]


def test_a_method_that_trains_needs_an_encoder(parallel: Place) -> None:
    text = (parallel.root / "small.toml").read_text().replace("gold_projection", "zero_shot")
    parallel.matrix(text)
    ran = parallel.xner("run", "small.toml", "--out", parallel.out)
    assert ran.code == 2
    assert "encoder 'none'" in ran.err


def test_nothing_trained_can_be_distilled(parallel: Place) -> None:
    text = (parallel.root / "small.toml").read_text()
    parallel.matrix(f"{text}[method.gold_projection]\ndistil = true\n")
    ran = parallel.xner("run", "small.toml", "--out", parallel.out)
    assert ran.code == 2
    assert "nothing is trained" in ran.err
