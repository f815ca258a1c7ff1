"""From the axes of a matrix to its cells, every parameter resolved; and the needs of a cell's method."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bench.api.method import LINKED, Method, Need, Round
from bench.core.errors import BadInput, nearest
from bench.core.files import canonical_json
from bench.plan.registry import REGISTRY, BrokenPlugin, Registry, in_one_line
from bench.plan.resolve import ALIGNING, Point, Resolver, axis_path
from bench.plan.schema import to_plain
from bench.plan.search import point_of, settings_of
from bench.plan.sections import DataSpec, EncoderSpec, LabelsSpec, MatrixSpec, TrainSpec


def check_usable(name: str, params: Mapping[str, Any], registry: Registry = REGISTRY) -> None:
    """Read everything that a plan reads of a method, so that nothing raises later.

    Raises:
        BadInput: the parameters are not the method's.
        BrokenPlugin: it cannot be made, or its needs or rounds have the wrong type; in one line.
    """
    method_name = f"method '{name}' ({registry.module_of('method', name)})"
    method: Method | None = None
    try:
        method = registry.make("method", name, params)
        assert method is not None
        if not isinstance(method.needs, frozenset) or not all(isinstance(need, Need) for need in method.needs):
            raise BrokenPlugin(f"{method_name}: needs is {method.needs!r}, not a frozenset of Need")
        rounds = method.rounds()
        if not isinstance(rounds, tuple) or not all(isinstance(round_, Round) for round_ in rounds):
            raise BrokenPlugin(f"{method_name}: rounds() gave {rounds!r}, not a tuple of Round")
        needs_of_method(method, registry)
        method.diagnostics()
    except (Exception, SystemExit) as error:
        if isinstance(error, BrokenPlugin) or (isinstance(error, BadInput) and method is None):
            raise
        raise BrokenPlugin(f"{method_name} fails: {in_one_line(error)}") from error


def needs_of_method(method: Method, registry: Registry = REGISTRY) -> frozenset[Need]:
    """Everything that the method's rounds may ask for, including methods that they name."""
    needs = method.needs
    for round_ in method.rounds():
        if isinstance(round_.method, str):
            needs |= registry.load("method", round_.method).needs
    return needs


def reads_links(method: Method, labels: LabelsSpec, registry: Registry = REGISTRY) -> bool:
    """Whether the method's translations need word links; marks that never fall back do not."""
    needs = needs_of_method(method, registry)
    if labels.transfer != "align" and labels.fallback == "drop" and not method.diagnostics().space:
        return bool(needs & (LINKED - {Need.LABELLED_TRANSLATION}))
    return bool(needs & LINKED)


def reads_labels(method: Method, key: str, labels: LabelsSpec, registry: Registry = REGISTRY) -> bool:
    """Whether `key` of [labels], or of the tables of its translator and aligner, matters to the method."""
    needs = needs_of_method(method, registry)
    if key == "labels.fallback" and labels.transfer == "align":
        return False
    if key == "labels.matcher" and needs & {Need.TEST_TRANSLATION, Need.PARALLEL_TEXT}:
        return True
    if key in ("labels.matcher", "labels.filters", "labels.transfer", "labels.fallback"):
        return Need.LABELLED_TRANSLATION in needs
    if key.startswith(("labels.aligner", "aligner.")) and Need.TEST_TRANSLATION not in needs:
        return Need.PARALLEL_TEXT in needs or reads_links(method, labels, registry)
    return bool(needs & (LINKED | {Need.TEST_TRANSLATION}))


