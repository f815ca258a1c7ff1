"""`xner encoder-check`: the quality of an encoder by translation retrieval, projection on PUD and zero-shot NER."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.align import progress_bar
from bench.core.errors import BadInput, nearest
from bench.encoder_check.table import CheckedEncoder, as_json, as_text
from bench.plan import registry
from bench.store.artefacts import Artefacts, cache_root

if TYPE_CHECKING:
    from bench.encoder_check.check import Subject
    from bench.encoder_check.run import Machine, Training

PARTS = ("retrieval", "linear", "projection", "ner")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "encoder-check",
        help="the quality of an encoder: retrieval, projection, zero-shot NER",
        description="Translation retrieval both ways (FLORES test; sw and yo: held-out lines of NTREX), F1 of English "
        "gold spans projected on PUD (min-max spans, itermax and intersection), and zero-shot NER from the 1,000 "
        "sentences of en_pud: of a linear tagger on the frozen vectors (quick, no seed), and fine-tuned. Finished "
        "results are kept in --out: the same command resumes. Exit code 2 if nothing could be measured.",
    )
    about = "one of our own, a folder, a hub id; random:E is the same shape and tokenizer with random weights"
    parser.add_argument("encoders", nargs="+", metavar="E", help=about)
    parser.add_argument("--only", metavar="PART[,…]", help=f"parts: {', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--languages", metavar="L[,…]", help="only these, in every part that covers them (default: all)"
    )
    about = "dev: the dev sets of the same corpora and the last 200 lines of FLORES dev, for choices; no projection"
    parser.add_argument("--split", choices=("test", "dev"), default="test", help=about)
    parser.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="hidden layer for retrieval and projection (default: its advice, or last)",
    )
    parser.add_argument("--lr", type=float, default=2e-4, help="learning rate of NER (default: 2e-4)")
    about = "lowest layers that NER does not train (default: 0)"
    parser.add_argument("--freeze", type=int, default=0, metavar="N", help=about)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of NER, seeds 1 to N (default: 3)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="results folder (default: in the user's cache)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: as many as fit)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads of a training (default: 2)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--offline", action="store_true", help="never reach for the hub")
    parser.add_argument("--json", action="store_true", help="print JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the encoders part by part and print tables; 1 if a cell failed.

    Raises:
        BadInput: no such encoder, part or language; or nothing could be measured.
    """
    parts = _parts(args)
    for name, least in (("seeds", 1), ("jobs", 1), ("layer", 0), ("threads", 1), ("freeze", 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise BadInput(f"--{name} {value}: at least {least}")
    if not args.lr > 0:
        raise BadInput(f"--lr {args.lr}: above 0")
    if args.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from bench.encoder_check.check import LANGUAGES, subjects
    from bench.encoder_check.run import PUD, Machine, Training
    from bench.train.memory import resolve_device

    known = {"en", *LANGUAGES, *_ner_languages(), *PUD}
    languages = _listed("--languages: no part has", args.languages, known)
    out = args.out or cache_root() / "encoder-check"
    machine = Machine(out, resolve_device(args.device, ("fp32",)), args.jobs, args.threads)
    how = Training(args.lr, args.freeze, tuple(range(1, args.seeds + 1)), args.split)
    with progress_bar() as progress:
        chosen = subjects(args.encoders, Artefacts(cache_root()), progress)
    checked = _checked(args, chosen, languages, how, machine)
    reasons = [gap.reason for encoder in checked for gap in encoder.gaps]
    if not any(encoder.measured for encoder in checked):
        reasons = reasons or ["no part asked for has these languages"]
        raise BadInput(f"nothing could be measured: {reasons[0]}")
    print(json.dumps(as_json(checked, how), indent=1, sort_keys=True) if args.json else as_text(checked, how))
    if "ner" in parts or "projection" in parts:
        print(f"records: {out}", file=sys.stderr)
    return 1 if any(reason.startswith("failed") for reason in reasons) else 0


def _checked(
    args: argparse.Namespace, subjects: list[Subject], languages: list[str], how: Training, machine: Machine
) -> list[CheckedEncoder]:
    """Every part of every encoder, quick parts first."""
    from bench.encoder_check.check import LANGUAGES, embedder_for, retrieve
    from bench.encoder_check.run import PUD, PUD_DEFAULT, TOO_SMALL, linear, ner, projection

    def begins(part: str, chosen: Sequence[str], subject: Subject) -> bool:
        if part in parts and chosen:
            print(f"{subject.label}: {part.replace('linear', 'linear tagger')}", file=sys.stderr, flush=True)
        return bool(part in parts and chosen)

    checked, known = [], _ner_languages()
    parts, pud = _parts(args), _chosen(languages, PUD, PUD_DEFAULT)
    retrieved = _chosen(languages, LANGUAGES)
    tests = _chosen(languages, known, [language for language in known if language not in TOO_SMALL])
    for subject in subjects:
        embedder, facts = embedder_for(subject, args.layer, machine.device)
        if "ner" in parts and how.freeze >= facts.layers:
            raise BadInput(f"--freeze {how.freeze}: '{subject.label}' has {facts.layers} layers, the last must learn")
        checked.append(CheckedEncoder(subject.label, subject.source.key, facts))
        if begins("retrieval", retrieved, subject):
            with progress_bar() as progress:
                checked[-1].retrieval = retrieve(embedder, facts.layer, retrieved, args.split, progress)
        if begins("linear", tests, subject):
            checked[-1].linear = linear(subject, embedder, facts.layer, tests, how)
        del embedder
        if begins("projection", pud, subject):
            checked[-1].projection = projection(subject, facts, pud, machine)
    if "ner" in parts and tests:
        for encoder, scores in zip(checked, ner(subjects, tests, how, machine), strict=True):
            encoder.ner = scores
    return checked


def _parts(args: argparse.Namespace) -> list[str]:
    asked = _listed("--only: no part", args.only, PARTS) or list(PARTS)
    if args.split == "dev":  # PUD has no dev set
        if args.only and "projection" in asked:
            raise BadInput("--split dev: projection is measured on PUD, which has no dev set; leave projection out")
        asked = [part for part in asked if part != "projection"]
    return asked


def _listed(refusal: str, text: str | None, known: Collection[str]) -> list[str]:
    """The names that an option lists, [] for none."""
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in known:
            raise BadInput(f"{refusal} '{name}'{nearest(name, known)}")
    return list(dict.fromkeys(names))


def _ner_languages() -> tuple[str, ...]:
    """The languages that have an NER test."""
    languages: tuple[str, ...] = registry.make("corpus", "uner_pud").languages()
    return languages


def _chosen(asked: list[str], known: Sequence[str], default: Sequence[str] | None = None) -> list[str]:
    """The languages of a part that were asked for; without any, its default."""
    return [language for language in known if language in asked] if asked else list(default or known)
