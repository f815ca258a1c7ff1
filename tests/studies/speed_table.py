"""`speed train` and `speed predict`: the verbs, and what they print."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.studies.speed_crowd import Crowd
    from tests.studies.speed_train import Setting, Side


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register both under `speed`."""
    train = verbs.add_parser(
        "train",
        help="training against transformers' Trainer",
        description="Real sub-words a second in training: our loop against transformers' Trainer as run_ner configures "
        "it (random batches), and if asked against it grouped by length, in float32 or bf16. Same encoder, English "
        "sentences, batch, steps and threads; rounds in turn, each with its own seed; first and last step left out; "
        "F1 of both.",
    )
    predict = verbs.add_parser(
        "predict",
        help="prediction against transformers' Trainer",
        description="Sentences a second of our prediction and of Trainer.predict on the same sentences.",
    )
    for parser, steps in ((train, True), (predict, False)):
        parser.add_argument("--encoder", default="mini", metavar="E", help="a folder or one of our own (default: mini)")
        parser.add_argument("--corpus", default="demo", metavar="C", help="whose English sentences (default: demo)")
        parser.add_argument("--sentences", type=int, default=1000, metavar="N", help="at most (default: 1000)")
        of = "a step" if steps else "a batch of Trainer.predict's (ours are cut by sub-words)"
        parser.add_argument(
            "--batch", type=int, default=32 if steps else 8, metavar="N", help=f"sentences {of} (default: %(default)s)"
        )
        parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each side (default: 3)")
        parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of both sides (default: torch's)")
        parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of both sides (default: cpu)")
        parser.add_argument(
            "--precision", choices=("fp32", "bf16"), default="fp32", help="of both sides (default: fp32)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")
        if steps:
            parser.add_argument("--steps", type=int, default=60, metavar="N", help="of a round (default: 60)")
            parser.add_argument("--lr", type=float, default=3e-4, help="of both sides (default: 3e-4)")
            parser.add_argument(
                "--vocabulary", type=int, metavar="N", help="add random rows to the embeddings up to N (XLM-R: 250002)"
            )
            parser.add_argument(
                "--shape",
                type=_shape,
                metavar="LxD",
                help="instead a BERT of L layers × D dimensions, random weights",
            )
            parser.add_argument(
                "--at-once", type=_counts, metavar="N,…", help="also so many trainings of ours at once, such as 1,2,4,8"
            )
            parser.add_argument("--grouped", action="store_true", help="also the Trainer grouped by length")
            parser.add_argument("--bf16", action="store_true", help="also the Trainer grouped by length in bf16")
    train.set_defaults(run=run_train)
    predict.set_defaults(run=run_predict, steps=3, lr=1e-4, vocabulary=None)


def run_train(args: argparse.Namespace) -> int:
    """Print both sides and their ratio.

    Raises:
        BadInput: no such encoder or corpus, or accelerate is not installed.
    """
    setting = _setting(args, least_steps=4)
    from tests.studies.speed_crowd import crowd
    from tests.studies.speed_encoders import sized
    from tests.studies.speed_train import BF16, GROUPED, PLAIN, tokens_of, train_speed

    peers = [PLAIN, *([GROUPED] if args.grouped else []), *([BF16] if args.bf16 else [])]
    with tempfile.TemporaryDirectory() as folder:
        if args.vocabulary or args.shape:
            setting = replace(setting, where=sized(setting.where, args.shape, args.vocabulary, Path(folder)))
            args.encoder = _named(args)
        sides = train_speed(setting, peers, args.rounds, _tell)
        crowds = []
        for number in args.at_once or ():
            _tell(f"{number} at once")
            crowds.append(crowd(setting, number))
        a_step = setting.batch * tokens_of(setting, setting.train)
        _print(args, setting, sides, a_step, "step", crowds)
    return 0


def run_predict(args: argparse.Namespace) -> int:
    """Print both sides and their ratio.

    Raises:
        BadInput: as `run_train`.
    """
    setting = _setting(args, least_steps=1)
    from tests.studies.speed_train import predict_speed, tokens_of

    sides = predict_speed(setting, args.rounds, _tell)
    _print(args, setting, sides, len(setting.test) * tokens_of(setting, setting.test), "test")
    return 0


def _named(args: argparse.Namespace) -> str:
    shape = "a random BERT of {} layers × {}".format(*args.shape) if args.shape else args.encoder
    return f"{shape} with {args.vocabulary:,} rows of embeddings" if args.vocabulary else shape


def _shape(text: str) -> tuple[int, int]:
    layers, _, hidden = text.partition("x")
    if not (layers.isdecimal() and hidden.isdecimal() and int(layers) and int(hidden)):
        raise argparse.ArgumentTypeError(f"'{text}' is not layers x dimensions, such as 12x768")
    return int(layers), int(hidden)


def _counts(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"'{text}' are not numbers from 1 on by commas, such as 1,2,4")
    return tuple(map(int, text.split(",")))


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _setting(args: argparse.Namespace, least_steps: int) -> Setting:
    for name, least in (
        ("sentences", 1),
        ("batch", 1),
        ("rounds", 1),
        ("threads", 1),
        ("steps", least_steps),
        ("vocabulary", 1),
    ):
        value = getattr(args, name)
        if value is not None and value < least:
            raise BadInput(f"--{name} {value}: at least {least}")

    import torch

    from bench.data.encoders import find_encoder
    from bench.plan import registry
    from bench.plan.sections import EncoderSpec
    from bench.store.artefacts import Artefacts, cache_root
    from bench.train.memory import resolve_device
    from tests.studies.speed_train import Setting

    device = torch.device(resolve_device(args.device, (args.precision,)))
    if args.threads:
        torch.set_num_threads(args.threads)
    corpus = registry.make("corpus", args.corpus)
    train, test = (corpus.read("en", split) for split in ("train", "dev"))
    source = find_encoder(args.encoder, EncoderSpec())
    where, _ = source.ensure(Artefacts(cache_root()), lambda done, total, what: None)
    if not train or not test:
        raise BadInput(f"corpus '{args.corpus}' has no English train and dev")
    args.encoder = source.label
    return Setting(
        where=where,
        train=tuple(train[: args.sentences]),
        test=tuple(test[: args.sentences]),
        types=tuple(corpus.types),
        steps=args.steps,
        batch=args.batch,
        lr=args.lr,
        device=device,
        precision=args.precision,
    )


def _print(
    args: argparse.Namespace,
    setting: Setting,
    sides: list[Side],
    tokens: float,
    per: str,
    crowds: Sequence[Crowd] = (),
) -> None:
    import torch

    from tests.studies.speed_train import flops_of, peak_flops, peak_memory

    peak, each = peak_flops(setting.device, setting.precision), flops_of(setting) / (1 if per == "step" else 3)
    rows: list[dict[str, Any]] = []
    for side in sides:
        second = tokens / side.median
        rows.append(
            {
                "side": side.name,
                "seconds": side.median,
                "spread": (max(side.seconds) - min(side.seconds)) / side.median,
                "tokens_per_second": second,
                "padding": side.waste,
                "share_of_peak": second * each / peak,
                "ratio": side.median / sides[0].median,
                "f1": [round(100 * f1, 2) for f1 in side.f1],
            }
        )
    facts: dict[str, Any] = {
        "encoder": args.encoder,
        "corpus": args.corpus,
        "sentences": len(setting.train if per == "step" else setting.test),
        "batch": setting.batch,
        "rounds": args.rounds,
        "threads": torch.get_num_threads(),
        "device": str(setting.device),
        "peak_gflops": peak / 1e9,
        "memory_mb": peak_memory(setting.device),
        "precision": setting.precision,
        "sides": rows,
        "at_once": [
            {
                "trainings": one.trainings,
                "tokens_per_second": one.steps_per_second * tokens,
                "share_of_peak": one.steps_per_second * tokens * each / peak,
            }
            for one in crowds
        ],
    }
    print(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) if args.json else _text(facts, per))


