"""`xner doctor`: a report of this machine and of what is broken; never a secret."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from bench.core.errors import BadInput

_NEEDED = (
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy", "scipy", "pandas"),
    *("pyarrow", "matplotlib", "seqeval", "filelock", "tqdm"),
)
_FLAGS = ("XNER_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CUDA_VISIBLE_DEVICES")
_LOW_DISK = 5e9  # bytes: less does not hold one base encoder with its optimiser state


@dataclass(frozen=True)
class Item:
    """One line of the report; `broken` makes the exit code 1, `note` says what to do."""

    name: str
    value: str
    note: str = ""
    broken: bool = False


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `doctor`."""
    parser = commands.add_parser("doctor", help="report on this machine and on what is broken")
    about = "results folder (default: results), whose sources are looked for in the cache"
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", default=argparse.SUPPRESS, help=about)
    parser.add_argument("--out", type=Path, default=Path("results"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 when something needed is missing or broken."""
    items = [*_machine(), *_packages(), *_torch(), *_disks(args.out), *_environment(), *_encoders(), *_plugins()]
    items += _sources(args.out)
    broken = any(item.broken for item in items)
    if args.json:
        print(json.dumps({"ok": not broken, "items": [asdict(item) for item in items]}, indent=1, ensure_ascii=False))
        return int(broken)
    width = max(len(item.name) for item in items)
    for item in items:
        note = f"  ({item.note})" if item.note else ""
        print(f"{'!' if item.broken else ' '} {item.name:<{width}}  {item.value}{note}")
    print("something needed is broken: see the lines marked !" if broken else "all that is needed is here")
    return int(broken)


def _machine() -> Iterator[Item]:
    too_old = sys.version_info < (3, 11)
    yield Item("python", platform.python_version(), "3.11 or newer is needed" if too_old else "", broken=too_old)
    yield Item("platform", platform.platform())
    if hasattr(os, "sched_getaffinity"):
        yield Item("cores", f"{len(os.sched_getaffinity(0))} usable of {os.cpu_count()}")
    else:
        yield Item("cores", str(os.cpu_count()))
    try:
        yield Item("memory", _gb(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    except (AttributeError, ValueError, OSError) as error:
        yield Item("memory", "unknown", f"{type(error).__name__}")


def _packages() -> Iterator[Item]:
    for name in (*_NEEDED, "submitit"):
        try:
            yield Item(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            needed = name in _NEEDED
            yield Item(name, "missing", "pip install xner-bench" if needed else "optional", broken=needed)


def _torch() -> Iterator[Item]:
    for name in ("torch", "transformers", "tokenizers", "pyarrow"):
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:  # OSError: a shared library of another build
            yield Item(f"import {name}", "fails", _first_line(error), broken=True)
            return
    import torch

    yield Item("threads", str(torch.get_num_threads()))
    yield Item("bf16 on cpu", _cpu_bf16())
    if not torch.cuda.is_available():
        yield Item("cuda", "no device")
        return
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        major, minor = properties.major, properties.minor
        bf16 = "bf16" if major >= 8 else "no bf16"  # before compute capability 8.0 it is emulated and slow
        yield Item(f"cuda:{number}", f"{properties.name}, {_gb(properties.total_memory)}, sm_{major}{minor}, {bf16}")


def _cpu_bf16() -> str:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return "yes (whether the processor has it is not known here)"
    native = next((flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in flags), "")
    return f"yes ({native})" if native else "yes, emulated: time it before you choose it"


def _disks(out: Path) -> Iterator[Item]:
    from bench.api.source_files import data_dir

    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or home).expanduser()
    for name, folder in (("results", out), ("data", data_dir()), ("hub cache", hub)):
        existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        note = "low: an encoder in training needs about 5 GB" if free < _LOW_DISK else ""
        if name == "results" and not os.access(existing, os.W_OK):
            yield Item(f"disk for {name}", f"{folder}: not writable", "choose another --out", broken=True)
        else:
            yield Item(f"disk for {name}", f"{_gb(free)} free at {folder}", note)


def _environment() -> Iterator[Item]:
    for name in _FLAGS:
        yield Item(name, os.environ.get(name) or "not set")
    # Only whether there is one: the report is made to be pasted into an issue.
    yield Item("HF_TOKEN", "set" if os.environ.get("HF_TOKEN") else "not set")


def _encoders() -> Iterator[Item]:
    """Which of our own encoders are available."""
    from bench.data.encoders import find_encoder
    from bench.plan import registry
    from bench.plan.sections import EncoderSpec
    from bench.store.artefacts import Artefacts, cache_root

    cache = Artefacts(cache_root())
    for name in registry.names("encoder"):
        try:
            source = find_encoder(name, EncoderSpec())
        except BadInput as error:
            yield Item(f"encoder {name}", "not at hand", _first_line(error))
            continue
        description = source.recipe.what if source.recipe is not None else ""
        if source.where:
            yield Item(f"encoder {name}", "comes with the package", description)
        elif cache.get("encoder", source.key) is not None:
            yield Item(f"encoder {name}", "in the cache", description)
        else:
            yield Item(f"encoder {name}", "is made when first used", description)


def _sources(out: Path) -> Iterator[Item]:
    """The sources in the results folder's lock, and whether they are in the hub's cache."""
    from bench.api.hub import HubName, cached
    from bench.data.sources import FILE, read_lock

    try:
        lock = read_lock(out)
    except BadInput as error:
        yield Item(FILE, "damaged", _first_line(error), broken=True)
        return
    for pinned in lock:
        present = cached(HubName(pinned.kind, pinned.id, patterns=pinned.patterns), pinned.commit)
        note = "" if present else "the next run that needs it fetches it"
        yield Item(
            f"{pinned.kind} {pinned.id}", f"{'' if present else 'not '}in the cache at commit {pinned.commit}", note
        )


def _plugins() -> Iterator[Item]:
    from bench.plan import registry

    for kind in registry.KINDS:
        loaded = []
        for name in registry.names(kind.name):
            try:
                plugin = registry.load(kind.name, name)
            except BadInput as error:
                yield Item(f"{kind.name} {name}", "fails", _first_line(error), broken=True)
                continue
            loaded.append(name)
            if kind.name == "translator" and (missing := plugin.missing()):
                yield Item(f"translator {name}", "not installed", missing)
        yield Item(f"plug-ins: {kind.name}", ", ".join(loaded) or "none")


def _first_line(error: BaseException) -> str:
    # a BadInput's text has its line ends escaped
    raised = ValueError.__str__(error) if isinstance(error, BadInput) else str(error)
    return next(iter(raised.splitlines()), type(error).__name__)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
