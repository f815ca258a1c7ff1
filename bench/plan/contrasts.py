"""[[contrast]]: the differences that a matrix declares before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.core.errors import nearest
from bench.plan import registry
from bench.plan.sections import MatrixSpec
from bench.store.record import ROW_AXES, Contrast, row_name

if TYPE_CHECKING:
    from bench.plan.matrix import Cell


def check_contrasts(spec: MatrixSpec, before: Mapping[str, list[Any]]) -> None:
    """Names and pairs; whether there is such a row is known once the cells are (`declared`)."""
    known = dict.fromkeys((*spec.axes.methods, *before.get("methods", [])))
    for position, contrast in enumerate(spec.contrasts):
        place, earlier = spec.where.at("contrast", position), spec.contrasts[:position]
        for key, label in (("a", contrast.a), ("b", contrast.b)):
            if label.partition(" (")[0] not in known:
                raise place.at(key).error(f"'{label}' is not on the axis of methods{nearest(label, known)}")
        encoders = dict.fromkeys((*spec.axes.encoders, *before.get("encoders", [])))
        if contrast.encoder and contrast.encoder not in encoders:
            wrong = f"'{contrast.encoder}' is not on the axis of encoders{nearest(contrast.encoder, encoders)}"
            raise place.at("encoder").error(wrong)
        if contrast.a == contrast.b:
            raise place.error(f"'{contrast.a}' cannot be compared with itself")
        same = [other for other in earlier if {contrast.a, contrast.b} == {other.a, other.b}]
        if any(contrast.encoder == other.encoder or not (contrast.encoder and other.encoder) for other in same):
            raise place.error(f"{contrast.a} - {contrast.b} is given twice")
        if not contrast.name.strip() or any(contrast.name == other.name for other in earlier):
            raise place.at("name").error("must be a name that no other contrast has")


def declared(spec: MatrixSpec, cells: Iterable[Cell]) -> tuple[Contrast, ...]:
    """The contrasts row by row: a method that [labels]' axes make several rows of has one for each.

    `cells`: all of the matrix. Two rows make a pair where no axis of [labels] chose differently for them, unless the
    matrix names both rows in full. What --set took off the axes is left out.

    Raises:
        BadInput: a contrast names a row that is not there.
    """
    rows = {
        row_name(cell.label, cell.axes): (cell.label, {k: v for k, v in cell.axes.items() if k.startswith(ROW_AXES)})
        for cell in cells
    }
    found: list[Contrast] = []
    for position, contrast in enumerate(spec.contrasts):
        sides = [[row for row, (label, _) in rows.items() if side in (row, label)] for side in (contrast.a, contrast.b)]
        for side, named in zip((contrast.a, contrast.b), sides, strict=True):
            if not named and not spec.where.given:
                raise spec.where.at("contrast", position).error(f"there is no row '{side}'{nearest(side, rows)}")
        pairs = [(a, b) for a in sides[0] for b in sides[1]]
        encoder = contrast.encoder and registry.encoder_name(contrast.encoder)
        if not {contrast.a, contrast.b} <= rows.keys():
            chosen = {row: axes for row, (_, axes) in rows.items()}
            pairs = [(a, b) for a, b in pairs if all(chosen[b].get(k, v) == v for k, v in chosen[a].items())]
        for a, b in pairs:
            name = contrast.name if len(pairs) == 1 else f"{contrast.name}: {a} - {b}"
            found.append(replace(contrast, a=a, b=b, name=name, encoder=encoder))
    return tuple(found)
