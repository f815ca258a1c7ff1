"""The conformance suite over every method that is found, with and without distillation.

CPU, offline, a tiny encoder. A new folder under methods/ (or an entry point) is tested without an edit here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.plan import registry
from bench.run.conformance import OF_A_LABEL, OF_A_METHOD, OF_ALL, Check
from bench.run.observed import Suite, planned_cells
from tests.support.e2e_tools import snapshot

METHODS = tuple(name for name in registry.names("method") if not registry.load("method", name).intrinsic)
LABELS = tuple(label for name in METHODS for label in (name, f"{name}+kd"))


def named(check: Check | str) -> str:
    return check if isinstance(check, str) else check.__name__


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Suite]:
    """In a folder of its own, with a home of its own, on one thread: another number may give other rounding."""
    root, threads = tmp_path_factory.mktemp("conformance"), torch.get_num_threads()
    (root / "home").mkdir()
    (root / "here").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(root / "home"))
        patch.setenv("XNER_CACHE", str(root / "cache"))
        patch.chdir(root / "here")
        torch.set_num_threads(1)
        yield Suite(root / "suite", str(tiny_folder), METHODS)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", OF_A_METHOD, ids=named)
def test_every_method_conforms(suite: Suite, check: Check, name: str) -> None:
    check(suite, name)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("check", OF_A_LABEL, ids=named)
def test_it_conforms_distilled_or_not(suite: Suite, check: Check, label: str) -> None:
    check(suite, label)


@pytest.mark.parametrize("check", OF_ALL, ids=named)
def test_all_trainings_conform(suite: Suite, check: Check) -> None:
    check(suite, "")


def test_only_one_method_reads_a_batch_twice(suite: Suite) -> None:
    assert suite.records and len(suite.fits) > len(METHODS) / 2
    again = {fit.method for fit in suite.fits if fit.history.ran.get("second_views")}
    assert again == {"methods.contproto.method"}


def test_nothing_is_written_elsewhere(suite: Suite) -> None:
    assert suite.records and not snapshot(suite.root.parent / "here") and not snapshot(suite.root.parent / "home")


def test_keys_tell_methods_apart_and_know_no_order(suite: Suite) -> None:
    """Of methods, of variants, and of the tables of the file."""
    keys = {label: planned.key for label, planned in suite.cells.items()}
    assert len(set(keys.values())) == len(LABELS)
    turned = Suite(suite.root / "turned", suite.encoder, METHODS[::-1]).matrix
    head, *tables = turned.read_text(encoding="utf-8").split("\n[")
    turned.write_text("\n[".join([head, *tables[::-1]]) + "\n", encoding="utf-8")
    assert {label: planned.key for label, planned in planned_cells(turned).items()} == keys
