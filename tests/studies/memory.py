"""Memory of one process that trains a full-size mBERT (random weights, 178 M parameters) several times.

`python -m tests.studies.memory [--trainings N] [--steps N]` prints resident memory after each training and the peak
during it, and exits with 1 where one of the later ones is above the first by more than a tenth.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from bench.api.method import Method, TrainingSet, singles
from bench.core.memo import process_memo
from bench.core.sentences import tag_set
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train.batches import Collator
from bench.train.encoder import Encoder, fresh_encoder
from bench.train.fit import FitPlan, fit
from bench.train.memory import Peak, give_back
from bench.train.predict import predict
from bench.train.tagger import LinearTagger
from tests.conftest import toy_sentences, write_tiny

VOCABULARY = 119_547  # of google-bert/bert-base-multilingual-cased
ALLOWED = 1.1


def write_mbert(folder: Path) -> None:
    """mBERT's shape with random weights; a small tokenizer, whose ids are the first of the vocabulary."""
    from transformers import BertConfig, BertModel

    write_tiny(folder)
    BertModel(BertConfig(vocab_size=VOCABULARY)).save_pretrained(folder)


def resident() -> int:
    """MB in memory now."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


def train(encoder: Path, steps: int, number: int) -> None:
    """One training, its evaluations and a prediction."""
    loaded = fresh_encoder(str(encoder), str(encoder))
    tagger = LinearTagger(Encoder(loaded.model), tag_set(("PER", "LOC")), 0.1)
    collator = Collator(loaded.tokenizer, tagger.tags, 128, torch.device("cpu"), process_memo(), "mbert")
    plan = FitPlan(Method(), TrainSpec(steps=steps, evals=min(2, steps)), EncoderSpec(), number, toy_sentences(20, 5))
    data = TrainingSet(labelled=singles(toy_sentences(200, number)))
    with tempfile.TemporaryDirectory() as folder:
        fit(plan, data, tagger, collator, Path(folder))
    predict(tagger, collator, toy_sentences(20, 6))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    series: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        encoder = Path(folder) / "mbert"
        write_mbert(encoder)
        for number in range(args.trainings):
            peak = Peak(torch.device("cpu"))
            train(encoder, args.steps, number)
            give_back()
            series.append((resident(), peak.read()["peak_rss_mb"]))
            print(f"training {number + 1}: {series[-1][0]} MB after it, at most {series[-1][1]} MB", flush=True)
    grown = any(after > ALLOWED * series[0][0] or high > ALLOWED * series[0][1] for after, high in series)
    print("it grew" if grown else "it stayed")
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