T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One number of the matrix, with everything that it depends on; `to_plain(cell)` is its JSON form."""

    matrix: str
    label: str  # the method's or the variant's name: what tables print
    method: str
    params: dict[str, Any]  # of the method, plain
    source: str
    target: str
    encoder: str
    seed: int
    trial: int  # of a search; 0: the recipe as given
    data: DataSpec
    labels: LabelsSpec
    train: TrainSpec  # the encoder's steps, batch and precision put in
    recipe: EncoderSpec  # its steps, batch and precision are None, since `train` has them
    corpus_params: dict[str, Any] = field(default_factory=dict)
    translator_params: dict[str, Any] = field(default_factory=dict)
    aligner_params: dict[str, Any] = field(default_factory=dict)
    aligner_recipe: EncoderSpec = field(default_factory=EncoderSpec)  # ALIGNING fields of labels.aligner_encoder
    axes: dict[str, Any] = field(default_factory=dict)  # the extra axes that concern this cell, by dotted key
    settings: dict[str, Any] = field(default_factory=dict)  # what a search drew or chose, already applied above
    broken: str = ""  # why the method cannot be used, in one line: the cell will be a failure
    targets: tuple[str, ...] = ()  # of all cells of the matrix that differ in the target alone, sorted


@dataclass(frozen=True)
class _Shared:
    """The values shared by all cells at one point of the extra axes."""

    point: Point
    data: DataSpec
    labels: LabelsSpec
    plugins: dict[str, dict[str, Any]]  # corpus_params, translator_params, aligner_params
    aligner_recipe: EncoderSpec


def cells(spec: MatrixSpec, registry: Registry = REGISTRY) -> list[Cell]:
    """The cells in order of encoder, seed, method, target, extra axes, trial.

    An axis such as "method.concner.temperature" concerns only the cells that read that table (and no variant that sets
    the key itself); other cells exist once, without it.

    Raises:
        BadInput: a combination is wrong (a target that its corpus lacks), or the excludes leave nothing.
    """
    maker = _Maker(spec, registry)
    included = [cell for cell in maker.all() if not _excluded(cell, spec.excludes)]
    included = list(_without_repeats(included, registry))
    if spec.search.run:  # each row at the first point of the extra axes that is not excluded
        firsts = {(c.encoder, c.seed, c.label, c.target, c.trial): c for c in reversed(included)}
        included = list(firsts.values())[::-1]
    if not included:
        raise spec.where.at("exclude").error("the excludes leave no cell")
    for cell in included:
        maker.check_languages(cell)
    return _with_targets(included)


def _without_repeats(included: Iterable[Cell], registry: Registry) -> Iterator[Cell]:
    """Of the cells of a method that trains nothing only those of the first encoder: it has none."""
    untrained, seen = dict[str, bool](), set[str]()
    for cell in included:
        method = canonical_json([cell.method, cell.params])
        if method not in untrained:
            untrained[method] = not cell.broken and not registry.make("method", cell.method, cell.params).rounds()
        if untrained[method]:
            place = canonical_json([cell.label, cell.target, cell.seed, cell.trial, cell.axes])
            if place in seen:
                continue
            seen.add(place)
        yield cell


def every_target(cell: Cell) -> list[Cell]:
    """The cell, then its copies for each other target of the matrix, as a method with ALL_TARGETS reads them."""
    return [cell, *(replace(cell, target=target) for target in cell.targets if target != cell.target)]


def only(cells: Sequence[Cell], filters: Sequence[str]) -> list[Cell]:
    """The cells that all `key=value[,value…]` select; key: method, target, encoder, seed, trial or an extra axis.

    Raises:
        BadInput: unknown key or value, with the nearest right one; or no cell is left.
    """
    wanted: dict[str, set[str]] = {}
    have: dict[str, set[str]] = {}
    for cell in cells:
        for key, value in _coordinates(cell).items():
            have.setdefault(key, set()).add(_text(value))
    for text in filters:
        key, equals, values = text.partition("=")
        if not equals:
            raise BadInput(f"--only {text}: expected key=value[,value]")
        if key not in have:
            raise BadInput(f"--only: unknown key '{key}'{nearest(key, have)}")
        listed = [values] if values in have[key] else [value.strip() for value in values.split(",")]
        for value in listed:
            if value not in have[key]:
                raise BadInput(f"--only: {key} has no value '{value}'{nearest(value, have[key])}")
        wanted.setdefault(key, set()).update(listed)
    chosen = [cell for cell in cells if all(_text(_coordinates(cell).get(k)) in v for k, v in wanted.items())]
    if not chosen:
        raise BadInput(f"--only {' '.join(filters)}: no cell is left")
    return chosen


class _Maker:
    """Resolves each combination once and crosses the results."""

    def __init__(self, spec: MatrixSpec, registry: Registry) -> None:
        self.spec = spec
        self.resolver = Resolver(spec.raw, spec.where, registry)
        self._known: dict[str, Any] = {}
        self._languages: dict[str, tuple[str, ...]] = {}  # by corpus and its parameters

    def all(self) -> Iterator[Cell]:
        spec = self.spec
        keys = list(spec.axes.extra)
        points = [dict(zip(keys, values, strict=True)) for values in itertools.product(*spec.axes.extra.values())]
        shared = [self._shared(point) for point in points]
        trials = range(spec.search.trials if spec.search.run else 1)
        for encoder, seed, label, target in itertools.product(
            spec.axes.encoders, spec.axes.seeds, spec.axes.methods, spec.axes.targets
        ):
            seen: set[str] = set()
            for common in shared:
                axes = self._concerned(common, label, encoder)
                coordinates = canonical_json(axes)
                if coordinates in seen:
                    continue
                seen.add(coordinates)
                for trial in trials:
                    yield self._cell(common, axes, label, target, encoder, (seed, trial))

    def check_languages(self, cell: Cell) -> None:
        """Refuse a cell whose corpus lacks its languages; `load_matrix` checks all corpora together only."""
        languages = self._languages[canonical_json([cell.data.corpus, cell.corpus_params])]
        for language in (cell.source, cell.target):
            if language not in languages:
                axis = self.spec.where.at("axes", "targets")
                raise axis.error(f"the corpus {cell.data.corpus} has no language '{language}': [[exclude]] it there")

    def _cell(self, common: _Shared, axes: Point, label: str, target: str, encoder: str, run: tuple[int, int]) -> Cell:
        (seed, trial), spec, resolver = run, self.spec, self.resolver
        variant = spec.variant(label)
        place = canonical_json(common.point)
        settings = self._once(
            f"settings {encoder} {label} {trial} {place}",
            lambda: settings_of(resolver, spec, label, encoder, trial, common.point),
        )
        point = {**point_of(settings, encoder, variant.use if variant else label), **common.point}  # an axis wins
        place = canonical_json(point)
        method, params, broken = self._once(
            f"method {label} {place}", lambda: _plain_method(resolver, spec, label, point)
        )
        train, recipe = self._once(f"train {encoder} {place}", lambda: resolver.training(encoder, point))
        labels = self._once(f"labels {place}", lambda: resolver.section(LabelsSpec, point))
        return Cell(
            matrix=spec.name,
            label=label,
            method=method,
            params=params,
            source=spec.source,
            target=target,
            encoder=encoder,
            seed=seed,
            trial=trial,
            data=common.data,
            labels=labels,
            train=train,
            recipe=recipe,
            aligner_recipe=common.aligner_recipe,
            axes=dict(axes),
            settings=settings.plain(),
            targets=(),  # known once all cells are
            broken=broken,
            **common.plugins,
        )

    def _shared(self, point: Point) -> _Shared:
        resolver = self.resolver
        data, labels = resolver.section(DataSpec, point), resolver.section(LabelsSpec, point)
        chosen = {"corpus": data.corpus, "translator": labels.translator, "aligner": labels.aligner}
        plugins = {f"{kind}_params": to_plain(resolver.params(kind, name, point)) for kind, name in chosen.items()}
        encoder = labels.aligner_encoder
        languages = resolver.languages(data.corpus, point)
        self._languages[canonical_json([data.corpus, plugins["corpus_params"]])] = languages
        aligning = resolver.aligning(encoder, point) if encoder else EncoderSpec()
        return _Shared(point, data, labels, plugins, aligning)

    def _concerned(self, common: _Shared, label: str, encoder: str) -> dict[str, Any]:
        """The axes that such a cell depends on, with their values."""
        variant = self.spec.variant(label)
        uses = {
            ("method", variant.use if variant else label),
            ("corpus", common.data.corpus),
            ("translator", common.labels.translator),
            ("aligner", common.labels.aligner),
            ("encoder", encoder),
        }
        axes = {}
        for key, value in common.point.items():
            head, *names = axis_path(key, self.spec.where)
            concerned = len(names) == 1 or (head, names[0]) in uses
            if head in ("labels", "translator", "aligner") and not self._reads(label, key, common):
                concerned = False  # a method that reads no translation has one cell
            if head == "method" and variant and names[-1] in variant.params:
                concerned = False
            if head == "encoder" and names[0] == common.labels.aligner_encoder and names[-1] in ALIGNING:
                concerned = True
            if concerned:
                axes[key] = to_plain(value)
        return axes

    def _reads(self, label: str, key: str, common: _Shared) -> bool:
        def find() -> bool:
            registry = self.resolver.registry
            method, params, broken = _plain_method(self.resolver, self.spec, label, common.point)
            return not broken and reads_labels(registry.make("method", method, params), key, common.labels, registry)

        return self._once(f"reads {label} {key} {canonical_json(common.point)}", find)

    def _once(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = make()
        value: T = self._known[key]
        return value


def _plain_method(resolver: Resolver, spec: MatrixSpec, label: str, point: Point) -> tuple[str, dict[str, Any], str]:
    """A label's method, its parameters, and why it cannot be used, "" if it can."""
    try:
        method, params = resolver.method(spec, label, point)
        plain = to_plain(params)
        check_usable(method, plain, resolver.registry)
    except BrokenPlugin as error:
        variant = spec.variant(label)
        return variant.use if variant else label, {}, str(error)
    return method, plain, ""


def _with_targets(cells: Sequence[Cell]) -> list[Cell]:
    places = [canonical_json(_coordinates(cell) | {"target": ""}) for cell in cells]
    targets: dict[str, set[str]] = {}
    for cell, place in zip(cells, places, strict=True):
        targets.setdefault(place, set()).add(cell.target)
    return [replace(cell, targets=tuple(sorted(targets[place]))) for cell, place in zip(cells, places, strict=True)]


def _coordinates(cell: Cell) -> dict[str, Any]:
    own = {"method": cell.label, "target": cell.target, "encoder": cell.encoder, "seed": cell.seed, "trial": cell.trial}
    return own | cell.axes


def _excluded(cell: Cell, excludes: Sequence[Mapping[str, tuple[Any, ...]]]) -> bool:
    have = _coordinates(cell)
    return any(all(key in have and have[key] in values for key, values in exclude.items()) for exclude in excludes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
