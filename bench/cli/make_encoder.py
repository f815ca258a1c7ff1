"""`xner make-encoder`: make one of our own encoders again, from its recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli.align import progress_bar
from bench.cli.settings import add_settings, parsed
from bench.core.errors import BadInput, Unavailable


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `make-encoder`."""
    parser = commands.add_parser(
        "make-encoder",
        help="train one of our own encoders again, from its recipe",
        description="Train an encoder by its recipe and write a transformers folder; a matrix takes that folder as an "
        "encoder. What is kept in DIR/work lets the same command go on where it was stopped.",
    )
    parser.add_argument("name", metavar="NAME", help="a recipe, such as mini")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="another number rounds otherwise (2)")
    add_settings(parser, "recipe")
    parser.set_defaults(run=run)


def in_lines(done: int, total: int, what: str) -> None:
    """Progress for a log file: a line every twentieth of the way."""
    if done * 20 // total > (done - 1) * 20 // total:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> int:
    """Make it.

    Raises:
        BadInput: no such recipe or parameter, or the folder holds a finished encoder; or what the recipe reads is not
            here.
    """
    if args.threads < 1:
        raise BadInput(f"--threads {args.threads}: at least 1")
    from bench.plan import registry

    recipe = registry.make("encoder", args.name, parsed(args.settings))
    if (args.out / "config.json").exists():
        raise BadInput(f"{args.out} holds a finished encoder; give another folder to --out")
    import torch

    torch.set_num_threads(args.threads)
    with progress_bar() as progress:
        try:
            recipe.make(args.out, progress if sys.stderr.isatty() else in_lines)
        except Unavailable as error:
            raise BadInput(str(error)) from error
    print(f'{args.name} is in {args.out}; a matrix takes it as encoders = ["{args.out}"]')
    return 0
