"""What a method may ask for, with the methods that its rounds name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.plan.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from bench.method import Method, Need


def needs_of_method(method: Method, registry: Registry = REGISTRY) -> frozenset[Need]:
    """All that the method's rounds may ask for, named methods included."""
    from bench.rounds import all_needs

    needs = all_needs(method)
    for round_ in method.rounds():
        if isinstance(round_.method, str):
            needs |= registry.load("method", round_.method).needs
    return needs


def reads_labels(method: Method, key: str, registry: Registry = REGISTRY) -> bool:
    """Whether `key` of [labels], or of the tables of its translator and aligner, matters to the method."""
    from bench.method import LINKED, Need

    needs = needs_of_method(method, registry)
    if key in ("labels.matcher", "labels.filters"):
        return Need.LABELLED_TRANSLATION in needs
    return bool(needs & (LINKED | {Need.TEST_TRANSLATION}))
