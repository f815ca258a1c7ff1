"""`xner`: related verbs in one module; help never imports torch."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import bench.cli
from bench.core.errors import BadInput, nearest


class _Parser(argparse.ArgumentParser):
    """Names the nearest verb for an unknown one, in one line."""

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"invalid choice: '(.*?)'", message)
        for verbs in self._subparsers._group_actions if self._subparsers and unknown else ():
            if unknown and verbs.choices and message.startswith(f"argument {verbs.metavar}:"):
                self.exit(2, f"{self.prog}: unknown verb '{unknown[1]}'{nearest(unknown[1], verbs.choices)}\n")
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """The parser, with the verbs of every module of `bench.cli` that has an `add`."""
    top = _Parser(
        prog="xner",
        description="With about 1,000 labelled English sentences, which way of reaching another language works best?",
        epilog="Exit codes: 0 done, 1 some cell failed, 2 bad input, 130 interrupted.",
    )
    try:
        number = version("xner-bench")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "(from a checkout, not installed)"
    top.add_argument("--version", action="version", version=f"xner {number}")
    commands = top.add_subparsers(metavar="VERB", required=True)
    for info in sorted(pkgutil.iter_modules(bench.cli.__path__), key=lambda info: info.name != "run"):
        module = importlib.import_module(f"bench.cli.{info.name}")
        if hasattr(module, "add"):
            module.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; a BadInput is one line on standard error and exit code 2."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except BadInput as error:
        print(f"xner: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nxner: interrupted; finished cells are kept, and the same command resumes", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno in (errno.EACCES, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EROFS) and error.filename:
            print(f"xner: {error.filename}: {error.strerror}", file=sys.stderr)
            return 2
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"xner: {error.filename or 'disk'}: {error.strerror}; finished cells are kept", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
