"""`xner align SRC TGT`: word links of anybody's parallel text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.cli.settings import add_settings, parsed
from bench.corpus import BadInput, Link, Pair


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `align`."""
    parser = commands.add_parser(
        "align",
        help="link the words of parallel text",
        description="Word links of two line-parallel files of tokenised sentences, as lines such as `0-0 1-2` "
        "(Pharaoh format: source word, target word, both from 0). Two empty lines give an empty line.",
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="source sentences: words by spaces, one a line")
    parser.add_argument("target", type=Path, metavar="TGT", help="their translations, line by line")
    add_aligner(parser, required=True)
    parser.add_argument("--source-language", default="", metavar="CODE", help="for aligners that use it")
    parser.add_argument("--target-language", default="", metavar="CODE", help="for aligners that use it")
    parser.add_argument("--out", default="-", metavar="F", help="where the links go (default: -, standard output)")
    parser.set_defaults(run=run)


def add_aligner(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Register what chooses an aligner: --aligner, --encoder, --set, --device."""
    parser.add_argument("--aligner", required=required, metavar="A", help="simalign, statistical, …")
    parser.add_argument("--encoder", default="", metavar="E", help="a folder, a hub id or one of ours, to embed with")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the encoder runs")
    add_settings(parser, "aligner, such as layer=8 or matching=itermax")


def run(args: argparse.Namespace) -> int:
    """Align the files and write the links.

    Raises:
        BadInput: a file cannot be read or written, the files do not correspond, or the aligner cannot be had.
    """
    from bench.runner.aligning import pharaoh, read_parallel
    from bench.store.files import write_bytes

    pairs = read_parallel(args.source, args.target, (args.source_language, args.target_language))
    links, what = linked_by(args, pairs)
    if args.out == "-":
        sys.stdout.write(pharaoh(links))
        return 0
    try:
        write_bytes(Path(args.out), pharaoh(links).encode())
    except OSError as error:
        raise BadInput(f"--out {args.out}: cannot be written: {error.strerror}") from error
    print(f"{len(pairs)} pairs, {sum(map(len, links))} links ({what}): {args.out}", file=sys.stderr)
    return 0


def linked_by(args: argparse.Namespace, pairs: Sequence[Pair]) -> tuple[list[tuple[Link, ...]], str]:
    """Links of the pairs by the aligner of `add_aligner`'s options, and what made them; BadInput as `run`."""
    from bench.runner.aligning import AlignerChoice, linked

    device = "cpu"
    if args.encoder:
        from bench.runner.device import resolve_device

        device = resolve_device(args.device, ())
    choice = AlignerChoice(args.aligner, parsed(args.settings), args.encoder, device)
    with progress_bar() as progress:
        return linked(choice, pairs, progress)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress (done, total, what) that is a bar on a terminal and nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, total, what: None
        return
    from tqdm import tqdm

    bar: Any = tqdm(dynamic_ncols=True, smoothing=0.1, leave=False)

    def show(done: int, total: int, what: str) -> None:
        bar.total, bar.n = total, done
        bar.set_description_str(what, refresh=False)
        bar.refresh()

    try:
        yield show
    finally:
        bar.close()
