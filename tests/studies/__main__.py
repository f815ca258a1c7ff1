"""Studies, run by hand: `python -m tests.studies NAME …`; without a name, what there is.

A study is a module of this folder with `main(arguments)`: what it measures is in its docstring, `--help` says how.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

import tests.studies
from bench.core.errors import BadInput, nearest


def studies() -> dict[str, str]:
    """The first line of each study's docstring, by name."""
    found = {}
    for info in pkgutil.iter_modules(tests.studies.__path__):
        if info.name.startswith("_"):
            continue
        tree = ast.parse(Path(tests.studies.__path__[0], f"{info.name}.py").read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[info.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one study; bad input is one line and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    known = studies()
    if not arguments or arguments[0] in ("-h", "--help"):
        print("\n".join(f"{name:10} {line}" for name, line in known.items()))
        return 0
    try:
        if arguments[0] not in known:
            raise BadInput(f"no study '{arguments[0]}'{nearest(arguments[0], known)}")
        return int(importlib.import_module(f"tests.studies.{arguments[0]}").main(arguments[1:]) or 0)
    except BadInput as error:
        print(f"studies: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
