"""The rules of the code, read off the sources: who may import whom, how long things may be, what is never used."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "methods", "data_recipes")

# cli → run, report, encoder_check → train, data → measure, store, plan → api → core
LAYERS: dict[str, int] = {
    "bench.core": 0,
    "bench.api": 1,
    "bench.plan": 2,
    "bench.store": 2,
    "bench.measure": 2,
    "bench.data": 3,
    "bench.train": 3,
    "bench.run": 4,
    "bench.report": 4,
    "bench.encoder_check": 4,
    "bench.cli": 5,
    "bench.__main__": 5,
}
STRANGERS = {  # rooms of one level that do not know each other
    "bench.data": ("bench.run", "bench.report", "bench.encoder_check"),
    "bench.report": ("bench.data", "bench.train", "bench.run", "bench.encoder_check"),
    "bench.run": ("bench.report", "bench.encoder_check"),
    "bench.train": ("bench.report",),
    "bench.store": ("bench.plan", "bench.measure"),
}
ALLOWED = {
    "methods": ("bench.api", "bench.core"),
    "data_recipes": ("bench.api", "bench.core", "data_recipes"),
}
FINDS_PLUGINS = "data_recipes.translators.pivot"  # it is made of two translators, which it finds as the harness does

MAX_FILE, MAX_FILES, MAX_FUNCTION, MAX_PARAMETERS, MAX_FIT = 400, 20, 60, 8, 150


def module_of(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): path for package in PACKAGES for path in sorted((REPO / package).rglob("*.py"))}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


@cache
def text_of(module: str) -> str:
    return SOURCES[module].read_text(encoding="utf-8")


def lines_of(module: str) -> int:
    return len(text_of(module).splitlines())


@cache
def imports(module: str) -> tuple[tuple[str, bool], ...]:
    """What a module imports, and whether when it is imported itself (else inside a function). Not for type checking."""
    return tuple(dict.fromkeys(_imports(tree_of(module), module, True)))


def _imports(node: ast.AST, module: str, at_once: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, at_once) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}: a relative import"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield (inner if inner in SOURCES else str(node.module)), at_once
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for child in node.orelse:
            yield from _imports(child, module, at_once)
    else:
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, module, at_once and not inside)


def layer_of(module: str) -> int:
    return next(level for name, level in LAYERS.items() if within(module, name))


def room_of(module: str) -> str:
    return module.split(".")[1]


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def modules(*packages: str) -> list[str]:
    """Those of the packages; of none named: all."""
    return [module for module in SOURCES if not packages or within(module, *packages)]


def imports_within(*packages: str) -> Iterator[tuple[str, str]]:
    """Each module of the packages with each name that it imports."""
    return ((module, name) for module in modules(*packages) for name, _ in imports(module))


def reached(module: str, *, at_once: bool) -> set[str]:
    """Everything that a module imports, however far away; outside names too."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        for name, now in imports(waiting.pop()):
            if (now or not at_once) and name not in seen:
                seen.add(name)
                if name in SOURCES:
                    waiting.append(name)
    return seen


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


# --- who imports whom -------------------------------------------------------------------------------------------------


def test_every_module_of_bench_has_its_place() -> None:
    strays = [m for m in SOURCES if within(m, "bench") and m != "bench" and not within(m, *LAYERS)]
    assert not strays, "put them into a layer of this test, and of DESIGN's section 2"


def test_imports_point_one_way() -> None:
    """In functions, too; plug-ins are found by name, never imported."""
    for module, name in imports_within(*LAYERS):
        strangers = next((rooms for room, rooms in STRANGERS.items() if within(module, room)), ())
        assert not within(name, "methods", "data_recipes"), f"{module} imports {name}: plug-ins are found by name"
        assert not within(name, *strangers), f"{module} imports {name}"
        if within(name, *LAYERS):
            assert layer_of(name) <= layer_of(module), f"{module} imports {name}, which lies above it"


def test_plugins_know_the_interface_only() -> None:
    for module, name in imports_within(*ALLOWED):
        package, own = module.partition(".")[0], ".".join(module.split(".")[:2])
        if within(name, *PACKAGES):
            more = ("bench.plan",) if module == FINDS_PLUGINS else ()
            assert within(name, *ALLOWED[package], own, *more), f"{module} imports {name}"


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The sets of nodes that reach each other (strongly connected components, Tarjan 1972)."""
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        path.append(node)
        for other in graph[node]:
            if other not in number:
                visit(other)
            if other in path:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            circle = path[path.index(node) :]
            del path[path.index(node) :]
            found.extend([sorted(circle)] if len(circle) > 1 else [])

    for node in graph:
        if node not in number:
            visit(node)
    return found


def test_no_circles() -> None:
    """Of our own modules, those that functions import counted; imports of a package's parents are left out."""
    assert circles({m: [name for name, _ in imports(m) if name in SOURCES and name != m] for m in SOURCES}) == []


