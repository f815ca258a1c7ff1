"""`xner align SRC TGT`: word links of parallel text."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput
from bench.plan.spec import add_settings, parsed
from bench.store.artefacts import growing

if TYPE_CHECKING:
    from bench.data.aligning import Aligning, AlignmentProgress


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "align",
        help="link the words of parallel text",
        description="Word links of two line-parallel files of tokenised sentences, as lines such as `0-0 1-2` "
        "(Pharaoh format: source word, target word, both from 0). An empty target line, as `xner translate` writes it, "
        "gives an empty line. simalign and "
        "softmax read, link and write 8,192 pairs at a time, and with --out F resume after an interruption "
        "(F.part, F.part.json); statistical learns from all pairs and holds them in memory.",
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="source text: one tokenised sentence per line")
    parser.add_argument("target", type=Path, metavar="TGT", help="their translations, line by line")
    add_aligner(parser, required=True)
    parser.add_argument("--source-language", default="", metavar="CODE", help="language code, if the aligner needs one")
    parser.add_argument("--target-language", default="", metavar="CODE", help="language code, if the aligner needs one")
    parser.add_argument("--out", default="-", metavar="F", help="where the links go (default: -, standard output)")
    parser.add_argument("--restart", action="store_true", help="start over, without what an interrupted run left in F")
    about = "print AER, precision, recall and F1 against gold links, one line per pair: 0-1 sure, 0?1 or 0p1 possible"
    parser.add_argument("--evaluate", type=Path, metavar="GOLD.pharaoh", help=about)
    about = "number of the first word in GOLD (default: 0)"
    parser.add_argument("--from", type=int, choices=(0, 1), dest="first", help=about)
    parser.add_argument("--json", action="store_true", help="print the score as JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def add_aligner(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Register the options of an aligner: --aligner, --encoder, --set, --device."""
    parser.add_argument("--aligner", required=required, metavar="A", help="simalign, softmax, statistical, …")
    parser.add_argument("--encoder", default="", metavar="E", help="a folder, a hub id or one of ours, to embed with")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the encoder runs")
    add_settings(parser, "aligner, such as layer=8 or matching=itermax")


def run(args: argparse.Namespace) -> int:
    """Align the files, write the links, and score them where there is gold.

    Raises:
        BadInput: a file cannot be read or written, the files do not correspond, the aligner is not available, or an
            interrupted alignment had other input.
    """
    from bench.data.aligning import Row, Rows, align_rows, checked
    from bench.measure.links import LinkLines

    for name, used in (("--json", args.json), ("--from", args.first is not None)):
        if used and not args.evaluate:
            raise BadInput(f"{name} belongs to --evaluate GOLD.pharaoh")
    if args.restart and args.out == "-":
        raise BadInput("--restart needs --out F")
    job = aligning_of(args)
    languages, gold_lines = (args.source_language, args.target_language), LinkLines(args.first or 0)
    source = Rows(args.source, args.target, languages, args.evaluate, gold_lines)
    rows: Iterable[Row] = source
    read = [path for path in (args.source, args.target, args.evaluate) if path]
    if not all(path.is_file() for path in read if path.exists()):
        rows = list(source)  # a pipe can be read once
    size = checked(rows)
    if warning := gold_lines.warning():
        print(f"warning: {args.evaluate}: {warning}", file=sys.stderr)
    with progress_bar() as progress:
        job.prepare(2 * size.full, progress)
        with _writer(args, {**job.made_of, "pairs": size.content}) as (write, done):
            align_rows(job, rows, size, done, write)
    score = done.score
    ratios = {"aer": score.aer, "precision": score.precision, "recall": score.recall, "f1": score.f1}
    if args.json:
        print(json.dumps(asdict(score) | ratios, indent=2, sort_keys=True))
    elif args.evaluate:
        only = score.possible - score.sure
        print(f"{score.pairs} pairs: {score.found} links; gold: {score.sure} sure, {only} only possible")
        print("  ".join(f"{name:>9}" for name in ("AER", "precision", "recall", "F1")))
        print("  ".join("–".rjust(9) if value is None else f"{100 * value:9.2f}" for value in ratios.values()))
    if args.out != "-":
        print(f"{done.pairs} pairs, {done.links} links ({job.description}): {args.out}", file=sys.stderr)
    if size.untranslated:
        print(f"{size.untranslated} of {size.pairs} lines have no translation: no links", file=sys.stderr)
    return 0


def refuse_inputs(out: Path, *inputs: Path | None) -> None:
    """BadInput where `out` is one of the files that are read."""
    if out.resolve() in [path.resolve() for path in inputs if path]:
        raise BadInput(f"--out {out}: this file is read")


@contextmanager
def _writer(
    args: argparse.Namespace, made_of: Mapping[str, object]
) -> Iterator[tuple[Callable[[Sequence[str]], None], AlignmentProgress]]:
    """A function that writes a part's lines to standard output or to a resumable file, and the progress so far."""
    from bench.data.aligning import AlignmentProgress

    if args.out == "-":  # with --evaluate, standard output is for the score
        yield (lambda texts: None if args.evaluate else print(texts[0], end="", flush=True)), AlignmentProgress()
        return
    out = Path(args.out)
    refuse_inputs(out, args.source, args.target, args.evaluate)
    with growing([out], made_of, args.restart) as output:
        done = AlignmentProgress.of(output.notes)
        if done.pairs:
            print(f"{out}: resumes after line {done.pairs}", file=sys.stderr)
        yield (lambda texts: output.append(texts, done.notes())), done
        output.finish()


def aligning_of(args: argparse.Namespace) -> Aligning:
    """The aligner of `add_aligner`'s options. BadInput as `Aligning`."""
    from bench.data.aligning import Aligning

    device = "cpu"
    if args.encoder:
        from bench.train.memory import resolve_device

        device = resolve_device(args.device, ())
    return Aligning(args.aligner, parsed(args.settings), args.encoder, device)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress function (done, total, activity): a bar on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, total, activity: None
        return
    from tqdm import tqdm

    bar: Any = tqdm(dynamic_ncols=True, smoothing=0.1, leave=False)

    def show(done: int, total: int, activity: str) -> None:
        bar.total, bar.n = total, done
        bar.set_description_str(activity, refresh=False)
        bar.refresh()

    try:
        yield show
    finally:
        bar.close()
