"""[search]: settings chosen alike for every method, by random search on source dev.

`xner search` runs the matrix with `search.run = true`: on seeds that are not reported, one target, the first point of
the extra axes at which a row is there, and a number of trials. Trial 0 is the recipe as given; the others draw from the
shared space, the same values for every method and encoder, and from the method's own `search_space`. Every trial is an
ordinary cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from bench.core.errors import nearest
from bench.plan.keys import rng
from bench.plan.registry import SEARCHED_LABELS, BrokenPlugin, encoder_name
from bench.plan.resolve import Point, Resolver
from bench.plan.sections import MatrixSpec, Settings


def searching(spec: MatrixSpec) -> MatrixSpec:
    """The matrix of the search. The seeds and the target must be the search's own: BadInput.

    What was chosen before, and what is declared of the results, does not concern it.
    """
    search, place = spec.search, spec.where.at("search")
    if shared := sorted({*search.seeds} & {*spec.axes.seeds}):
        raise place.at("seeds").error(f"seed {shared[0]} is reported, so no setting may be chosen on it")
    if search.trials and search.target not in spec.axes.targets and (search.run or not spec.where.given):
        raise place.at("target").error(f"'{search.target}' is not a target{nearest(search.target, spec.axes.targets)}")
    if not search.run:
        return spec
    if not search.trials:
        raise place.error("it gives no `trials`, so there is nothing to search")
    methods = tuple(label for label in spec.axes.methods if label not in search.same_as)
    axes = replace(spec.axes, methods=methods, targets=(search.target,), seeds=search.seeds)
    return replace(spec, name=f"{spec.name}-search", axes=axes, chosen={}, contrasts=())


def check_same_as(spec: MatrixSpec, before: Mapping[str, list[Any]]) -> None:
    """Rows that take another's settings, and the others. `before`: the axes of the file, where --set narrowed them."""
    known = dict.fromkeys((*spec.axes.methods, *before.get("methods", [])))
    for row, other in spec.search.same_as.items():
        place = spec.where.at("search", "same_as", row)
        if row not in known:
            raise place.error(f"'{row}' is not on the axis of methods{nearest(row, known)}")
        if other not in (searched := known.keys() - spec.search.same_as.keys()):
            raise place.error(f"'{other}' is not a row that is searched{nearest(other, searched)}")


def settings_of(resolver: Resolver, spec: MatrixSpec, label: str, encoder: str, trial: int, point: Point) -> Settings:
    """What a row is trained with where that is not as the matrix says: drawn in a search, else what one chose."""
    if not spec.search.run:
        known = (encoder, encoder_name(encoder), PurePath(encoder).name)  # a folder by its name, here or no longer
        chosen = next((spec.chosen[name] for name in known if name in spec.chosen), {})
        return chosen.get(spec.search.same_as.get(label, label), Settings())
    if trial == 0:
        return Settings()
    train, recipe = resolver.training(encoder, point)
    search = spec.search
    every = list(itertools.product(*search.shared().values()))
    order = rng(0, "search", "shared").permutation(len(every))
    drawn = dict(zip(search.shared(), every[order[trial - 1]], strict=True))
    given = {"lr": recipe.lr, "head_lr": recipe.head_lr or recipe.lr, "steps": float(train.steps)}
    values = {name: share if name == "dropout" else _rounded(share * given[name]) for name, share in drawn.items()}
    own = _own(resolver, spec, label, trial)
    return Settings(
        trial=trial,
        lr=values.get("lr"),
        head_lr=values.get("head_lr"),
        dropout=values.get("dropout"),
        steps=max(1, round(values["steps"])) if "steps" in values else None,
        params={key: value for key, value in own.items() if key not in SEARCHED_LABELS},
        labels={key.removeprefix("labels."): value for key, value in own.items() if key in SEARCHED_LABELS},
    )


def _own(resolver: Resolver, spec: MatrixSpec, label: str, trial: int) -> dict[str, Any]:
    """The method's own values. What the variant or an axis says is not drawn: it is what the row is about."""
    variant = spec.variant(label)
    method = variant.use if variant else label
    fixed = {*(variant.params if variant else ()), *(key.removeprefix(f"method.{method}.") for key in spec.axes.extra)}
    space: dict[str, tuple[Any, ...]] = {}
    with suppress(BrokenPlugin):  # its cells will be failures
        space = getattr(resolver.registry.load("method", method), "search_space", {})
    drawn = {
        key: values[int(rng(0, "search", method, str(trial), key).integers(len(values)))]
        for key, values in sorted(space.items())
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in drawn.items() if key not in fixed}


def point_of(settings: Settings, encoder: str, method: str) -> dict[str, Any]:
    """The settings as values of axes, by dotted key."""
    recipe = {name: getattr(settings, name) for name in ("lr", "head_lr", "dropout", "steps")}
    point = {f"encoder.{encoder}.{name}": value for name, value in recipe.items() if value is not None}
    point |= {f"method.{method}.{name}": value for name, value in settings.params.items()}
    return point | {f"labels.{name}": value for name, value in settings.labels.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
