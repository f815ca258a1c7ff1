"""Running eflomal's program: files in, links of both directions out, the same every time for the same seed.

eflomal takes its seed from /dev/urandom and has no option for it. The program is therefore run from a temporary copy in
which that file name is replaced by a file of eight bytes derived from the seed. One thread per direction, since
samplers would race for their seeds otherwise. Its arithmetic is compiled for the machine that installs it (-Ofast
-march=native): other machines may give other links for the same seed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import math
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Link

Ids = Sequence[int]  # the words of a sentence as numbers from 0

MAX_WORDS = 1023  # eflomal's own limit
_SYSTEM_SEED, _OWN_SEED = b"/dev/urandom\0", b"seed\0"


@dataclass(frozen=True)
class Run:
    """eflomal's options; the names and defaults are its own, except for the seed."""

    seed: int = 0  # the same links every time (on one machine); -1: unseeded, other links in every run
    samplers: int = 3
    iterations: float = 1.0  # a factor on 5,000 / √sentences
    null_prior: float = 0.2  # how readily a word has no link


def program() -> Path:
    """The path of eflomal's program; Unavailable where it is not installed."""
    spec = importlib.util.find_spec("eflomal")
    paths = [Path(folder) / "bin" / "eflomal" for folder in (spec.submodule_search_locations or ())] if spec else []
    for path in paths:
        if path.is_file():
            return path
    raise Unavailable("the aligner statistical needs eflomal: pip install 'xner-bench[align]' (compiles C)")


def version() -> str:
    """The installed package's; '' where there is none."""
    try:
        return importlib.metadata.version("eflomal")
    except importlib.metadata.PackageNotFoundError:
        return ""


def align(
    source: Sequence[Ids], target: Sequence[Ids], priors: Mapping[tuple[int, int], float], run: Run
) -> list[tuple[list[Link], list[Link]]]:
    """Forward and reverse links of each pair: forward links each target word at most once, reverse each source word.

    `priors` are pseudo-counts of (source word, target word). A pair with an empty side, or of more than `MAX_WORDS`
    words on a side, has no links.

    Raises:
        Unavailable: eflomal is not installed, or cannot be seeded.
        BadInput: the program cannot be run, or fails; with its message.
    """
    own = program()
    with tempfile.TemporaryDirectory(prefix="xner-eflomal-") as name:
        folder = Path(name)
        fits = [0 < len(s) <= MAX_WORDS and 0 < len(t) <= MAX_WORDS for s, t in zip(source, target, strict=True)]
        sizes = [_write(folder / "source", source, fits), _write(folder / "target", target, fits)]
        # eflomal's format: word 0 is NULL, so ours are shifted by one; no priors of jumps and fertilities
        lines = [f"{sizes[0] + 1} {sizes[1] + 1} {len(priors)} 0 0 0 0"]
        lines += [f"{s + 1} {t + 1} {count:g}" for (s, t), count in sorted(priors.items())]
        (folder / "priors").write_text("\n".join(lines) + "\n", encoding="ascii")
        if run.seed >= 0:
            code = own.read_bytes()
            if code.count(_SYSTEM_SEED) != 1:
                raise Unavailable(
                    f"{own}: this build of eflomal cannot be seeded; set the aligner's seed to -1 to run it unseeded"
                )
            own = folder / "eflomal"
            own.write_bytes(code.replace(_SYSTEM_SEED, _OWN_SEED.ljust(len(_SYSTEM_SEED), b"\0")))
            own.chmod(0o700)
            (folder / "seed").write_bytes(hashlib.sha256(f"eflomal {run.seed}".encode()).digest()[:8])
        # eflomal.align's own numbers of iterations: IBM 1, then HMM, then HMM with fertilities
        iterations = max(2, round(run.iterations * 5000 / math.sqrt(max(1, sum(fits)))))
        few = max(1, iterations // 4)
        command = [str(own), "-q", "-m", "3", "-s", "source", "-t", "target", "-f", "forward", "-r", "reverse"]
        command += ["-n", str(run.samplers), "-N", str(run.null_prior)]
        command += ["-1", str(max(2, few)), "-2", str(few), "-3", str(iterations)]
        _execute(command + ["-p", "priors"] * bool(priors), folder)
        return list(zip(*(_read(folder / direction, len(source)) for direction in ("forward", "reverse")), strict=True))


def _execute(command: list[str], folder: Path) -> None:
    # the first number is for the two directions, the second for the samplers of each
    environment = {**os.environ, "OMP_NUM_THREADS": "2,1", "OMP_DYNAMIC": "false"}
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    except OSError as error:
        raise BadInput(
            f"eflomal cannot be run: {error.strerror}; set TMPDIR to a folder that may hold programs"
        ) from error
    except subprocess.CalledProcessError as error:
        complaint = " ".join(error.stderr.decode(errors="replace").split())[-300:]
        raise BadInput(f"eflomal failed ({error.returncode}): {complaint or 'it said nothing'}") from error


def _write(path: Path, sentences: Sequence[Ids], fits: Sequence[bool]) -> int:
    """Write one line per sentence, its length first; returns the size of the vocabulary."""
    size = max((word for sentence in sentences for word in sentence), default=-1) + 1
    with path.open("w", encoding="ascii") as file:
        file.write(f"{len(sentences)} {size}\n")
        for sentence, fit in zip(sentences, fits, strict=True):
            file.write(" ".join(map(str, (len(sentence), *sentence))) + "\n" if fit else "0\n")
    return size


def _read(path: Path, n_sentences: int) -> list[list[Link]]:
    lines = path.read_text(encoding="ascii").split("\n")[:-1]
    if len(lines) != n_sentences:
        raise BadInput(f"eflomal gave links of {len(lines)} sentences for {n_sentences}")
    return [[(int(s), int(t)) for s, t in (link.split("-") for link in line.split())] for line in lines]