def _text(facts: dict[str, Any], per: str) -> str:
    head = (
        "{sentences} English sentences of {corpus}, batch {batch}; {encoder}; {device}, {precision}, {threads} threads"
    )
    lines = [
        f"{head.format(**facts)}, {facts['rounds']} rounds; "
        f"peak of matrix products {facts['peak_gflops']:.0f} GFLOP/s; {facts['memory_mb']:.0f} MB at most, both sides",
        f"{'':34}{'s a ' + per:>10}{'spread':>8}{'tokens/s':>10}{'padding':>9}{'of peak':>9}{'xner is':>9}  F1",
    ]
    for row in facts["sides"]:
        f1 = row["f1"]
        said = f"{statistics.mean(f1):.1f} ({min(f1):.1f} to {max(f1):.1f})" if f1 else ""
        lines.append(
            f"{row['side']:34}{row['seconds']:10.3f}{100 * row['spread']:7.0f}%{row['tokens_per_second']:10.0f}"
            f"{100 * row['padding']:8.1f}%{100 * row['share_of_peak']:8.1f}%{row['ratio']:8.2f}×  {said}"
        )
    for one in facts["at_once"]:
        speed, share = one["tokens_per_second"], 100 * one["share_of_peak"]
        lines.append(f"{one['trainings']} of ours at once: {speed:.0f} tokens/s in all, {share:.1f}% of peak")
    return "\n".join(lines)
