"""What a method may ask for, with the methods that its rounds name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.plan.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from bench.method import Method, Need
    from bench.plan.sections import LabelsSpec


def needs_of_method(method: Method, registry: Registry = REGISTRY) -> frozenset[Need]:
    """All that the method's rounds may ask for, named methods included."""
    from bench.rounds import all_needs

    needs = all_needs(method)
    for round_ in method.rounds():
        if isinstance(round_.method, str):
            needs |= registry.load("method", round_.method).needs
    return needs


def reads_links(method: Method, labels: LabelsSpec, registry: Registry = REGISTRY) -> bool:
    """Whether the method's translations must have their words linked: marks that never fall back need no links."""
    from bench.method import LINKED, Need

    needs = needs_of_method(method, registry)
    if labels.transfer != "align" and labels.fallback == "drop" and not method.diagnosed:
        return bool(needs & (LINKED - {Need.LABELLED_TRANSLATION}))
    return bool(needs & LINKED)


def reads_labels(method: Method, key: str, labels: LabelsSpec, registry: Registry = REGISTRY) -> bool:
    """Whether `key` of [labels], or of the tables of its translator and aligner, matters to the method.

    `labels`: how they are made where that is asked.
    """
    from bench.method import LINKED, Need

    needs = needs_of_method(method, registry)
    if key == "labels.fallback" and labels.transfer == "align":
        return False
    if key == "labels.matcher" and Need.TEST_TRANSLATION in needs:
        return True
    if key in ("labels.matcher", "labels.filters", "labels.transfer", "labels.fallback"):
        return Need.LABELLED_TRANSLATION in needs
    if key.startswith(("labels.aligner", "aligner.")) and Need.TEST_TRANSLATION not in needs:
        return reads_links(method, labels, registry)
    return bool(needs & (LINKED | {Need.TEST_TRANSLATION}))
