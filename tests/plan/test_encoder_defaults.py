"""An encoder of our own may bring its recipe: a matrix needs no table for it, and may set each value all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bench.core.errors import BadInput
from bench.plan.resolve import Resolver
from bench.plan.schema import Place
from bench.plan.sections import EncoderSpec


class Own:
    """What the registry gives for `own`."""

    defaults: ClassVar[dict[str, Any]] = {"layers": 9, "freeze": 4, "lr": 2e-4, "head_lr": 1e-2}


def resolver(**tables: Any) -> Resolver:
    registry: Any = SimpleNamespace(names=lambda kind: ("own",), load=lambda kind, name: Own)
    return Resolver({"encoder": tables}, Place("m.toml"), registry)


def test_a_matrix_without_a_table_trains_by_the_encoders_own_recipe() -> None:
    assert resolver().recipe("own", {}) == EncoderSpec(layers=9, freeze=4, lr=2e-4, head_lr=1e-2)
    assert resolver().recipe("another", {}) == EncoderSpec()


def test_the_matrix_and_its_axes_have_the_last_word() -> None:
    of_matrix = resolver(own={"lr": 1e-3, "freeze": 0})
    assert of_matrix.recipe("own", {}) == EncoderSpec(layers=9, lr=1e-3, head_lr=1e-2)
    assert of_matrix.recipe("own", {"encoder.own.freeze": 2}).freeze == 2


def test_a_wrong_default_is_refused_as_a_wrong_table_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Own, "defaults", {"layer": 9})
    with pytest.raises(BadInput, match=r"encoder.*unknown key 'layer'.*'layers'"):
        resolver().recipe("own", {})


@pytest.mark.parametrize(("name", "value"), [("layers", 0), ("head_lr", 0.0)])
def test_what_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"encoder\.own\.{name}: must be above 0"):
        resolver(own={name: value}).recipe("own", {})
