"""The entities that `xner score` counts on 100,000 random taggings, against seqeval's and conlleval's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from seqeval.metrics import sequence_labeling, v1
from seqeval.scheme import IOB2

from bench.cli.score import scored
from bench.core.sentences import MODES, Mode, entities
from bench.measure.score import ratios
from tests.measure.test_score import conlleval, taggings


def differs(gold: list[list[str]], predicted: list[list[str]], mode: Mode) -> bool:
    """Whether any type has other counts (conlleval) or other figures (seqeval) than ours."""
    ours = scored(*([entities(tags, "IOB2", mode) for tags in side] for side in (gold, predicted))).types
    if mode == "conlleval":
        sums = [{t: (c.tp, c.tp + c.fn, c.tp + c.fp)[i] for t, c in ours.items()} for i in range(3)]
        return any(+theirs != mine for theirs, mine in zip(conlleval(gold, predicted), sums, strict=True))
    if mode == "strict":
        theirs = v1.precision_recall_fscore_support(gold, predicted, scheme=IOB2, zero_division=0, average=None)
    else:
        theirs = sequence_labeling.precision_recall_fscore_support(gold, predicted, zero_division=0, average=None)
    mine = [(*ratios(c.tp, c.fp, c.fn), c.tp + c.fn) for _, c in sorted(ours.items())]
    return not np.allclose(np.array(mine), np.array(theirs).T, rtol=0, atol=1e-12)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the parts that differ; 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=100_000)
    sentences, part = parser.parse_args(arguments).sentences, 2_000
    gold, predicted = taggings(sentences)
    found = {
        mode: sum(differs(gold[i : i + part], predicted[i : i + part], mode) for i in range(0, sentences, part))
        for mode in MODES
    }
    print(f"{sentences} taggings in parts of {part}; parts that differ: {found}")
    return 1 if any(found.values()) else 0
