"""The published files that recipes read: local paths, pinned addresses and hashes, fetching; held-out parallel lines.

`sources.csv` lists them; a corpus names the folders that it reads in a class attribute `sources`.
"""

from __future__ import annotations

import csv
import os
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple, cast

from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.files import published, sha256_of_file, text_lines

State = Literal["present", "absent", "damaged"]
Opener = Callable[[str], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One published file; `path` is relative to the data directory."""

    path: str
    url: str
    sha256: str
    bytes: int | None
    licence: str

    @property
    def local(self) -> Path:
        """The file's path on this machine."""
        return data_dir() / self.path

    def state(self) -> State:
        """Whether the file exists and has the published hash."""
        if not self.local.is_file():
            return "absent"
        return "present" if sha256_of_file(self.local) == self.sha256 else "damaged"


def data_dir() -> Path:
    """`$XNER_DATA`, else `xner` in the user's cache directory; it need not exist."""
    if named := os.environ.get("XNER_DATA"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "xner"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xner"


@cache
def index() -> tuple[SourceFile, ...]:
    """Every file of `sources.csv`, in its order.

    Raises:
        BadInput: a row has an address that is not https, or a path outside the data directory.
    """
    with _table().open(encoding="utf-8", newline="") as file:
        return tuple(_source_file(row, f"sources.csv:{line}") for line, row in enumerate(csv.DictReader(file), 2))


def _table() -> Path:
    return Path(str(resources.files("data_recipes") / "sources.csv"))


def _source_file(row: dict[str, str], where: str) -> SourceFile:
    path = PurePosixPath(row["path"])
    if path.is_absolute() or ".." in path.parts or not row["url"].startswith("https://") or len(row["sha256"]) != 64:
        raise BadInput(f"{where}: a relative path, an https address and a sha256 are needed")
    size = int(row["bytes"]) if row["bytes"] else None
    return SourceFile(row["path"], row["url"], row["sha256"], size, row["licence"])


def folders() -> tuple[str, ...]:
    """First folders of the listed paths, which can be fetched by name."""
    return tuple(sorted({source.path.split("/")[0] for source in index()}))


def files_of(name: str) -> tuple[SourceFile, ...]:
    """The listed files of a folder such as `uner` or `uner/en_pud` (or of one path).

    Raises:
        BadInput: nothing is listed under this name.
    """
    listed = tuple(source for source in index() if f"{source.path}/".startswith(f"{name.strip('/')}/"))
    if not listed:
        raise BadInput(f"no source files are listed for '{name}'{nearest(name, folders())}")
    return listed


def local_files(names: Sequence[str]) -> tuple[Path, ...]:
    """The paths of the listed files of these folders, existing or not, and of the list. BadInput as `files_of`."""
    return (_table(), *(file.local for name in names for file in files_of(name)))


def here(path: str) -> Path:
    """The local path of a listed file.

    Raises:
        Unavailable: it is not on this machine: its name, and how to get it.
    """
    local = data_dir() / path
    if not local.is_file():
        folder = PurePosixPath(path).parent
        shown = f"$XNER_DATA/{path}"  # never the folder itself: the text may reach a record
        raise Unavailable(f"{shown} is not here: run 'xner data fetch {folder}', or set $XNER_DATA to where it is")
    return local


def fetch(files: Sequence[SourceFile], open_url: Opener | None = None) -> Iterator[tuple[SourceFile, str]]:
    """Fetch the files, one at a time, yielding each with "present" or "fetched"; a second call resumes.

    Raises:
        BadInput: an address cannot be read, leaves https, or gives other bytes than published (nothing is kept).
    """
    for source in files:
        if source.state() == "present":
            yield source, "present"
            continue
        with published(source.local) as temporary:
            try:
                with (open_url or _open_https)(source.url) as response, temporary.open("wb") as file:
                    size = 0
                    while chunk := response.read(1 << 20):
                        size += len(chunk)
                        if source.bytes is not None and size > source.bytes:
                            raise BadInput(f"{source.url}: more than the {source.bytes} bytes published; not kept")
                        file.write(chunk)
            except OSError as error:  # urllib's URLError and HTTPError are OSErrors
                why = f"cannot be fetched: {error}; put the file at {source.local} by hand"
                raise BadInput(f"{source.url}: {why}") from error
            if (actual := sha256_of_file(temporary)) != source.sha256:
                raise BadInput(f"{source.url}: sha256 is {actual[:12]}…, expected {source.sha256[:12]}…; not kept")
        yield source, "fetched"


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Refuses a redirect that leaves https, which does not protect the bytes on the way (the hash does)."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not newurl.startswith("https://"):
            raise BadInput(f"{req.full_url}: redirected to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open_https(url: str) -> AbstractContextManager[IO[bytes]]:
    opener = urllib.request.build_opener(_HttpsOnly)
    request = urllib.request.Request(url, headers={"User-Agent": "xner-bench"})
    return cast(AbstractContextManager[IO[bytes]], opener.open(request, timeout=60))


# --- parallel lines for comparing encoders, which no training of ours reads -------------------------------------------

Part = Literal["test", "dev"]
FLORES_HELD_OUT = 200  # last lines of FLORES dev, for choices; FLORES test is for the final figures
NTREX_HELD_OUT = 400  # last lines of NTREX, of languages that FLORES lacks: the first half for choices (ours)
_NTREX = {"sw": "swa", "yo": "yor"}


class HeldOut(NamedTuple):
    """English lines and their translations, and the name of the text."""

    text: str
    english: list[str]
    other: list[str]


def held_out(language: str, part: Part) -> HeldOut:
    """The lines of a language: FLORES test, or the last 200 lines of FLORES dev; sw and yo: of NTREX's last 400.

    Lines that are empty on one side are left out on both.

    Raises:
        Unavailable: a file is not on this machine: its name, and how to get it.
        BadInput: the two sides have different numbers of lines, or none.
    """
    if language in _NTREX:
        text, names = "NTREX", ("ntrex/newstest2019-src.eng.txt", f"ntrex/newstest2019-ref.{_NTREX[language]}.txt")
        half = NTREX_HELD_OUT // 2
        chosen = slice(-NTREX_HELD_OUT, -half) if part == "dev" else slice(-half, None)
    else:
        text, names = "FLORES", (f"flores/en-de/flores-{part}.en", f"flores/en-{language}/flores-{part}.{language}")
        chosen = slice(-FLORES_HELD_OUT, None) if part == "dev" else slice(None)
    english, other = (list(text_lines(here(name))) for name in names)
    if len(english) != len(other) or not english:
        raise BadInput(f"$XNER_DATA/{names[1]}: {len(other)} lines, but {len(english)} in {names[0]}")
    kept = [(e, o) for e, o in zip(english[chosen], other[chosen], strict=True) if e.strip() and o.strip()]
    return HeldOut(text, [e for e, _ in kept], [o for _, o in kept])
