"""What the end-to-end tests share: tiny matrices, the CLI in this process or another, records, plug-ins."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from bench.core.sentences import Sentence

REPO = Path(__file__).resolve().parents[2]

# The CLI without figures, which cost seconds.
UNDRAWN = """
import sys, types
sys.modules["bench.report.plots"] = types.ModuleType("bench.report.plots")
sys.modules["bench.report.plots"].write_plots = lambda *given, **named: []
from bench.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A folder of a test's own: matrices, results, cache; nothing is read or written elsewhere."""

    root: Path
    encoder: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def environment(self) -> dict[str, str]:
        home = self.root / "home"
        home.mkdir(parents=True, exist_ok=True)
        here = {"XNER_CACHE": str(self.cache), "XNER_DATA": str(self.root / "data"), "HF_HUB_OFFLINE": "1"}
        fonts = (
            Path(tempfile.gettempdir()) / "xner-tests-matplotlib"
        )  # listing the fonts takes seconds: once, not a place
        return here | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "MPLCONFIGDIR": str(fonts)}

    def matrix(self, text: str, name: str = "small") -> Path:
        path = self.root / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def xner(self, *arguments: str | Path, figures: bool = False) -> Ran:
        """The CLI in this process, from `root`, without workers; figures, which cost seconds, only on demand."""
        from bench.cli.main import main

        return self._called(main, *arguments, figures=figures)

    def study(self, *arguments: str | Path) -> Ran:
        """`python -m tests.studies` in this process, from `root`."""
        from tests.studies.__main__ import main

        return self._called(main, *arguments)

    def _called(self, main: Callable[[list[str]], int], *arguments: str | Path, figures: bool = False) -> Ran:
        import torch

        if arguments[:1] in (("run",), ("search",)) and not {"--jobs", "slurm"} & set(arguments):
            arguments = (*arguments, "--jobs", "1")
        out, err = io.StringIO(), io.StringIO()
        threads = torch.get_num_threads()
        with (
            mock.patch.dict(os.environ, self.environment()),
            nullcontext() if figures else mock.patch("bench.report.plots.write_plots", return_value=[]),
            chdir(self.root),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as leave:  # argparse
                code = int(leave.code or 0)
            finally:
                torch.set_num_threads(threads)
        return Ran(code, out.getvalue(), err.getvalue())

    def spawn(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """The CLI in a process (and process group) of its own, without figures."""
        return subprocess.Popen(
            [sys.executable, "-c", UNDRAWN, *map(str, arguments)],
            cwd=self.root,
            env={**os.environ, **self.environment(), "PYTHONPATH": str(REPO), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a script runs us with &
        )


def finished(process: subprocess.Popen[str], timeout: float = 240) -> Ran:
    """Wait for a command of `spawn`."""
    out, err = process.communicate(timeout=timeout)
    return Ran(process.returncode, out, err)


# --- matrices ---------------------------------------------------------------------------------------------------------

ALL = ("zero_shot", "zero_shot+kd", "en_trans", "gold_translation", "target_supervised")


def matrix_text(
    encoder: Path,
    methods: Sequence[str] = ("zero_shot",),
    targets: Sequence[str] = ("de",),
    seeds: Sequence[int] = (1,),
    **tables: str,
) -> str:
    """A matrix of seconds: 4 steps of 8 sentences. `tables` adds lines to a section: data='overlap = "refuse"'.

    A section `corpus` replaces the demo corpus; `more` is appended. A label `x+kd` becomes a variant of x that distils.
    """
    corpus = tables.get(
        "corpus", 'corpus = "demo"\n[corpus.demo]\nn_train = 40\nn_dev = 24\nn_test = 16\nn_unlabelled = 30'
    )
    variants = "".join(
        f'[[variant]]\nname = "{label}"\nuse = "{label[:-3]}"\ndistil = true\n'
        for label in methods
        if label[-3:] == "+kd"
    )
    return f"""name = "small"
[axes]
methods = {json.dumps(list(methods))}
targets = {json.dumps(list(targets))}
encoders = ["{encoder}"]
seeds = {list(seeds)}
[data]
n_source = 24
n_dev = 20
n_unlabelled = 24
{tables.get("data", "")}
{corpus}
[labels]
{tables.get("labels", 'translator = "frames"')}
[train]
steps = 4
batch = 8
evals = 2
threads = 1
{tables.get("train", "")}
[encoder."{encoder}"]
lr = 1e-3
{tables.get("recipe", "")}
{variants}{tables.get("more", "")}"""


# --- what a run leaves ------------------------------------------------------------------------------------------------


def records(out: Path) -> list[dict[str, Any]]:
    """The records of a results folder, as JSON, by cell."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (out / "records").glob("*.json")]
    return sorted(found, key=name_of)


def name_of(record: Mapping[str, Any]) -> tuple[str, str, int]:
    cell = record["cell"]
    return cell["label"], cell["target"], cell["seed"]


def by_name(out: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    return {name_of(record): record for record in records(out)}


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def sidecars(out: Path) -> dict[str, bytes]:
    """Content of every sidecar by key and name."""
    files = (out / "sidecars").rglob("*.*")
    return {path.relative_to(out / "sidecars").as_posix(): path.read_bytes() for path in files}


def unpacked(out: Path, key: str, name: str) -> str:
    return gzip.decompress((out / "sidecars" / key / f"{name}.conll.gz").read_bytes()).decode()


def read_predictions(place: Place, record: Mapping[str, Any], rule: str) -> list[Sentence]:
    """A predictions sidecar as sentences; BadInput where it is no well-formed IOB2 of the corpus's types."""
    return read_sidecar(place, record, f"predictions-{rule}")


def read_sidecar(place: Place, record: Mapping[str, Any], name: str) -> list[Sentence]:
    """A CoNLL sidecar as sentences; its text stays at `root/<name>.conll`."""
    from bench.core.conll import read_conll

    path = place.root / f"{name}.conll"
    path.write_text(unpacked(place.out, record["key"], name), encoding="utf-8")
    return read_conll(path, record["cell"]["target"], record["corpus"]["types"])


# --- corpora and plug-ins ---------------------------------------------------------------------------------------------


def demo_sentences(language: str, split: str, count: int) -> list[Sentence]:
    """Sentences of the demo corpus, without their groups: parallel splits would share them."""
    from data_recipes.corpora.demo.corpus import DemoCorpus, DemoParams

    corpus = DemoCorpus(DemoParams(**{f"n_{split}": count}))
    return [Sentence(s.id, s.language, s.words, s.spans) for s in corpus.read(language, split)]  # type: ignore[arg-type]


def write_corpus(folder: Path, splits: Mapping[str, Iterable[Sentence]]) -> str:
    """CoNLL files (`"en/train"` → sentences); returns the matrix lines that name the corpus."""
    from bench.core.conll import conll_text

    for name, sentences in splits.items():
        path = folder / f"{name}.conll"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(conll_text(sentences).encode())
    return f'corpus = "conll"\n[corpus.conll]\npath = "{folder}"'


def small_corpus(folder: Path, **more: Iterable[Sentence]) -> str:
    """English train and dev, German and Chinese tests; `more` (`de_test`, …) replaces or adds a split."""
    splits: dict[str, Iterable[Sentence]] = {
        "en/train": demo_sentences("en", "train", 32),
        "en/dev": demo_sentences("en", "dev", 20),
        "de/test": demo_sentences("de", "test", 16),
        "zh/test": demo_sentences("zh", "test", 16),
    }
    return write_corpus(folder, splits | {name.replace("_", "/"): sentences for name, sentences in more.items()})


def install_methods(folder: Path, package: str, sources: Mapping[str, str]) -> None:
    """A distribution as pip would leave it: a package with a module a method, and the entry points that name them."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text("")
    for name, source in sources.items():
        (folder / package / f"{name}.py").write_text(source)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(f"{package}\n")
    points = "".join(f"{name} = {package}.{name}:Plugin\n" for name in sources)
    (info / "entry_points.txt").write_text(f"[xner.methods]\n{points}")
