"""[[contrast]]: differences that a matrix declares before it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.core.errors import BadInput
from bench.plan.contrasts import declared
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.store.record import INCLUDED, Contrast, Written, add_cells, contrasts, row_name
from tests.support.plan_fakes import MATRIX, fake_registry

Declare = Callable[..., tuple[Contrast, ...]]
CONTRAST = '\n[[contrast]]\na = "concner+kd"\nb = "concner"\nname = "distillation"\nprimary = true\n'


@pytest.fixture(scope="module")
def declare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Declare]:
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        registry = fake_registry(folder, "fakecontrast")

        def declare(text: str, *overrides: str) -> tuple[Contrast, ...]:
            (folder / "m.toml").write_text(text)
            spec = load_matrix(str(folder / "m.toml"), overrides, registry)
            return declared(spec, cells(spec, registry))

        yield declare


def with_aligners(text: str) -> str:
    return text.replace("seeds = [1, 2]", 'seeds = [1]\n"labels.aligner" = ["gold", "simalign"]')


def test_a_contrast_is_that_of_two_rows(declare: Declare) -> None:
    assert declare(MATRIX) == ()
    assert declare(MATRIX + CONTRAST) == (Contrast("concner+kd", "concner", "distillation", primary=True),)


def test_a_method_of_several_rows_has_one_for_each(declare: Declare) -> None:
    found = declare(with_aligners(MATRIX + CONTRAST))
    pairs = [("concner+kd (gold)", "concner (gold)"), ("concner+kd (simalign)", "concner (simalign)")]
    assert [(contrast.a, contrast.b) for contrast in found] == pairs
    assert len({contrast.name for contrast in found}) == 2 and all(contrast.primary for contrast in found)
    rows = CONTRAST.replace('"concner+kd"', '"concner (gold)"').replace('b = "concner"', 'b = "concner (simalign)"')
    assert [(c.a, c.b, c.name) for c in declare(with_aligners(MATRIX + rows))] == [
        ("concner (gold)", "concner (simalign)", "distillation")
    ]
    assert row_name("concner", {"labels.aligner": "gold", "data.n_source": 100, "labels.filters": ["x"]}) == (
        'concner (gold, ["x"])'
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('a = "concner+kd"', 'a = "concner+k"', r"contrast\[1\]\.a: 'concner\+k' is not on the axis.*'concner\+kd'"),
        ('b = "concner"', 'b = "en_trans"', r"contrast\[1\]\.b: 'en_trans' is not on the axis of methods"),
        ('b = "concner"', 'b = "concner+kd"', "cannot be compared with itself"),
        ('b = "concner"', 'b = "concner (gold)"', r"there is no row 'concner \(gold\)'"),
        ('name = "distillation"', 'name = " "', r"contrast\[1\]\.name: must be a name"),
        ('name = "distillation"', "", "the key 'name' is missing"),
        ("primary = true", "primary = 1", "expected true or false"),
        ("primary = true", "primry = true", "did you mean 'primary'"),
        ("primary = true\n", CONTRAST.replace("distillation", "other"), "is given twice"),
        ("primary = true", 'encoder = "othr"', r"contrast\[1\]\.encoder: 'othr' is not on the axis of encoders"),
    ],
)
def test_a_mistake_is_named(declare: Declare, old: str, new: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        declare(MATRIX + CONTRAST.replace(old, new))


def test_a_contrast_of_one_encoder(declare: Declare, tmp_path: Path) -> None:
    """The same rows may be declared for several encoders, apart; a folder goes by the name that records give it."""
    (folder := tmp_path / "my-encoder").mkdir()
    two = re.sub(r"encoders = \[", f'encoders = ["{folder}", ', MATRIX)
    name = re.search(r'encoders = \["([^"]+)"', MATRIX)
    assert two != MATRIX and name is not None
    each = [CONTRAST + f'encoder = "{encoder}"\n' for encoder in (folder, name[1])]
    found = declare(two + each[0] + each[1].replace("distillation", "other"))
    assert [contrast.encoder for contrast in found] == ["my-encoder", name[1]]
    with pytest.raises(BadInput, match="is given twice"):
        declare(two + each[0] + CONTRAST.replace("distillation", "other"))


def test_what_set_took_away_is_left_out(declare: Declare) -> None:
    assert declare(MATRIX + CONTRAST, "axes.methods=['zero_shot','concner']") == ()
    assert len(declare(with_aligners(MATRIX + CONTRAST), "axes.labels.aligner=['gold']")) == 1


def test_the_folder_keeps_what_each_file_last_declared(tmp_path: Path) -> None:
    old, new, other = (Contrast("a", "b", name) for name in ("old", "new", "other"))
    assert contrasts(tmp_path) == []
    for file, text, contrast in (("m.toml", "1", old), ("n.toml", "1", other), ("m.toml", "2", new)):
        add_cells(tmp_path, [{"key": "k"}], "m", [Written(file, text, contrasts=(contrast,))])
    assert contrasts(tmp_path) == [new, other]


def test_what_a_file_includes_takes_no_declaration_away(tmp_path: Path) -> None:
    first, second = Contrast("a", "b", "first"), Contrast("c", "d", "second")
    for included, contrast in (("results/chosen.toml\n[chosen]", first), ("./results/chosen.toml\n[chosen.a]", second)):
        text = f"[axes]{INCLUDED}{included}\n"
        add_cells(tmp_path, [{"key": "k"}], "m", [Written("m.toml", text, contrasts=(contrast,))])
    assert contrasts(tmp_path) == [first, second]
    add_cells(tmp_path, [{"key": "k"}], "m", [Written("m.toml", "[data]")])
    assert contrasts(tmp_path) == []
