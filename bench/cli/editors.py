"""Completion in editors and shells: `xner schema`, the JSON Schema of a matrix; `xner completion`, of the verbs."""

from __future__ import annotations

import argparse
import json

from bench.core.errors import BadInput
from bench.plan.json_schema import matrix_schema


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "Print the JSON Schema of a matrix file, with the methods and other plug-ins that are found here."
    schema = commands.add_parser("schema", help="the JSON Schema of a matrix file, for editors", description=about)
    schema.set_defaults(run=schema_verb)
    completion = commands.add_parser("completion", help="a script that completes verbs and options in a shell")
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    completion.set_defaults(run=completion_verb)


def schema_verb(args: argparse.Namespace) -> int:
    """Print the schema as JSON."""
    print(json.dumps(matrix_schema(), indent=1, ensure_ascii=False))
    return 0


def completion_verb(args: argparse.Namespace) -> int:
    """Print the script; BadInput where shtab, which writes it, is not installed."""
    from bench.cli.main import parser

    try:
        import shtab
    except ImportError as error:
        raise BadInput("the extra `completion` is not installed: pip install 'xner-bench[completion]'") from error
    print(shtab.complete(parser(), args.shell))
    return 0