def test_no_circles_of_rooms() -> None:
    rooms = {m: ".".join(m.split(".")[:2]) for m in SOURCES if within(m, *LAYERS)}
    graph: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for module, room in rooms.items():
        graph[room] |= {rooms[name] for name, _ in imports(module) if name in rooms and rooms[name] != room}
    assert circles(graph) == []


def test_the_report_never_needs_torch() -> None:
    """Neither itself nor anything that it imports, functions included."""
    for module in modules("bench.report"):
        names = reached(module, at_once=False)
        assert not {"torch", "transformers", "tokenizers"} & top(names), module
        others = ("bench.run", "bench.train", "bench.data", "methods", "data_recipes")
        assert not [name for name in names if within(name, *others)], module


def test_names_and_help_are_light() -> None:
    for module in modules("bench.cli", "bench.plan", "bench.core.sentences"):
        heavy = {"torch", "transformers", "tokenizers", "pandas", "matplotlib", "scipy"}
        heavy |= set() if within(module, "bench.plan") else {"numpy"}  # which a method's interface names
        assert not heavy & top(reached(module, at_once=True)), module


def test_plans_do_not_need_torch() -> None:
    for module in ("bench.data.identity", "bench.data.cell_data", "bench.plan.units", "bench.run.prune"):
        assert not {"torch", "transformers", "tokenizers"} & top(reached(module, at_once=True)), module


# --- how long things are ----------------------------------------------------------------------------------------------


def test_no_file_is_long() -> None:
    assert {m: lines_of(m) for m in SOURCES if lines_of(m) > MAX_FILE} == {}


def test_no_room_is_crowded() -> None:
    folders = Counter(str(path.parent.relative_to(REPO)) for m, path in SOURCES.items() if lines_of(m))
    assert {folder: count for folder, count in folders.items() if count > MAX_FILES} == {}


def test_the_loop_is_one_page() -> None:
    assert lines_of("bench.train.fit") < MAX_FIT


def nodes(*packages: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node of the sources, or of some of them, and where it stands."""
    for module in modules(*packages):
        path = SOURCES[module].relative_to(REPO)
        yield from ((f"{path}:{getattr(node, 'lineno', 1)}", node) for node in ast.walk(tree_of(module)))


def test_functions_and_argument_lists_are_short() -> None:
    for where, node in nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{where}: {node.name} has {length} lines"
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            assert count <= MAX_PARAMETERS, f"{where}: {node.name} takes {count}"


# --- what is never used -----------------------------------------------------------------------------------------------


def test_no_unsafe_loading() -> None:
    """No pickle, torch.load, unsafe YAML or code from the hub."""
    for module, name in imports_within(*PACKAGES):
        unsafe = ("pickle", "cPickle", "dill", "joblib", "yaml", "marshal")
        assert name.partition(".")[0] not in unsafe, f"{module} imports {name}"
    for module in SOURCES:
        text = text_of(module)
        assert not re.search(r"\btorch\.load\(|allow_pickle\s*=\s*True|weights_only\s*=\s*False", text), module
        assert not re.search(r"""["']?trust_remote_code["']?\s*[=:]\s*True""", text), module
    for where, node in nodes():
        assert called(node) not in ("eval", "exec"), where


def called(node: ast.AST) -> str:
    """The plain name that a node calls, or ""."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def test_no_error_is_swallowed() -> None:
    for where, node in nodes():
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: a bare except"
            broad = any(isinstance(n, ast.Name) and n.id in ("Exception", "BaseException") for n in ast.walk(node.type))
            idle = all(isinstance(s, ast.Pass | ast.Continue) for s in node.body)
            assert not (broad and idle), f"{where}: an error is swallowed"


def test_hash_order_decides_nothing() -> None:
    """`hash()` and `id()` differ between processes; sets are sorted before they are written."""
    for where, node in nodes("bench.cli", "bench.report", "bench.run", "bench.train", "bench.data"):
        assert called(node) not in ("hash", "id"), where


def test_every_module_says_what_it_is_for() -> None:
    assert not [module for module in SOURCES if lines_of(module) and not ast.get_docstring(tree_of(module))]


def tracked() -> list[Path]:
    """Files under version control; outside a checkout everything that is text."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPO,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return [path for package in PACKAGES for path in (REPO / package).rglob("*.*") if path.is_file()]
    return [path for name in listed.stdout.decode().split("\0") if name and (path := REPO / name).is_file()]


def test_no_path_of_one_machine() -> None:
    """Nobody else has them. (Paths that a URL holds are no paths.)"""
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        for match in re.finditer(r"(?<![\w./:>-])/(?:home|root|Users|work|workspace|mnt|scratch|tmp)/[\w.-]+", text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(REPO)}:{line}: {match[0]}")
    assert not found
