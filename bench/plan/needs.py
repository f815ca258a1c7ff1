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


def reads_translations(method: Method, registry: Registry = REGISTRY) -> bool:
    """Whether [labels] matters to the method."""
    from bench.method import Need

    translations = {Need.TRANSLATION, Need.LABELLED_TRANSLATION, Need.TEST_TRANSLATION}
    return bool(needs_of_method(method, registry) & translations)
