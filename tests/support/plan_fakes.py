"""Plug-ins made for the tests of bench/plan: the plan must work with any, so none of the real ones is used."""

from __future__ import annotations

from pathlib import Path

from bench.plan.registry import KINDS, Kind, Registry

BASE = """
from bench.api.method import Diagnostics, Need, Round

class Method:
    needs = frozenset({Need.LABELLED_TRANSLATION})

    def __init__(self, params):
        self.params = params

    def rounds(self):
        return (Round("main"),)

    def diagnostics(self):
        return Diagnostics()
"""

METHOD = """
from dataclasses import dataclass
from typing import Literal
from {package}_base import Method

@dataclass(frozen=True)
class Params:
    distil: bool = False
    temperature: float = 0.1
    loss: Literal["mse", "kl"] = "mse"

    def __post_init__(self):
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")

class Some(Method):
    name = "{name}"
    Params = Params
"""

CORPUS = """
from dataclasses import dataclass
from bench.api.recipes import Corpus, Facts

@dataclass(frozen=True)
class Params:
    size: int = 10

class Some(Corpus):
    name = "{name}"
    Params = Params
    facts = Facts("fake", "CC0")
    types = ("PER",)
    def languages(self):
        return {languages!r}
    def read(self, language, split):
        return []
"""

PART = """
from dataclasses import dataclass
from bench.api.recipes import {base}

@dataclass(frozen=True)
class Params:
    threshold: float = 0.5

class Some({base}):
    name = "{name}"
    Params = Params
    def {hook}(self, *arguments):
        raise NotImplementedError
"""

METHODS = ("zero_shot", "en_trans", "gold_translation", "target_supervised", "concner")
CORPORA = {"demo": ("en", "de", "hu", "bg", "zh", "zh-Hans"), "other": ("en", "de", "fi")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def kinds(package: str) -> tuple[Kind, ...]:
    """The kinds, looked for in packages that begin with `package` and have no entry points; matchers … are the real."""
    folders = {"method": "methods", "corpus": "corpora", "translator": "translators", "aligner": "aligners"}
    bases = {"method": f"{package}_base.Method"}
    return tuple(
        Kind(k.name, f"{package}_{folders[k.name]}", f"xner.{package}", bases.get(k.name, k.base))
        if k.name in folders
        else k
        for k in KINDS
    )


def fake_registry(folder: Path, package: str) -> Registry:
    """Write the plug-ins below `folder` (which must be on sys.path) and return the registry that finds them."""
    write(folder / f"{package}_base.py", BASE)
    for name in METHODS:
        write(folder / f"{package}_methods/{name}/method.py", METHOD.format(name=name, package=package))
    for name, languages in CORPORA.items():
        write(folder / f"{package}_corpora/{name}/corpus.py", CORPUS.format(name=name, languages=languages))
    for kind, base, hook, names in (
        ("translators", "Translator", "translate", ("files", "frames")),
        ("aligners", "Aligner", "align", ("gold", "simalign")),
    ):
        for name in names:
            write(folder / f"{package}_{kind}/{name}.py", PART.format(base=base, name=name, hook=hook))
    return Registry((*kinds(package), *(kind for kind in KINDS if kind.name == "encoder")))


MATRIX = """# a comment
name = "small"
source = "en"

[axes]
methods = ["zero_shot", "concner", "concner+kd"]
targets = [
  "de",
  "hu",
]
encoders = ["tiny", "org/big-v1.0"]
seeds = [1, 2]

[data]
corpus = "demo"
n_source = 100

[labels]
translator = "frames"

[train]
steps = 20
evals = 2

[method.concner]
temperature = 0.2

[encoder."org/big-v1.0"]
lr = 1e-4

[[variant]]
name = "concner+kd"
use = "concner"
distil = true

[[exclude]]
method = "zero_shot"
target = "hu"
"""
