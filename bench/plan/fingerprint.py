"""A fingerprint of the code that runs: the import closure of modules, without comments, docstrings and formatting."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path

from bench.core.errors import BadInput
from bench.core.files import sha256_of
from bench.plan.keys import Key

OWN = ("bench", "methods", "data_recipes")
CODE = "code"


def fingerprint(*modules: str) -> str:
    """32 hex digits over the sources of the modules and of all that they import, however far away.

    Followed are static imports (in functions too, not under TYPE_CHECKING) of this repository's packages and of the
    plug-in's own distribution. A plug-in that is loaded by name is no import: name its module too.

    Raises:
        BadInput: a module does not exist, or a source file is not Python.
    """
    files = closure(*modules)
    return sha256_of("\n".join(f"{name} {_digest(path)}" for name, path in sorted(files.items())))[:32]


@lru_cache(maxsize=256)
def code_running(*modules: str) -> Key:
    """The fingerprint, taken once a process: the code that it runs is the code that it imported."""
    return Key.of(fingerprint(*modules), CODE, {"modules": list(modules)})


def closure(*modules: str) -> dict[str, Path]:
    """The source file of every module that `fingerprint` covers, by dotted name. BadInput as there."""
    tops = _followed(tuple(sorted({module.partition(".")[0] for module in modules})), tuple(sys.path))
    folders = {top: _roots(top, tuple(sys.path)) for top in tops}
    files: dict[str, Path | None] = {}

    def visit(module: str) -> Path | None:
        if module not in files:
            files[module] = _find(module, folders) if module.partition(".")[0] in tops else None
            if files[module] is not None:
                asked.append(module)
        return files[module]

    asked: list[str] = []
    for module in modules:
        if visit(module) is None and not _is_folder(module, folders):
            raise BadInput(f"fingerprint: there is no module {module}")
    while asked:
        module = asked.pop()
        file = files[module]
        assert file is not None
        for base, name in _imports(file, module):
            holder = visit(base)
            if name and (holder is None or holder.name == "__init__.py"):
                visit(f"{base}.{name}")  # only what a package holds may be a module
        for parent in _parents(module):
            visit(parent)
    return {module: file for module, file in files.items() if file is not None}


def parts(*modules: str) -> dict[str, dict[str, str]]:
    """By file of the closure its definitions in words ("function loss") with 8 hex digits each: what may differ."""
    return {
        f"{module.replace('.', '/')}{_ending(file)}": _parts_of(file.read_bytes())
        for module, file in closure(*modules).items()
    }


def _ending(file: Path) -> str:
    return "/__init__.py" if file.name == "__init__.py" else ".py"


@cache
def _parts_of(text: bytes) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for name, node in _definitions(ast.parse(text)):
        texts.setdefault(name, []).append(_normal(node))
    return {name: sha256_of("\n".join(found))[:8] for name, found in texts.items()}


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Functions, methods, classes without their methods, single values, imports, and what is left."""
    for node in _without_docstring(tree, tree.body) if tree.body else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"function {node.name}", node
        elif isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield from ((f"function {node.name}.{method.name}", method) for method in methods)
            rest = [n for n in node.body if n not in methods]
            for part in (*node.decorator_list, *node.bases, *node.keywords, *rest):
                yield f"class {node.name}", part
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield f"value {node.targets[0].id}", node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield f"value {node.target.id}", node
        else:
            yield ("imports" if isinstance(node, ast.Import | ast.ImportFrom) else "top level"), node


@lru_cache(maxsize=8)
def _followed(tops: tuple[str, ...], _path: tuple[str, ...]) -> frozenset[str]:
    """Top-level packages inside which imports are followed: ours, and the distributions of the modules asked for."""
    followed = {*OWN, *tops}
    if followed - set(OWN):  # a plug-in from elsewhere: reading every distribution is slow, so only then
        owners = packages_distributions()
        mine = {owner for top in followed - set(OWN) for owner in owners.get(top, ())}
        followed |= {top for top, its in owners.items() if mine & set(its)}
    return frozenset(followed)


@lru_cache(maxsize=64)
def _roots(top: str, _path: tuple[str, ...]) -> tuple[Path, ...]:
    """Folders of a top-level package, or the file of a top-level module; nothing is imported."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # __main__ and modules made by hand have no spec
        spec = None
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(Path(folder) for folder in spec.submodule_search_locations)
    return (Path(spec.origin),) if spec.origin and spec.origin.endswith(".py") else ()


def _find(module: str, folders: Mapping[str, Sequence[Path]]) -> Path | None:
    top, *rest = module.split(".")
    for root in folders.get(top, ()):
        if root.suffix == ".py":
            return None if rest else root
        base = root.joinpath(*rest)
        candidates = [base / "__init__.py", base.with_name(base.name + ".py")] if rest else [base / "__init__.py"]
        for file in candidates:
            if file.is_file():
                return file
    return None


def _is_folder(module: str, folders: Mapping[str, Sequence[Path]]) -> bool:
    top, *rest = module.split(".")
    return any(root.joinpath(*rest).is_dir() for root in folders.get(top, ()))


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _digest(file: Path) -> str:
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)[0]


def _imports(file: Path, module: str) -> tuple[tuple[str, str], ...]:
    """What a module imports, absolutely: ("x", "y") of `from x import y`, ("x", "") of `import x`."""
    stat = file.stat()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names = []
    for level, base, name in _read(file, stat.st_mtime_ns, stat.st_size)[1]:
        if level:
            parts = package.split(".")
            base = ".".join([*parts[: len(parts) - level + 1], *([base] if base else [])])
        names.append((base, name))
    return tuple(names)


@lru_cache(maxsize=1024)
def _read(file: Path, _mtime: int, _size: int) -> tuple[str, tuple[tuple[int, str, str], ...]]:
    """Digest of a source without what does not run, and its imports as (level, module, name)."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"{file}: not Python: {error}") from error
    return sha256_of(_normal(tree)), tuple(dict.fromkeys(_imported(tree)))


def _imported(node: ast.AST) -> Iterator[tuple[int, str, str]]:
    if isinstance(node, ast.Import):
        yield from ((0, alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from ((node.level, node.module or "", alias.name) for alias in node.names)
    elif isinstance(node, ast.If) and _type_checking(node.test):
        for statement in node.orelse:
            yield from _imported(statement)
    else:
        # expressions hold no imports: only statements (and what groups them) are entered
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                yield from _imported(child)


def _type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


def _normal(tree: ast.AST) -> str:
    """The tree as text: no positions, no docstrings, nothing that is empty (so that Python versions agree)."""
    parts: list[str] = []
    _write(tree, parts)
    return " ".join(parts)


def _write(node: ast.AST, parts: list[str]) -> None:
    # three times as fast as ast.unparse, whose time is what a short command would wait for
    if isinstance(node, ast.Name):
        parts.append(node.id)
        return
    if isinstance(node, ast.Constant):
        parts.append(repr(node.value))
        return
    parts.append(f"({type(node).__name__}")
    for name in node._fields:
        item = getattr(node, name, None)
        if item is None or item == [] or name in ("ctx", "kind", "type_comment"):
            continue
        parts.append(name)
        if isinstance(item, ast.AST):
            _write(item, parts)
        elif isinstance(item, list):
            parts.append("[")
            for child in _without_docstring(node, item) if name == "body" else item:
                if isinstance(child, ast.AST):
                    _write(child, parts)
                else:
                    parts.append(repr(child))
            parts.append("]")
        else:
            parts.append(repr(item))
    parts.append(")")


def _without_docstring(owner: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    if not isinstance(owner, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return body
    first = body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if text else body
