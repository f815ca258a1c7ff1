"""What a method may ask for, with the methods that its rounds name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput
from bench.plan.registry import REGISTRY, BrokenPlugin, Registry, in_one_line

if TYPE_CHECKING:
    from bench.api.method import Method, Need
    from bench.plan.sections import LabelsSpec


def check_usable(name: str, params: Mapping[str, Any], registry: Registry = REGISTRY) -> None:
    """Look at everything that a plan reads of a method, so that nothing raises later.

    Raises:
        BadInput: the parameters are not the method's.
        BrokenPlugin: it cannot be made, or its needs and rounds are not what they must be; in one line.
    """
    from bench.api.method import Need, Round

    whose = f"method '{name}' ({registry.module_of('method', name)})"
    try:
        method: Method = registry.make("method", name, params)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        raise BrokenPlugin(f"{whose} fails: {in_one_line(error)}") from error
    if not isinstance(method.needs, frozenset) or not all(isinstance(need, Need) for need in method.needs):
        raise BrokenPlugin(f"{whose}: needs is {method.needs!r}, not a frozenset of Need")
    try:
        rounds = method.rounds()
        if not isinstance(rounds, tuple) or not all(isinstance(round_, Round) for round_ in rounds):
            raise BrokenPlugin(f"{whose}: rounds() gave {rounds!r}, not a tuple of Round")
        needs_of_method(method, registry)
        method.diagnostics()
    except BrokenPlugin:
        raise
    except (Exception, SystemExit) as error:
        raise BrokenPlugin(f"{whose} fails: {in_one_line(error)}") from error


def needs_of_method(method: Method, registry: Registry = REGISTRY) -> frozenset[Need]:
    """All that the method's rounds may ask for, named methods included."""
    needs = method.needs
    for round_ in method.rounds():
        if isinstance(round_.method, str):
            needs |= registry.load("method", round_.method).needs
    return needs


def reads_links(method: Method, labels: LabelsSpec, registry: Registry = REGISTRY) -> bool:
    """Whether the method's translations must have their words linked: marks that never fall back need no links."""
    from bench.api.method import LINKED, Need

    needs = needs_of_method(method, registry)
    if labels.transfer != "align" and labels.fallback == "drop" and not method.diagnostics().space:
        return bool(needs & (LINKED - {Need.LABELLED_TRANSLATION}))
    return bool(needs & LINKED)


def reads_labels(method: Method, key: str, labels: LabelsSpec, registry: Registry = REGISTRY) -> bool:
    """Whether `key` of [labels], or of the tables of its translator and aligner, matters to the method.

    `labels`: how they are made where that is asked.
    """
    from bench.api.method import LINKED, Need

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
