"""Typed sections and parameters from the tables of a matrix at one point of its extra axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from bench.api.recipes import Corpus
from bench.core.errors import nearest
from bench.plan.registry import REGISTRY, Registry
from bench.plan.schema import Path, Place, build, field_names
from bench.plan.sections import DataSpec, EncoderSpec, LabelsSpec, MatrixSpec, TrainSpec

T = TypeVar("T")
Point = Mapping[str, Any]  # one value of each extra axis, by its dotted key

AXES = ("methods", "targets", "encoders", "seeds")  # the axes of every matrix; the extra ones have dotted keys
SECTIONS: Mapping[str, type] = {"data": DataSpec, "labels": LabelsSpec, "train": TrainSpec}
PLUGINS = ("method", "corpus", "translator", "aligner", "encoder")  # tables [kind.name]; `encoder` holds recipes
_OF_PLUGINS = tuple(f"{kind}.NAME.KEY" for kind in PLUGINS)
ALIGNING = ("revision", "max_length", "align_layer")  # the part of a recipe that an aligner's encoder depends on


def axis_path(key: str, where: Place) -> Path:
    """The path in the tables of the values of an extra axis: ("data", "n_source"), ("encoder", "a/b-v1.0", "lr").

    Raises:
        BadInput: no table has such a key.
    """
    head, _, tail = key.partition(".")
    if head in PLUGINS and "." in tail:
        name, _, last = tail.rpartition(".")
        return (head, name.strip("\"'"), last)
    known = [f"{section}.{field}" for section, cls in SECTIONS.items() for field in field_names(cls)]
    if key not in known:
        raise where.at(key).error(f"'{key}' cannot be an axis{nearest(key, [*AXES, *known, *_OF_PLUGINS])}")
    return (head, tail)


class Resolver:
    """Builds typed values from the raw tables and a point of the extra axes; errors name where a value was written."""

    def __init__(self, raw: Mapping[str, Any], where: Place, registry: Registry = REGISTRY) -> None:
        self.raw, self.where, self.registry = raw, where, registry

    def table(self, path: tuple[str, ...], point: Point) -> tuple[dict[str, Any], Place]:
        """The raw table at `path` with the point's values put in, and its place."""
        raw: Any = self.raw
        for part in path:
            raw = raw.get(part, {})
        raw, where = dict(raw), self.where
        for key, value in point.items():
            full = axis_path(key, where.at("axes"))
            if full[:-1] == path:
                raw[str(full[-1])] = value
                where = where.moved(full, ("axes", key))
        return raw, where.at(*path)

    def section(self, cls: type[T], point: Point) -> T:
        """[data], [labels] or [train]; BadInput as `build`."""
        name = next(name for name, section in SECTIONS.items() if section is cls)
        return build(cls, *self.table((name,), point))

    def recipe(self, encoder: str, point: Point) -> EncoderSpec:
        """The recipe of an encoder: the matrix's values, else the defaults of our own encoder, else the general ones.

        Raises:
            BadInput: as `build`.
        """
        raw, where = self.table(("encoder", encoder), point)
        own = encoder in self.registry.names("encoder")
        asked = self.registry.load("encoder", encoder).defaults if own else {}
        return build(EncoderSpec, {**asked, **raw}, where)

    def training(self, encoder: str, point: Point) -> tuple[TrainSpec, EncoderSpec]:
        """[train] with the encoder's overrides, and the recipe without them: the same training has one description.

        Raises:
            BadInput: as `build`; or the override conflicts with [train].
        """
        train, recipe = self.section(TrainSpec, point), self.recipe(encoder, point)
        own = {name: getattr(recipe, name) for name in ("steps", "batch", "precision")}
        try:
            train = replace(train, **{name: value for name, value in own.items() if value is not None})
        except ValueError as error:
            raise self.where.at("encoder", encoder).error(f"with [train]: {error}") from error
        return train, replace(recipe, steps=None, batch=None, precision=None)

    def aligning(self, encoder: str, point: Point) -> EncoderSpec:
        """The part of a recipe that the aligner's encoder depends on, all else at its default."""
        recipe = self.recipe(encoder, point)
        return EncoderSpec(**{name: getattr(recipe, name) for name in ALIGNING})

    def params(self, kind: str, name: str, point: Point) -> Any:
        """`Params` of a corpus, translator, aligner or method from its table; BadInput as `Registry.params`.

        An unknown name is reported at the key that chose it.
        """
        self.registry.module_of(kind, name, self._choice(kind, name, point))
        raw, where = self.table((kind, name), point)
        return self.registry.params(kind, name, raw, where)

    def method(self, spec: MatrixSpec, label: str, point: Point) -> tuple[str, Any]:
        """The method of a label and its `Params`: [method.x], overridden by the axes, then by the variant."""
        variant = spec.variant(label)
        if variant is None:
            return label, self.params("method", label, point)
        raw, where = self.table(("method", variant.use), point)
        index = spec.variants.index(variant)
        for key, value in variant.params.items():
            raw[key] = value
            where = where.moved(("method", variant.use, key), ("variant", index, key))
        return variant.use, self.registry.params("method", variant.use, raw, where)

    def languages(self, corpus: str, point: Point) -> tuple[str, ...]:
        """The languages of a corpus; BadInput as `params`."""
        params = self.params("corpus", corpus, point)
        made: Corpus = self.registry.load("corpus", corpus)(params)
        return made.languages()

    def _choice(self, kind: str, name: str, point: Point) -> Place:
        if name in self.raw.get(kind, {}):
            return self.where.at(kind, name)
        section = {"corpus": "data", "translator": "labels", "aligner": "labels"}.get(kind)
        if section is None or f"{section}.{kind}" in point:
            return self.where.at("axes", f"{section}.{kind}" if section else "methods")
        return self.where.at(section, kind)
