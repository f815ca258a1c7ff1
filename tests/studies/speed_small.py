"""`speed score`, `report` and `startup`: what is neither training nor prediction."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.core.sentences import tags_of

Timed = dict[str, list[float]]  # seconds by what ran, a value a round
ERRORS = 0.1  # share of words whose tag `speed score` changes


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register them under `speed`."""
    score = verbs.add_parser(
        "score",
        help="entity scores against seqeval",
        description="Strict micro F1 of the same tags by seqeval (mode='strict', scheme=IOB2) and by us, with the "
        "counts of each sentence that our intervals need. Tags: a corpus's English gold, repeated, a tenth of it "
        "changed at random. Exit code 1 if the two F1 differ.",
    )
    score.add_argument("--corpus", default="demo", metavar="C", help="whose gold (default: demo)")
    score.add_argument("--sentences", type=int, default=10_000, metavar="N", help="how many (default: 10000)")
    score.set_defaults(run=run_score)
    report = verbs.add_parser(
        "report",
        help="tables, plots and the page of a results folder",
        description="Seconds that tables, plots and the HTML page of stored records take; OUT itself stays as it is.",
    )
    report.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    report.set_defaults(run=run_report)
    startup = verbs.add_parser(
        "startup",
        help="how long commands take to start",
        description="Wall seconds of new processes: xner's own commands beside a bare Python, beside importing torch "
        "and transformers; with OUT also its status.",
    )
    startup.add_argument("out", metavar="OUT", nargs="?", help="results folder of a finished run")
    startup.set_defaults(run=run_startup)
    for parser in (score, report, startup):
        parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of everything, in turn (default: 3)")
        parser.add_argument("--json", action="store_true", help="print JSON")


def run_score(args: argparse.Namespace) -> int:
    """Print both sides and their ratio; 1 when their F1 differ.

    Raises:
        BadInput: no such corpus, or it has no English gold.
    """
    _check(args, "rounds", "sentences")
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    from bench.measure.score import f1
    from tests.support.tag_scores import score_tags

    gold, found = _tags(args.corpus, args.sentences)
    f1_of: dict[str, float] = {}

    def ours() -> None:
        f1_of["xner"] = f1(score_tags(gold, found, "strict").counts)

    def theirs() -> None:
        f1_of["seqeval"] = float(f1_score(gold, found, mode="strict", scheme=IOB2))

    timed = _rounds({"xner": ours, "seqeval": theirs}, args.rounds)
    same = abs(f1_of["xner"] - f1_of["seqeval"]) < 1e-12
    facts = {"corpus": args.corpus, "sentences": len(gold), "f1": f1_of, "same": same}
    _print(args, facts, timed, f"{len(gold)} sentences of {args.corpus}, F1 {'equal' if same else f'differ: {f1_of}'}")
    return 0 if same else 1


def _tags(name: str, sentences: int) -> tuple[list[list[str]], list[list[str]]]:
    """Gold tags and the same with errors."""
    from bench.plan import registry

    corpus = registry.make("corpus", name)
    read = [one for split in ("test", "dev", "train") for one in corpus.read("en", split)]
    gold = [list(tags_of(one.spans, len(one.words))) for one in read if one.spans is not None]
    if not gold:
        raise BadInput(f"corpus '{name}' has no English gold")
    gold = [gold[i % len(gold)] for i in range(sentences)]
    rng, known = random.Random(0), sorted({tag for tags in gold for tag in tags})
    return gold, [[rng.choice(known) if rng.random() < ERRORS else tag for tag in tags] for tags in gold]


def run_report(args: argparse.Namespace) -> int:
    """Print the seconds of each part.

    Raises:
        BadInput: no results folder.
    """
    _check(args, "rounds")
    from bench.report.folder import resolve
    from bench.report.html.page import write_report
    from bench.report.plots import write_plots
    from bench.report.tables import write_tables

    out = resolve(args.out).resolve()
    records = len(list((out / "records").glob("*.json")))
    if not records:
        raise BadInput(f"{args.out}: no records")
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / out.name
        copy.mkdir()
        for child in out.iterdir():
            if child.name not in ("tables", "figures", "report.html"):
                (copy / child.name).symlink_to(child, target_is_directory=child.is_dir())
        parts: dict[str, Callable[[], Any]] = {
            "tables": lambda: write_tables(copy),
            "plots": lambda: write_plots(copy, ["png", "svg", "pdf"]),
            "report": lambda: write_report(copy),
        }
        timed = _rounds(parts, args.rounds)
    _print(args, {"records": records}, timed, f"{records} records; imports left out: the first round is a warm-up")
    return 0


def run_startup(args: argparse.Namespace) -> int:
    """Print the seconds of each command.

    Raises:
        BadInput: no results folder, or a command that failed.
    """
    _check(args, "rounds")
    from bench.report.folder import resolve

    xner = [sys.executable, "-m", "bench.cli.main"]
    commands = {
        "xner --help": [*xner, "--help"],
        "xner methods": [*xner, "methods"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "import torch, transformers": [sys.executable, "-c", "import torch, transformers"],
    }
    if args.out:
        out = resolve(args.out)
        matrix = out / "matrix.json"
        if not matrix.is_file():
            raise BadInput(f"{args.out}: no matrix.json: not a folder that xner run wrote")
        commands[f"xner status {args.out}"] = [*xner, "status", str(out)]

    def runner(name: str) -> Callable[[], None]:
        return lambda: _finished(name, commands[name])

    timed = _rounds({name: runner(name) for name in commands}, args.rounds)
    _print(args, {}, timed, f"new processes, Python {sys.version.split()[0]}")
    return 0


def _finished(name: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"'{name}' failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def _check(args: argparse.Namespace, *names: str) -> None:
    for name in names:
        if getattr(args, name) < 1:
            raise BadInput(f"--{name} {getattr(args, name)}: at least 1")


def _rounds(sides: Mapping[str, Callable[[], Any]], rounds: int) -> Timed:
    """Seconds of every side, in turn, after a warm-up of each."""
    for name, side in sides.items():
        print(f"warm-up: {name}", file=sys.stderr, flush=True)
        side()
    timed: Timed = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            timed[name].append(time.perf_counter() - start)
    return timed


def _print(args: argparse.Namespace, facts: Mapping[str, Any], timed: Timed, head: str) -> None:
    first = statistics.median(next(iter(timed.values())))
    rows: list[dict[str, Any]] = [
        {
            "side": name,
            "seconds": (middle := statistics.median(seconds)),
            "spread": (max(seconds) - min(seconds)) / middle,
            "ratio": middle / first,
        }
        for name, seconds in timed.items()
    ]
    if args.json:
        print(json.dumps({**facts, "rounds": args.rounds, "sides": rows}, indent=1, sort_keys=True, ensure_ascii=False))
        return
    print(f"{head}; median of {args.rounds} rounds")
    width = max(len(name) for name in timed)
    print(f"{'':{width}}  {'seconds':>9}  {'spread':>6}  {'to first':>8}")
    for row in rows:
        print(f"{row['side']:{width}}  {row['seconds']:9.3f}  {100 * row['spread']:5.0f}%  {row['ratio']:7.2f}×")
