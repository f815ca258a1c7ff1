"""The translator `apertium`: rule-based translation by Apertium's programs, with the links of its own rules."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from bench.core.errors import Unavailable, require
from bench.core.files import sha256_of_unchanged
from bench.core.languages import NLLB
from data_recipes.translators._apertium import TranslationMode
from data_recipes.translators._texts import Asked, Draft, TextTranslator

INSTALL = (
    "apt install apertium apertium-eng-spa apertium-eng-cat apertium-en-gl apertium-es-pt apertium-por-cat"
    " apertium-pt-gl, or any other apertium-XXX-YYY"
)


@dataclass(frozen=True)
class ApertiumParams:
    """All values are ours."""

    keep: tuple[str, ...] = ()  # entities of these types are copied: Trump is no triunfo
    max_length: int = 2000  # characters; a longer text is not translated, and counted
    modes: dict[str, str] = field(default_factory=dict)  # en-ca = "eng-cat_valencia": instead of the usual mode

    def __post_init__(self) -> None:
        require(self.max_length >= 8, "max_length must be at least 8")


class ApertiumTranslator(TextTranslator):
    """The pairs that are installed on this machine; nothing is downloaded.

    Links are the system's: a word of the translation is linked with the words of the lexical unit that it comes from.
    Unknown words are copied without a mark.
    """

    name: ClassVar[str] = "apertium"
    version = 1
    cites = ("forcada2011apertium",)
    Params: ClassVar[type] = ApertiumParams
    licence: ClassVar[str] = "GPL programs and dictionaries, run as they are installed"
    params: ApertiumParams

    @classmethod
    def missing(cls) -> str:
        folder = modes_folder()
        return "" if folder and any(folder.glob("*.mode")) else INSTALL

    def kept_types(self) -> Sequence[str]:
        return self.params.keep

    def path(self, source: str, target: str) -> Path:
        """The file of a direction's mode. Unavailable where Apertium or this pair is not installed."""
        folder = modes_folder()
        if folder is None:
            raise Unavailable(f"translator apertium: Apertium is not installed: {INSTALL}")
        chosen = self.params.modes.get(f"{source}-{target}")
        names = [chosen] if chosen else [f"{a}-{b}" for a in codes(source) for b in codes(target)]
        for name in names:
            if (path := folder / f"{name}.mode").is_file():
                return path
        installed = " ".join(sorted(path.stem for path in folder.glob("*.mode") if "_" not in path.stem))
        raise Unavailable(
            f"translator apertium: no mode {' or '.join(names)} is installed, only {installed or 'none'};"
            " apt-cache search apertium lists all pairs"
        )

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """The mode's dictionaries and rules by hash, and the versions of its programs' packages."""
        path = self.path(source, target)
        mode = _mode(path, sha256_of_unchanged(path))
        files = {file.name: sha256_of_unchanged(file) for file in mode.files()}
        return {"mode": sha256_of_unchanged(path), "files": files, "programs": dict(packages(*mode.programs()))}

    def drafts(self, asked: Sequence[Asked], source: str, target: str) -> tuple[list[Draft], str]:
        """The programs' output unedited; tokenising removes its double spaces."""
        path = self.path(source, target)
        mode = _mode(path, sha256_of_unchanged(path))
        short = [request for request in asked if len(request.text) <= self.params.max_length]
        made = dict(zip(short, mode.translate(short), strict=True))
        drafts = [made.get(request, Draft("", "too_long")) for request in asked]
        pair = " ".join(f"{name} {of}" for name, of in packages(*map(str, mode.files()[:1])))
        return drafts, self.credit(f"Apertium {mode.name}, {pair}" if pair else f"Apertium {mode.name}")


def modes_folder() -> Path | None:
    """The folder of modes that belongs to the program `apertium`; None where that is not installed."""
    program = shutil.which("apertium")
    return Path(program).parent.parent / "share" / "apertium" / "modes" if program else None


def codes(language: str) -> tuple[str, ...]:
    """Codes by which Apertium may know a language: three letters, in older pairs two."""
    three = NLLB.get(language, "").partition("_")[0]
    return tuple(dict.fromkeys(code for code in (three, language) if code))


@lru_cache(maxsize=64)
def _mode(path: Path, _sha256: str) -> TranslationMode:
    return TranslationMode.of(path)


@lru_cache(maxsize=64)
def packages(*programs: str) -> tuple[tuple[str, str], ...]:
    """The Debian packages that programs (or files) belong to, with versions; a file that is in none, with its hash."""
    versions: dict[str, str] = {}
    for program in programs:
        path = shutil.which(program) or program
        owner = _dpkg("-S", path).partition(":")[0]
        if owner:
            versions[owner] = _dpkg("-W", "-f=${Version}", owner)
        elif Path(path).is_file():
            versions[Path(path).name] = f"sha256:{sha256_of_unchanged(Path(path))}"
    return tuple(sorted(versions.items()))


def _dpkg(*arguments: str) -> str:
    """The answer of dpkg-query; "" where it has none or is not installed."""
    if not (program := shutil.which("dpkg-query")):
        return ""
    return subprocess.run((program, *arguments), capture_output=True, text=True).stdout.strip()
