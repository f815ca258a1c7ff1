"""Train on English alone, tag the target."""

from __future__ import annotations

from bench.api.method import Factors, Method


class ZeroShot(Method):
    """Source sentences only: every default of the interface. One training serves all targets."""

    name = "zero_shot"
    version = 1
    display = "En"
    cites = ("pires2019multilingual",)
    paper = "Pires et al. 2019, 'How multilingual is multilingual BERT?'"
    declared = Factors()
