"""Fingerprints of code, independent of comments, docstrings, formatting and the places of modules; its commit."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.core.errors import BadInput
from bench.core.files import sha256_of
from bench.plan.keys import Key
from bench.plan.stages import VERSIONS, stages_of

COMMIT_FILE = ".commit"  # in a copy of the code that is not a checkout: the commit that was copied
OURS = ("bench", "methods", "data_recipes")
_UNSAID = ("ctx", "kind", "type_comment")
_NAMING = {ast.ClassDef: ("display", "cites"), ast.Module: ("CITES",)}  # for papers only: they decide no number
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the code, with + where the tree was changed; "" outside a checkout."""
    folder = Path(__file__).parent
    recorded = folder.parents[1] / COMMIT_FILE
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    try:
        if recorded.is_file():
            return recorded.read_text(encoding="utf-8").strip()
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        return run.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def code_of(plugin: Any) -> str:
    """What a key holds of a plug-in (a class, or a module of functions): its declared version, else its fingerprint.

    The version is the plug-in's own (`version = "2"`), never an inherited one. "" for a class of the core.

    Raises:
        BadInput: a source file is not Python.
    """
    declared = vars(plugin).get("version")
    if isinstance(declared, str | int):
        return f"version {declared}"
    module = plugin.__name__ if isinstance(plugin, ModuleType) else plugin.__module__
    return "" if module.partition(".")[0] == OURS[0] else fingerprint(module)


@lru_cache(maxsize=256)  # once a process: the code that it runs is the code that it imported
def fingerprint(module: str) -> Key:
    """32 hex digits over a plug-in's module and the modules of its own that it imports, directly or indirectly.

    Its own: modules of its top-level package, of methods and of data_recipes, never of the core. Imports in functions
    count. Names of modules do not matter; the key remembers them.
    """
    files = {name: digest_of(file) for name, file in sources(module).items()}
    return Key.of(sha256_of("\n".join(sorted(files.values())))[:32], "code", dict(sorted(files.items())))


def stage_fingerprints(home: Path) -> dict[str, str]:
    """By stage of the core the fingerprint of its code (16 hex digits); `home` holds the package `bench`."""
    digests: dict[str, list[str]] = {stage: [] for stage in VERSIONS}
    for path in sorted((home / OURS[0]).rglob("*.py")):
        stages = stages_of(".".join(path.relative_to(home).with_suffix("").parts))
        digest = digest_of(path) if stages and path.stat().st_size else ""
        for stage in stages if digest else ():
            digests[stage].append(digest)
    return {stage: sha256_of("\n".join(sorted(own)))[:16] for stage, own in digests.items()}


def sources(module: str) -> dict[str, Path]:
    """By dotted name the source files that `fingerprint` covers; nothing is imported."""
    tops = {module.partition(".")[0], *OURS[1:]}  # not the core: its stages have versions
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = None if name in files or name.partition(".")[0] not in tops else _file(name)
        if file is None:
            continue
        files[name] = file
        parent = name.rpartition(".")[0]
        waiting.append(parent)
        package = (name if file.name == "__init__.py" else parent).split(".")
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):  # an imported name may be a module or part of one
                above = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                waiting += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    if module not in files:
        raise BadInput(f"fingerprint: there is no module {module}")
    return files


def _file(module: str) -> Path | None:
    """The source file of a module; its parents are not imported, as `importlib.util.find_spec` would."""
    top, *parts = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # __main__ and modules made by hand have no spec
        return None
    for part in parts:
        spec = PathFinder.find_spec(part, spec.submodule_search_locations or []) if spec else None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"{file}: not Python: {error}") from error


def digest_of(file: Path) -> str:
    """32 hex digits over the code of a source file; BadInput where it is not Python.

    Positions, docstrings, what only papers read and empty fields are left out, so that Python versions agree.
    """
    parts: list[str] = []

    def write(node: ast.AST) -> None:
        parts.append(f"({type(node).__name__}")
        for name in node._fields:
            item = getattr(node, name, None)
            moved = isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] in OURS)
            if item is None or item == [] or name in _UNSAID or (moved and name in ("module", "level")):
                continue
            parts.append(name)
            children = item if isinstance(item, list) else [item]
            documented = name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False)
            for child in children[1:] if documented else children:
                if name == "body" and _names(child) & {*_NAMING.get(type(node), ())}:
                    continue
                write(child) if isinstance(child, ast.AST) else parts.append(repr(child))
        parts.append(")")

    write(_tree(file))
    return sha256_of(" ".join(parts))[:32]


def _names(node: ast.AST) -> set[str]:
    """What an assignment gives a value to."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
