"""In what two methods differ, and whether their contrast was declared before any result (DESIGN.md §4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.report.frame import Stored
from bench.store.files import canonical_json

_DISTIL = ("distil", "distil_loss", "distil_start", "distil_outside")
Differing = dict[str, tuple[str, str]]  # by name what A has and what B has


Side = tuple[str, bool, bool]  # a method, whether distilled, whether with English
DECLARED: dict[str, tuple[Side, Side]] = {  # the differences that were the question from the start
    "concner without distillation - en_trans": (("concner", False, False), ("en_trans", False, False)),
    "concner without distillation - label_projection with English": (
        ("concner", False, False),
        ("label_projection", False, True),
    ),
    "concner with distillation - label_projection with English and distillation": (
        ("concner", True, False),
        ("label_projection", True, True),
    ),
}


def own_settings(base: Iterable[Stored]) -> dict[str, str]:
    """By method the settings of the folder's row that has the method's own name, but for distillation and English."""
    own: dict[str, str] = {}
    for run in base:
        if run.record.cell["label"] == _method(run):
            own.setdefault(_method(run), _rest(run))
    return own


def declared(a: Sequence[Stored], b: Sequence[Stored], own: Mapping[str, str]) -> str:
    """The declared contrast that A - B (or B - A) is, "" where it is exploratory.

    `own`: `own_settings` of the folder's records. A variant counts where only distillation and English tell it from
    them: concner with other weights is another method.
    """
    axes = [{canonical_json(run.record.cell.get("axes") or {}) for run in stored} for stored in (a, b)]
    if not a or not b or axes[0] != axes[1] or any(run.imported for run in (*a, *b)):
        return ""
    if any(own.get(_method(run), _rest(run)) != _rest(run) for run in (*a, *b)):
        return ""
    sides = [{_side(run) for run in stored} for stored in (a, b)]
    return next(
        (text for text, pair in DECLARED.items() if sorted(map(sorted, sides)) == [[x] for x in sorted(pair)]), ""
    )


def _side(run: Stored) -> Side:
    params = run.record.cell.get("params") or {}
    return _method(run), bool(params.get("distil")), bool(params.get("english"))


def _method(run: Stored) -> str:
    return str(run.record.cell.get("method"))


def _rest(run: Stored) -> str:
    params = run.record.cell.get("params") or {}
    return canonical_json({name: value for name, value in params.items() if name not in (*_DISTIL, "english")})


def factors(a: Sequence[Stored], b: Sequence[Stored]) -> Differing:
    """The factors that the records declare and in which A and B differ."""
    return _differing([run.record.factors for run in a], [run.record.factors for run in b])


def settings(a: Sequence[Stored], b: Sequence[Stored]) -> Differing:
    """Parameters, axes and budget in which A and B differ; parameters only where they are one method's."""

    def facts(run: Stored) -> dict[str, Any]:
        cell, cost = run.record.cell, run.record.cost
        values = {name: value for name, value in (cell.get("axes") or {}).items() if name in axes}
        values |= {"source sentences": cell.get("n_source")}
        values |= {"steps": cost.steps, "batch": cost.batch} if cost.steps else {}
        return values | (dict(cell.get("params") or {}) if same else {})

    same = {_method(run) for run in a} == {_method(run) for run in b}
    # an axis that concerns only one of the two is no difference in setting
    axes = set.intersection(*({name for run in side for name in run.record.cell.get("axes") or {}} for side in (a, b)))
    return _differing(list(map(facts, a)), list(map(facts, b)), unknown="n/a")


def _differing(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], unknown: str = "unknown") -> Differing:
    names = sorted({name for facts in (*a, *b) for name in facts})
    values = {name: (_values(a, name, unknown), _values(b, name, unknown)) for name in names}
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def _values(facts: Sequence[Mapping[str, Any]], name: str, unknown: str) -> str:
    values = [run.get(name, unknown) for run in facts]
    texts = {canonical_json(value) if isinstance(value, list | dict) else str(value) for value in values}
    return " / ".join(sorted("unknown" if text == "None" else text for text in texts))
