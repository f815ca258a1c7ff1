"""`xner doctor`: a report of this machine and of what is broken, to paste into an issue; never a secret."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.hub import HubName, cached, offline
from bench.api.source_files import data_dir
from bench.core.errors import BadInput
from bench.data.encoders import find_encoder
from bench.data.sources import FILE, read_lock
from bench.plan import registry
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefacts, cache_root

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {  # what each allows; those of developers are not listed
    "align": "the aligner statistical (eflomal); needs a C compiler",
    "completion": "completion of verbs and options in a shell (xner completion)",
    "ct2": 'engine = "ctranslate2" of the translators marian and nllb',
    "e5": "the encoder e5-small without a hub",
    "mini": "to make the encoder mini again",
    "mt": "the translator bergamot, English-Portuguese without a hub",
    "slurm": "xner run --engine slurm",
    "tensorboard": "xner log --to tensorboard",
    "wandb": "xner log --to wandb",
    "speed": "the studies that measure our speed beside transformers' Trainer",
}
_FLAGS = ("XNER_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CUDA_VISIBLE_DEVICES")
DEFAULT = Path("results")
_LOW_DISK = 5e9  # bytes: less does not hold one base encoder with its optimiser state
_PATIENCE = 3.0  # seconds for an answer of the hub
_PASTED = ("xner-bench", "python", "platform", "cores", "memory", "torch", "transformers", "cuda", "extras", "hub")


@dataclass(frozen=True)
class Item:
    """One line of the report; `broken` makes the exit code 1, `note` says what to do."""

    name: str
    value: str
    note: str = ""
    broken: bool = False


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor",
        help="what this machine has, and what is broken",
        description="Print versions, devices, caches and what each missing extra would allow; at the end a block to "
        "paste into an issue. Exit code 1 where something that is needed is missing or broken.",
    )
    about = "results folder (default: results), whose sources are looked for in the cache"
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", default=DEFAULT, help=about)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 when something needed is missing or broken."""
    items = [*_machine(), *_packages(), *_torch(), _hub(), *_disks(args.out), *_environment(), *_encoders()]
    items += [*_plugins(), *_sources(args.out)]
    broken = any(item.broken for item in items)
    if args.json:
        print(json.dumps({"ok": not broken, "items": [asdict(item) for item in items]}, indent=1, ensure_ascii=False))
        return int(broken)
    width = max(len(item.name) for item in items)
    for item in items:
        note = f"  ({item.note})" if item.note else ""
        print(f"{'!' if item.broken else ' '} {item.name:<{width}}  {item.value}{note}")
    print("something needed is broken: see the lines marked !" if broken else "nothing that is needed is missing")
    print(f"\nTo paste into an issue:\n\n```\n{_pasted(items)}\n```")
    return int(broken)


def _pasted(items: list[Item]) -> str:
    """The items that a maintainer asks for first and the broken ones, without paths or variables of this machine."""
    chosen = [item for item in items if item.broken or item.name.partition(":")[0] in _PASTED]
    return "\n".join(f"{item.name}: {item.value}" + f" ({item.note})" * item.broken for item in chosen)


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
    """xner-bench, its requirements and its extras, with what each missing extra would allow."""
    from packaging.requirements import Requirement

    try:
        yield Item("xner-bench", metadata.version("xner-bench"))
        requirements = [Requirement(text) for text in metadata.requires("xner-bench") or ()]
    except metadata.PackageNotFoundError:
        yield Item("xner-bench", "not installed: run from a checkout", "so its requirements are not known here")
        return
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            value, suitable = _version(requirement)
            yield Item(requirement.name, value, "" if suitable else f"{requirement} is needed", broken=not suitable)
    lacking = {
        extra: [r for r in requirements if r.marker and r.marker.evaluate({"extra": extra}) and not _version(r)[1]]
        for extra in sorted(EXTRAS.keys() & metadata.metadata("xner-bench").get_all("Provides-Extra", []))
    }
    yield Item("extras", ", ".join(extra for extra, missing in lacking.items() if not missing) or "none")
    for extra, missing in lacking.items():
        if missing:
            lacks = ", ".join(requirement.name for requirement in missing)
            note = f"would allow: {EXTRAS[extra]}; pip install 'xner-bench[{extra}]'"
            yield Item(f"extra {extra}", f"{lacks} missing or of another version", note)


def _version(requirement: Requirement) -> tuple[str, bool]:
    """The installed version of a requirement, and whether it is suitable."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "missing", False
    return version, requirement.specifier.contains(version, prereleases=True)


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
        return "yes (whether the processor supports it is not known here)"
    native = next((flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in flags), "")
    return f"yes ({native})" if native else "yes, emulated: time it before you choose it"


def _hub() -> Item:
    """Whether the hub answers at all; not asked where it is switched off."""
    if offline():
        return Item("hub", "not asked: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE", "what its cache holds can be used")
    from huggingface_hub import constants

    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            pass
    except urllib.error.HTTPError:  # an answer
        pass
    except (OSError, ValueError) as error:
        note = "what its cache holds can be used; encoders mini and tiny and the demo need no hub"
        return Item("hub", f"not reached: {getattr(error, 'reason', error)}", note)
    return Item("hub", f"{constants.ENDPOINT} answers")


def _disks(out: Path) -> Iterator[Item]:
    from huggingface_hub import constants

    places = {"results": out, "data": data_dir(), "cache": cache_root(), "hub cache": Path(constants.HF_HUB_CACHE)}
    for name, folder in places.items():
        existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        note = "low: an encoder in training needs about 5 GB" if free < _LOW_DISK else ""
        if name == "results" and not os.access(existing, os.W_OK):
            yield Item(f"disk for {name}", f"{folder}: not writable", "choose another --out", broken=True)
        else:
            yield Item(f"disk for {name}", f"{_gb(_size(folder))} in {folder}, {_gb(free)} free", note)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, each link as itself; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def _environment() -> Iterator[Item]:
    for name in _FLAGS:
        yield Item(name, os.environ.get(name) or "not set")
    # Only whether there is one: the report is made to be pasted into an issue.
    yield Item("HF_TOKEN", "set" if os.environ.get("HF_TOKEN") else "not set")


def _encoders() -> Iterator[Item]:
    """Which of our own encoders are available."""
    cache = Artefacts(cache_root())
    for name in registry.names("encoder"):
        try:
            source = find_encoder(name, EncoderSpec())
        except BadInput as error:
            yield Item(f"encoder {name}", "not available", _first_line(error))
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
    if not out.is_dir() and out != DEFAULT:
        yield Item("results", f"no folder {out}", "its sources are not looked for")
    try:
        lock = read_lock(out)
    except BadInput as error:
        yield Item(FILE, "damaged", _first_line(error), broken=True)
        return
    for pinned in lock:
        weights = any(pattern.endswith("safetensors") for pattern in pinned.patterns)
        name = HubName(pinned.kind, pinned.id, patterns=pinned.patterns, safetensors=weights)
        present = cached(name, pinned.commit)
        note = "" if present else "the next run that needs it fetches it"
        state = f"{'' if present else 'not '}in the cache at commit {pinned.commit}"
        yield Item(f"{pinned.kind} {pinned.id}", state, note)


def _plugins() -> Iterator[Item]:
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
    # str() of a BadInput escapes line ends
    raised = ValueError.__str__(error) if isinstance(error, BadInput) else str(error)
    return next(iter(raised.splitlines()), type(error).__name__)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
