"""In what two methods differ, and whether their contrast was declared before any result (DESIGN.md §4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.files import canonical_json
from bench.report.frame import Stored

_DISTIL = ("distil", "distil_loss", "distil_start", "distil_outside")
Differing = dict[str, tuple[str, str]]  # by name what A has and what B has


@dataclass(frozen=True)
class Contrast:
    """Two methods whose difference was the question from the start: name, with distillation or not, with English."""

    text: str
    better: tuple[str, bool]
    other: tuple[str, bool]
    english: bool = False  # of `other`


DECLARED = (
    Contrast("concner without distillation - en_trans", ("concner", False), ("en_trans", False)),
    Contrast(
        "concner without distillation - label_projection with English",
        ("concner", False),
        ("label_projection", False),
        english=True,
    ),
    Contrast(
        "concner with distillation - label_projection with English and distillation",
        ("concner", True),
        ("label_projection", True),
        english=True,
    ),
)


def own_settings(base: Iterable[Stored]) -> dict[str, str]:
    """By method the settings of the folder's row that has the method's own name, but for distillation and English."""
    own: dict[str, str] = {}
    for one in base:
        if one.record.cell["label"] == _method(one) and _method(one) not in own:
            own[_method(one)] = _rest(one)
    return own


def declared(a: Sequence[Stored], b: Sequence[Stored], own: Mapping[str, str]) -> str:
    """The declared contrast that A - B (or B - A) is, "" where it is exploratory.

    `own`: `own_settings` of the folder's records. A variant counts where only distillation and English tell it from
    them: concner with other weights is another method.
    """
    if not a or not b or _axes(a) != _axes(b) or _imported(a) or _imported(b):
        return ""
    for one in (*a, *b):
        if own.get(_method(one), _rest(one)) != _rest(one):
            return ""
    for contrast in DECLARED:
        for first, second in ((a, b), (b, a)):
            if _is(first, contrast.better, False) and _is(second, contrast.other, contrast.english):
                return contrast.text
    return ""


def _is(stored: Sequence[Stored], wanted: tuple[str, bool], english: bool) -> bool:
    params = [one.record.cell.get("params") or {} for one in stored]
    return all(
        (_method(one), bool(p.get("distil")), bool(p.get("english"))) == (*wanted, english)
        for one, p in zip(stored, params, strict=True)
    )


def _method(one: Stored) -> str:
    return str(one.record.cell.get("method"))


def _rest(one: Stored) -> str:
    params = one.record.cell.get("params") or {}
    return canonical_json({name: value for name, value in params.items() if name not in (*_DISTIL, "english")})


def _axes(stored: Sequence[Stored]) -> list[str]:
    return sorted({canonical_json(one.record.cell.get("axes") or {}) for one in stored})


def _axis_names(stored: Sequence[Stored]) -> set[str]:
    return {name for one in stored for name in one.record.cell.get("axes") or {}}


def _imported(stored: Sequence[Stored]) -> bool:
    return any(one.imported for one in stored)


def factors(a: Sequence[Stored], b: Sequence[Stored]) -> Differing:
    """The factors that the records declare and in which A and B differ."""
    return _differing([one.record.factors for one in a], [one.record.factors for one in b])


def settings(a: Sequence[Stored], b: Sequence[Stored]) -> Differing:
    """Parameters, axes and budget in which A and B differ; parameters only where they are one method's."""

    def of(stored: Sequence[Stored]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for one in stored:
            record, cell = one.record, one.record.cell
            facts = {name: value for name, value in (cell.get("axes") or {}).items() if name in axes}
            facts |= {"source sentences": cell.get("n_source")}
            if record.cost.steps:
                facts |= {"steps": record.cost.steps, "batch": record.cost.batch}
            found.append(facts | (dict(cell.get("params") or {}) if same else {}))
        return found

    same = {_method(one) for one in a} == {_method(one) for one in b}
    axes = _axis_names(a) & _axis_names(b)  # one that concerns only one of the two is no difference in setting
    return _differing(of(a), of(b), unknown="n/a")


def _differing(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], unknown: str = "unknown") -> Differing:
    names = sorted({name for facts in (*a, *b) for name in facts})
    values = {name: (_values(a, name, unknown), _values(b, name, unknown)) for name in names}
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def _values(facts: Sequence[Mapping[str, Any]], name: str, unknown: str) -> str:
    values = dict.fromkeys(one.get(name, unknown) for one in facts if not isinstance(one.get(name), list | dict))
    values |= dict.fromkeys(canonical_json(one[name]) for one in facts if isinstance(one.get(name), list | dict))
    return " / ".join(sorted("unknown" if value is None else str(value) for value in values))
