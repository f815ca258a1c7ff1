"""A sentence stays only if target words / source words lies within bounds: others are seldom translations. Ours.

The bounds keep all but one (Finnish) of the 6,000 human PUD pairs of English with de, pt, zh, es, it, fi, and refuse 12
to 13 % of the de and pt pairs when shuffled: a coarse sieve for what a translator broke off or ran on with.
"""

from __future__ import annotations

from bench.api.projection import Projection
from bench.core.sentences import Pair

version = 1

LOWEST, HIGHEST = 0.4, 2.5  # ours; both inclusive


def keep(pair: Pair, projection: Projection) -> bool:
    return LOWEST <= len(pair.target.words) / len(pair.source.words) <= HIGHEST
